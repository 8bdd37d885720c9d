"""Metrics of a run in the text format of Prometheus, for the textfile collector of node_exporter.

Every name is declared here. Counters continue from the file of the run before, so that they also grow
if each run is a short process started by cron.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from prometheus_client import CollectorRegistry, Counter, Gauge, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from ktrans.api import RetryableError, StateError
from ktrans.kit.disk import DISK_FULL, is_stream

M = TypeVar("M", Counter, Gauge)


class Metrics:
    """The metrics of one pipeline, in their own registry."""

    def __init__(self, pipeline: str) -> None:
        self.pipeline = pipeline
        self.registry = CollectorRegistry()
        count, gauge = partial(self._metric, Counter), partial(self._metric, Gauge)
        self.runs = count("ktrans_runs", "Runs by outcome", "outcome")
        self.records = count("ktrans_records_received", "Records read by the decoder")
        self.rows = count("ktrans_rows_received", "Rows made by the decoder")
        self.bytes_in = count("ktrans_bytes_received", "Stored bytes of the input")
        self.splits = count("ktrans_splits_read", "Splits recorded")
        self.rows_out = count("ktrans_rows_sent", "Rows written, by sink", "sink")
        self.bytes_out = count("ktrans_bytes_sent", "Bytes written, by sink", "sink")
        self.rejects = count("ktrans_rejects", "Records that could not be decoded", "reason")
        self.expect = count("ktrans_expect_rows", "Rows that rules of `expect` found", "rule")
        self.broken = count(
            "ktrans_expect_broken", "How often rules of `expect` were broken", "rule"
        )
        self.filtered = count("ktrans_rows_filtered", "Rows that enrichers filtered")
        self.quarantined = count("ktrans_splits_quarantined", "Splits not read, by code", "code")
        self.skipdata = count(
            "ktrans_skipdata_rows", "Rows by which the cloud says it lost records"
        )
        self.retries = count("ktrans_retries", "Attempts beyond the first")
        self.outages = gauge(
            "ktrans_outage_seconds", "How long the system behind a component fails", "component"
        )
        self.errors = count("ktrans_errors", "Runs that failed, by error code", "code")
        self.seconds = gauge("ktrans_run_seconds", "How long the last run took")
        self.exit_code = gauge("ktrans_exit_code", "Exit code of the last run")
        self.finished = gauge("ktrans_last_run_timestamp_seconds", "When the last run ended")
        self.success = gauge(
            "ktrans_last_success_timestamp_seconds",
            "When a run last ended with exit code 0, other than because another one was active",
        )

    def _metric(self, kind: type[M], name: str, about: str, *labels: str) -> M:
        return kind(name, about, ("pipeline", *labels), registry=self.registry)

    def gauge(self, name: str, about: str, read: Callable[[], float]) -> None:
        """Add a gauge whose value is read when it is asked for."""
        self._metric(Gauge, name, about).labels(self.pipeline).set_function(read)

    def add(self, receipt: dict[str, Any], *, now: float) -> None:
        """Add a finished run.

        The receipt is in its JSON form; `now` is in seconds since 1970.
        """
        sinks = [*receipt["sinks"], *receipt["violations"]]
        sinks += [receipt["rejects"]] if receipt["rejects"] else []
        self.add_epoch({**receipt, "sinks": {sink["id"]: sink for sink in sinks}})
        self.retries.labels(self.pipeline).inc(receipt["retries"])
        for rule in receipt["expect"]:
            self.broken.labels(self.pipeline, rule["name"]).inc(rule["broken"])
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
        for rule, number in ledger["expect"].items():
            self.expect.labels(name, rule).inc(number)
        enrichers = [stage for stage in ledger["stages"] if stage["kind"] == "enricher"]
        self.filtered.labels(name).inc(sum(stage["filtered"]["rows"] for stage in enrichers))
        for item in summary["quarantined"]:
            self.quarantined.labels(name, item["code"]).inc()
        self.skipdata.labels(name).inc(ledger["skipdata"])
        for sink, output in summary["sinks"].items():
            self.rows_out.labels(name, sink).inc(output["rows"])
            self.bytes_out.labels(name, sink).inc(output["bytes"])

    def end(self, receipt: dict[str, Any], *, now: float) -> None:
        """Add the end of a run whose epochs were added before."""
        name = self.pipeline
        self.runs.labels(name, receipt["outcome"]).inc()
        if receipt["error"]:
            self.errors.labels(name, receipt["error"]["code"]).inc()
        self.seconds.labels(name).set(receipt["seconds"])
        self.exit_code.labels(name).set(receipt["exit_code"])
        self.finished.labels(name).set(now)
        if receipt["exit_code"] == 0 and receipt["outcome"] != "skipped":
            self.success.labels(name).set(now)

    def continue_from(self, text: str) -> None:
        """Continue from an earlier file: its counters, and the time of the last success."""
        by_name = {
            next(iter(metric.describe())).name: metric
            for metric in vars(self).values()
            if isinstance(metric, Counter | Gauge)
        }
        for family in text_string_to_metric_families(text):
            metric = by_name.get(family.name)
            for sample in family.samples if metric is not None else ():
                if sample.labels.get("pipeline") != self.pipeline:
                    continue
                if isinstance(metric, Counter) and sample.name.endswith("_total"):
                    metric.labels(**sample.labels).inc(sample.value)
                elif metric is self.success:
                    self.success.labels(**sample.labels).set(sample.value)

    def text(self) -> str:
        """Return the text format, without the `_created` series."""
        return without_created(generate_latest(self.registry).decode())


class MetricsFile:
    """The metrics file of the runs of one process; counters continue from an existing file."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._before = ""
        self._metrics: dict[str, Metrics] = {}
        with contextlib.suppress(OSError, ValueError):  # no file yet, or not ours
            self._before = path.read_text(encoding="utf-8")

    def add(self, receipt: dict[str, Any], *, now: float) -> None:
        """Add a finished run; see `Metrics.add`."""
        name = receipt["pipeline"]
        if name not in self._metrics:
            self._metrics[name] = Metrics(name)
            with contextlib.suppress(ValueError):  # not ours: counters start at 0
                self._metrics[name].continue_from(self._before)
        self._metrics[name].add(receipt, now=now)

    def write(self) -> None:
        """Write or replace the file.

        Raises:
            StateError: it cannot be written.
        """
        text = merge(metrics.text() for metrics in self._metrics.values())
        write_atomically(self.path, text)


