"""Registers the `kafka` source and sink. Imports no SDK."""

from __future__ import annotations

from ktrans.api import Spec, hookimpl


@hookimpl
def ktrans_components() -> list[Spec]:
    """List the components of this plugin."""
    return [
        Spec(
            kind="sink",
            type="kafka",
            build="ktrans_kafka.sink:KafkaSink",
            config="ktrans_kafka.sink_config:KafkaSinkConfig",
            summary="Topics of Apache Kafka, one transaction per task: JSON, Avro, Protobuf, Arrow",
            delivery="exactly_once",
        ),
        Spec(
            kind="source",
            type="kafka",
            build="ktrans_kafka.source:KafkaSource",
            config="ktrans_kafka.source_config:KafkaSourceConfig",
            summary="Topics of Apache Kafka, each record once, alone or shared by a consumer group",
        ),
    ]


@hookimpl
def ktrans_error_codes() -> list[str]:
    """Return the explanations of this plugin's error codes."""
    from importlib.resources import files

    return [files(__name__).joinpath("codes.toml").read_text("utf-8")]
