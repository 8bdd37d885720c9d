"""How far a round of the `kafka` source reads, and what retention has taken before it was read."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from ktrans.api import Split
from ktrans_kafka.consumer_cluster import Cluster
from ktrans_kafka.source_ranges import Range

if TYPE_CHECKING:
    from ktrans_kafka.source_ranges import Part


class Horizon:
    """The partitions' ends as they were when the round began.

    Args:
        cluster: whom to ask.
        lost: called with what is gone; raises if the run is to stop then.

    Attributes:
        lag: records that waited in each partition when last looked at.
    """

    def __init__(self, cluster: Cluster, lost: Callable[[str], None]) -> None:
        self._cluster = cluster
        self._lost = lost
        self._ends: dict[Part, int] = {}
        self.lag: dict[Part, int] = {}

    def over(self) -> None:
        """End the round: the next one looks at the ends again."""
        self._ends.clear()

    def waiting(
        self, standing: Mapping[Part, int], anew: Collection[str] = ()
    ) -> dict[Part, tuple[int, int]]:
        """Give the first offset that waits in each partition, and the one behind the last.

        Args:
            standing: the next offset to read of each partition.
            anew: topics that may have been made anew if they end before that, having no ids to
                tell by: they are read from their start. Others have lost their last records and
                go on at their end.
        """
        self._ends = {part: end for part, end in self._ends.items() if part in standing}
        behind = [part for part, at in standing.items() if self._ends.get(part, -1) < at]
        self._ends |= self._cluster.ends(behind)
        first = self._cluster.starts(standing)
        found = {}
        for part, at in standing.items():
            name, end, begin = f"{part[0]}/{part[1]}", self._ends[part], at
            if at > end:
                self._lost(f"{name} ends at offset {end}, but was read up to {at} before")
                begin = first[part] if part[0] in anew else end
            elif at < first[part]:
                self._lost(_deleted(name, at, first[part]))
                begin = first[part]
            found[part] = (min(begin, end), end)
        self.lag = {part: end - begin for part, (begin, end) in found.items()}
        return found

    def still_there(
        self, again: Sequence[Split], skip: Collection[str], record_bytes: float
    ) -> list[Split]:
        """Leave out, with a word, what has been deleted of splits that are tried again."""
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
