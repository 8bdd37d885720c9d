"""Metrics of a run, in Prometheus' text format, for node_exporter's textfile collector.

Every name is declared here, once. A run from cron lives for a moment, so the counters in the file
are carried on from one run to the next: they grow as counters should.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from ktrans.api import StateError
from ktrans.observe.exposition import joined, without_created

Key = tuple[str, tuple[tuple[str, str], ...]]
_P = ("pipeline",)


class Metrics:
    """The metrics of one pipeline, in a registry of their own.

    Args:
        pipeline: the value of the label `pipeline`.
    """

    def __init__(self, pipeline: str) -> None:
        self.pipeline = pipeline
        self.registry = registry = CollectorRegistry()
        self.runs = Counter("ktrans_runs", "Runs by outcome", (*_P, "outcome"), registry=registry)
        self.records = Counter(
            "ktrans_records_received", "Records read by the decoder", _P, registry=registry
        )
        self.rows = Counter(
            "ktrans_rows_received", "Rows made by the decoder", _P, registry=registry
        )
        self.bytes_in = Counter(
            "ktrans_bytes_received", "Stored bytes of the input", _P, registry=registry
        )
        self.splits = Counter("ktrans_splits_read", "Splits recorded", _P, registry=registry)
        self.rows_out = Counter(
            "ktrans_rows_sent", "Rows written, by sink", (*_P, "sink"), registry=registry
        )
        self.bytes_out = Counter(
            "ktrans_bytes_sent", "Bytes written, by sink", (*_P, "sink"), registry=registry
        )
        self.rejects = Counter(
            "ktrans_rejects",
            "Records that could not be decoded",
            (*_P, "reason"),
            registry=registry,
        )
        self.filtered = Counter(
            "ktrans_rows_filtered", "Rows that enrichers filtered", _P, registry=registry
        )
        self.quarantined = Counter(
            "ktrans_splits_quarantined",
            "Splits not read, by code",
            (*_P, "code"),
            registry=registry,
        )
        self.skipdata = Counter(
            "ktrans_skipdata_rows", "Rows by which the cloud says it lost records", _P,
            registry=registry,
        )  # fmt: skip
        self.retries = Counter("ktrans_retries", "Attempts beyond the first", _P, registry=registry)
        self.errors = Counter(
            "ktrans_errors", "Runs that failed, by error code", (*_P, "code"), registry=registry
        )
        self.seconds = Gauge(
            "ktrans_run_seconds", "How long the last run took", _P, registry=registry
        )
        self.exit_code = Gauge(
            "ktrans_exit_code", "Exit code of the last run", _P, registry=registry
        )
        self.finished = Gauge(
            "ktrans_last_run_timestamp_seconds", "When the last run ended", _P, registry=registry
        )
        self.success = Gauge(
            "ktrans_last_success_timestamp_seconds",
            "When a run last ended with exit code 0",
            _P,
            registry=registry,
        )

    def add(self, receipt: dict[str, Any], *, now: float) -> None:
        """Add a finished run.

        Args:
            receipt: its JSON form (`RunReceipt.to_json`).
            now: when it ended, in seconds since 1970.
        """
        sinks = [*receipt["sinks"], *([receipt["rejects"]] if receipt["rejects"] else [])]
        self.add_epoch({**receipt, "sinks": {sink["id"]: sink for sink in sinks}})
        self.retries.labels(self.pipeline).inc(receipt["retries"])
        self.end(receipt, now=now)

    def add_epoch(self, summary: dict[str, Any]) -> None:
        """Add an epoch; the summary is that of `Observer.epoch_committed`."""
        name, ledger = self.pipeline, summary["ledger"]
        self.records.labels(name).inc(ledger["records"])
        self.rows.labels(name).inc(ledger["decoded"]["rows"])
        self.bytes_in.labels(name).inc(summary["input_bytes"])
        self.splits.labels(name).inc(summary["splits"])
        for reason, number in (*ledger["rejected"].items(), *ledger["refused"].items()):
            self.rejects.labels(name, reason).inc(number)
        enrichers = [stage for stage in ledger["stages"] if stage["kind"] == "enricher"]
        self.filtered.labels(name).inc(sum(stage["filtered"]["rows"] for stage in enrichers))
        for item in summary["quarantined"]:
            self.quarantined.labels(name, item["code"]).inc()
        self.skipdata.labels(name).inc(ledger["skipdata"])
        for sink, told in summary["sinks"].items():
            self.rows_out.labels(name, sink).inc(told["rows"])
            self.bytes_out.labels(name, sink).inc(told["bytes"])

    def end(self, receipt: dict[str, Any], *, now: float) -> None:
        """Add how a run ended, whose epochs were added before."""
        name = self.pipeline
        self.runs.labels(name, receipt["outcome"]).inc()
        if receipt["error"]:
            self.errors.labels(name, receipt["error"]["code"]).inc()
        self.seconds.labels(name).set(receipt["seconds"])
        self.exit_code.labels(name).set(receipt["exit_code"])
        self.finished.labels(name).set(now)
        if receipt["exit_code"] == 0:
            self.success.labels(name).set(now)

    def carry_on(self, text: str) -> None:
        """Begin where an earlier file ended: its counters, and when it last went well."""
        by_name = {
            metric.describe()[0].name: metric
            for metric in vars(self).values()
            if _is_metric(metric)
        }
        for family, sample, labels, value in _samples(text):
            metric = by_name.get(family)
            if metric is None or labels.get("pipeline") != self.pipeline:
                continue
            if isinstance(metric, Counter) and sample.endswith("_total"):
                metric.labels(**labels).inc(value)
            elif metric is self.success:
                self.success.labels(**labels).set(value)

    def text(self) -> str:
        """Give the text format, without the `_created` series."""
        return without_created(generate_latest(self.registry).decode())


class MetricsFile:
    """A metrics file for the runs of one process; counters go on from the file that is there.

    Args:
        path: of the file.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._before = ""
        self._metrics: dict[str, Metrics] = {}
        with contextlib.suppress(OSError, ValueError):  # none yet, or not ours
            self._before = path.read_text(encoding="utf-8")

    def add(self, receipt: dict[str, Any], *, now: float) -> None:
        """Add a finished run; see `Metrics.add`."""
        name = receipt["pipeline"]
        if name not in self._metrics:
            self._metrics[name] = Metrics(name)
            with contextlib.suppress(ValueError):  # not ours: counters begin at 0
                self._metrics[name].carry_on(self._before)
        self._metrics[name].add(receipt, now=now)

    def write(self) -> None:
        """Write (replace) the file.

        Raises:
            StateError: it cannot be written.
        """
        text = joined(metrics.text() for metrics in self._metrics.values())
        write_atomically(self.path, text)


def write_metrics_file(path: Path, receipt: dict[str, Any], *, now: float) -> None:
    """Write (replace) a metrics file after a run.

    Raises:
        StateError: the file cannot be written.
    """
    file = MetricsFile(path)
    file.add(receipt, now=now)
    file.write()


def write_atomically(path: Path, text: str) -> None:
    """Write a file so that a reader sees the old text or the new one, never half of it.

    Raises:
        StateError: it cannot be written.
    """
    temporary = None
    try:
        handle, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
        Path(temporary).chmod(0o644)  # mkstemp's 0600 would hide it from the collector
        Path(temporary).replace(path)
    except OSError as error:
        if temporary is not None:
            Path(temporary).unlink(missing_ok=True)
        raise StateError(
            f"cannot write {path}: {error.strerror or error}", code="cannot_write"
        ) from error


def _samples(text: str) -> Iterator[tuple[str, str, dict[str, str], float]]:
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            yield family.name, sample.name, dict(sample.labels), sample.value


def _is_metric(value: object) -> bool:
    return isinstance(value, Counter | Gauge)
