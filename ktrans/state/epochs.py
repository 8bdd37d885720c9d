"""An epoch as the state store keeps it: its plan, its status, its quarantined splits."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping, Sequence
from enum import StrEnum
from typing import Any

import msgspec

from ktrans.api import Plan, Receipt, Split, StateUpdate

_CHUNK = 500


class Status(StrEnum):
    """How far an epoch got.

    planned: recorded before any data is read; after a crash its tasks are processed again.
    committing: every task has staged its rows and all receipts are kept here; after a crash only
    the commits are done again. recorded: published, ledger and position written; the source may not
    know yet. done: the source knows too. dropped: given up before anything was staged; the number
    is not used again. rewound: what it read is read again, by later epochs (`ktrans state rewind`).
    """

    PLANNED = "planned"
    COMMITTING = "committing"
    RECORDED = "recorded"
    DONE = "done"
    DROPPED = "dropped"
    REWOUND = "rewound"


def chunks(keys: Sequence[str]) -> Iterator[tuple[str, Sequence[str]]]:
    """Yield keys in pieces that fit into one statement, each after its placeholders."""
    for start in range(0, len(keys), _CHUNK):
        chunk = keys[start : start + _CHUNK]
        yield ", ".join("?" * len(chunk)), chunk


class Quarantine(msgspec.Struct, frozen=True):
    """A split that a task goes without, decided once so that every rerun decides the same.

    kind "rejected": it can never be read; the task writes a reject for it, and it counts as read.
    kind "waiting": it could not be read this time; a later epoch plans it again.
    """

    key: str
    uri: str
    kind: str
    code: str
    reason: str


class Epoch(msgspec.Struct):
    """The tasks between two commits.

    Attributes:
        number: 1, 2, 3... within the pipeline.
        tasks: the splits of each task, in order.
        position: the source's position once the epoch is recorded.
        remember: what the source wants to remember, by key.
        fingerprint: of the pipeline's definition when this was planned.
        quarantined: splits that the epoch goes without, by key.
        receipts: what each task's writers staged, by sink id; complete once `committing`.
        ledger: what the tasks counted, as JSON; complete once `committing`.
        extra: the rest of what a rerun's receipt needs (torn objects).
        replay: its splits are files of earlier rejects, not of the source.
        source: the type of the source that planned it, a colon, and a hash of its options.
        last: the input has ended: it reads nothing, and closes what stateful enrichers keep open.
        decided: it was staged whole once, and its sinks may have published a part of it.
        planned: when it was planned.
        begun: how many processes began to process it, without those that ended in an orderly way.
        updates: what stateful enrichers change in their state, by the name of the state.
    """

    number: int
    tasks: list[list[Split]]
    position: Any = None
    remember: Mapping[str, Any] = msgspec.field(default_factory=dict)
    fingerprint: str = ""
    status: Status = Status.PLANNED
    quarantined: dict[str, Quarantine] = msgspec.field(default_factory=dict)
    receipts: dict[str, list[Receipt]] = msgspec.field(default_factory=dict)
    ledger: dict[str, Any] = msgspec.field(default_factory=dict)
    extra: dict[str, Any] = msgspec.field(default_factory=dict)
    replay: bool = False
    source: str = ""
    last: bool = False
    decided: bool = False
    planned: dt.datetime = msgspec.field(default_factory=lambda: dt.datetime.now(dt.UTC))
    begun: int = 1
    updates: dict[str, StateUpdate] = msgspec.field(default_factory=dict)

    @property
    def splits(self) -> list[Split]:
        """All splits, in order."""
        return [split for task in self.tasks for split in task]

    @property
    def plan(self) -> Plan:
        """The plan as the source made it, without the quarantined splits."""
        splits = tuple(s for s in self.splits if s.key not in self.quarantined)
        return Plan(splits, self.position, self.remember)

    def remembered(self) -> dict[str, Any]:
        """Return what to remember.

        Entries of splits that wait for another try are left out; in those of splits that were
        rejected whole, `rejected` is true, so that the source knows that nothing of them arrived.
        """
        found: dict[str, Any] = {}
        for key, value in self.remember.items():
            quarantine = self.quarantined.get(key)
            if quarantine is None:
                found[key] = value
            elif quarantine.kind == "rejected":
                found[key] = {**value, "rejected": True} if isinstance(value, dict) else value
        return found

    def to_json(self, names: tuple[str, ...]) -> dict[str, Any]:
        """Return some fields in the form that the state store keeps: `PLANNED` or `STAGED`."""
        found: dict[str, Any] = msgspec.to_builtins({name: getattr(self, name) for name in names})
        return found


PLANNED = ("tasks", "position", "remember", "replay", "source", "last", "planned")
STAGED = ("receipts", "ledger", "extra")
"""The fields that are fixed when an epoch is planned, and when everything is staged."""
