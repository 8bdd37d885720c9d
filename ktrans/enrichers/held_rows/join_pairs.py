"""Puts joined records into the rows of the batches that they came in."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

import numpy as np
import pyarrow as pa

from ktrans.enrichers.held_rows.spill import without_rows

COUNTS = ("packets", "bytes", "packets_rev", "bytes_rev")
_DROPPED = ("packets_dropped", "bytes_dropped")


COUNTERS = ("packets", "bytes", *_DROPPED)


def joined(
    noted: Mapping[str, np.ndarray],
    forward: np.ndarray,
    backward: np.ndarray,
    batches: Iterable[pa.RecordBatch],
) -> Iterator[pa.RecordBatch]:
    """Yield batches in which records have the counters of others, which go.

    Args:
        noted: by name, what was noted of each record: `row` (its number), `start`, `end`, and for
            each counter its value and, with a question mark behind its name, whether it has one.
        forward: positions of the records that get the others' counters.
        backward: positions of the others.
        batches: the rows.
    """
    order = np.argsort(forward)  # records are noted in the order of their rows
    forward, backward = forward[order], backward[order]
    all_ = np.ones(len(forward), bool)
    start, end = noted["start"], noted["end"]
    new = {
        "start_time": (np.minimum(start[forward], start[backward]), all_),
        "end_time": (np.maximum(end[forward], end[backward]), all_),
        "packets_rev": (noted["packets"][backward], noted["packets?"][backward]),
        "bytes_rev": (noted["bytes"][backward], noted["bytes?"][backward]),
    }
    for name in _DROPPED:
        if name in noted:
            there, here = noted[f"{name}?"][forward], noted[f"{name}?"][backward]
            total = np.where(there, noted[name][forward], 0)
            total += np.where(here, noted[name][backward], 0)
            new[name] = (total, there | here)
    rows = noted["row"]
    return without_rows(_changed(batches, rows[forward], new), np.sort(rows[backward]))


def _changed(
    batches: Iterable[pa.RecordBatch],
    rows: np.ndarray,
    new: Mapping[str, tuple[np.ndarray, np.ndarray]],
) -> Iterator[pa.RecordBatch]:
    """Yield batches with new values, and whether there is one, in some rows of some columns."""
    first = 0
    for batch in batches:
        which = slice(*np.searchsorted(rows, (first, first + batch.num_rows)).tolist())
        here = rows[which] - first
        first += batch.num_rows
        if not here.size:
            yield batch
            continue
        columns = [
            _with(column, here, *(part[which] for part in new[name])) if name in new else column
            for name, column in zip(batch.schema.names, batch.columns, strict=True)
        ]
        yield pa.RecordBatch.from_arrays(columns, schema=batch.schema)


def _with(column: pa.Array, rows: np.ndarray, numbers: np.ndarray, valid: np.ndarray) -> pa.Array:
    """Return a column of integers or times (in microseconds) with other values in some rows."""
    new = pa.array(numbers, mask=~valid)
    if pa.types.is_timestamp(column.type):
        new = new.cast(pa.timestamp("us", tz=column.type.tz))
    new = new.cast(column.type)
    place = np.full(len(column), -1, np.int64)
    place[rows] = np.arange(len(rows))
    both = pa.concat_arrays([column, new])
    at = np.where(place >= 0, place + len(column), np.arange(len(column)))
    return both.take(pa.array(at))
