"""Counts rows and discards them: for dry runs, and to measure the rest of a pipeline."""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa

from ktrans.api import ComponentConfig, EpochId, Receipt, Sink, TaskId, Writer


class BlackholeSinkConfig(ComponentConfig, type="blackhole"):
    """Options of the blackhole sink."""


class BlackholeSink(Sink[BlackholeSinkConfig]):
    """Discards rows of any schema. Its receipts have their number and size in memory."""

    stages = "anywhere"

    def bind(self, schema: pa.Schema) -> None:
        """Accept any schema."""

    def writer(self, task: TaskId) -> Writer:
        """Return a writer that counts."""
        del task
        return _Counter()

    def commit(self, epoch: EpochId, receipts: Sequence[Receipt]) -> None:
        """Do nothing."""


class _Counter(Writer):
    def __init__(self) -> None:
        self._rows = 0
        self._bytes = 0

    def write(self, encoded: pa.RecordBatch) -> None:
        self._rows += encoded.num_rows
        self._bytes += encoded.nbytes

    def finish(self) -> Receipt:
        return Receipt(self._rows, self._bytes)

    def abort(self) -> None:
        self._rows = self._bytes = 0
