"""The base of sources whose items can be listed: an API's exports, a share, attachments."""

from __future__ import annotations

import abc
import io
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, BinaryIO

from ktrans.api import Budget, Memory, Payload, Plan, Source, Split, UsageError
from ktrans.api.component import C
from ktrans.api.payload import Json


@dataclass(frozen=True, slots=True)
class Item:
    """One thing that can be read.

    Attributes:
        name: unique for ever.
        version: changes with its bytes (a checksum, a time of change); "" if they never change.
        size: in bytes, if known.
    """

    name: str
    version: str = ""
    size: int | None = None


class ListedSource(Source[C]):
    """Reads each item once, and again if its version changes.

    Subclasses implement `items` and `fetch`. What was read is remembered by name, which suits
    thousands of items; for the millions in a bucket see `ktrans.kit.objects`.
    """

    @abc.abstractmethod
    def items(self) -> Iterable[Item]:
        """List all items that can be read now, in any order.

        Raises:
            AccessError, UnavailableError, RetryableError: as their names say.
        """

    @abc.abstractmethod
    def fetch(self, item: Item) -> bytes | BinaryIO:
        """Return the bytes of an item in the listed version.

        Raises:
            SplitChangedError: the item has another version now, or does not exist any more.
        """

    def uri(self, item: Item) -> str:
        """Return the name for receipts and for the `source_uri` column."""
        return f"{self.config.type}://{item.name}"

    def plan(self, position: Json, memory: Memory, budget: Budget) -> Plan | None:
        """Take new and changed items, by name, up to the budget."""
        after = (position or {}).get("after", "")
        listed = sorted((i for i in self.items() if i.name > after), key=lambda item: item.name)
        splits: list[Split] = []
        size = waiting = 0
        known = memory.recall([item.name for item in listed])
        for item in listed:
            if item.name in budget.skip or known.get(item.name, {}).get("version") == item.version:
                continue
            waiting += 1
            if budget.full(len(splits), size):
                continue
            data = {"name": item.name, "version": item.version}
            splits.append(Split(item.name, self.uri(item), item.size, data))
            size += item.size or 0
        if not splits:
            return None
        remember = {split.key: {"version": split.data["version"]} for split in splits}
        return Plan(tuple(splits), position, remember, total_splits=waiting)

    def open(self, split: Split) -> Payload:
        """Open an item."""
        return _ItemPayload(split, self)

    def position_from(self, text: str) -> Json:
        """Accept a name: items that sort after it are read.

        Raises:
            UsageError: nothing of that name is listed.
        """
        if all(item.name != text for item in self.items()):
            raise UsageError(
                f"{self.config.type} has no item {text!r} to start from",
                hint="give the name of an item; those that sort after it are read",
            )
        return {"after": text}


class _ItemPayload(Payload):
    def __init__(self, split: Split, source: ListedSource[Any]) -> None:
        super().__init__(split)
        self._source = source
        self._item = Item(split.data["name"], split.data["version"], split.size)

    def open(self) -> BinaryIO:
        found = self._source.fetch(self._item)
        return io.BytesIO(found) if isinstance(found, bytes) else found
