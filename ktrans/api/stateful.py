"""Enrichers that remember rows from one epoch to the next, exactly once.

What such an enricher keeps is part of the epoch: its change is written down together with the
sinks' receipts, and counts from the moment the epoch is recorded, in the same transaction. An epoch
that is done again begins from what the last recorded one left.
"""

from __future__ import annotations

import abc
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from ktrans.api.component import C
from ktrans.api.enricher import Enricher

if TYPE_CHECKING:
    import datetime as dt

    import pyarrow as pa

    from ktrans.api.sink import Refused, TaskId


def _nothing() -> Sequence[bytes]:
    return ()


@dataclass(frozen=True, slots=True)
class StateSnapshot:
    """What recorded epochs left behind.

    Attributes:
        version: the number of the epoch that changed it last; 0 if none did.
        read: gives what the epochs stored, in their order, from the last one that replaced
            everything on.
    """

    version: int = 0
    read: Callable[[], Sequence[bytes]] = _nothing


@dataclass(frozen=True, slots=True)
class StateUpdate:
    """What an epoch changes in what is kept.

    Attributes:
        parts: bytes to store; what they say is the enricher's affair.
        whole: they replace all that was stored before; otherwise they are added to it.
        open: how many totals are open after the epoch.
    """

    parts: tuple[bytes, ...]
    whole: bool
    open: int


@dataclass(frozen=True, slots=True)
class EpochContext:
    """The circumstances of an epoch.

    Attributes:
        planned: when the epoch was planned; the same if it is done again.
        last: the input has ended, and nothing is to stay open.
        number: the epoch's number.
    """

    planned: dt.datetime | None = None
    last: bool = False
    number: int = 0


Sums = tuple[int, int, int]
"""Rows, and the sums of their bytes and packets."""


@dataclass(frozen=True, slots=True)
class EpochAccounting:
    """Where the rows of an epoch went, counted from the totals that they ended up in.

    Rows in must be held + closed + left_out, and what was refused; the engine's ledger checks it.

    Attributes:
        held: how much more is in open totals now than before the epoch; negative if less.
        closed: what is in totals that are no longer kept.
        left_out: what is in no total on purpose.
        late: rows that came after their total had been closed.
    """

    held: Sums
    closed: Sums
    left_out: Sums
    late: int


class StatefulEnricher(Enricher[C], abc.ABC):
    """An enricher that turns rows of several epochs into totals.

    The engine calls `resume` for each attempt at an epoch, and on what that returns `prepare` and
    `take` for each batch, `finish` for rows to pass on, then `account` and `change`.

    Attributes:
        repeats: it passes a total on each time that it changes, so that sinks must replace the
            earlier one (`Sink.upserts`).
        closes_at_end: at the end of finite input it wants a last epoch, to close what is open.
    """

    scope: ClassVar[Literal["batch", "task", "epoch"]] = "epoch"
    repeats: bool = False
    closes_at_end: bool = False

    @property
    @abc.abstractmethod
    def state_id(self) -> str:
        """Give the name that its state is kept under; one of a kind in a pipeline."""

    @abc.abstractmethod
    def resume(self, task: TaskId, kept: StateSnapshot, turn: EpochContext) -> StatefulEnricher[C]:
        """Give the object that will see this epoch's batches.

        Raises:
            KtransError: what is kept cannot be gone on with.
        """

    def begin(self, task: TaskId) -> StatefulEnricher[C]:
        """Give an object for a look: nothing is kept, and all totals come out at the end."""
        return self.resume(task, StateSnapshot(), EpochContext(last=True, number=task.epoch.number))

    @abc.abstractmethod
    def prepare(self, batch: pa.RecordBatch) -> Any:
        """Do the part that needs no order. Pure; may be called from several threads at once."""

    @abc.abstractmethod
    def take(self, prepared: Any) -> pa.RecordBatch:
        """Take what `prepare` gave, in the epoch's order; gives rows to pass on at once, if any."""

    def apply(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """Prepare and take."""
        return self.take(self.prepare(batch))

    def refused(self) -> Sequence[Refused]:
        """Give the rows that no total can take, since it was last asked; they become rejects."""
        return ()

    @abc.abstractmethod
    def account(self) -> EpochAccounting:
        """Say where the epoch's rows went; asked after `finish`."""

    @abc.abstractmethod
    def change(self) -> StateUpdate | None:
        """Give what is to be stored; asked after `finish`. None changes nothing."""
