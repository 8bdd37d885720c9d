"""Sources list input as splits, and open them.

>>> from ktrans.api import BytesPayload, ComponentConfig, Plan, Source, Split
>>> class NumberSource(Source[ComponentConfig]):
...     def plan(self, position, memory, budget):
...         start = position or 0
...         if start == 3:
...             return None
...         return Plan((Split(str(start), f"number:{start}"),), position=start + 1)
...     def open(self, split):
...         return BytesPayload(split, split.key.encode())
>>> source = NumberSource(ComponentConfig(type="numbers"))
>>> plan = source.plan(None, None, None)
>>> source.open(plan.splits[0]).data, plan.position
(b'0', 1)
"""

from __future__ import annotations

import abc
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol, runtime_checkable

from ktrans.api.component import C, Component, Reach
from ktrans.api.errors import UsageError
from ktrans.api.payload import Json, Payload, Split


@dataclass(frozen=True, slots=True)
class Budget:
    """How much one epoch may hold. A source stops adding splits when one limit is reached.

    Attributes:
        splits: the most splits.
        bytes: stop once the splits' sizes add up to this (always at least one split).
        skip: keys that this run could not read; they are left out and do not count.
    """

    splits: int = 10_000
    bytes: int = 2 << 30
    skip: frozenset[str] = frozenset()

    def full(self, splits: int, size: int) -> bool:
        """Return whether an epoch with this many splits and bytes is full."""
        return splits >= self.splits or (splits > 0 and size >= self.bytes)


class Memory(Protocol):
    """What the state store remembers about splits of committed epochs."""

    def recall(self, keys: Sequence[str]) -> dict[str, Json]:
        """Return the remembered value of each key that has one."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What the next epoch reads.

    Attributes:
        splits: in the order in which they are read.
        position: the source's position once this plan is committed (JSON).
        remember: values to keep for `Memory.recall`, by key; None forgets a key. Committed together
            with the epoch. Use the split's key: entries of quarantined splits are not kept, and
            those of rejected splits get `"rejected": true` if they are mappings.
        total_bytes: all that is known to be waiting, this plan included, if known (for progress).
        total_splits: likewise.
        notes: information for the receipt ("2 files were replaced").
        left: what is there and is left for a later plan, such as a file that was changed too
            recently; a run that ends then warns of it.
    """

    splits: tuple[Split, ...]
    position: Json = None
    remember: Mapping[str, Json] = field(default_factory=dict)
    total_bytes: int | None = None
    total_splits: int | None = None
    notes: tuple[str, ...] = ()
    left: tuple[str, ...] = ()


@runtime_checkable
class WritesFolder(Protocol):
    """A sink or state store that writes files below a folder, which a source must not read."""

    @property
    def folder(self) -> Path:
        """The folder, absolute, links resolved."""

    @property
    def shared(self) -> bool:
        """Whether others may write into the folder, so that only names that it `owns` are its own."""

    def owns(self, name: str) -> bool:
        """Return whether this sink wrote the file of this name."""


class Source(Component[C], abc.ABC):
    """Lists what there is to read, and opens it.

    One instance, in the process that runs the pipeline, plans and commits. Others may open splits.
    """

    @property
    def reads(self) -> Reach:
        """Where splits may be opened, by another instance with the same config.

        A class says `reads = "anywhere"`, or overrides this where it depends on options. It may if a
        split has all that `open` needs, and if an instance that only opens and closes settles nothing.
        """
        return "here"

    @abc.abstractmethod
    def plan(self, position: Json, memory: Memory, budget: Budget) -> Plan | None:
        """List what to read after `position` (None at first); None when caught up.

        Reads no data. The same arguments and the same input give the same plan. A plan without
        splits but with notes or `left` says why there is nothing to read yet.
        """

    @abc.abstractmethod
    def open(self, split: Split) -> Payload:
        """Open a planned split: the same split always has the same bytes.

        Raises:
            SplitChangedError: the object has changed since it was planned.
            RetryableError, AccessError, RejectError: as their names say.
        """

    def commit(self, plan: Plan) -> None:
        """Acknowledge a committed epoch to the other side (queues). Idempotent."""

    def exclude_outputs(self, outputs: Sequence[WritesFolder]) -> None:
        """Take the pipeline's own outputs, which must never be read as input.

        Called before the first `plan`. Only sources of files need it.
        """

    def reset(self) -> None:
        """Forget what this source itself keeps between runs (`state reset`). Idempotent."""

    def check_rewind(self) -> None:
        """Check that it can hand out again what earlier epochs read (`state rewind`). No I/O.

        Raises:
            UsageError: it cannot, since the other side deletes what was acknowledged.
        """

    def position_from(self, text: str) -> Json:
        """Turn the text of `--from` into a position.

        Raises:
            UsageError: this source cannot start there.
        """
        raise UsageError(f"{self.config.type} cannot start from {text!r}: it has no positions")