def merge(texts: Iterable[str]) -> str:
    """Merge several texts into one.

    The format requires all lines of a metric to be together, with one explanation.
    """
    heads: dict[str, list[str]] = {}
    samples: dict[str, list[str]] = {}
    for text in texts:
        name = ""
        for line in text.splitlines(keepends=True):
            if line.startswith("#"):
                name = line.split(" ")[2]
                head = heads.setdefault(name, [])
                if line not in head:
                    head.append(line)
            else:
                samples.setdefault(name, []).append(line)
    return "".join("".join((*head, *samples.get(name, ()))) for name, head in heads.items())


def without_created(text: str) -> str:
    """Remove the `_created` series, which are of no use."""
    return "".join(line for line in text.splitlines(keepends=True) if not _is_created(line))


def _is_created(line: str) -> bool:
    name = line.removeprefix("# HELP ").removeprefix("# TYPE ").split(" ")[0].split("{")[0]
    return name.endswith("_created")


def write_atomically(path: Path, text: str) -> None:
    """Write a file atomically: readers see the old text or the new one.

    Devices, pipes and streams such as /dev/stdout are written as they are.

    Raises:
        RetryableError: the disk is full.
        StateError: it cannot be written.
    """
    temporary = None
    try:
        if is_stream(path):
            with path.open("a", encoding="utf-8") as stream:
                stream.write(text)
            return
        handle, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
        Path(temporary).chmod(0o644)  # mkstemp's 0600 would hide it from the collector
        Path(temporary).replace(path)
    except OSError as error:
        if temporary is not None:
            Path(temporary).unlink(missing_ok=True)
        message = f"cannot write {path}: {error.strerror or error}"
        if error.errno in DISK_FULL:
            raise RetryableError(message, code="disk_full") from error
        raise StateError(message, code="cannot_write") from error
