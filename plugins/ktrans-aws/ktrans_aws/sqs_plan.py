"""A plan of the sqs source: splits, and messages that are done with."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from ktrans.api import Budget, Memory, Split
from ktrans.kit.notifications import SkippedEvents, UnknownMessageError, message_split
from ktrans.kit.objects.message_hold import QueueMessage
from ktrans.kit.objects.options import ObjectReadConfig
from ktrans_aws.s3_events import CreatedObject, announced
from ktrans_aws.s3_store import BY_ID


class SqsPlan:
    """Collects splits from messages.

    Attributes:
        splits: by key.
        done: messages that announce nothing new.
        skipped: events that bring no data, and objects that the source does not read.
        latest: when the last message was received.
    """

    def __init__(
        self, queue_url: str, config: ObjectReadConfig, memory: Memory, budget: Budget
    ) -> None:
        self._queue_url = queue_url
        self._config = config
        self._memory = memory
        self._budget = budget
        self._size = 0
        self._known = 0
        self._other = 0
        self._messages: dict[str, list[dict[str, Any]]] = {}
        self.splits: dict[str, Split] = {}
        self.done: list[QueueMessage] = []
        self.skipped = SkippedEvents()
        self.latest = datetime.min.replace(tzinfo=UTC)

    @property
    def full(self) -> bool:
        return self._budget.full(len(self.splits), self._size)

    def add(self, message: QueueMessage) -> None:
        """Plan what a message announces."""
        self.latest = max(self.latest, message.time or self.latest)
        try:
            told = announced(message.text)
        except UnknownMessageError as error:
            self._add_unknown(message, str(error))
            return
        self.skipped.add(told.skipped)
        wanted = {new.identity: new for new in told.objects if self._is_wanted(new)}
        known = self._memory.recall(list(wanted))
        new = {key: one for key, one in wanted.items() if key not in known}
        if not new:
            self._known += bool(known)
            self._other += not known
            self.done.append(message)
            return
        for key, one in new.items():
            if key not in self._budget.skip:
                self._take(message, len(new), Split(key, one.uri, one.size, _data(one)))

    def _add_unknown(self, message: QueueMessage, why: str) -> None:
        key = f"message:{message.id}"
        if self._memory.recall([key]):
            self.done.append(message)
        elif key not in self._budget.skip:
            uri = f"{self._queue_url}#{message.id}"
            self._take(message, 1, message_split(key, uri, message.text, why))

    def _take(self, message: QueueMessage, objects: int, split: Split) -> None:
        key = split.key
        if key not in self.splits:
            self.splits[key] = split
            self._messages[key] = []
            self._size += split.size or 0
        receipt = {"id": message.id, "handle": message.receipt, "of": objects}
        self._messages[key].append(receipt)

    def with_messages(self) -> tuple[Split, ...]:
        """Return the splits, each with the messages that announce it."""
        return tuple(
            Split(key, split.uri, split.size, {**split.data, "messages": self._messages[key]})
            for key, split in self.splits.items()
        )

    def notes(self) -> tuple[str, ...]:
        notes = self.skipped.notes()
        if self._known:
            notes.append(f"{self._known} messages came again for objects that were read")
        if self._other:
            notes.append(f"{self._other} messages announced no new object, and were deleted")
        return tuple(notes)

    def _is_wanted(self, new: CreatedObject) -> bool:
        if new.size == 0:
            self.skipped.add(["empty objects"])
            return False
        if not self._config.includes(new.key):
            self.skipped.add(["objects that `include` and `exclude` leave out"])
            return False
        return True


def _data(new: CreatedObject) -> dict[str, Any]:
    version = f"{BY_ID}{new.version}" if new.version else new.etag
    return {"key": f"{new.bucket}/{new.key}", "version": version, "size": new.size}
