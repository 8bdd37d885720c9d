"""Decides which events to send: START, RUNNING, then COMPLETE, ABORT or FAIL; and sends them.

Events are plain data here. A separate thread creates the client's events from them and sends those, so
neither the import of the client nor an unresponsive receiver delays a run.
"""

from __future__ import annotations

import datetime as dt
import logging
import queue
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from ktrans_openlineage import log_events
from ktrans_openlineage.event_data import EventData

RUNNING_SECS = 60.0
"""Minimum interval of RUNNING events, which are sent after epochs."""

FLUSH_SECS = 5.0
"""How long the end of a run waits for the receiver by default."""

FLUSH_NAME = "KTRANS_OPENLINEAGE_FLUSH_SECS"

MAX_WAITING = 100
"""Maximum waiting events; a run sends two, and one per minute."""

_THREAD = "openlineage"
_CLIENT = "openlineage"
_HTTP = ("urllib3.connectionpool", "urllib3.util.retry")

_log = logging.getLogger("ktrans.openlineage")


class Sender:
    """Sends events one by one; `flush_secs` is how long the end of a run waits, as text."""

    def __init__(self, flush_secs: str = "") -> None:
        try:
            self._flush_secs = float(flush_secs or FLUSH_SECS)
        except ValueError:
            self._flush_secs = FLUSH_SECS
        self._queue: queue.Queue[EventData] = queue.Queue(MAX_WAITING)
        self._thread: threading.Thread | None = None
        self._failing = False
        self._lock = threading.Lock()

    def send(self, data: EventData) -> None:
        """Queue an event; it is dropped if too many wait."""
        if self._thread is None:
            _silence_client()
            self._thread = threading.Thread(target=self._work, name=_THREAD, daemon=True)
            self._thread.start()
        try:
            self._queue.put_nowait(data)
        except queue.Full:
            self._warn("too many events are waiting")

    def flush(self) -> None:
        """Wait for the queued events, for a limited time."""
        thread = threading.Thread(target=self._queue.join, name="openlineage-flush", daemon=True)
        thread.start()
        thread.join(self._flush_secs)
        if thread.is_alive():
            self._warn(f"it did not answer within {self._flush_secs:g} s")

    def _work(self) -> None:
        client: Any = None
        while True:
            data = self._queue.get()
            try:
                from openlineage.client import OpenLineageClient

                from ktrans_openlineage.events import event

                client = client or OpenLineageClient()
                client.emit(event(data))
                self._failing = False
            except Exception as error:  # noqa: BLE001 - whatever the client does
                self._warn(f"{type(error).__name__}: {error}")
            finally:
                self._queue.task_done()

    def _warn(self, why: str) -> None:
        """Log a warning that events are lost; once until an event succeeds again."""
        with self._lock:
            warn, self._failing = not self._failing, True
        if warn:
            _log.warning(
                "the OpenLineage receiver does not accept the events; the run continues: %s",
                why,
                extra={"event": log_events.LINEAGE_NOT_SENT},
            )


def _silence_client() -> None:
    """Suppress the client's log of each attempt; `-vv` shows it."""
    if logging.getLogger().isEnabledFor(logging.DEBUG):
        return
    logging.getLogger(_CLIENT).setLevel(logging.CRITICAL)
    for name in _HTTP:
        logging.getLogger(name).addFilter(_not_ours)


def _not_ours(record: logging.LogRecord) -> bool:
    return record.threadName != _THREAD


@dataclass(slots=True)
class _Totals:
    """Totals of a run so far."""

    sent: float
    input: Counter[str] = field(default_factory=lambda: Counter(rows=0, bytes=0, files=0))
    outputs: dict[str, Counter[str]] = field(default_factory=dict)


class Lineage:
    """The events of all runs of this process. Thread-safe.

    Args:
        sender: sends the events.
        environ: the environment, with the job's namespace and parents.
        clock: a monotonic clock in seconds, for tests.
    """

    def __init__(
        self,
        sender: Sender,
        environ: Mapping[str, str],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._sender = sender
        self._clock = clock
        self._namespace = environ.get("OPENLINEAGE_NAMESPACE") or "ktrans"
        self._parent = parse_parent(environ.get("OPENLINEAGE_PARENT_ID", ""))
        self._root = parse_parent(environ.get("OPENLINEAGE_ROOT_PARENT_ID", "")) or self._parent
        self._runs: dict[str, _Totals] = {}
        self._lock = threading.Lock()

    def run_started(self, run: Mapping[str, Any]) -> None:
        """Send START."""
        with self._lock:
            self._runs[run["run_id"]] = _Totals(self._clock())
        self._send("START", run)

    def epoch_committed(self, run: Mapping[str, Any], epoch: Mapping[str, Any]) -> None:
        """Add an epoch to the totals, and send RUNNING if the last event is old enough."""
        totals = self._runs.get(run["run_id"])
        if totals is None:
            return
        ledger = epoch["ledger"]
        rows = ledger["records"] - ledger["skipped"]
        totals.input.update(rows=rows, bytes=epoch["input_bytes"], files=epoch["splits"])
        for sink, counts in epoch["sinks"].items():
            into = totals.outputs.setdefault(sink, Counter())
            into.update(rows=counts["rows"], bytes=counts["bytes"], files=counts["outputs"])
        if self._clock() - totals.sent >= RUNNING_SECS:
            totals.sent = self._clock()
            self._send("RUNNING", run, totals)

    def run_finished(self, run: Mapping[str, Any], receipt: Mapping[str, Any]) -> None:
        """Send the last event. A stopped run is complete if it follows its source."""
        with self._lock:
            totals = self._runs.pop(str(run["run_id"]), None)
        if totals is None:
            return  # it never started: another run holds the lock
        if receipt["error"]:
            self._send("FAIL", run, totals, error=receipt["error"]["message"])
        else:
            aborted = receipt["outcome"] == "stopped" and not run["follow"]
            self._send("ABORT" if aborted else "COMPLETE", run, totals)
        self._sender.flush()

    def _send(
        self,
        state: str,
        run: Mapping[str, Any],
        totals: _Totals | None = None,
        error: str | None = None,
    ) -> None:
        now = dt.datetime.now(dt.UTC)
        data = EventData(state, now, run, self._namespace, self._parent, self._root, error)
        if totals is not None:
            data.input = dict(totals.input)
            data.outputs = {sink: dict(counts) for sink, counts in totals.outputs.items()}
        self._sender.send(data)


def parse_parent(text: str) -> tuple[str, str, str] | None:
    """Parse `namespace/name/run id`, the form of OPENLINEAGE_PARENT_ID; None if it is invalid.

    A namespace may contain slashes, a name may not; the id is a UUID.
    """
    above, _, identity = text.rpartition("/")
    namespace, _, name = above.rpartition("/")
    try:
        UUID(identity)
    except ValueError:
        return None
    return (namespace, name, identity) if namespace and name else None
