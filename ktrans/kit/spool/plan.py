"""Plans of sources that spool what they receive: segments, their numbers as the position."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from ktrans.api import Budget, Memory, Plan, Split
from ktrans.kit.spool.recorded import Key, to_remember
from ktrans.kit.spool.segments import Segment


def take(waiting: list[Segment], taken: list[Segment], size: int, budget: Budget) -> int:
    """Move segments into a plan while there is room in its budget; returns how many bytes."""
    before = size
    while waiting and not budget.full(len(taken), size):
        taken.append(waiting.pop(0))
        size += taken[-1].size
    return size - before


def first_number(position: Any) -> int:
    """Return the number of the first segment that no epoch of a position has recorded."""
    return int(position["next"]) if position else 1


def segments_plan(
    position: Any,
    taken: Sequence[Segment],
    split: Callable[[Segment], Split],
    memory: Memory,
    key: Key,
    notes: tuple[str, ...] = (),
) -> Plan:
    """Return the plan of some segments.

    Args:
        position: before the plan.
        taken: the segments, at least one.
        split: returns the split of a segment.
        memory: what earlier epochs remembered.
        key: returns the key of a segment.
        notes: of the plan.
    """
    numbers = [segment.number for segment in taken]
    before = range(*position["last"]) if position else ()
    return Plan(
        splits=tuple(split(segment) for segment in taken),
        position={
            "next": max(first_number(position), max(numbers) + 1),
            "last": [min(numbers), max(numbers) + 1],
        },
        remember=to_remember(memory, key, taken, before),
        notes=notes,
    )
