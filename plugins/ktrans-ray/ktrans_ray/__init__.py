"""Registers the executor `ray`. Imports neither Ray nor pydantic."""

from __future__ import annotations

from ktrans.api import Spec, hookimpl


@hookimpl
def ktrans_components() -> list[Spec]:
    """Return the components of this plugin."""
    return [
        Spec(
            kind="executor",
            type="ray",
            build="ktrans_ray.executor:RayExecutor",
            config="ktrans_ray.executor:RayExecutorConfig",
            summary="Machines of a Ray cluster",
        )
    ]


@hookimpl
def ktrans_error_codes() -> list[str]:
    """Explain the error codes of this plugin."""
    from importlib.resources import files

    return [files(__name__).joinpath("codes.toml").read_text("utf-8")]


@hookimpl
def ktrans_log_events() -> list[str]:
    """Return the module that declares the log events of this plugin."""
    return ["ktrans_ray.log_events"]
