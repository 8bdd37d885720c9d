"""Arrow arrays over the buffers that the native code returns, without a copy."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

Strings = tuple[np.ndarray, np.ndarray]
"""int32 offsets, shape (n + 1,), and the bytes of all texts, uint8."""


def strings(found: Strings) -> pa.StringArray:
    """Return texts as an array; the native code has checked that they are UTF-8."""
    offsets, data = found
    return pa.StringArray.from_buffers(len(offsets) - 1, pa.py_buffer(offsets), pa.py_buffer(data))


def numbers(kind: pa.DataType, values: np.ndarray, valid: np.ndarray | None) -> pa.Array:
    """Return numbers as an array.

    Args:
        kind: their type.
        values: of the same width, shape (rows,).
        valid: a bit for each row, the lowest first, or None if no row is null.
    """
    bits = None if valid is None else pa.py_buffer(valid)
    return pa.Array.from_buffers(kind, len(values), [bits, pa.py_buffer(values)])


def texts(codes: np.ndarray, valid: np.ndarray | None, distinct: Strings) -> pa.DictionaryArray:
    """Return texts by distinct value; `codes` is int32, and `valid` as for `numbers`."""
    return pa.DictionaryArray.from_arrays(numbers(pa.int32(), codes, valid), strings(distinct))
