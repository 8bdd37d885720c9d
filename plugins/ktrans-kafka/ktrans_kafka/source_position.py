"""Ranges of offsets, which are the splits of the `kafka` source, and the position after them."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any
from urllib.parse import quote

from ktrans.api import Budget, Memory, Split, UsageError
from ktrans_kafka.source_config import start_of

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
    def uri(self) -> str:
        """The URI for messages and the column `source_uri`."""
        return f"kafka://{quote(self.topic, '')}/{self.partition}?offset={self.start}"

    def split(self, record_bytes: float, more: Mapping[str, Any] | None = None) -> Split:
        """Return the split of this range, with more data, from the expected size of a record."""
        key = f"{self.topic}/{self.partition}@{self.start}-{self.end}"
        size = round((self.end - self.start) * record_bytes)
        return Split(key, self.uri, size, {**asdict(self), **(more or {})})

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

    They are ordered by partition and offset, so that readers read sequentially.

    Args:
        waiting: first offset and end, by partition.
        budget: the limits of the epoch.
        taken: splits that are already in the epoch.
        records: maximum offsets of a range.
        record_bytes: expected size of a record.
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


@dataclass(slots=True)
class Position:
    """The source's position.

    Attributes:
        next: the next offset to plan, by partition (without a group).
        ids: topic ids at the last plan.
        start: `earliest`, `latest` or milliseconds, for partitions that are not in `next`.
        pending: splits of the last plan, and earlier ones that could not be read.
        token: distinguishes remembered splits from those before a `--from` or a recreated topic.
        member: the member name of this state store; "" until it has one.
        claim: the number of the last claim in an epoch.
        settled: keys of splits that are remembered but no longer pending; not stored.
    """

    next: dict[Part, int] = field(default_factory=dict)
    ids: dict[str, str] = field(default_factory=dict)
    start: str | int = "earliest"
    pending: tuple[Split, ...] = ()
    token: str = ""
    member: str = ""
    claim: int = 0
    settled: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Return the position as JSON for the state store."""
        offsets: dict[str, dict[str, int]] = {}
        for (topic, number), offset in sorted(self.next.items()):
            offsets.setdefault(topic, {})[str(number)] = offset
        return {
            "next": offsets,
            "ids": self.ids,
            "start": self.start,
            "pending": [_to_list(split) for split in self.pending],
            "token": self.token,
            "member": self.member,
            "claim": self.claim,
        }

    @classmethod
    def of(cls, value: Mapping[str, Any] | None, start: str | int) -> Position:
        """Parse a stored position; `start` is for a source without one."""
        if value is None:
            return cls(start=start)
        return cls(
            {
                (t, int(n)): offset
                for t, parts in value["next"].items()
                for n, offset in parts.items()
            },
            dict(value["ids"]),
            value["start"],
            tuple(_from_list(*item) for item in value["pending"]),
            value["token"],
            value["member"],
            value["claim"],
        )

    def unread(self, memory: Memory) -> list[Split]:
        """Return the splits of earlier plans that were quarantined, to be retried."""
        found = memory.recall([split.key for split in self.pending])
        return [
            split
            for split in self.pending
            if (found.get(split.key) or {}).get("token") != self.token
        ]

    def forget(self, topic: str, memory: Memory) -> None:
        """Forget a topic, so that its offsets can be read again."""
        unread = [split for split in self.unread(memory) if split.data["topic"] != topic]
        self.settled += tuple(split.key for split in self.pending)
        self.pending = tuple(unread)
        # New ranges may have the keys of remembered ones.
        self.token = uuid.uuid4().hex[:12]
        self.next = {part: offset for part, offset in self.next.items() if part[0] != topic}

    def remember(self, planned: Iterable[Split], waiting: Iterable[Split]) -> dict[str, Any]:
        """Return what the memory keeps of a plan: one entry per split, until the next plan."""
        waits = {split.key for split in waiting}
        known = [*self.settled, *(split.key for split in self.pending)]
        unrecorded: dict[str, Any] = {key: None for key in known if key not in waits}
        return unrecorded | {split.key: {"token": self.token} for split in planned}


def _to_list(split: Split) -> list[Any]:
    data = split.data
    mark = True if data.get("claimed") else data.get("claim")
    return [data["topic"], data["partition"], data["start"], data["end"], split.size, mark]


def _from_list(
    topic: str, partition: int, start: int, end: int, size: int, mark: str | bool | None
) -> Split:
    more = {} if mark is None else {"claimed": True} if mark is True else {"claim": mark}
    return replace(Range(topic, partition, start, end).split(1, more), size=size)


def parse_from(text: str) -> dict[str, Any]:
    """Parse the value of `--from` into a position: `earliest`, `latest`, a time, or offsets.

    Offsets are `topic/partition=offset`, separated by commas; other partitions begin at their first
    record.
    """
    position = Position(token=uuid.uuid4().hex[:12])
    if "=" not in text:
        try:
            position.start = start_of(text)
        except ValueError as error:
            raise UsageError(
                f"kafka cannot start from {text!r}",
                hint="use earliest, latest, a time such as 2026-01-31T12:00:00Z, or offsets such "
                "as flows/0=1200,flows/1=900",
            ) from error
        return position.to_json()
    for item in text.split(","):
        place, _, offset = item.partition("=")
        topic, _, number = place.strip().rpartition("/")
        if not topic or not number.isdecimal() or not offset.strip().isdecimal():
            raise UsageError(
                f"kafka cannot start from {item!r}",
                hint="offsets are written as topic/partition=offset, such as flows/0=1200",
            )
        position.next[topic, int(number)] = int(offset)
    return position.to_json()
