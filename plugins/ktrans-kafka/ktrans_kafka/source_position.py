"""The position of the `kafka` source, with its conversion to and from JSON and `--from`."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from ktrans.api import Memory, Split, UsageError
from ktrans_kafka.source_config import milliseconds
from ktrans_kafka.source_ranges import Part, Range


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


def start_of(text: str) -> str | int:
    """Parse the option `start`."""
    return text if text in ("earliest", "latest") else milliseconds(text)


def parse_from(text: str) -> dict[str, Any]:
    """Parse the value of `--from` into a position.

    Args:
        text: `earliest`, `latest`, a time, or offsets: `topic/partition=offset`, separated by
            commas; other partitions begin at their first record.

    Raises:
        UsageError: the value is invalid.
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
