"""The current status of a run, for health checks, metrics and the status page."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Any

from ktrans.engine.observer import Meter, Observer
from ktrans.observe.metrics import Metrics
from ktrans.registry.redaction import redact

ERRORS = 20
"""The number of recent errors that are kept."""

OUTAGE_SECS = 10.0
"""A component that fails for so long makes the run not ready; `--stale-after`, if it is shorter."""


class StatusObserver(Observer):
    """Keeps the status of one pipeline, from one run to the next; read from other threads.

    Args:
        pipeline: the name of the pipeline.
        stale_after: a run that has neither recorded an epoch nor checked for new input for so many
            seconds is not ready.
        clock: seconds since 1970.

    Attributes:
        generation: the configuration of the run; see `ProcessStatus.generation`.
    """

    def __init__(
        self, pipeline: str, stale_after: float, clock: Callable[[], float] = time.time
    ) -> None:
        self.pipeline = pipeline
        self.stale_after = stale_after
        self.generation = 1
        self.metrics = Metrics(pipeline)
        self._clock = clock
        self._lock = threading.Lock()
        self._meter = Meter()
        self._run_id = ""
        self._started = clock()
        self._checked: float | None = None
        self._recorded: float | None = None
        self._failing: dict[str, Any] | None = None
        self._outages: dict[str, tuple[float, str]] = {}
        self._errors: deque[dict[str, Any]] = deque(maxlen=ERRORS)
        self._notes: deque[str] = deque(maxlen=ERRORS)
        self._epochs = 0
        self._totals: dict[str, Any] = {"records": 0, "rows": 0, "skipped": 0, "input_bytes": 0}
        self._rejects: dict[str, int] = {}
        self._stages: dict[str, dict[str, Any]] = {}
        self._sinks: dict[str, dict[str, int]] = {}
        self._outcome = "starting"
        gauge = self.metrics.gauge
        gauge("ktrans_splits_waiting", "Known splits that are still to be read", self.waiting)
        gauge("ktrans_ready", "1 if the run is ready", lambda: not self.unready())
        gauge(
            "ktrans_last_epoch_timestamp_seconds",
            "When an epoch was last recorded",
            lambda: self._recorded or 0.0,
        )

    # -- updated by the run ----------------------------------------------------------------------

    def run_started(self, pipeline: str, run_id: str, meter: Meter) -> None:
        """Keep the meter."""
        del pipeline
        with self._lock:
            self._meter, self._run_id, self._outcome = meter, run_id, "running"
            self._failing = None
            for component in self._outages:
                self.metrics.outages.labels(self.pipeline, component).set_function(lambda: 0.0)
            self._outages.clear()
            self._checked = self._clock()

    def epoch_committed(self, number: int, summary: dict[str, Any]) -> None:
        """Add the epoch to the totals."""
        del number
        self.metrics.add_epoch(summary)
        ledger = summary["ledger"]
        with self._lock:
            self._epochs += 1
            self._recorded = self._checked = self._clock()
            self._failing = None
            self._totals["records"] += ledger["records"]
            self._totals["rows"] += ledger["decoded"]["rows"]
            self._totals["skipped"] += ledger["skipped"]
            self._totals["input_bytes"] += summary["input_bytes"]
            for reason, count in (*ledger["rejected"].items(), *ledger["refused"].items()):
                self._rejects[reason] = self._rejects.get(reason, 0) + count
            for stage in ledger["stages"]:
                total = self._stages.setdefault(
                    stage["name"],
                    {"kind": stage["kind"], "in": 0, "out": 0, "filtered": 0, "refused": 0},
                )
                for key in ("in", "out", "filtered", "refused"):
                    total[key] += stage[key]["rows"]
            for sink, output in summary["sinks"].items():
                total = self._sinks.setdefault(sink, {"rows": 0, "bytes": 0, "outputs": 0})
                for key, value in total.items():
                    total[key] = value + output[key]
            for item in summary["quarantined"]:
                self._note_error(item["code"], f"{item['uri']} was quarantined: {item['reason']}")

    def expectation_broken(self, rule: dict[str, Any]) -> None:
        """Count it."""
        self.metrics.broken.labels(self.pipeline, rule["name"]).inc()

    def caught_up(self) -> None:
        """Record that the source has nothing new."""
        with self._lock:
            self._checked = self._clock()
            self._failing = None

    def retrying(self, what: str, attempt: int, wait_secs: float, error: BaseException) -> None:
        """Record a temporary failure."""
        del wait_secs
        self.metrics.retries.labels(self.pipeline).inc()
        with self._lock:
            text = f"{what}, attempt {attempt}: {error}"
            self._failing = self._note_error(getattr(error, "code", "error"), text)

    def outage(self, component: str, secs: float, attempts: int, error: BaseException) -> None:
        """Record that a component fails."""
        self.metrics.retries.labels(self.pipeline).inc(attempts)
        began = self._clock() - secs
        gauge = self.metrics.outages.labels(self.pipeline, component)
        gauge.set_function(lambda: max(self._clock() - began, 0.0))
        with self._lock:
            text = f"{component}: {error}"
            self._outages[component] = (began, redact(text))
            self._note_error(getattr(error, "code", "error"), text)

    def outage_over(self, component: str, secs: float, attempts: int) -> None:
        """Record that a component works again."""
        del secs
        self.metrics.retries.labels(self.pipeline).inc(attempts)
        self.metrics.outages.labels(self.pipeline, component).set_function(lambda: 0.0)
        with self._lock:
            self._outages.pop(component, None)

    def note(self, text: str) -> None:
        """Keep the note."""
        with self._lock:
            if text not in self._notes:
                self._notes.append(text)

    def run_finished(self, receipt: dict[str, Any]) -> None:
        """Record the end of the run."""
        self.metrics.end(receipt, now=self._clock())
        with self._lock:
            self._outcome = receipt["outcome"]
            if receipt["error"]:
                self._failing = self._note_error(
                    receipt["error"]["code"], receipt["error"]["message"]
                )

    def _note_error(self, code: str, text: str) -> dict[str, Any]:
        error = {"time": self._clock(), "code": code, "text": redact(text)}
        self._errors.append(error)
        return error

    # -- read by others ----------------------------------------------------------------------

    def waiting(self) -> int:
        """Return the number of known splits that are still to be read."""
        meter = self._meter
        return max((meter.splits_known or 0) - meter.splits_done, 0)

    def unready(self) -> str:
        """Return why the run is not ready; empty if it is."""
        with self._lock:
            if self._outcome != "running":
                return f"not running: {self._outcome}"
            if self._failing is not None:
                return f"failing: {self._failing['text']}"
            for began, text in self._outages.values():
                secs = self._clock() - began
                if secs > min(OUTAGE_SECS, self.stale_after):
                    return f"failing for {secs:.0f} s: {text}"
            since = self._clock() - (self._checked or self._started)
        if since > self.stale_after:
            return f"no activity for {since:.0f} s (limit {self.stale_after:.0f} s)"
        return ""

    def to_json(self) -> dict[str, Any]:
        """Return everything, as `/status.json` does; times in seconds since 1970."""
        unready = self.unready()
        waiting, meter = self.waiting(), self._meter
        with self._lock:
            return {
                "pipeline": self.pipeline,
                "run_id": self._run_id,
                "generation": self.generation,
                "outcome": self._outcome,
                "ready": not unready,
                "unready": unready,
                "now": self._clock(),
                "started": self._started,
                "last_epoch": self._recorded,
                "last_check": self._checked,
                "epoch": meter.epoch,
                "epochs": self._epochs,
                "live": {
                    "rows": meter.rows,
                    "records": meter.records,
                    "rejects": meter.rejects,
                    "input_bytes": meter.bytes_in,
                    "retries": meter.retries,
                },
                "waiting_splits": waiting,
                "totals": dict(self._totals),
                "stages": [{"name": name, **counts} for name, counts in self._stages.items()],
                "sinks": [{"id": name, **counts} for name, counts in self._sinks.items()],
                "rejects": dict(sorted(self._rejects.items(), key=lambda item: -item[1])),
                "errors": list(reversed(self._errors)),
                "notes": list(self._notes),
            }
