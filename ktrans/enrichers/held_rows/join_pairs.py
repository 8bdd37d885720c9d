"""Puts joined records into the rows of the batches that they came in."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

import numpy as np
import pyarrow as pa

from ktrans.enrichers.held_rows.spill import Hold, without_rows

COUNTS = ("packets", "bytes", "packets_rev", "bytes_rev")
_DROPPED = ("packets_dropped", "bytes_dropped")


class Joined:
    """What is to change in held rows.

    Args:
        noted: by name, what was noted of each record: `row` (its number), `start`, `end`, and for
            each counter its value and, with a question mark behind its name, whether it has one.
        forward: positions of the records that get the others' counters.
        backward: positions of the others, which go.
    """

    COUNTERS = ("packets", "bytes", *_DROPPED)

    def __init__(
        self, noted: Mapping[str, np.ndarray], forward: np.ndarray, backward: np.ndarray
    ) -> None:
        order = np.argsort(forward)  # records are noted in the order of their rows
        forward, backward = forward[order], backward[order]
        self._rows = noted["row"][forward]
        self._gone = np.sort(noted["row"][backward])
        self._new: dict[str, tuple[np.ndarray, np.ndarray]] = {}
        all_ = np.ones(len(forward), bool)
        start, end = noted["start"], noted["end"]
        self._new["start_time"] = (np.minimum(start[forward], start[backward]), all_)
        self._new["end_time"] = (np.maximum(end[forward], end[backward]), all_)
        for name in ("packets", "bytes"):
            self._new[f"{name}_rev"] = (noted[name][backward], noted[f"{name}?"][backward])
        for name in _DROPPED:
            if name in noted:
                there, here = noted[f"{name}?"][forward], noted[f"{name}?"][backward]
                total = np.where(there, noted[name][forward], 0)
                total += np.where(here, noted[name][backward], 0)
                self._new[name] = (total, there | here)

    def release(self, hold: Hold) -> Iterator[pa.RecordBatch]:
        """Yield the held batches with the changes made."""
        return without_rows(self._changed(hold.drain()), self._gone)

    def _changed(self, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        first = 0
        for batch in batches:
            last = first + batch.num_rows
            changed = slice(*np.searchsorted(self._rows, (first, last)).tolist())
            yield self._change(batch, changed, first) if changed.stop > changed.start else batch
            first = last

    def _change(self, batch: pa.RecordBatch, which: slice, first: int) -> pa.RecordBatch:
        rows = self._rows[which] - first
        columns = []
        for name, column in zip(batch.schema.names, batch.columns, strict=True):
            new = self._new.get(name)
            if new is None:
                columns.append(column)
            else:
                columns.append(_with(column, rows, new[0][which], new[1][which]))
        return pa.RecordBatch.from_arrays(columns, schema=batch.schema)


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
