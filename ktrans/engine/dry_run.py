"""The sinks of a dry run: they count rows and write nothing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pyarrow as pa

from ktrans.api import EpochId, Plan, Receipt, Sink, TaskId, Writer
from ktrans.engine.assembly import Assembly


class DiscardingSink(Sink[Any]):
    """Replaces a sink whose binding has been checked, and discards its rows."""

    def bind(self, schema: pa.Schema) -> None:
        """Accept any schema."""

    def writer(self, task: TaskId) -> Writer:
        """Return a writer that only counts rows."""
        del task
        return _CountingWriter()

    def commit(self, epoch: EpochId, receipts: Sequence[Receipt]) -> None:
        """Do nothing."""


class _CountingWriter(Writer):
    def __init__(self) -> None:
        self._rows = 0

    def write(self, encoded: pa.RecordBatch) -> None:
        self._rows += encoded.num_rows

    def finish(self) -> Receipt:
        return Receipt(self._rows)

    def abort(self) -> None:
        self._rows = 0


def discard_output(assembly: Assembly) -> None:
    """Replace the sinks, and the acknowledgements of the source, by ones that leave no trace."""
    for bound in assembly.all_sinks():
        bound.sink.close()
        bound.sink = DiscardingSink(bound.entry.config, bound.sink.context)

    def commit(plan: Plan) -> None:
        del plan

    assembly.source.commit = commit  # type: ignore[method-assign]
