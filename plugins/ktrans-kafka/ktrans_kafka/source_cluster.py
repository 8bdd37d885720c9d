"""What the `kafka` source asks a cluster: topics, their offsets, and what was deleted unread."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ktrans.api import ConfigError, Split
from ktrans_kafka.client import kafka, kafka_admin
from ktrans_kafka.cluster import Admin
from ktrans_kafka.source_position import Part, Range

_NO_ID = "AAAAAAAAAAAAAAAAAAAAAA"
"""The all-zero topic id, which brokers without topic ids return."""

_MARKS = ("claim", "claimed")


@dataclass(frozen=True, slots=True)
class Topic:
    """A topic, with its unique id ("" if the brokers have no such ids) and partition numbers."""

    name: str
    id: str
    partitions: tuple[int, ...]

    @property
    def parts(self) -> list[Part]:
        """Its partitions."""
        return [(self.name, number) for number in self.partitions]


def parts_of(topics: Mapping[str, Topic]) -> list[Part]:
    """Return the partitions of topics."""
    return [part for topic in topics.values() for part in topic.parts]


class Cluster:
    """Queries a cluster, for all partitions at once; they end at their first open transaction."""

    def __init__(self, admin: Admin) -> None:
        self._admin = admin

    def topics(self, wanted: Sequence[str]) -> dict[str, Topic]:
        """Return the topics with these names, and those that match patterns (which begin with ^)."""
        names = [name for name in wanted if not name.startswith("^")]
        patterns = [re.compile(name) for name in wanted if name.startswith("^")]
        if patterns:
            names += sorted(
                name
                for name in self._admin.reach(connecting=True).topics
                if name not in names
                and not name.startswith("__")
                and any(pattern.match(name) for pattern in patterns)
            )
        if not names:
            return {}
        doing = "kafka: looking up topic {}"
        found = {}
        for name, answer in self._ask(
            doing, "describe_topics", kafka.TopicCollection(names)
        ).items():
            numbers = tuple(sorted(part.id for part in answer.partitions))
            identity = str(answer.topic_id)
            found[name] = Topic(name, "" if identity == _NO_ID else identity, numbers)
        return found

    def starts(self, parts: Iterable[Part]) -> dict[Part, int]:
        """Return the first available offset of each partition."""
        return self._offsets(parts, kafka_admin.OffsetSpec.earliest())

    def ends(self, parts: Iterable[Part]) -> dict[Part, int]:
        """Return the offset after the last readable record of each partition."""
        return self._offsets(parts, kafka_admin.OffsetSpec.latest())

    def at_time(self, parts: Iterable[Part], milliseconds: int) -> dict[Part, int]:
        """Return the first offset at or after a time; the end if there is none."""
        found = self._offsets(parts, kafka_admin.OffsetSpec.for_timestamp(milliseconds))
        return {**found, **self.ends(part for part, offset in found.items() if offset < 0)}

    def _offsets(self, parts: Iterable[Part], spec: Any) -> dict[Part, int]:
        asked = {kafka.TopicPartition(*part): spec for part in parts}
        if not asked:
            return {}
        answers = self._ask(
            "kafka: looking up offsets of {}",
            "list_offsets",
            asked,
            isolation_level=kafka.IsolationLevel.READ_COMMITTED,
        )
        return {(part.topic, part.partition): answer.offset for part, answer in answers.items()}

    def _ask(self, doing: str, name: str, *arguments: Any, **options: Any) -> dict[Any, Any]:
        try:
            return self._admin.ask(doing, name, *arguments, **options)
        except ConfigError as error:
            error.field = error.field or "topics"
            error.hint = "create the topic, or correct the name under `topics`"
            raise


class WaitingOffsets:
    """The unread offsets of each partition, up to its end when the round began.

    `lost` is called with a description of lost records, and may raise to stop the run.
    """

    def __init__(self, cluster: Cluster, lost: Callable[[str], None]) -> None:
        self._cluster = cluster
        self._lost = lost
        self._ends: dict[Part, int] = {}

    def end_round(self) -> None:
        """End the round: the next one queries the ends again."""
        self._ends.clear()

    def waiting(
        self, next_offsets: Mapping[Part, int], maybe_recreated: Collection[str] = ()
    ) -> dict[Part, tuple[int, int]]:
        """Return the first unread offset of each partition, and its end.

        Topics without ids may have been recreated: if they end before the next offset, they are read
        from their start. Others have lost their last records and continue at their end.
        """
        self._ends = {part: end for part, end in self._ends.items() if part in next_offsets}
        behind = [part for part, at in next_offsets.items() if self._ends.get(part, -1) < at]
        self._ends |= self._cluster.ends(behind)
        first = self._cluster.starts(next_offsets)
        found = {}
        for part, at in next_offsets.items():
            name, end, begin = f"{part[0]}/{part[1]}", self._ends[part], at
            if at > end:
                self._lost(f"{name} ends at offset {end}, before {at}, the next one to read")
                begin = first[part] if part[0] in maybe_recreated else end
            elif at < first[part]:
                self._lost(_deleted(name, at, first[part]))
                begin = first[part]
            found[part] = (min(begin, end), end)
        return found

    def drop_deleted(
        self, again: Sequence[Split], skip: Collection[str], record_bytes: float
    ) -> list[Split]:
        """Report and drop the deleted offsets of splits that are retried."""
        first = self._cluster.starts({Range.of(s).part for s in again if s.key not in skip})
        found = []
        for split in again:
            one = Range.of(split)
            begin = max(one.start, first.get(one.part, 0))
            if split.key in skip or begin == one.start:
                found.append(split)
                continue
            name = f"{one.topic}/{one.partition}"
            self._lost(_deleted(name, one.start, min(begin, one.end)))
            if begin < one.end:
                more = {name: split.data[name] for name in _MARKS if name in split.data}
                found.append(replace(one, start=begin).split(record_bytes, more))
        return found


def _deleted(name: str, start: int, end: int) -> str:
    return f"offsets {start} to {end - 1} of {name} were deleted before they were read"
