"""One attempt at an epoch of a rollup: merge totals, close windows, account for every row."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ktrans.api import EpochAccounting, EpochContext, Refused, RunError, StateSnapshot, StateUpdate
from ktrans.enrichers.totals import state as stored_state
from ktrans.enrichers.totals.config import RollupEnricherConfig, micros
from ktrans.enrichers.totals.merge import Totals, empty, identify, merge, sketched, sums
from ktrans.enrichers.totals.output import rows, top
from ktrans.enrichers.totals.plan import WINDOW, RollupPlan
from ktrans.enrichers.totals.prepare import Prepared, Rules
from ktrans.enrichers.totals.state import Meta, Opened

PENDING_ROWS = 1 << 20
PENDING_BATCHES = 512


class _Merger:
    """Collects totals of batches, and merges them when there are many, to save memory."""

    def __init__(self, plan: RollupPlan) -> None:
        self._plan = plan
        self._merged = empty(plan, stored=False)
        self._pending: list[Totals] = []
        self._rows = 0

    def add(self, totals: Totals | None) -> bool:
        """Add the totals of a batch; return whether they were merged."""
        if totals is None:
            return False
        self._pending.append(totals)
        self._rows += totals.rows
        due = self._rows > max(PENDING_ROWS, 2 * self._merged.rows)
        if due or len(self._pending) >= PENDING_BATCHES:
            self.merged()
            return True
        return False

    def merged(self) -> Totals:
        """Return all totals, merged; members as values."""
        if self._pending:
            self._merged = merge(self._plan, [self._merged, *self._pending], stored=False)
            self._pending, self._rows = [], 0
        return self._merged


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
        self._lateness = micros(config.lateness)
        latest = None
        if context.planned is not None:
            latest = int(context.planned.timestamp() * 1_000_000) + micros(config.max_ahead)
        self.rules = Rules(before.meta.closed_until, latest, config.late == "reject")
        self._fresh, self._late = _Merger(plan), _Merger(plan)
        self._refused: list[Refused] = []
        self._newest = before.meta.newest
        self._filtered = (0, 0, 0)
        self._late_rows = 0
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
        if self._fresh.add(prepared.totals) | self._late.add(prepared.late):
            self._check_room(self._fresh.merged().rows + self._late.merged().rows)
        self._refused += prepared.refused
        if prepared.newest is not None:
            self._newest = max(prepared.newest, self._newest or prepared.newest)
        self._filtered = _add(self._filtered, prepared.filtered)
        self._late_rows += prepared.late_rows

    def refused(self) -> Sequence[Refused]:
        """Return the rows since the last call that no total can take."""
        found, self._refused = self._refused, []
        return found

    def _check_room(self, count: int) -> None:
        limit = self._config.max_groups
        if count > limit:
            raise RunError(
                f"rollup {self._config.id!r} has {count} totals and distinct values in memory; the "
                f"limit is {limit}",
                code="too_many_groups",
                hint="group by fewer columns or ones with fewer values, take approx_distinct for "
                "distinct, a shorter lateness or engine.epoch_size, or raise max_groups",
            )

    def finish(self) -> Iterator[pa.RecordBatch]:
        """Merge, close windows, and yield the totals that come out."""
        plan, before = self._plan, self._before
        added, late = self._fresh.merged(), self._late.merged()
        self._check_room(before.totals.rows + added.rows + late.rows)
        added, late = sketched(plan, added), sketched(plan, late)
        both = merge(plan, [before.totals, added])
        until = self._closed_until(both)
        edge = None if until is None else until - plan.width + 1
        stay = both.where(edge)
        gone = both.where(None, edge) if edge is not None else empty(plan)
        meta = Meta(plan.definition(), until, self._newest, 0, sums(stay.main))
        stays_new = added.where(edge)
        self.state_update, meta = stored_state.update(
            plan, before.meta, stays_new, Opened(meta, stay)
        )
        self.after = Opened(meta, stay)
        self._closed = _add(sums(gone.main), sums(late.main))
        if self._config.emit == "running":
            own, new = identify([both.main, added.main], plan.keys)
            changed = pa.array(np.isin(own, new))
            yield from rows(plan, self._schema, both, revision=None, only=changed)
        else:
            yield from self._emit(gone, None)
        yield from self._emit(late, self.context.number)

    def _closed_until(self, both: Totals) -> int | None:
        """Return the time until which windows are closed; it never decreases."""
        until = self._before.meta.closed_until
        found = [] if until is None else [until]
        if self._newest is not None:
            found.append(self._newest - self._lateness)
        if self.context.last and both.main.num_rows:
            found.append(pc.max(both.main.column(WINDOW)).as_py() + self._plan.width)
        return max(found, default=None)

    def _emit(self, totals: Totals, revision: int | None) -> Iterator[pa.RecordBatch]:
        if (choice := self._config.top) is not None:
            totals = top(self._plan, totals, choice)
        yield from rows(self._plan, self._schema, totals, revision=revision)

    def accounting(self) -> EpochAccounting:
        """Return where the rows went, counted from the totals."""
        held = _add(self.after.meta.sums, self._before.meta.sums, sign=-1)
        return EpochAccounting(held, self._closed, self._filtered, self._late_rows)


def _add(one: tuple[int, ...], other: tuple[int, ...], *, sign: int = 1) -> tuple[int, int, int]:
    rows_, bytes_, packets = (a + sign * b for a, b in zip(one, other, strict=True))
    return rows_, bytes_, packets
