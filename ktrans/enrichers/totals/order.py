"""The order of totals: by window, then by group, independent of the order of computation."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ktrans.enrichers.totals.merge import unified

_ROOM = 2**62


def order_of(table: pa.Table, keys: Sequence[str]) -> np.ndarray:
    """Return the order of a table's rows by some columns: text by code points, nulls last."""
    if not table.num_rows:
        return np.empty(0, np.int64)
    table = unified(table.select(keys)).combine_chunks()
    ranks = [_ranks(table.column(name).chunk(0)) for name in keys]
    spans = [int(rank.max()) + 1 for rank in ranks]
    room = 1
    for span in spans:
        room *= span
    if room >= _ROOM:
        return np.lexsort(ranks[::-1])
    together = np.zeros(table.num_rows, np.int64)
    for rank, span in zip(ranks, spans, strict=True):
        together = together * span + rank
    return np.argsort(together, kind="stable")


def _ranks(column: pa.Array) -> np.ndarray:
    """Return numbers from 0 in the order of the values."""
    if isinstance(column, pa.DictionaryArray):
        words = len(column.dictionary)
        places = np.empty(words + 1, np.int64)
        places[np.asarray(pc.sort_indices(column.dictionary))] = np.arange(words)
        places[words] = words
        return np.asarray(places[np.asarray(column.indices.fill_null(words))])
    if column.null_count == len(column):
        return np.zeros(len(column), np.int64)
    numbers = column.cast(pa.int8()) if pa.types.is_boolean(column.type) else column
    if pa.types.is_temporal(numbers.type):
        width = pa.int32() if numbers.type.bit_width == 32 else pa.int64()  # noqa: PLR2004
        numbers = numbers.cast(width)
    lowest = pc.min(numbers).as_py()
    gone = np.asarray(numbers.is_null())
    wide = np.asarray(numbers.fill_null(lowest)).astype(np.int64) - np.int64(lowest)
    wide[gone] = wide.max() + 1
    return wide
