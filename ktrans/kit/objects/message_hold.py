"""Messages of a queue that are hidden from other readers while they are processed.

A queue such as SQS or Azure's hides a message that was received for some time only. `MessageHold`
renews that time until the message is deleted or released.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from ktrans.api import Clock, KtransError
from ktrans.kit.log_events import MESSAGES_NOT_HELD


@dataclass(frozen=True, slots=True)
class QueueMessage:
    """A message as it was received.

    Attributes:
        id: the same each time that it is received.
        receipt: of this time; deleting takes it.
        text: its content.
        time: when it was sent or received, as the queue says.
    """

    id: str
    receipt: str
    text: str
    time: datetime | None


class MessageHold:
    """Keeps messages hidden, in a thread that starts with the first of them.

    Args:
        renew: hides messages, by id and receipt, for another `hidden_secs`; yields ids and receipts
            as the queue gives new ones. A KtransError is logged, once until renewing succeeds.
        hidden_secs: how long a message is hidden; a third of it is between two renewals.
        name: the queue, for log messages.
        clock: the time.
        log: the logger.
    """

    def __init__(
        self,
        renew: Callable[[Mapping[str, str]], Iterable[tuple[str, str]]],
        hidden_secs: float,
        name: str,
        clock: Clock,
        log: logging.Logger | logging.LoggerAdapter[logging.Logger],
    ) -> None:
        self._renew = renew
        self._hidden_secs = hidden_secs
        self._name = name
        self._clock = clock
        self._log = log
        self._receipts: dict[str, str] = {}
        self._lock = threading.Lock()
        self._closed = threading.Event()
        self._thread: threading.Thread | None = None

    def add(self, receipts: Mapping[str, str]) -> None:
        """Keep messages hidden, by id and receipt."""
        with self._lock:
            self._receipts.update(receipts)
            if self._thread is None and self._receipts:
                self._thread = threading.Thread(target=self._run, name="hold", daemon=True)
                self._thread.start()

    def receipts(self) -> dict[str, str]:
        """Return the newest receipts of the messages that are held, by id."""
        with self._lock:
            return dict(self._receipts)

    def remove(self, ids: Iterable[str]) -> dict[str, str]:
        """Stop keeping messages hidden; returns the newest receipts of those that were held."""
        with self._lock:
            return {one: self._receipts.pop(one) for one in ids if one in self._receipts}

    def close(self) -> None:
        """End the thread: messages that are held reappear in time."""
        self._closed.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None

    def _run(self) -> None:
        failing = False
        pause = self._hidden_secs / 3
        while not self._clock.wait(pause, self._closed, background=True):
            began = self._clock.monotonic()
            try:
                for one, receipt in self._renew(self.receipts()):
                    self._update(one, receipt)
                    if self._closed.is_set():
                        return
                failing = False
            except KtransError as error:
                # Messages that reappear are known when they are received again.
                if not failing:
                    self._log.warning(
                        "%s: messages are not kept hidden: %s",
                        self._name,
                        error,
                        extra={"event": MESSAGES_NOT_HELD},
                    )
                failing = True
            pause = max(self._hidden_secs / 3 - (self._clock.monotonic() - began), 0.1)

    def _update(self, one: str, receipt: str) -> None:
        with self._lock:
            if one in self._receipts:
                self._receipts[one] = receipt
