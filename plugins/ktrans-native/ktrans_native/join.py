"""Joins the parts of rows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from ktrans.api import Coded, Maps, Plain, RowPart
from ktrans.kit.flow import entries
from ktrans_native import _native
from ktrans_native.arrays import strings


def join(parts: Sequence[RowPart], rows: int) -> pa.Array:
    """Join the parts of rows into one text for each row."""
    return strings(_native.join([_given(part) for part in parts], rows, _room))


def _room(size: int) -> np.ndarray:
    """Return room from Arrow's pool, which keeps memory that it has had before."""
    return np.frombuffer(pa.allocate_buffer(size), np.uint8)


def _given(part: RowPart) -> _native.Part:
    if isinstance(part, str):
        return part.encode()
    around = (part.before.encode(), part.after.encode(), part.absent.encode())
    if isinstance(part, Coded):
        return part.codes, _texts(part.values), around
    if isinstance(part, Plain):
        return _texts(part.texts), around
    if isinstance(part, Maps):
        offsets, keys, items = entries(part.values)
        return offsets, _texts(keys), _texts(items), _valid(part.values), around
    kind = part.values.type
    zone = kind.tz is not None if pa.types.is_timestamp(kind) else None
    return _integers(part.values), _valid(part.values), zone, around


def _texts(array: pa.Array) -> _native.Texts:
    _, offsets, data = array.buffers()
    ends = _items(offsets, np.int32, array.offset, len(array) + 1)
    return ends, _items(data, np.uint8), _valid(array)


def _integers(array: pa.Array) -> np.ndarray:
    kind = array.type.to_pandas_dtype() if pa.types.is_integer(array.type) else np.int64
    found = _items(array.buffers()[1], kind, array.offset, len(array))
    return found.astype(np.uint64 if kind is np.uint64 else np.int64, copy=False)


def _valid(array: pa.Array) -> _native.Bits | None:
    if not array.null_count:
        return None
    return _items(array.buffers()[0], np.uint8), array.offset


def _items(
    buffer: pa.Buffer | None, kind: Any, start: int = 0, count: int | None = None
) -> np.ndarray:
    """Return items of a buffer; zeros if it is empty, as it may be in arrays without values."""
    if buffer is None or not buffer.size:
        return np.zeros(count or 0, kind)
    found = np.frombuffer(buffer, kind, len(buffer) // np.dtype(kind).itemsize)[start:][:count]
    return found if found.flags.aligned else found.copy()
