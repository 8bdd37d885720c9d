"""Sends events in a separate thread.

So neither the import of the client nor an unresponsive receiver delays a run.
"""

from __future__ import annotations

import logging
import queue
import threading
from typing import Any

from ktrans_openlineage import log_events
from ktrans_openlineage.lineage import EventData

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
    """Sends events one by one.

    Args:
        flush_secs: how long the end of a run waits, as text; empty for the default.
    """

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
        done = threading.Event()

        def wait() -> None:
            self._queue.join()
            done.set()

        threading.Thread(target=wait, name="openlineage-flush", daemon=True).start()
        if not done.wait(self._flush_secs):
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
