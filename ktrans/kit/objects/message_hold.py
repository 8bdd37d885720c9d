"""Messages of a queue that are hidden from other readers while they are processed.

A queue such as SQS or Azure's hides a message that was received for some time only. `MessageHold`
renews that time until the message is deleted or released.
"""

from __future__ import annotations

import abc
import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from ktrans.api import Context, KtransError
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


class MessageHold(abc.ABC):
    """The base of queues: keeps messages hidden, in a thread that starts with the first of them.

    Args:
        hidden_secs: how long a message is hidden; a third of it is between two renewals.
    """

    def __init__(self, name: str, hidden_secs: float, context: Context) -> None:
        self._name = name
        self._hidden_secs = hidden_secs
        self._context = context
        self._receipts: dict[str, str] = {}
        self._guard = threading.Lock()
        self._closed = threading.Event()
        self._thread: threading.Thread | None = None

    @abc.abstractmethod
    def renew(self, receipts: Mapping[str, str]) -> Iterable[tuple[str, str]]:
        """Hide messages, by id and receipt, for another `hidden_secs`; yield new receipts by id.

        A KtransError is logged, once until renewing succeeds.
        """

    def hold(self, receipts: Mapping[str, str]) -> None:
        """Keep messages hidden, by id and receipt."""
        with self._guard:
            self._receipts.update(receipts)
            if self._thread is None and self._receipts:
                self._thread = threading.Thread(target=self._run, name="hold", daemon=True)
                self._thread.start()

    def receipts(self) -> dict[str, str]:
        """Return the newest receipts of the messages that are held, by id."""
        with self._guard:
            return dict(self._receipts)

    def let_go(self, ids: Iterable[str]) -> dict[str, str]:
        """Stop keeping messages hidden; returns the newest receipts of those that were held."""
        with self._guard:
            return {one: self._receipts.pop(one) for one in ids if one in self._receipts}

    def close(self) -> None:
        """End the thread: messages that are held reappear in time."""
        self._closed.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None

    def _run(self) -> None:
        failing = False
        clock, pause = self._context.clock, self._hidden_secs / 3
        while not clock.wait(pause, self._closed, background=True):
            began = clock.monotonic()
            try:
                for one, receipt in self.renew(self.receipts()):
                    with self._guard:
                        if one in self._receipts:
                            self._receipts[one] = receipt
                    if self._closed.is_set():
                        return
                failing = False
            except KtransError as error:
                # Messages that reappear are known when they are received again.
                if not failing:
                    self._context.log.warning(
                        "%s: messages are not kept hidden: %s",
                        self._name,
                        error,
                        extra={"event": MESSAGES_NOT_HELD},
                    )
                failing = True
            pause = max(self._hidden_secs / 3 - (clock.monotonic() - began), 0.1)
