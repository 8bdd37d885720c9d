"""Ranges of offsets, which are the splits of the `kafka` source, and their division into epochs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from ktrans.api import Budget, Split

Part = tuple[str, int]
"""A partition: topic and number."""


@dataclass(frozen=True, slots=True, order=True)
class Range:
    """The records of one partition whose offset is at least `start` and less than `end`."""

    topic: str
    partition: int
    start: int
    end: int

    @property
    def part(self) -> Part:
        """The partition."""
        return self.topic, self.partition

    @property
    def key(self) -> str:
        """A key that is unique within the topic."""
        return f"{self.topic}/{self.partition}@{self.start}-{self.end}"

    @property
    def uri(self) -> str:
        """The URI for messages and the column `source_uri`."""
        return f"kafka://{quote(self.topic, '')}/{self.partition}?offset={self.start}"

    def split(self, record_bytes: float, more: Mapping[str, Any] | None = None) -> Split:
        """Return the split of this range.

        Args:
            record_bytes: expected size of a record.
            more: further data of the split.
        """
        data = {
            "topic": self.topic,
            "partition": self.partition,
            "start": self.start,
            "end": self.end,
        }
        size = round((self.end - self.start) * record_bytes)
        return Split(self.key, self.uri, size, {**data, **(more or {})})

    def pieces(self, records: int) -> list[Range]:
        """Divide it into ranges of at most so many offsets."""
        return [
            Range(self.topic, self.partition, start, min(start + records, self.end))
            for start in range(self.start, self.end, records)
        ]

    @classmethod
    def of(cls, split: Split) -> Range:
        """Return the range of a split."""
        data = split.data
        return cls(data["topic"], data["partition"], data["start"], data["end"])


def cut(
    waiting: Mapping[Part, tuple[int, int]],
    budget: Budget,
    *,
    taken: Iterable[Split] = (),
    records: int,
    record_bytes: float,
) -> list[Range]:
    """Divide unread offsets into ranges, from each partition in turn, until the budget is full.

    Args:
        waiting: first offset and end, by partition.
        budget: the limits of the epoch.
        taken: splits that are already in the epoch.
        records: maximum offsets of a range.
        record_bytes: expected size of a record.

    Returns:
        Ranges ordered by partition and offset, so that readers read sequentially.
    """
    before = list(taken)
    count, size = len(before), sum(split.size or 0 for split in before)
    left = {part: span for part, span in sorted(waiting.items()) if span[0] < span[1]}
    found: list[Range] = []
    while left:
        for part, (start, end) in list(left.items()):
            if budget.full(count, size):
                return sorted(found)
            stop = min(start + records, end)
            found.append(Range(*part, start, stop))
            count += 1
            size += round((stop - start) * record_bytes)
            if stop == end:
                del left[part]
            else:
                left[part] = (stop, end)
    return sorted(found)


def extents(ranges: Iterable[Range]) -> dict[Part, tuple[int, int]]:
    """Return the first offset and the end of each partition's ranges."""
    found: dict[Part, tuple[int, int]] = {}
    for one in ranges:
        start, end = found.get(one.part, (one.start, one.end))
        found[one.part] = (min(start, one.start), max(end, one.end))
    return found
