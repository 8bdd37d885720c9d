"""Sources: where the bytes come from, cut into splits that can be handed out again."""

from __future__ import annotations

import abc
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from ktrans.api.component import C, Component

if TYPE_CHECKING:
    from ktrans.api.payload import Payload

Json = Any
"""None, bool, int, float, str, list or dict, nested: what JSON can say."""


@dataclass(frozen=True, slots=True)
class Split:
    """The smallest thing that a source can hand out, and hand out again.

    It says how to get the bytes, and carries none. It is JSON, never a pickle.

    Attributes:
        key: unique within the pipeline's history of this object (path, bucket/key, partition).
        uri: what people and the `source_uri` column see.
        size: bytes to read, if known; used to group splits into tasks of about equal work.
        data: what the source needs to open exactly these bytes (version, offsets, fingerprint).
    """

    key: str
    uri: str
    size: int | None = None
    data: Mapping[str, Json] = field(default_factory=dict)

    def to_json(self) -> dict[str, Json]:
        """Give the form that the state store keeps."""
        return {"key": self.key, "uri": self.uri, "size": self.size, "data": dict(self.data)}

    @classmethod
    def from_json(cls, value: Mapping[str, Json]) -> Split:
        """Rebuild a split from `to_json`."""
        return cls(value["key"], value["uri"], value["size"], value["data"])


@dataclass(frozen=True, slots=True)
class Budget:
    """How much one epoch may hold. A source stops adding splits when one bound is reached.

    Attributes:
        splits: at most this many.
        bytes: stop once the splits' sizes reach this many bytes (always at least one split).
        skip: keys that this run could not read; they are left out and use up nothing.
    """

    splits: int = 10_000
    bytes: int = 2 << 30
    skip: frozenset[str] = frozenset()

    def full(self, splits: int, size: int) -> bool:
        """Tell whether an epoch with this many splits and bytes takes no more."""
        return splits >= self.splits or (splits > 0 and size >= self.bytes)


class Memory(Protocol):
    """What the state store remembers for a source of the splits that earlier epochs committed."""

    def recall(self, keys: Sequence[str]) -> dict[str, Json]:
        """Give the remembered value of each key that has one."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What the next epoch reads.

    Attributes:
        splits: in the order in which they are to be read.
        position: where the source stands once this plan is committed (JSON).
        remember: values to keep for `Memory.recall`, by key; None forgets a key. Written in the
            same transaction that records the epoch. Keep it one entry a split, keyed by split.key:
            entries of splits that were set aside are left out by the engine, and those of splits
            that were rejected whole get `"rejected": true` if they are mappings.
        total_bytes: all that is known to wait, this plan included (for progress), if known.
        total_splits: likewise.
        notes: what a person should know, for the receipt ("3 files are not settled yet").
    """

    splits: tuple[Split, ...]
    position: Json = None
    remember: Mapping[str, Json] = field(default_factory=dict)
    total_bytes: int | None = None
    total_splits: int | None = None
    notes: tuple[str, ...] = ()


@runtime_checkable
class WritesFolder(Protocol):
    """A sink that writes files below a folder, as a source that reads files has to know."""

    @property
    def folder(self) -> Path:
        """The folder, absolute, links resolved."""

    def owns(self, name: str) -> bool:
        """Tell by a file's name whether this sink wrote it."""


class Source(Component[C], abc.ABC):
    """Lists what there is to read, and opens it."""

    @abc.abstractmethod
    def plan(self, position: Json, memory: Memory, budget: Budget) -> Plan | None:
        """List what to read after `position` (None at first); None when caught up.

        Reads no data. The same arguments over the same world give the same plan. A plan without
        splits but with notes says why there is nothing to read yet.
        """

    @abc.abstractmethod
    def open(self, split: Split) -> Payload:
        """Open a planned split: the same split always gives the same bytes.

        Raises:
            SplitChangedError: the object is not what was planned any more.
            RetryableError, AccessError, RejectError: as their names say.
        """

    def commit(self, plan: Plan) -> None:
        """Tell the other side that the epoch is recorded (acknowledge messages). Idempotent."""

    def avoid(self, outputs: Sequence[WritesFolder]) -> None:
        """Learn of the pipeline's own outputs, which are never to be read as input.

        Called before the first `plan`. Sources that do not read files have no use for it.
        """

    def reset(self) -> None:
        """Forget what this source itself keeps between runs (`state reset`). Idempotent."""

    def check_rewind(self) -> None:
        """Find out whether it can hand out again what earlier epochs read (`state rewind`).

        Override it where the other side lets go of what was acknowledged. Does no I/O.

        Raises:
            UsageError: it cannot; the hint says what to do instead.
        """

    def position_from(self, text: str) -> Json:
        """Turn what a user gave to `--from` into a position.

        Raises:
            UsageError: this source cannot start from there.
        """
        from ktrans.api.errors import UsageError

        raise UsageError(f"{self.config.type} cannot start from {text!r}: it has no positions")
