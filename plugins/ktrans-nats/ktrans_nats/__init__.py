"""Registers the `nats` sink. Imports no client."""

from __future__ import annotations

from ktrans.api import Spec, hookimpl


@hookimpl
def ktrans_components() -> list[Spec]:
    """Return the components of this plugin."""
    return [
        Spec(
            kind="sink",
            type="nats",
            build="ktrans_nats.sink:NatsSink",
            config="ktrans_nats.config:NatsSinkConfig",
            summary="Messages of a NATS JetStream stream",
            delivery="exactly_once",
        )
    ]


@hookimpl
def ktrans_error_codes() -> list[str]:
    """Explain the error codes of this plugin."""
    from importlib.resources import files

    return [files(__name__).joinpath("codes.toml").read_text("utf-8")]
