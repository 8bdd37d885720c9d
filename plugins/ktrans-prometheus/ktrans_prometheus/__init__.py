"""Registers the `prometheus` sink."""

from __future__ import annotations

from ktrans.api import Spec, hookimpl


@hookimpl
def ktrans_components() -> list[Spec]:
    """List the components of this plugin."""
    return [
        Spec(
            kind="sink",
            type="prometheus",
            build="ktrans_prometheus.sink:PrometheusSink",
            config="ktrans_prometheus.config:PrometheusSinkConfig",
            summary="Totals as series of Prometheus and of all that take its remote write",
            delivery="exactly_once",
        )
    ]


@hookimpl
def ktrans_error_codes() -> list[str]:
    """Return the explanations of this plugin's error codes."""
    from importlib.resources import files

    return [files(__name__).joinpath("codes.toml").read_text("utf-8")]
