"""OpenTelemetry traces of runs. Does and imports nothing unless the environment enables it.

The standard variables configure the exporter: OTEL_EXPORTER_OTLP_ENDPOINT (or its _TRACES_ form), or
OTEL_TRACES_EXPORTER=otlp for a collector at its default address. OTEL_SDK_DISABLED=true and
OTEL_TRACES_EXPORTER=none turn traces off.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ktrans.api import hookimpl

if TYPE_CHECKING:
    from ktrans_otel.traces import Traces

_traces: Traces | None = None


def configured(environ: Mapping[str, str]) -> bool:
    """Return whether the environment enables traces."""
    if environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        return False
    exporters = {name.strip() for name in environ.get("OTEL_TRACES_EXPORTER", "").split(",")}
    if "otlp" in exporters:
        return True
    endpoints = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
    return exporters == {""} and any(environ.get(name) for name in endpoints)


@hookimpl
def ktrans_run_opened(run: dict[str, Any]) -> None:
    """Start the span of a run, if traces are enabled; the first call imports the SDK."""
    global _traces  # noqa: PLW0603 - one exporter for all runs of the process
    if _traces is None:
        if not configured(os.environ):
            return
        from ktrans_otel.export import make_provider
        from ktrans_otel.traces import Traces

        _traces = Traces(*make_provider(run))
    _traces.run_opened(run, os.environ)


@hookimpl
def ktrans_epoch_started(run: dict[str, Any], epoch: dict[str, Any]) -> None:
    """Start the span of an epoch."""
    if _traces is not None:
        _traces.epoch_started(run, epoch)


@hookimpl
def ktrans_task_finished(run: dict[str, Any], task: dict[str, Any]) -> None:
    """Create the spans of a task and of its stages."""
    if _traces is not None:
        _traces.task_finished(run, task)


@hookimpl
def ktrans_retrying(run: dict[str, Any], retry: dict[str, Any]) -> None:
    """Record a failed attempt to list the source; those of tasks come with the task."""
    if _traces is not None:
        _traces.retrying(run, retry)


@hookimpl
def ktrans_epoch_committed(run: dict[str, Any], epoch: dict[str, Any]) -> None:
    """End the span of an epoch."""
    if _traces is not None:
        _traces.epoch_committed(run, epoch)


@hookimpl
def ktrans_run_finished(run: dict[str, Any], receipt: dict[str, Any]) -> None:
    """End the span of a run, and wait briefly for the exporter to send its spans."""
    if _traces is not None:
        _traces.run_finished(run, receipt)


@hookimpl
def ktrans_log_events() -> list[str]:
    """Return the module that declares the log events of this plugin."""
    return ["ktrans_otel.log_events"]
