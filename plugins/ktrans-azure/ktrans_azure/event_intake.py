"""The messages of a queue that one plan processes: the blobs they announce, when to delete them."""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Set as AbstractSet
from typing import Any

from ktrans.api import RejectError, Split
from ktrans.kit.objects.message_hold import QueueMessage
from ktrans_azure.event_queue import EventQueue
from ktrans_azure.grid_events import NotAnEventError, blobs_of


class Intake:
    """The messages that one plan processes.

    Attributes:
        names: of the blobs that are announced.
        splits: one for each message that is no event; opening it gives the reason.
    """

    def __init__(self, queue: EventQueue, container: str, wanted: Callable[[str], bool]) -> None:
        self._queue = queue
        self._events: list[tuple[QueueMessage, set[str]]] = []
        self._not_events: list[QueueMessage] = []
        self.splits: list[Split] = []
        for message in queue.take():
            try:
                names = blobs_of(message.text, container)
            except NotAnEventError as error:
                self._not_events.append(message)
                self.splits.append(self._reject(message, str(error)))
            else:
                self._events.append((message, {name for name in names if wanted(name)}))
        self.names: set[str] = {name for _, names in self._events for name in names}

    def _reject(self, message: QueueMessage, why: str) -> Split:
        uri = f"{self._queue.uri}/messages/{message.id}"
        return Split(uri, uri, 0, {"no_event": why, "sent": str(message.time or "")})

    def settle(self, planned: AbstractSet[str], left: AbstractSet[str]) -> dict[str, str]:
        """Delete what says nothing new; return the receipts of what the plan's epoch deals with.

        Args:
            planned: names of blobs that the plan reads.
            left: names of blobs that it had no room for: their messages stay held.
        """
        epoch = {message.id: message.receipt for message in self._not_events}
        known: dict[str, str] = {}
        for message, names in self._events:
            if names & left:
                continue
            if names & planned:
                epoch[message.id] = message.receipt
            else:
                known[message.id] = message.receipt
        self._queue.delete(known)
        return epoch


def refuse(data: Any) -> None:
    """Raise a RejectError if a split stands for a message that is not an event."""
    if "no_event" in data:
        raise RejectError(
            f"a message sent {data['sent']} is not an event of Event Grid: {data['no_event']}",
            code="bad_event",
            hint="the queue should get nothing but BlobCreated events",
        )
