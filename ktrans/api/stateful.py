"""Enrichers that keep state from one epoch to the next, exactly once.

The state update is recorded in the same transaction as the epoch. An epoch that is done again
begins with the state after the last recorded one.

>>> from ktrans.api import ComponentConfig, EpochAccounting, StatefulEnricher, StateUpdate
>>> class CountEnricher(StatefulEnricher[ComponentConfig]):
...     state_id, rows, total = "count", 0, 0
...     def bind(self, schema):
...         return schema
...     def resume(self, task, snapshot, context):
...         run = CountEnricher(self.config, self.context)
...         run.total = sum(int(part) for part in snapshot.read())
...         return run
...     def prepare(self, batch):
...         return batch
...     def take(self, prepared):
...         self.rows += prepared.num_rows
...         return prepared
...     def accounting(self):
...         return EpochAccounting(held=(0, 0, 0), closed=(self.rows, 0, 0), filtered=(0, 0, 0), late=0)
...     def state_update(self):
...         return StateUpdate((str(self.total + self.rows).encode(),), whole=True, open=0)
"""

from __future__ import annotations

import abc
import datetime as dt
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from ktrans.api.component import C
from ktrans.api.enricher import Enricher, Scope
from ktrans.api.sink import Refused, TaskId

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True, slots=True)
class StateSnapshot:
    """The state after the last recorded epoch.

    Attributes:
        version: the number of the epoch that changed it last; 0 if none did.
        read: returns the stored parts in the order of the epochs, from the last one that replaced
            everything.
    """

    version: int = 0
    read: Callable[[], Sequence[bytes]] = tuple


@dataclass(frozen=True, slots=True)
class StateUpdate:
    """What an epoch changes in the state.

    Attributes:
        parts: bytes to store, in a form of the enricher's own.
        whole: they replace all that was stored before; otherwise they are added.
        open: how many totals are open after the epoch.
    """

    parts: tuple[bytes, ...]
    whole: bool
    open: int


@dataclass(frozen=True, slots=True)
class EpochContext:
    """Facts about the epoch that is processed.

    Attributes:
        planned: when the epoch was planned; the same if it is done again.
        last: the input has ended, and nothing may stay open.
        number: the epoch's number.
    """

    planned: dt.datetime | None = None
    last: bool = False
    number: int = 0


Sums = tuple[int, int, int]
"""Rows, and the sums of their bytes and packets."""


@dataclass(frozen=True, slots=True)
class EpochAccounting:
    """Where the rows of an epoch went. The ledger checks: in = held + closed + filtered + refused.

    Attributes:
        held: how much more is in open totals than before the epoch; negative if less.
        closed: in totals that are no longer open.
        filtered: in no total, by design.
        late: rows that came after their total had been closed.
    """

    held: Sums
    closed: Sums
    filtered: Sums
    late: int


class StatefulEnricher(Enricher[C], abc.ABC):
    """An enricher that turns rows of several epochs into totals.

    The engine calls `resume` for each attempt at an epoch, and on its result `prepare` and `take`
    for each batch, `finish` for rows to pass on, then `accounting` and `state_update`.

    With the scope "partials" the tasks of an epoch share the work, on other machines too. For each
    attempt at one of them the engine calls `part`, and on its result `prepare` and `take` for each
    batch, then `partial`. The results are passed to `merge` of what `resume` returned, in the order
    of the tasks, before `finish`. However the batches are grouped into tasks, the same must come out.
    An epoch of one task is done without.

    Attributes:
        repeats: a total is passed on each time it changes, so that sinks must replace the earlier
            one (`Sink.upserts`).
        closes_at_end: it needs a last epoch at the end of finite input, to close what is open.
    """

    scope: ClassVar[Scope] = "epoch"
    repeats: bool = False
    closes_at_end: bool = False

    @property
    @abc.abstractmethod
    def state_id(self) -> str:
        """The name of its state, unique in a pipeline."""

    @abc.abstractmethod
    def resume(
        self, task: TaskId, snapshot: StateSnapshot, context: EpochContext
    ) -> StatefulEnricher[C]:
        """Return the object for this epoch's batches.

        Raises:
            KtransError: the stored state cannot be used.
        """

    def begin(self, task: TaskId) -> StatefulEnricher[C]:
        """Return an object for a preview: no state is kept, all totals come out at the end."""
        return self.resume(task, StateSnapshot(), EpochContext(last=True, number=task.epoch.number))

    @abc.abstractmethod
    def prepare(self, batch: pa.RecordBatch) -> Any:
        """Do the part that needs no order. Pure; may be called from several threads at once."""

    @abc.abstractmethod
    def take(self, prepared: Any) -> pa.RecordBatch:
        """Take what `prepare` returned, in the epoch's order; return rows to pass on at once."""

    def apply(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """Prepare and take."""
        return self.take(self.prepare(batch))

    def facts(self) -> Any:
        """Return what `part` has to know of the state, as JSON; called on what `resume` returned."""
        return None

    def part(self, task: TaskId, facts: Any, context: EpochContext) -> StatefulEnricher[C]:
        """Return the object for the batches of one of several tasks; `take` passes no rows on."""
        raise NotImplementedError

    def partial(self) -> bytes:
        """Return what the batches of this task come to; called once, after the last one."""
        raise NotImplementedError

    def merge(self, partial: bytes) -> None:
        """Take the partial result of one task, as `take` takes batches."""
        raise NotImplementedError

    def refused(self) -> Sequence[Refused]:
        """Return the rows since the last call that no total can take; they become rejects."""
        return ()

    @abc.abstractmethod
    def accounting(self) -> EpochAccounting:
        """Return where the epoch's rows went; called after `finish`."""

    @abc.abstractmethod
    def state_update(self) -> StateUpdate | None:
        """Return what to store; called after `finish`. None changes nothing."""
