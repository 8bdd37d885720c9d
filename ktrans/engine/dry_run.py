"""A dry run's ends: rows are counted, and go nowhere."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pyarrow as pa

from ktrans.api import EpochId, Plan, Receipt, Sink, TaskId, Writer
from ktrans.engine.assemble import Assembly


class Discard(Sink[Any]):
    """Stands in for a sink whose binding has already been checked."""

    def bind(self, schema: pa.Schema) -> None:
        """Take any rows."""

    def writer(self, task: TaskId) -> Writer:
        """Give a counter."""
        del task
        return _Counter()

    def commit(self, epoch: EpochId, receipts: Sequence[Receipt]) -> None:
        """Do nothing."""


class _Counter(Writer):
    def __init__(self) -> None:
        self._rows = 0

    def write(self, encoded: pa.RecordBatch) -> None:
        self._rows += encoded.num_rows

    def finish(self) -> Receipt:
        return Receipt(self._rows)

    def abort(self) -> None:
        self._rows = 0


def discard(assembly: Assembly) -> None:
    """Replace the sinks, and the source's acknowledgements, by ones that leave no trace."""
    for bound in assembly.all_sinks():
        bound.sink.close()
        bound.sink = Discard(bound.entry.config, bound.sink.context)

    def commit(plan: Plan) -> None:
        del plan

    assembly.source.commit = commit  # type: ignore[method-assign]
