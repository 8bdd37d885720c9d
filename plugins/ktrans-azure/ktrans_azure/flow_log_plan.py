"""A plan of the flow log source, as hours are looked at."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from ktrans.api import Budget, Memory, Split
from ktrans_azure.hour_blob_tail import Known

MAX_LATE = 1_000
"""Blobs of closed hours that are tracked one by one; with more, their hours stay open."""


@dataclass(slots=True)
class FlowLogPlan:
    """Collects the splits of a plan.

    Attributes:
        budget: how much it may hold.
        memory: what earlier epochs left behind.
        splits, remember, notes: for the plan.
        bytes: of the splits.
        done: by hour, keys of blobs that are read completely.
        stuck: by hour, names of blobs that this run could not read.
        replaced: names of blobs that were rewritten.
        too_late: names of blobs that were announced after their hours had been closed.
        open_from: the first hour in which something remains to be done.
        waiting: whether there is more than the budget holds.
        cut: name of the last blob, if the plan holds only a part of what is new in it.
        seen: names of the blobs that were looked at.
        gone: names of those that do not exist any more.
    """

    budget: Budget
    memory: Memory
    splits: list[Split] = field(default_factory=list)
    remember: dict[str, Any] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    bytes: int = 0
    done: dict[datetime, list[str]] = field(default_factory=dict)
    stuck: dict[datetime, list[str]] = field(default_factory=dict)
    replaced: list[str] = field(default_factory=list)
    too_late: list[str] = field(default_factory=list)
    open_from: datetime | None = None
    waiting: bool = False
    cut: str | None = None
    seen: set[str] = field(default_factory=set)
    gone: set[str] = field(default_factory=set)

    @property
    def full(self) -> bool:
        return self.cut is not None or self.budget.full(len(self.splits), self.bytes)

    @property
    def room(self) -> int:
        return max(self.budget.bytes - self.bytes, 0)

    def recalled(self, key: Callable[[str], str], names: Sequence[str]) -> dict[str, Known]:
        values = self.memory.recall([key(name) for name in names])
        return {name: Known(**value) for name in names if (value := values.get(key(name)))}

    def keep_open(self, hour: datetime) -> None:
        """Keep an hour open, because something of it remains to be done."""
        self.open_from = hour if self.open_from is None else min(self.open_from, hour)

    def close_hours(self, final: datetime, late: set[str]) -> datetime:
        """Close the hours that are done, and forget what was remembered of them.

        Args:
            final: hours from this one on stay open in any case.
            late: names of blobs to track one by one; blobs of closed hours that could not be read
                are added.

        Returns:
            The first hour that stays open.
        """
        through = final if self.open_from is None else min(final, self.open_from)
        for hour in sorted(self.stuck):
            if hour >= through:
                break
            if len(late) + len(self.stuck[hour]) > MAX_LATE:
                through = hour
                break
            late.update(self.stuck[hour])
        for hour, keys in self.done.items():
            if hour < through:
                self.remember.update(dict.fromkeys(keys))
        return through

    def all_notes(self) -> tuple[str, ...]:
        """Return all notes, with those about rewritten and late blobs."""
        notes = list(self.notes)
        if self.replaced:
            what = "rewritten by something other than Azure's own growth"
            notes.append(f"{_blobs(self.replaced)} {what}: {self.replaced[0]}")
        if self.too_late:
            what = "announced after the hour was closed, and not read (final_after)"
            notes.append(f"{_blobs(self.too_late)} {what}: {self.too_late[0]}")
        return tuple(notes)


def _blobs(names: list[str]) -> str:
    return "1 blob was" if len(names) == 1 else f"{len(names)} blobs were"
