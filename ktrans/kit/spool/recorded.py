"""Removes segments of a spool that are recorded, and keeps the others.

A segment exists nowhere else, and is removed once an epoch has recorded its rows. A quarantined one
is not remembered, and waits for another try. One that was rejected as a whole is remembered as such,
and stays until it is forgotten (`ktrans rejects replay`), after which it is read again. One that holds a
message which is not understood is removed, too: its reject has all of it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from ktrans.api import Memory
from ktrans.kit.spool.segments import MESSAGES, Segment, Spool

Key = Callable[[int], str]
"""Return the key of the split for a segment's number."""


def unrecorded(spool: Spool, memory: Memory, key: Key, *, keep: int | None = None) -> list[Segment]:
    """Return the segments that no epoch has recorded, and remove those that are done with.

    Args:
        spool: the spool.
        memory: what earlier epochs remembered.
        key: returns the key of a segment.
        keep: a stream that may continue, whose head stays in any case.
    """
    segments = spool.segments()
    known = memory.recall([key(segment.number) for segment in segments])
    done = [
        segment
        for segment in segments
        if key(segment.number) in known
        and (segment.stream == MESSAGES or not _rejected(known[key(segment.number)]))
    ]
    spool.drop(done, keep=keep)
    return [segment for segment in segments if key(segment.number) not in known]


def to_remember(
    memory: Memory, key: Key, taken: Sequence[Segment], before: Iterable[int]
) -> dict[str, Any]:
    """Return what is to be remembered of a plan's segments, and which earlier ones to forget.

    Args:
        memory: what earlier epochs remembered.
        key: returns the key of a segment.
        taken: the plan's segments.
        before: numbers of the segments of the previous plan, of which only rejected ones exist.
    """
    known = memory.recall([key(number) for number in before])
    remember: dict[str, Any] = {name: None for name, value in known.items() if not _rejected(value)}
    # A mapping, so that the engine can mark what was rejected as a whole.
    remember.update({key(segment.number): {} for segment in taken})
    return remember


def _rejected(value: Any) -> bool:
    return isinstance(value, Mapping) and bool(value.get("rejected"))
