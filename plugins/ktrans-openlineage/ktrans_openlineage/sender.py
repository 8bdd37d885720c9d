"""Sends events in a thread of its own.

Neither the client's import nor a receiver that does not answer holds up a run.
"""

from __future__ import annotations

import logging
import queue
import threading
from typing import Any

from ktrans_openlineage import log_events
from ktrans_openlineage.lineage import Told

FLUSH_SECS = 5.0
"""What the end of a run waits for the receiver, unless the environment says otherwise."""

FLUSH_NAME = "KTRANS_OPENLINEAGE_FLUSH_SECS"

WAITING = 100
"""Events that may wait; a run sends two, and one a minute."""

_THREAD = "openlineage"
_CLIENT = "openlineage"
_HTTP = ("urllib3.connectionpool", "urllib3.util.retry")

_log = logging.getLogger("ktrans.openlineage")


class Sender:
    """Takes events, and sends them one after the other.

    Args:
        flush_secs: what the end of a run waits, as the environment has it.
    """

    def __init__(self, flush_secs: str = "") -> None:
        try:
            self._patience = float(flush_secs or FLUSH_SECS)
        except ValueError:
            self._patience = FLUSH_SECS
        self._queue: queue.Queue[Told] = queue.Queue(WAITING)
        self._thread: threading.Thread | None = None
        self._failing = False
        self._lock = threading.Lock()

    def send(self, told: Told) -> None:
        """Take an event; it is dropped if too many wait."""
        if self._thread is None:
            _calm()
            self._thread = threading.Thread(target=self._work, name=_THREAD, daemon=True)
            self._thread.start()
        try:
            self._queue.put_nowait(told)
        except queue.Full:
            self._told("too many events wait")

    def flush(self) -> None:
        """Wait a moment for the events that were taken."""
        done = threading.Event()

        def wait() -> None:
            self._queue.join()
            done.set()

        threading.Thread(target=wait, name="openlineage-flush", daemon=True).start()
        if not done.wait(self._patience):
            self._told(f"it did not answer within {self._patience:g} s")

    def _work(self) -> None:
        client: Any = None
        while True:
            told = self._queue.get()
            try:
                from openlineage.client import OpenLineageClient

                from ktrans_openlineage.events import event

                client = client or OpenLineageClient()
                client.emit(event(told))
                self._failing = False
            except Exception as error:  # noqa: BLE001 - whatever the client does
                self._told(f"{type(error).__name__}: {error}")
            finally:
                self._queue.task_done()

    def _told(self, why: str) -> None:
        """Say that events are lost: once, until one arrives again."""
        with self._lock:
            news, self._failing = not self._failing, True
        if news:
            _log.warning(
                "the OpenLineage receiver does not take the events; the run goes on: %s",
                why,
                extra={"event": log_events.LINEAGE_NOT_SENT},
            )


def _calm() -> None:
    """Keep the client from telling each of its attempts; `-vv` shows them."""
    if logging.getLogger().isEnabledFor(logging.DEBUG):
        return
    logging.getLogger(_CLIENT).setLevel(logging.CRITICAL)
    for name in _HTTP:
        logging.getLogger(name).addFilter(_not_ours)


def _not_ours(record: logging.LogRecord) -> bool:
    return record.threadName != _THREAD
