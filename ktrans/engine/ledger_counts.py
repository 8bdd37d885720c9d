"""Counts rows and their counters before and after a stage, for the ledger."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from ktrans.api import Enricher, StatefulEnricher
from ktrans.engine.ledger import Ledger, StageLedger, Tally

NODATA, SKIPDATA = pa.scalar("NODATA", pa.string()), pa.scalar("SKIPDATA", pa.string())
NO_FLOWS = pa.array([NODATA, SKIPDATA], pa.string())


def measure(batch: pa.RecordBatch) -> Tally:
    """Count a batch's rows and sum its counters."""
    return Tally(batch.num_rows, _sum(batch, "bytes"), _sum(batch, "packets"))


def _sum(batch: pa.RecordBatch, name: str) -> int:
    index = batch.schema.get_field_index(name)
    if index < 0:
        return 0
    column = batch.column(index)
    if not (pa.types.is_integer(column.type) or pa.types.is_floating(column.type)):
        return 0  # after a rollup, a column of this name may be anything
    return int(pc.sum(column).as_py() or 0)


def apply_counted(
    enricher: Enricher[Any],
    stage: StageLedger,
    batch: pa.RecordBatch,
    tally: Tally,
    prepared: Any = None,
) -> tuple[pa.RecordBatch, Tally]:
    """Apply an enricher and count; a stateful one takes what it has prepared of the batch."""
    if prepared is not None:
        assert isinstance(enricher, StatefulEnricher)
        after = enricher.take(prepared)
        measured = measure(after)
    else:
        after = enricher.apply(batch)
        # Counters are summed again only if the enricher may have changed them.
        same = after.num_rows == batch.num_rows and _shares_counters(batch, after)
        measured = tally if same else measure(after)
    stage.came_in.add(tally)
    stage.went_out.add(measured)
    return after, measured


def add_accounting(stage: StageLedger, enricher: StatefulEnricher[Any]) -> None:
    """Add what a stateful enricher says of where the epoch's rows went."""
    account = enricher.accounting()
    stage.held.add(Tally(*account.held))
    stage.closed.add(Tally(*account.closed))
    stage.filtered.add(Tally(*account.filtered))
    stage.late += account.late


def _shares_counters(before: pa.RecordBatch, after: pa.RecordBatch) -> bool:
    """Return whether the counters of two batches are the same memory."""
    for name in ("bytes", "packets"):
        old, new = before.schema.get_field_index(name), after.schema.get_field_index(name)
        if (old < 0) != (new < 0):
            return False
        if old >= 0 and _address(before.column(old)) != _address(after.column(new)):
            return False
    return True


def _address(column: pa.Array) -> tuple[Any, ...]:
    addresses = (None if buffer is None else buffer.address for buffer in column.buffers())
    return (column.offset, *addresses)


def count_status(ledger: Ledger, batch: pa.RecordBatch) -> None:
    """Count rows that are not flows; checks the dictionary first, since most batches have none."""
    index = batch.schema.get_field_index("log_status")
    if index < 0:
        return
    column = batch.column(index)
    if isinstance(column, pa.DictionaryArray):
        words = column.dictionary
        if not pc.any(pc.is_in(words, NO_FLOWS)).as_py():
            return
    ledger.nodata = int(pc.sum(pc.equal(column, NODATA)).as_py() or 0)
    ledger.skipdata = int(pc.sum(pc.equal(column, SKIPDATA)).as_py() or 0)
