"""Which event is sent when: START, RUNNING, then COMPLETE, ABORT or FAIL.

Without the client: what an event says is put together here as plain data, and made an event in the
sender's thread.
"""

from __future__ import annotations

import datetime as dt
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol
from uuid import UUID

RUNNING_SECS = 60.0
"""RUNNING is sent after an epoch, but not more often than this."""


@dataclass(slots=True)
class Told:
    """What an event says.

    Attributes:
        state: START, RUNNING, COMPLETE, ABORT or FAIL.
        at: when.
        run: as in `ktrans.api.hooks`.
        namespace: of the job.
        parent, root: namespace, name and run id of the job that started this one, and of the first
            of them all.
        error: the message of a run that failed.
        input: rows, bytes and files read so far; empty at the start.
        outputs: the same of what was written, by sink.
    """

    state: str
    at: dt.datetime
    run: Mapping[str, Any]
    namespace: str
    parent: tuple[str, str, str] | None = None
    root: tuple[str, str, str] | None = None
    error: str | None = None
    input: Mapping[str, int] = field(default_factory=dict)
    outputs: Mapping[str, Mapping[str, int]] = field(default_factory=dict)


class Sends(Protocol):
    """What takes events."""

    def send(self, told: Told) -> None:
        """Take an event; no waiting."""

    def flush(self) -> None:
        """Wait a moment for those that were taken."""


@dataclass(slots=True)
class _Sums:
    """What a run has read and written so far."""

    sent: float
    input: dict[str, int] = field(default_factory=lambda: {"rows": 0, "bytes": 0, "files": 0})
    outputs: dict[str, dict[str, int]] = field(default_factory=dict)


class Lineage:
    """The events of all runs of this process; any thread.

    Args:
        sender: takes the events.
        environ: for the job's namespace and its parents.
        clock: in seconds, for tests.
    """

    def __init__(
        self,
        sender: Sends,
        environ: Mapping[str, str],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._sender = sender
        self._clock = clock
        self._namespace = environ.get("OPENLINEAGE_NAMESPACE") or "ktrans"
        self._parent = parent_of(environ.get("OPENLINEAGE_PARENT_ID", ""))
        self._root = parent_of(environ.get("OPENLINEAGE_ROOT_PARENT_ID", "")) or self._parent
        self._runs: dict[str, _Sums] = {}
        self._lock = threading.Lock()

    def run_started(self, run: Mapping[str, Any]) -> None:
        """Send START."""
        with self._lock:
            self._runs[run["run_id"]] = _Sums(self._clock())
        self._send("START", run)

    def epoch_committed(self, run: Mapping[str, Any], epoch: Mapping[str, Any]) -> None:
        """Add up an epoch, and send RUNNING if the last event is long ago."""
        sums = self._runs.get(run["run_id"])
        if sums is None:
            return
        ledger = epoch["ledger"]
        rows = ledger["records"] - ledger["skipped"]
        _add(sums.input, rows, epoch["input_bytes"], epoch["splits"])
        for sink, told in epoch["sinks"].items():
            into = sums.outputs.setdefault(sink, {"rows": 0, "bytes": 0, "files": 0})
            _add(into, told["rows"], told["bytes"], told["outputs"])
        if self._clock() - sums.sent >= RUNNING_SECS:
            sums.sent = self._clock()
            self._send("RUNNING", run, sums)

    def run_finished(self, run: Mapping[str, Any], receipt: Mapping[str, Any]) -> None:
        """Send how it ended. A run that follows its source is complete when it is told to stop."""
        with self._lock:
            sums = self._runs.pop(str(run["run_id"]), None)
        if sums is None:
            return  # it never began: another run holds the lock
        if receipt["error"]:
            self._send("FAIL", run, sums, error=receipt["error"]["message"])
        else:
            cut_off = receipt["outcome"] == "stopped" and not run["follow"]
            self._send("ABORT" if cut_off else "COMPLETE", run, sums)
        self._sender.flush()

    def _send(
        self,
        state: str,
        run: Mapping[str, Any],
        sums: _Sums | None = None,
        error: str | None = None,
    ) -> None:
        told = Told(
            state,
            dt.datetime.now(dt.UTC),
            run,
            self._namespace,
            self._parent,
            self._root,
            error,
        )
        if sums is not None:
            told.input = dict(sums.input)
            told.outputs = {sink: dict(counts) for sink, counts in sums.outputs.items()}
        self._sender.send(told)


def parent_of(text: str) -> tuple[str, str, str] | None:
    """Take `namespace/name/run id` apart, as OPENLINEAGE_PARENT_ID has it; None if it is not that.

    A namespace may hold slashes, a name may not, and the id is a UUID.
    """
    above, _, identity = text.rpartition("/")
    namespace, _, name = above.rpartition("/")
    try:
        UUID(identity)
    except ValueError:
        return None
    return (namespace, name, identity) if namespace and name else None


def _add(counts: dict[str, int], rows: int, size: int, files: int) -> None:
    counts["rows"] += rows
    counts["bytes"] += size
    counts["files"] += files
