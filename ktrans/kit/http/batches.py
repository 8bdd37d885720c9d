"""Rows with their texts, and batches of them that are bounded in number and size."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

_compute: Any = pc
_TEXT = "\0text"
"""The column of a batch, a table of rows, that has the text of each row as bytes."""


def with_texts(rows: pa.RecordBatch, texts: pa.Array) -> pa.Table:
    """Return a batch: rows and their texts or bytes, which include row ends."""
    return pa.Table.from_batches([rows]).append_column(_TEXT, texts.cast(pa.large_binary()))


def text_of(batch: pa.Table) -> bytes:
    """Return the texts of all rows, one after the other."""
    found = []
    for chunk in batch.column(_TEXT).chunks:
        if len(chunk):
            _, offsets, data = chunk.buffers()
            bounds = np.frombuffer(offsets, np.int64)[chunk.offset :]
            if data is not None:
                found.append(memoryview(data)[bounds[0] : bounds[len(chunk)]])
    return b"".join(found)


def groups_of(
    batch: pa.Table, keys: pa.Array, order: np.ndarray | None = None
) -> Iterator[tuple[Any, pa.Table]]:
    """Yield each distinct key with its rows, in the order of the rows or by `order`.

    Args:
        batch: the rows.
        keys: the key of each row, without nulls.
        order: what the rows of a key are sorted by, for each row.
    """
    coded = keys.dictionary_encode()
    codes = np.asarray(coded.indices)
    sorting = np.argsort(codes, kind="stable") if order is None else np.lexsort((order, codes))
    rows = batch.take(pa.array(sorting))
    bounds = np.concatenate(([0], np.cumsum(np.bincount(codes, minlength=len(coded.dictionary)))))
    for number, key in enumerate(coded.dictionary.to_pylist()):
        yield key, rows.slice(bounds[number], bounds[number + 1] - bounds[number])


def rows_of(batch: pa.Table) -> list[pa.RecordBatch]:
    """Return the rows without their texts."""
    batches: list[pa.RecordBatch] = batch.drop_columns([_TEXT]).to_batches()
    return batches


def halves(batch: pa.Table) -> list[pa.Table]:
    """Split a batch in the middle."""
    middle = batch.num_rows // 2
    return [batch.slice(0, middle), batch.slice(middle)]


class Batcher:
    """Collects rows into batches up to a number and a size; a longer row is one by itself."""

    def __init__(self, max_rows: int, max_bytes: int) -> None:
        self._max_rows = max_rows
        self._max_bytes = max_bytes
        self._parts: list[pa.Table] = []
        self._count = self._size = 0

    def add(self, rows: pa.Table) -> Iterator[pa.Table]:
        """Add rows, and yield the batches that are full."""
        sizes = np.asarray(_compute.binary_length(rows.column(_TEXT)))
        starts = np.concatenate(([0], np.cumsum(sizes, dtype=np.int64)))
        first, count = 0, rows.num_rows
        while first < count:
            end = starts[first] + self._max_bytes - self._size
            last = int(np.searchsorted(starts, end, side="right")) - 1
            last = min(last, first + self._max_rows - self._count, count)
            if last <= first:
                if self._parts:
                    yield from self.flush()
                    continue
                last = first + 1
            self._parts.append(rows.slice(first, last - first))
            self._count += last - first
            self._size += int(starts[last] - starts[first])
            first = last
            if first < count or self._count >= self._max_rows:
                yield from self.flush()

    def flush(self) -> list[pa.Table]:
        """Return the remaining rows as a batch, if there are any."""
        parts, self._parts = self._parts, []
        self._count = self._size = 0
        return [pa.concat_tables(parts)] if parts else []
