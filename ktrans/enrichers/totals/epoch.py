"""One attempt at an epoch of a rollup: merge totals, close windows, account for every row."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ktrans.api import EpochAccounting, EpochContext, Refused, StateSnapshot, StateUpdate
from ktrans.enrichers.totals import gather
from ktrans.enrichers.totals import state as stored_state
from ktrans.enrichers.totals.config import RollupEnricherConfig, micros
from ktrans.enrichers.totals.gather import Gathered, added
from ktrans.enrichers.totals.merge import Totals, empty, identify, merge, sketched, sums
from ktrans.enrichers.totals.output import rows, top
from ktrans.enrichers.totals.part import unpack
from ktrans.enrichers.totals.plan import WINDOW, RollupPlan
from ktrans.enrichers.totals.prepare import Prepared
from ktrans.enrichers.totals.state import Meta, Opened


class RollupEpoch:
    """The totals that were open before, those of the epoch, and those that stay open after."""

    state_update: StateUpdate
    after: Opened

    def __init__(
        self,
        config: RollupEnricherConfig,
        plan: RollupPlan,
        schema: pa.Schema,
        before: Opened,
        context: EpochContext,
    ) -> None:
        self.context = context
        self._config, self._plan, self._schema, self._before = config, plan, schema, before
        self.rules = gather.rules(config, context, before.meta.closed_until)
        self._gathered = Gathered(config, plan, before.meta.newest)
        self._closed = (0, 0, 0)

    @staticmethod
    def read(plan: RollupPlan, snapshot: StateSnapshot, name: str) -> Opened:
        """Return the totals that recorded epochs left open."""
        return stored_state.read(plan, snapshot.read(), name)

    def add(self, prepared: Prepared) -> None:
        """Add a batch.

        Raises:
            RunError: there are too many totals.
        """
        self._gathered.add(prepared)

    def merge(self, partial: bytes) -> None:
        """Add the totals of a task; raises as `add` does."""
        for prepared in unpack(partial):
            self._gathered.add(prepared)

    def refused(self) -> Sequence[Refused]:
        """Return the rows since the last call that no total can take."""
        return self._gathered.refused()

    def finish(self) -> Iterator[pa.RecordBatch]:
        """Merge, close windows, and yield the totals that come out."""
        plan, before, gathered = self._plan, self._before, self._gathered
        fresh, late = gathered.merged()
        gathered.check_room(before.totals.rows + gathered.rows)
        fresh, late = sketched(plan, fresh), sketched(plan, late)
        both = merge(plan, [before.totals, fresh])
        until = self._closed_until(both)
        edge = None if until is None else until - plan.width + 1
        stay = both.where(edge)
        gone = both.where(None, edge) if edge is not None else empty(plan)
        meta = Meta(plan.definition(), until, gathered.newest, 0, sums(stay.main))
        stays_new = fresh.where(edge)
        self.state_update, meta = stored_state.update(
            plan, before.meta, stays_new, Opened(meta, stay)
        )
        self.after = Opened(meta, stay)
        self._closed = added(sums(gone.main), sums(late.main))
        if self._config.emit == "running":
            own, new = identify([both.main, fresh.main], plan.keys)
            changed = pa.array(np.isin(own, new))
            yield from rows(plan, self._schema, both, revision=None, only=changed)
        else:
            yield from self._emit(gone, None)
        yield from self._emit(late, self.context.number)

    def _closed_until(self, both: Totals) -> int | None:
        """Return the time until which windows are closed; it never decreases."""
        until = self._before.meta.closed_until
        found = [] if until is None else [until]
        if self._gathered.newest is not None:
            found.append(self._gathered.newest - micros(self._config.lateness))
        if self.context.last and both.main.num_rows:
            found.append(pc.max(both.main.column(WINDOW)).as_py() + self._plan.width)
        return max(found, default=None)

    def _emit(self, totals: Totals, revision: int | None) -> Iterator[pa.RecordBatch]:
        if (choice := self._config.top) is not None:
            totals = top(self._plan, totals, choice)
        yield from rows(self._plan, self._schema, totals, revision=revision)

    def accounting(self) -> EpochAccounting:
        """Return where the rows went, counted from the totals."""
        held = added(self.after.meta.sums, self._before.meta.sums, sign=-1)
        gathered = self._gathered
        return EpochAccounting(held, self._closed, gathered.filtered, gathered.late_rows)
