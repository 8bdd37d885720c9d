"""Which offsets a round of the `kafka` source reads, and which were deleted unread."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace

from ktrans.api import Split
from ktrans_kafka.source_cluster import Cluster
from ktrans_kafka.source_ranges import Part, Range


class WaitingOffsets:
    """The unread offsets of each partition, up to its end when the round began.

    Args:
        cluster: the cluster to query.
        lost: called with a description of lost records; may raise to stop the run.

    Attributes:
        lag: unread records of each partition at the last query.
    """

    def __init__(self, cluster: Cluster, lost: Callable[[str], None]) -> None:
        self._cluster = cluster
        self._lost = lost
        self._ends: dict[Part, int] = {}
        self.lag: dict[Part, int] = {}

    def end_round(self) -> None:
        """End the round: the next one queries the ends again."""
        self._ends.clear()

    def waiting(
        self, next_offsets: Mapping[Part, int], maybe_recreated: Collection[str] = ()
    ) -> dict[Part, tuple[int, int]]:
        """Return the first unread offset of each partition, and its end.

        Args:
            next_offsets: the next offset to read of each partition.
            maybe_recreated: topics without ids: if they end before the next offset, they
                are taken for recreated and read from their start. Others have lost their last
                records and continue at their end.
        """
        self._ends = {part: end for part, end in self._ends.items() if part in next_offsets}
        behind = [part for part, at in next_offsets.items() if self._ends.get(part, -1) < at]
        self._ends |= self._cluster.ends(behind)
        first = self._cluster.starts(next_offsets)
        found = {}
        for part, at in next_offsets.items():
            name, end, begin = f"{part[0]}/{part[1]}", self._ends[part], at
            if at > end:
                self._lost(f"{name} ends at offset {end}, but was already read up to {at}")
                begin = first[part] if part[0] in maybe_recreated else end
            elif at < first[part]:
                self._lost(_deleted(name, at, first[part]))
                begin = first[part]
            found[part] = (min(begin, end), end)
        self.lag = {part: end - begin for part, (begin, end) in found.items()}
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


_MARKS = ("claim", "claimed")


def _deleted(name: str, start: int, end: int) -> str:
    return f"offsets {start} to {end - 1} of {name} were deleted before they were read"
