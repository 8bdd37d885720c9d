"""What a queue's messages come to in one plan: names of blobs, and what may be deleted when."""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Set as AbstractSet
from typing import Any

from ktrans.api import RejectError, Split
from ktrans_azure.events import PoisonError, blobs_of
from ktrans_azure.queue import EventQueue, Message


class Intake:
    """The messages that one plan deals with.

    Args:
        queue: where they come from.
        container: blobs of others are left out.
        wanted: tells whether a blob is to be read, by its name.

    Attributes:
        names: of the blobs that are announced.
        splits: one for each message that is no event; opening it gives the reason.
    """

    def __init__(self, queue: EventQueue, container: str, wanted: Callable[[str], bool]) -> None:
        self._queue = queue
        self._events: list[tuple[Message, set[str]]] = []
        self._poison: list[Message] = []
        self.splits: list[Split] = []
        for message in queue.take():
            try:
                names = blobs_of(message.text, container)
            except PoisonError as error:
                self._poison.append(message)
                self.splits.append(self._reject(message, str(error)))
            else:
                self._events.append((message, {name for name in names if wanted(name)}))
        self.names: set[str] = {name for _, names in self._events for name in names}

    def _reject(self, message: Message, why: str) -> Split:
        uri = f"{self._queue.uri}/messages/{message.id}"
        return Split(uri, uri, 0, {"no_event": why, "sent": message.sent})

    def settle(self, planned: AbstractSet[str], left: AbstractSet[str]) -> dict[str, str]:
        """Delete what says nothing new; return the receipts of what the plan's epoch deals with.

        Args:
            planned: names of blobs that the plan reads.
            left: names that it had no room for: their messages stay held.
        """
        epoch = {message.id: message.receipt for message in self._poison}
        told = []
        for message, names in self._events:
            if names & left:
                continue
            if names & planned:
                epoch[message.id] = message.receipt
            else:
                told.append(message)
        self._queue.delete(told)
        return epoch


def refuse(data: Any) -> None:
    """Raise the reason why a split is a reject, if it stands for a message that is no event."""
    if "no_event" in data:
        raise RejectError(
            f"a message sent {data['sent']} is no event of Event Grid: {data['no_event']}",
            code="bad_event",
            hint="the queue should get nothing but BlobCreated events",
        )
