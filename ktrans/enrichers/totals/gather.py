"""Gathers the totals of batches, of a whole epoch or of one of its tasks."""

from __future__ import annotations

from collections.abc import Sequence

from ktrans.api import EpochContext, Refused, RunError
from ktrans.enrichers.totals.config import RollupEnricherConfig, micros
from ktrans.enrichers.totals.merge import Totals, empty, merge
from ktrans.enrichers.totals.plan import RollupPlan
from ktrans.enrichers.totals.prepare import Prepared, Rules

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


def rules(config: RollupEnricherConfig, context: EpochContext, closed_until: int | None) -> Rules:
    """Return the limits that decide about the rows of an epoch."""
    latest = None
    if context.planned is not None:
        latest = int(context.planned.timestamp() * 1_000_000) + micros(config.max_ahead)
    return Rules(closed_until, latest, config.late == "reject")


class Gathered:
    """The totals of the batches so far, and facts about these batches.

    Attributes:
        rows: how many totals there were, and members, when they were last merged.
        newest: the latest time of a row.
        filtered: rows, bytes and packets of rows that are not flows.
        late_rows: how many rows came too late.
    """

    def __init__(self, config: RollupEnricherConfig, plan: RollupPlan, newest: int | None) -> None:
        self._config, self._plan = config, plan
        self._fresh, self._late = _Merger(plan), _Merger(plan)
        self._refused: list[Refused] = []
        self.rows = 0
        self.newest = newest
        self.filtered = (0, 0, 0)
        self.late_rows = 0

    def add(self, prepared: Prepared) -> None:
        """Add a batch.

        Raises:
            RunError: there are too many totals.
        """
        if self._fresh.add(prepared.totals) | self._late.add(prepared.late):
            self.merged()
        self._refused += prepared.refused
        if prepared.newest is not None:
            self.newest = max(prepared.newest, self.newest or prepared.newest)
        self.filtered = added(self.filtered, prepared.filtered)
        self.late_rows += prepared.late_rows

    def merged(self) -> tuple[Totals, Totals]:
        """Return the totals of open windows and those of closed ones.

        Raises:
            RunError: there are too many totals.
        """
        fresh, late = self._fresh.merged(), self._late.merged()
        self.rows = fresh.rows + late.rows
        self.check_room(self.rows)
        return fresh, late

    def take_out(self) -> Prepared:
        """Return what was gathered as if it were one batch, and begin anew; raises as `merged` does."""
        fresh, late = self.merged()
        made = Prepared(fresh, late, self.newest, self.filtered, self.late_rows)
        self._fresh, self._late = _Merger(self._plan), _Merger(self._plan)
        self.rows, self.newest, self.filtered, self.late_rows = 0, None, (0, 0, 0), 0
        return made

    def refused(self) -> Sequence[Refused]:
        """Return the rows since the last call that no total can take."""
        found, self._refused = self._refused, []
        return found

    def check_room(self, count: int) -> None:
        """Check a number of totals against the limit.

        Raises:
            RunError: there are too many.
        """
        limit = self._config.max_groups
        if count > limit:
            raise RunError(
                f"rollup {self._config.id!r} has {count} totals and distinct values in memory; the "
                f"limit is {limit}",
                code="too_many_groups",
                hint="group by fewer columns or ones with fewer values, take approx_distinct for "
                "distinct, a shorter lateness or engine.epoch_size, or raise max_groups",
            )


def added(one: tuple[int, ...], other: tuple[int, ...], *, sign: int = 1) -> tuple[int, int, int]:
    """Return the sum of rows, bytes and packets, or the difference."""
    rows, bytes_, packets = (a + sign * b for a, b in zip(one, other, strict=True))
    return rows, bytes_, packets
