"""Registers the `influxdb` sink. Imports no SDK."""

from __future__ import annotations

from ktrans.api import Spec, hookimpl


@hookimpl
def ktrans_components() -> list[Spec]:
    """List the components of this plugin."""
    return [
        Spec(
            kind="sink",
            type="influxdb",
            build="ktrans_influxdb.sink:InfluxdbSink",
            config="ktrans_influxdb.config:InfluxdbSinkConfig",
            summary="Points of InfluxDB 1, 2 and 3, and of compatible databases",
            delivery="exactly_once",
        )
    ]


@hookimpl
def ktrans_error_codes() -> list[str]:
    """Return the explanations of this plugin's error codes."""
    from importlib.resources import files

    return [files(__name__).joinpath("codes.toml").read_text("utf-8")]
