"""Registers the `rabbitmq` sink. Imports no client."""

from __future__ import annotations

from ktrans.api import Spec, hookimpl


@hookimpl
def ktrans_components() -> list[Spec]:
    """Return the components of this plugin."""
    return [
        Spec(
            kind="sink",
            type="rabbitmq",
            build="ktrans_rabbitmq.sink:RabbitmqSink",
            config="ktrans_rabbitmq.config:RabbitmqSinkConfig",
            summary="Messages to an exchange or a queue of RabbitMQ",
            delivery="at_least_once",
        )
    ]


@hookimpl
def ktrans_error_codes() -> list[str]:
    """Explain the error codes of this plugin."""
    from importlib.resources import files

    return [files(__name__).joinpath("codes.toml").read_text("utf-8")]
