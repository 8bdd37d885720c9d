"""Registers what ktrans-kafka offers. Imports no SDK."""

from __future__ import annotations

from ktrans.api import Spec, hookimpl


@hookimpl
def ktrans_components() -> list[Spec]:
    """List what this plugin offers."""
    return [
        Spec(
            kind="sink",
            type="kafka",
            build="ktrans_kafka.sink:KafkaSink",
            config="ktrans_kafka.sink_config:KafkaSinkConfig",
            summary="topics of Apache Kafka, one transaction a task: JSON, Avro, Protobuf, Arrow",
            delivery="exactly_once",
        ),
        Spec(
            kind="source",
            type="kafka",
            build="ktrans_kafka.source:KafkaSource",
            config="ktrans_kafka.source_config:KafkaSourceConfig",
            summary="topics of Apache Kafka, each record once, alone or shared by a group",
        ),
    ]


@hookimpl
def ktrans_error_codes() -> list[str]:
    """Explain the error codes of this plugin."""
    from importlib.resources import files

    return [files(__name__).joinpath("codes.toml").read_text("utf-8")]


@hookimpl
def ktrans_log_events() -> list[str]:
    """Name the module that declares the log events of this plugin."""
    return ["ktrans_kafka.log_events"]
