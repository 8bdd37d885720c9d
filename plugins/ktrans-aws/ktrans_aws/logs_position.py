"""The position of the `cloudwatch_logs` source: how far each group was read, and what is remembered."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any
from urllib.parse import quote

import numpy as np

from ktrans.api import Split
from ktrans_aws.logs_client import Event, digests_of
from ktrans_aws.unread import Pending


@dataclass(slots=True)
class GroupState:
    """How far a group was read.

    Attributes:
        at: all events before this time were looked at in this round, in milliseconds since 1970.
        created: when the group was created.
        known: keys of splits within the look-back, and the time of the last event of each.
        forgotten: what was read before this time is not remembered, so no look begins earlier.
    """

    at: int
    created: int
    known: dict[str, int] = field(default_factory=dict)
    forgotten: int = 0


@dataclass(slots=True)
class Position:
    """The source's position.

    Attributes:
        start: where groups are begun, in milliseconds since 1970; 0 for all that is kept.
        end: the end of the round: groups are read up to it, then from `lookback` before it.
        groups: by name.
        pending: splits of the last plan.
    """

    start: int = 0
    end: int = 0
    groups: dict[str, GroupState] = field(default_factory=dict)
    pending: Pending = field(default_factory=Pending)

    @property
    def complete(self) -> bool:
        """Whether all groups are read to the end of the round."""
        return all(state.at >= self.end for state in self.groups.values())

    @property
    def known(self) -> list[str]:
        """Keys of all splits within the look-back."""
        return [key for state in self.groups.values() for key in state.known]

    @classmethod
    def of(cls, value: Mapping[str, Any] | None, start: int) -> Position:
        """Parse a stored position; `start` is for a source without one."""
        if value is None:
            return cls(start)
        groups = {
            name: GroupState(at, created, dict(known), forgotten)
            for name, (at, created, known, forgotten) in value["groups"].items()
        }
        return cls(value["start"], value["end"], groups, Pending.of(value))

    def to_json(self, pending: Mapping[str, Any]) -> dict[str, Any]:
        """Return the position as JSON for the state store, with what is kept of the plan."""
        groups = {
            name: [state.at, state.created, state.known, state.forgotten]
            for name, state in sorted(self.groups.items())
        }
        return {"start": self.start, "end": self.end, "groups": groups, **pending}


def split_of(group: str, events: list[Event]) -> Split:
    """Return the split of some events of a group, by their time range and the digests of their ids."""
    ids = packed(digests_of(events))
    begin, end = events[0].time, events[-1].time
    mark = blake2b(ids.encode(), digest_size=6).hexdigest()
    data = {"group": group, "begin": begin, "end": end, "ids": ids}
    uri = f"cloudwatch-logs://{quote(group, safe='/:')}?from={begin}"
    size = sum(len(event.message) + 1 for event in events)
    return Split(f"{group}@{begin}-{end}#{mark}", uri, size, data)


def empty_split(what: str) -> Split:
    """Return a split without events, whose epoch records a position."""
    return Split(f"position@{what}", "cloudwatch-logs://", 0, {"group": None})


def packed(digests: np.ndarray) -> str:
    """Return digests as text."""
    return base64.b64encode(digests.astype("<u8").tobytes()).decode()


def unpacked(text: str) -> np.ndarray:
    """Return digests from their text."""
    return np.frombuffer(base64.b64decode(text), "<u8").astype(np.uint64)
