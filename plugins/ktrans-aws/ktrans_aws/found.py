"""What the messages of one look at a queue come to: splits, and messages that are done with."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

from ktrans.api import Budget, Memory, Split
from ktrans_aws.events import NewObject, NotAnEventError, new_objects
from ktrans_aws.queue import Message
from ktrans_aws.store import BY_ID

if TYPE_CHECKING:
    from ktrans_aws.sqs_source import SqsSourceConfig

_KEPT_BODY = 10_000


class Found:
    """The splits of a plan as messages come in, and messages that are done with."""

    def __init__(self, config: SqsSourceConfig, memory: Memory, budget: Budget) -> None:
        self._config = config
        self._memory = memory
        self._budget = budget
        self._size = 0
        self._known = 0
        self._other = 0
        self.splits: dict[str, Split] = {}
        self.messages: dict[str, list[dict[str, Any]]] = {}
        self.done: list[Message] = []
        self.latest = datetime.min.replace(tzinfo=UTC)

    @property
    def full(self) -> bool:
        return self._budget.full(len(self.splits), self._size)

    def add(self, message: Message) -> None:
        self.latest = max(self.latest, message.received)
        try:
            told = {new.identity: new for new in new_objects(message.body)}
        except NotAnEventError as error:
            self._add_poison(message, str(error))
            return
        wanted = {key: new for key, new in told.items() if self._wanted(new)}
        known = self._memory.recall(list(wanted))
        new = {key: one for key, one in wanted.items() if key not in known}
        if not new:
            self._known += bool(known)
            self._other += not known
            self.done.append(message)
            return
        fresh = {key: one for key, one in new.items() if key not in self._budget.skip}
        for key, one in fresh.items():
            self._take(key, one.uri, one.size, _data(one))
        for key in fresh:
            self.messages[key].append(_receipt(message, len(new)))

    def _add_poison(self, message: Message, why: str) -> None:
        key = f"message:{message.id}"
        if self._memory.recall([key]):
            self.done.append(message)
            return
        if key in self._budget.skip:
            return
        uri = f"{self._config.queue_url}#{message.id}"
        self._take(key, uri, 0, {"why": why, "body": message.body[:_KEPT_BODY]})
        self.messages[key].append(_receipt(message, 1))

    def _take(self, key: str, uri: str, size: int | None, data: Mapping[str, Any]) -> None:
        if key not in self.splits:
            self.splits[key] = Split(key, uri, size, data)
            self.messages[key] = []
            self._size += size or 0

    def made(self) -> tuple[Split, ...]:
        """Return the splits, each with the messages that tell of it."""
        return tuple(
            Split(key, split.uri, split.size, {**split.data, "messages": self.messages[key]})
            for key, split in self.splits.items()
        )

    def notes(self) -> tuple[str, ...]:
        notes = []
        if self._known:
            notes.append(f"{self._known} messages came again for objects that were read")
        if self._other:
            notes.append(f"{self._other} messages told of no new object, and were deleted")
        return tuple(notes)

    def _wanted(self, new: NewObject) -> bool:
        if new.size == 0:
            return False
        include, exclude = self._config.include, self._config.exclude
        if include and not any(_matches(new.key, glob) for glob in include):
            return False
        return not any(_matches(new.key, glob) for glob in exclude)


def _data(new: NewObject) -> dict[str, Any]:
    version = f"{BY_ID}{new.version}" if new.version else new.etag
    return {"key": f"{new.bucket}/{new.key}", "version": version, "size": new.size}


def _receipt(message: Message, objects: int) -> dict[str, Any]:
    return {"id": message.id, "handle": message.handle, "of": objects}


def _matches(key: str, glob: str) -> bool:
    return fnmatchcase(key if "/" in glob else key.rpartition("/")[2], glob)
