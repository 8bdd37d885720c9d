"""Registers the `clickhouse` sink. Imports no SDK."""

from __future__ import annotations

from ktrans.api import Spec, hookimpl


@hookimpl
def ktrans_components() -> list[Spec]:
    """List the components of this plugin."""
    return [
        Spec(
            kind="sink",
            type="clickhouse",
            build="ktrans_clickhouse.sink:ClickhouseSink",
            config="ktrans_clickhouse.config:ClickhouseSinkConfig",
            summary="A table of ClickHouse",
            delivery="exactly_once",
        )
    ]


@hookimpl
def ktrans_error_codes() -> list[str]:
    """Return the explanations of this plugin's error codes."""
    from importlib.resources import files

    return [files(__name__).joinpath("codes.toml").read_text("utf-8")]
