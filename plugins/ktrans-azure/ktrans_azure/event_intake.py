"""The messages of a queue that one plan processes: the blobs they announce, when to delete them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from collections.abc import Set as AbstractSet

from ktrans.api import Context, Memory, Split
from ktrans.kit.notifications import (
    SkippedEvents,
    UnknownMessageError,
    message_split,
)
from ktrans.kit.objects.message_hold import QueueMessage
from ktrans_azure.event_queue import EventQueue
from ktrans_azure.grid_events import announced

GONE = "blobs that are gone"
LEFT_OUT = "blobs that `include` and `exclude` leave out"
_REMEMBERED = 1_000
"""How many messages that became rejects are remembered, should they be delivered again."""


class Intake:
    """The messages that one plan processes.

    Args:
        why_not: returns why the source does not read the blob of a name; nothing if it does.

    Attributes:
        names: of the blobs that are announced.
        splits: one for each message that is not understood; opening it gives the reason.
        skipped: events that bring no data, and blobs that the source does not read.
    """

    def __init__(
        self, queue: EventQueue, container: str, why_not: Callable[[str], str], memory: Memory
    ) -> None:
        self._queue = queue
        self._events: list[tuple[QueueMessage, set[str]]] = []
        self._unknown: list[QueueMessage] = []
        self.splits: list[Split] = []
        self.skipped = SkippedEvents()
        for message in queue.take():
            try:
                told = announced(message.text, container)
            except UnknownMessageError as error:
                self._add_unknown(message, str(error), memory)
                continue
            names = {name: why_not(name) for name in told.objects}
            self.skipped.add((*told.skipped, *filter(None, names.values())))
            self._events.append((message, {name for name in names if not names[name]}))
        self.names: set[str] = {name for _, names in self._events for name in names}

    def _add_unknown(self, message: QueueMessage, why: str, memory: Memory) -> None:
        uri = f"{self._queue.uri}/messages/{message.id}"
        if memory.recall([uri]):
            self._events.append((message, set()))
        else:
            self._unknown.append(message)
            self.splits.append(message_split(uri, uri, message.text, why))

    def notes(self, context: Context) -> list[str]:
        """Log what was skipped, and return notes about it."""
        notes = self.skipped.notes()
        self.skipped.log(context)
        return notes

    def refused(self, before: Sequence[str]) -> tuple[list[str], dict[str, dict[str, str] | None]]:
        """Return the keys of messages that became rejects, and what to remember and forget of them.

        Args:
            before: the keys of earlier plans.
        """
        keys = [*before, *(split.key for split in self.splits)]
        old, kept = keys[:-_REMEMBERED], keys[-_REMEMBERED:]
        return kept, {**dict.fromkeys(old), **{split.key: {} for split in self.splits}}

    def settle(self, planned: AbstractSet[str], left: AbstractSet[str]) -> dict[str, str]:
        """Delete what says nothing new; return the receipts of what the plan's epoch deals with.

        Args:
            planned: names of blobs that the plan reads.
            left: names of blobs that it had no room for: their messages stay held.
        """
        epoch = {message.id: message.receipt for message in self._unknown}
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
