"""The `rollup` enricher: totals of rows by window of time and group, exactly once.

See docs/rollups.md for the guarantees. Each batch is aggregated in the worker pool, the epoch
merges the totals, and those of open windows are stored as part of the epoch.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from typing import ClassVar, Self

import pyarrow as pa

from ktrans.api import (
    Context,
    EpochAccounting,
    EpochContext,
    Refused,
    Scope,
    StatefulEnricher,
    StateSnapshot,
    StateUpdate,
    TaskId,
)
from ktrans.enrichers.totals.config import REVISION, RollupEnricherConfig
from ktrans.enrichers.totals.epoch import RollupEpoch
from ktrans.enrichers.totals.output import out_schema
from ktrans.enrichers.totals.part import RollupPart
from ktrans.enrichers.totals.plan import RollupPlan, make_plan
from ktrans.enrichers.totals.prepare import Prepared, prepare
from ktrans.enrichers.totals.state import Opened
from ktrans.flow.schema import COUNTERS
from ktrans.kit.columns import option, require


class RollupEnricher(StatefulEnricher[RollupEnricherConfig]):
    """Turns rows into totals by window and group."""

    drops_rows = True
    changes_counters = True
    scope: ClassVar[Scope] = "partials"

    _plan: RollupPlan
    _input: pa.Schema
    _schema: pa.Schema
    epoch: RollupEpoch
    """The current epoch, in the object that `resume` returns."""
    rows: RollupEpoch | RollupPart
    """What takes batches: the epoch, or a task's part of it in the object that `part` returns."""

    def __init__(self, config: RollupEnricherConfig, context: Context | None = None) -> None:
        super().__init__(config, context)
        self.repeats = config.emit == "running"
        self.closes_at_end = config.flush == "at_end"
        self._known: dict[int, Opened] = {}
        """Open totals by the epoch that left them: saves reading them back in the same run."""

    @property
    def state_id(self) -> str:
        """The name that open windows are stored under."""
        return self.config.id

    def needs(self) -> Sequence[str]:
        """Name groups, times, what is aggregated, and the origin of rows for rejects."""
        config = self.config
        columns = [column for _, column in config.functions().values() if column is not None]
        # The default weight is never the decoder's to bring: `sample` makes it.
        asked = "weight" in config.model_fields_set
        weight = [config.weight] if asked and config.weight else []
        origin = ["log_status", "source_uri", "source_pos"]
        return list(
            dict.fromkeys([*config.group_by, *config.time, *columns, *weight, *COUNTERS, *origin])
        )

    def keeps(self) -> Sequence[str]:
        """Name the groups."""
        return self.config.group_by

    def adds(self) -> Sequence[str]:
        """Name windows, totals and the revision."""
        revision = [REVISION] if self.config.late == "correct" else []
        return ["window_start", "window_end", *self.config.aggregates, *revision]

    def bind(self, schema: pa.Schema) -> pa.Schema:
        """Determine what to compute."""
        config = self.config
        times = [name for name in config.time if name in schema.names]
        if "time" in config.model_fields_set or not times:
            with option("time"):
                require(schema, config.time, "rollup")
        weight = config.weight
        if weight not in schema.names and "weight" not in config.model_fields_set:
            weight = None
        self._plan = make_plan(config, schema, times, weight)
        self._input = schema
        self._schema = out_schema(self._plan, schema, revisions=config.late == "correct")
        return self._schema

    def resume(self, task: TaskId, snapshot: StateSnapshot, context: EpochContext) -> Self:
        """Return an object for an epoch, with the totals that recorded epochs left open."""
        del task
        before = self._known.get(snapshot.version)
        if before is None or not snapshot.version:
            before = RollupEpoch.read(self._plan, snapshot, self.config.id)
        self._known.clear()
        self._known[snapshot.version] = before
        run = copy.copy(self)
        run.rows = run.epoch = RollupEpoch(self.config, self._plan, self._schema, before, context)
        return run

    def facts(self) -> dict[str, int | None]:
        """Return which windows are closed: late rows are found where they are read."""
        return {"closed_until": self.epoch.rules.closed_until}

    def part(self, task: TaskId, facts: dict[str, int | None], context: EpochContext) -> Self:
        """Return an object for one of several tasks of an epoch."""
        del task
        run = copy.copy(self)
        run.rows = RollupPart(self.config, self._plan, context, **facts)
        return run

    def partial(self) -> bytes:
        """Return the totals of this task."""
        assert isinstance(self.rows, RollupPart)
        return self.rows.partial()

    def merge(self, partial: bytes) -> None:
        """Add the totals of a task."""
        self.epoch.merge(partial)

    def prepare(self, batch: pa.RecordBatch) -> Prepared:
        """Aggregate a batch."""
        return prepare(self._plan, batch, self.rows.rules)

    def take(self, prepared: Prepared) -> pa.RecordBatch:
        """Add the totals of a batch; no rows come out yet."""
        self.rows.add(prepared)
        return _no_rows(self._schema)

    def refused(self) -> Sequence[Refused]:
        """Return rows without a time, from the future, or too late."""
        return self.rows.refused()

    def finish(self) -> Iterator[pa.RecordBatch]:
        """Close windows, and yield their totals."""
        yield from self.epoch.finish()
        self._known[self.epoch.context.number] = self.epoch.after

    def accounting(self) -> EpochAccounting:
        """Return where the rows went."""
        return self.epoch.accounting()

    def state_update(self) -> StateUpdate | None:
        """Return what to store."""
        return self.epoch.state_update


def _no_rows(schema: pa.Schema) -> pa.RecordBatch:
    return pa.RecordBatch.from_pylist([], schema=schema)
