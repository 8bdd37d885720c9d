"""Batches of lines for requests: tables of rows, with the line of each row in a column of its own."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

_LINE = "\0line"
_compute: Any = pc


def with_lines(rows: pa.RecordBatch, texts: pa.Array) -> pa.Table:
    """Return a table of rows and their lines, which include line ends."""
    return pa.Table.from_batches([rows]).append_column(_LINE, texts.cast(pa.large_string()))


def body(batch: pa.Table) -> bytes:
    """Return all lines."""
    found = []
    for chunk in batch.column(_LINE).chunks:
        _, offsets, data = chunk.buffers()
        bounds = np.frombuffer(offsets, np.int64)[chunk.offset : chunk.offset + len(chunk) + 1]
        found.append(memoryview(data)[bounds[0] : bounds[-1]] if len(chunk) else b"")
    return b"".join(found)


def rows_of(batch: pa.Table) -> list[pa.RecordBatch]:
    """Return the rows without their lines."""
    batches: list[pa.RecordBatch] = batch.drop_columns([_LINE]).to_batches()
    return batches


def halves(batch: pa.Table) -> list[pa.Table]:
    """Split a batch in the middle."""
    middle = batch.num_rows // 2
    return [batch.slice(0, middle), batch.slice(middle)]


class Batcher:
    """Collects lines into batches.

    Args:
        batch_lines: maximum lines of a batch.
        batch_bytes: maximum bytes of a batch; a longer line is a batch by itself.
    """

    def __init__(self, batch_lines: int, batch_bytes: int) -> None:
        self._batch_lines = batch_lines
        self._batch_bytes = batch_bytes
        self._parts: list[pa.Table] = []
        self._count = self._size = 0

    def add(self, lines: pa.Table) -> Iterator[pa.Table]:
        """Add lines, and yield the batches that are full."""
        sizes = np.asarray(_compute.binary_length(lines.column(_LINE)))
        starts = np.concatenate(([0], np.cumsum(sizes, dtype=np.int64)))
        first, count = 0, lines.num_rows
        while first < count:
            end = starts[first] + self._batch_bytes - self._size
            last = int(np.searchsorted(starts, end, side="right")) - 1
            last = min(last, first + self._batch_lines - self._count, count)
            if last <= first:
                if self._parts:
                    yield from self.flush()
                    continue
                last = first + 1
            self._parts.append(lines.slice(first, last - first))
            self._count += last - first
            self._size += int(starts[last] - starts[first])
            first = last
            if first < count or self._count >= self._batch_lines:
                yield from self.flush()

    def flush(self) -> list[pa.Table]:
        """Return the remaining lines as a batch, if there are any."""
        parts, self._parts = self._parts, []
        self._count = self._size = 0
        return [pa.concat_tables(parts)] if parts else []
