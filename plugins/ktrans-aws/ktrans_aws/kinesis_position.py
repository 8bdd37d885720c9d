"""The position of the `kinesis` source: how far each shard was read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ktrans_aws.unread import Pending

HORIZON = "trim_horizon"
LATEST = "latest"


@dataclass(frozen=True, slots=True)
class ShardState:
    """How far a shard was read.

    Attributes:
        after: the sequence number of the last record that was planned; None if there is none.
        seen: whatever arrived until then is planned, in milliseconds since 1970.
        done: whether the shard is closed and planned to its end.
    """

    after: str | None
    seen: int
    done: bool = False


@dataclass(slots=True)
class Position:
    """The source's position.

    Attributes:
        start: where shards without a record are begun: `trim_horizon`, or milliseconds since 1970.
        created: when the stream was created, in milliseconds since 1970.
        shards: how far each one was read.
        pending: splits of the last plan.
    """

    start: str | int = HORIZON
    created: int = 0
    shards: dict[str, ShardState] = field(default_factory=dict)
    pending: Pending = field(default_factory=Pending)

    @classmethod
    def of(cls, value: Mapping[str, Any] | None, start: str | int) -> Position:
        """Parse a stored position; `start` is for a source without one."""
        if value is None:
            return cls(start)
        shards = {name: ShardState(*state) for name, state in value["shards"].items()}
        return cls(value["start"], value["created"], shards, Pending.of(value))

    def to_json(self, pending: Mapping[str, Any]) -> dict[str, Any]:
        """Return the position as JSON for the state store, with what is kept of the plan."""
        shards = {
            name: [state.after, state.seen, state.done]
            for name, state in sorted(self.shards.items())
        }
        return {"start": self.start, "created": self.created, "shards": shards, **pending}
