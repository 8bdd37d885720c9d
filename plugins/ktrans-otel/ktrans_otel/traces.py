"""Creates spans from the hooks of a run: run > epoch > task > stage.

The hooks report tasks and stages when they have ended, with their times; the spans are created then.
So the engine's threads carry no context, and a run only waits for the creation of a few objects per
task.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from opentelemetry.context import Context
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.trace import Link, Span, Status, StatusCode, Tracer, set_span_in_context
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

NS = 1_000_000_000


@dataclass(slots=True)
class _Run:
    """The open spans of one run."""

    span: Span
    parent_of_epochs: Context | None
    epochs: dict[int, Span] = field(default_factory=dict)


class Traces:
    """The traces of all runs of this process; `flush` sends waiting spans. Thread-safe."""

    def __init__(self, provider: TracerProvider, flush: Callable[[], None]) -> None:
        self._tracer: Tracer = provider.get_tracer("ktrans")
        self._flush = flush
        self._runs: dict[str, _Run] = {}
        self._lock = threading.Lock()

    def run_opened(self, run: Mapping[str, Any], environ: Mapping[str, str]) -> None:
        """Start the span of a run, as a child of the span in TRACEPARENT, if that is set.

        With `--follow` the span of a run may stay open for weeks: each epoch is a separate trace,
        with a link to the run's span.
        """
        carrier = {
            name.lower(): environ[name] for name in ("TRACEPARENT", "TRACESTATE") if name in environ
        }
        parent = TraceContextTextMapPropagator().extract(carrier)
        span = self._tracer.start_span(
            f"run {run['pipeline']}",
            context=parent,
            start_time=_ns(run["began"]),
            attributes={
                "ktrans.pipeline": run["pipeline"],
                "ktrans.run.id": run["run_id"],
                "ktrans.run.dry": run["dry_run"],
                "ktrans.run.replay": run["replay"],
                "ktrans.run.follow": run["follow"],
                "ktrans.run.workers": run["workers"],
                "ktrans.source": [_place(part) for part in run["inputs"]],
                "ktrans.decoder": run["decoder"],
                "ktrans.enrichers": run["enrichers"],
                "ktrans.sinks": [_place(part) for part in run["outputs"]],
            },
        )
        parent_of_epochs = None if run["follow"] else set_span_in_context(span)
        with self._lock:
            self._runs[run["run_id"]] = _Run(span, parent_of_epochs)

    def epoch_started(self, run: Mapping[str, Any], epoch: Mapping[str, Any]) -> None:
        """Start the span of an epoch."""
        if (known := self._known(run)) is None:
            return
        linked = known.parent_of_epochs is None
        known.epochs[epoch["id"]] = self._tracer.start_span(
            f"epoch of {run['pipeline']}",
            context=Context() if linked else known.parent_of_epochs,
            links=[Link(known.span.get_span_context())] if linked else None,
            start_time=_ns(epoch["began"]),
            attributes={
                "ktrans.pipeline": run["pipeline"],
                "ktrans.run.id": run["run_id"],
                "ktrans.epoch.id": epoch["id"],
                "ktrans.epoch.planned": epoch["planned"],
                "ktrans.epoch.resumed": epoch["resumed"],
                "ktrans.epoch.status": epoch["status"],
                "ktrans.tasks": epoch["tasks"],
                "ktrans.splits": epoch["splits"],
                "ktrans.input.bytes": epoch["input_bytes"],
            },
        )

    def task_finished(self, run: Mapping[str, Any], task: Mapping[str, Any]) -> None:
        """Create the span of a task, with its stages as children."""
        known = self._known(run)
        above = None if known is None else known.epochs.get(task["epoch"])
        if above is None:
            return
        span = self._tracer.start_span(
            f"task of {run['pipeline']}",
            context=set_span_in_context(above),
            start_time=_ns(task["began"]),
            attributes={
                "ktrans.epoch.id": task["epoch"],
                "ktrans.task.index": task["index"],
                "ktrans.task.attempts": task["attempts"],
                "ktrans.splits": task["splits"],
                "ktrans.input.bytes": task["input_bytes"],
                "ktrans.records": task["records"],
                "ktrans.rows": task["rows"],
                "ktrans.rejects": task["rejects"],
            },
        )
        for retry in task["retries"]:
            _add_retry(span, retry)
        self._stages(span, task["stages"])
        _end(span, task["ended"], task["error"])

    def retrying(self, run: Mapping[str, Any], retry: Mapping[str, Any]) -> None:
        """Record a failed attempt to list the source."""
        known = self._known(run)
        if known is not None and retry["task"] is None:
            _add_retry(known.span, retry)

    def epoch_committed(self, run: Mapping[str, Any], epoch: Mapping[str, Any]) -> None:
        """End the span of an epoch, with the commits of its sinks as children."""
        known = self._known(run)
        span = None if known is None else known.epochs.pop(epoch["id"], None)
        if span is None:
            return
        span.set_attributes(
            {
                "ktrans.records": epoch["ledger"]["records"],
                "ktrans.rows": epoch["ledger"]["decoded"]["rows"],
                "ktrans.rejects": _rejects(epoch["ledger"]),
                "ktrans.quarantined": len(epoch["quarantined"]),
            }
        )
        for sink, counts in epoch["sinks"].items():
            span.set_attribute(f"ktrans.sink.{sink}.rows", counts["rows"])
            span.set_attribute(f"ktrans.sink.{sink}.bytes", counts["bytes"])
        self._stages(span, epoch["stages"])
        _end(span, epoch["ended"], None)

    def run_finished(self, run: Mapping[str, Any], receipt: Mapping[str, Any]) -> None:
        """End the span of a run and of unfinished epochs, and send them."""
        with self._lock:
            known = self._runs.pop(str(run["run_id"]), None)
        if known is None:
            return
        error = receipt["error"]
        for span in known.epochs.values():
            _end(span, None, error or {"code": receipt["outcome"], "message": "not finished"})
        known.span.set_attributes(
            {
                "ktrans.run.outcome": receipt["outcome"],
                "ktrans.run.resumed": receipt["resumed"],
                "process.exit.code": receipt["exit_code"],
                "ktrans.epochs": receipt["epochs"],
                "ktrans.splits": receipt["splits"],
                "ktrans.input.bytes": receipt["input_bytes"],
                "ktrans.records": receipt["ledger"]["records"],
                "ktrans.rows": receipt["ledger"]["decoded"]["rows"],
                "ktrans.rejects": _rejects(receipt["ledger"]),
                "ktrans.retries": receipt["retries"],
                "ktrans.quarantined": len(receipt["quarantined"]),
            }
        )
        _end(known.span, None, error)
        self._flush()

    def _known(self, run: Mapping[str, Any]) -> _Run | None:
        with self._lock:
            return self._runs.get(str(run["run_id"]))

    def _stages(self, above: Span, stages: list[Mapping[str, Any]]) -> None:
        context = set_span_in_context(above)
        for stage in stages:
            name, component = stage["stage"], stage["component"]
            span = self._tracer.start_span(
                name if name in {"read", "decode"} else f"{name} {component}",
                context=context,
                start_time=_ns(stage["began"]),
                attributes={
                    "ktrans.stage": name,
                    "ktrans.component": component,
                    "ktrans.stage.busy_seconds": stage["busy_secs"],
                    "ktrans.stage.calls": stage["calls"],
                },
            )
            span.end(_ns(stage["ended"]))


def _add_retry(span: Span, retry: Mapping[str, Any]) -> None:
    span.add_event(
        "retry",
        {
            "error.type": retry["code"],
            "exception.type": retry["type"],
            "exception.message": retry["message"],
            "ktrans.retry.attempt": retry["attempt"],
            "ktrans.retry.wait_seconds": retry["wait_secs"],
        },
        _ns(retry["at"]),
    )


def _end(span: Span, ended: float | None, error: Mapping[str, Any] | None) -> None:
    """End a span; record an error as status and event (semantic conventions)."""
    if error is not None:
        span.set_status(Status(StatusCode.ERROR, error["message"]))
        span.set_attribute("error.type", error["code"])
        details = {"exception.message": error["message"]}
        details["exception.type"] = error.get("type") or error["code"]
        span.add_event("exception", details, None if ended is None else _ns(ended))
    span.end(None if ended is None else _ns(ended))


def _rejects(ledger: Mapping[str, Any]) -> int:
    return int(sum(ledger["rejected"].values()) + sum(ledger["refused"].values()))


def _place(part: Mapping[str, Any]) -> str:
    if part["namespace"] is None:
        return str(part["type"])
    return f"{part['type']} {part['namespace'].rstrip('/')}/{part['name'].lstrip('/')}"


def _ns(seconds: float) -> int:
    return int(seconds * NS)
