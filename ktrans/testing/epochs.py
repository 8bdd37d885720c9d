"""Runs stateful enrichers through epochs, as the engine does: in one task, or shared by several."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from ktrans.api import (
    EpochAccounting,
    EpochContext,
    EpochId,
    StatefulEnricher,
    StateSnapshot,
    StateUpdate,
    TaskId,
)


@dataclass
class EpochOutcome:
    """What came of an epoch.

    Attributes:
        rows: what was passed on, in order.
        refused: what was refused, by reason, in order.
        accounting: where the rows went.
        update: what is stored.
    """

    rows: list[dict[str, Any]] = field(default_factory=list)
    refused: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    accounting: EpochAccounting | None = None
    update: StateUpdate | None = None


@dataclass
class Epochs:
    """Epochs of one enricher, one after the other; stands in for the state store."""

    enricher: StatefulEnricher[Any]
    number: int = 0
    version: int = 0
    parts: list[bytes] = field(default_factory=list)

    def run(
        self,
        *tasks: Sequence[pa.RecordBatch],
        context: EpochContext | None = None,
        last: bool = False,
    ) -> EpochOutcome:
        """Run an epoch of these batches of each task, and keep what it stores."""
        self.number += 1
        context = context or EpochContext(last=last, number=self.number)
        parts = list(self.parts)
        snapshot = StateSnapshot(self.version, lambda: parts)
        outcome = EpochOutcome()
        partials = []
        if len(tasks) > 1:
            asked = self.enricher.resume(self._task(len(tasks)), snapshot, context)
            facts = json.loads(json.dumps(asked.facts()))
            for index, batches in enumerate(tasks):
                part = self.enricher.part(self._task(index), facts, context)
                rows = _take(part, batches, outcome)
                assert not rows, "the part of a task passes no rows on"
                partials.append(part.partial())
        run = self.enricher.resume(self._task(len(partials)), snapshot, context)
        if len(tasks) == 1:
            outcome.rows += _take(run, tasks[0], outcome)
        for partial in partials:
            run.merge(partial)
        outcome.rows += [row for batch in run.finish() for row in batch.to_pylist()]
        outcome.accounting = run.accounting()
        outcome.update = run.state_update()
        if outcome.update is not None:
            kept = [] if outcome.update.whole else self.parts
            self.parts = [*kept, *outcome.update.parts]
            self.version = self.number
        return outcome

    def _task(self, index: int) -> TaskId:
        return TaskId(EpochId("p", self.number), index)


def _take(
    run: StatefulEnricher[Any], batches: Sequence[pa.RecordBatch], outcome: EpochOutcome
) -> list[dict[str, Any]]:
    rows = []
    for batch in batches:
        rows += run.take(run.prepare(batch)).to_pylist()
        for refused in run.refused():
            outcome.refused += [(refused.reason, row) for row in refused.rows.to_pylist()]
    return rows
