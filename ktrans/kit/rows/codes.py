"""Columns by distinct value: a code in each row."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

_compute: Any = pc
"""pyarrow.compute, untyped."""


def compact(array: pa.DictionaryArray) -> pa.DictionaryArray:
    """Remove dictionary values that no row uses, if there are more of them than rows."""
    if len(array.dictionary) <= len(array):
        return array
    codes = np.asarray(array.indices.fill_null(0)).astype(np.int64)
    used = np.zeros(len(array.dictionary), dtype=bool)
    used[codes] = True
    remap = (np.cumsum(used) - 1).astype(np.int32)
    indices = pa.array(remap[codes], mask=np.asarray(array.indices.is_null()))
    return pa.DictionaryArray.from_arrays(
        indices, array.dictionary.take(pa.array(np.flatnonzero(used)))
    )


def coded(array: pa.Array) -> tuple[np.ndarray, pa.Array] | None:
    """Split a column into int32 codes and distinct values (the last one null if there are nulls).

    None when the column has too many distinct values for that to pay.
    """
    kind = array.type
    if pa.types.is_timestamp(kind) or pa.types.is_date(kind):
        array = array.dictionary_encode()
    elif pa.types.is_boolean(kind):
        return _codes(array.cast(pa.int8()), 2), pa.array([False, True, None], pa.bool_())
    elif pa.types.is_integer(kind):
        return _by_range(array)
    elif not pa.types.is_dictionary(kind):
        return None
    array = compact(array)
    values = array.dictionary
    if not array.null_count:
        return _codes(array.indices, 0), values
    return _codes(array.indices, len(values)), pa.concat_arrays([values, pa.nulls(1, values.type)])


def _codes(indices: pa.Array, null_code: int) -> np.ndarray:
    if indices.null_count:
        # The code for null may not fit the indices' own type (int8 with 128 values).
        indices = indices.cast(pa.int32()).fill_null(null_code)
    return np.asarray(indices).astype(np.int32, copy=False)


def _by_range(array: pa.Array) -> tuple[np.ndarray, pa.Array] | None:
    bounds = _compute.min_max(array)
    low, high = bounds["min"].as_py(), bounds["max"].as_py()
    if high - low > len(array) // 2 or high > np.iinfo(np.int64).max - 1:
        return None
    values = [pa.array(np.arange(low, high + 1), pa.int64()).cast(array.type)]
    nulls = np.asarray(array.is_null()) if array.null_count else None
    codes = (np.asarray(array.fill_null(low)).astype(np.int64) - low).astype(np.int32)
    if nulls is not None:
        codes[nulls] = high - low + 1
        values.append(pa.nulls(1, array.type))
    return codes, pa.concat_arrays(values)
