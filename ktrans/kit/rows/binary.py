"""Arrays of bytes, made column by column, as Avro and Protobuf both have them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ktrans.kit.rows.pieces import is_text

_compute: Any = pc
_MICROS = {"s": 10**6, "ms": 10**3, "us": 1}

BytesOf = Callable[[pa.Array], pa.Array]
"""Encodes values as a `binary` array; nulls stay null."""


def varints(values: np.ndarray) -> pa.Array:
    """Encode uint64 as varints: base 128, least significant group first.

    Source: Protocol Buffers, "Encoding", base 128 varints; Avro specification, int and long.
    """
    lengths = np.ones(len(values), dtype=np.int64)
    largest = int(values.max()) if len(values) else 0
    bits = 7
    while largest >> bits:
        lengths += values >= np.uint64(1 << bits)
        bits += 7
    width = max(1, bits // 7)
    table = np.empty((len(values), width), dtype=np.uint8)
    for place in range(width):
        group = (values >> np.uint64(7 * place)).astype(np.uint8) & 0x7F
        more = lengths > place + 1
        table[:, place] = group | (more.astype(np.uint8) << 7)
    data = table.ravel() if width == 1 else table[np.arange(width) < lengths[:, None]]
    return _from_lengths(lengths, data)


def zigzag(values: np.ndarray) -> np.ndarray:
    """Map int64 to uint64 by zigzag encoding: small numbers stay small."""
    mapped: np.ndarray = ((values << 1) ^ (values >> 63)).view(np.uint64)
    return mapped


def _from_lengths(lengths: np.ndarray, data: np.ndarray) -> pa.Array:
    offsets = np.zeros(len(lengths) + 1, dtype=np.int32)
    np.cumsum(lengths, out=offsets[1:])
    buffers = [None, pa.py_buffer(offsets), pa.py_buffer(np.ascontiguousarray(data))]
    return pa.BinaryArray.from_buffers(pa.binary(), len(lengths), buffers)


def fixed(values: np.ndarray) -> pa.Array:
    """Encode numbers in their fixed-width, little-endian form."""
    values = np.ascontiguousarray(values)
    return _from_lengths(np.full(len(values), values.dtype.itemsize), values.view(np.uint8))


def concat(*parts: pa.Array | bytes) -> pa.Array:
    """Concatenate bytes element by element; null if one of them is null."""
    operands = [pa.scalar(p, pa.binary()) if isinstance(p, bytes) else p for p in parts]
    return _compute.binary_join_element_wise(*operands, pa.scalar(b"", pa.binary()))


def joined(parts: list[pa.Array | bytes], rows: int) -> pa.Array:
    """Concatenate columns and constants row by row."""
    if all(isinstance(part, bytes) for part in parts):
        return pa.repeat(pa.scalar(b"".join(parts), pa.binary()), rows)
    return concat(*parts)


def sizes(values: pa.Array | pa.ChunkedArray) -> np.ndarray:
    """Return the length of each value, 0 for null: int64."""
    return np.asarray(_compute.binary_length(values).fill_null(0)).astype(np.int64)


def prefixed(values: pa.Array, length: BytesOf) -> pa.Array:
    """Encode bytes or text with their length before them, which `length` encodes."""
    values = values.cast(pa.binary())
    return concat(length(_compute.binary_length(values).cast(pa.int64())), values)


def run_offsets(array: pa.Array, children: pa.Array) -> np.ndarray:
    """Return the offsets of each list's or map's children: int64, shape (rows + 1,).

    For a slice, some releases of pyarrow return its children, others those of the whole array.
    """
    offsets = np.asarray(array.offsets).astype(np.int64)
    cut = len(children) == offsets[-1] - offsets[0]
    return offsets - offsets[0] if cut else offsets


def grouped(values: pa.Array, offsets: np.ndarray) -> pa.Array:
    """Join runs of bytes, none null, without a copy; run i is from offsets[i] to offsets[i + 1]."""
    bounds = np.frombuffer(values.buffers()[1], dtype=np.int32)
    bounds = bounds[values.offset : values.offset + len(values) + 1]
    picked = np.ascontiguousarray(bounds[offsets])
    buffers = [None, pa.py_buffer(picked), values.buffers()[2]]
    return pa.BinaryArray.from_buffers(pa.binary(), len(offsets) - 1, buffers)


def where_valid(array: pa.Array, values: pa.Array) -> pa.Array:
    """Set values to null where the array is null."""
    if not array.null_count:
        return values
    return _compute.if_else(array.is_valid(), values, pa.scalar(None, pa.binary()))


def scalars(array: pa.Array, integers: BytesOf) -> pa.Array:
    """Encode text, bytes, booleans and numbers as both Avro and Protobuf do; nulls stay null."""
    kind = array.type
    if pa.types.is_dictionary(kind):
        return scalars(array.dictionary, integers).take(array.indices)
    if is_text(kind) or pa.types.is_binary(kind) or pa.types.is_large_binary(kind):
        return prefixed(array, integers)
    if pa.types.is_boolean(kind):
        return where_valid(array, fixed(np.asarray(array.cast(pa.uint8()).fill_null(0))))
    if pa.types.is_floating(kind):
        wide = pa.float64() if kind == pa.float64() else pa.float32()
        return where_valid(array, fixed(np.asarray(array.cast(wide).fill_null(0))))
    return integers(array)


def whole_numbers(array: pa.Array) -> np.ndarray:
    """Return integers, dates (days) and times (microseconds) as int64, shape (n,); null is 0."""
    kind = array.type
    if pa.types.is_date32(kind):
        array = array.cast(pa.int32())
    numbers: np.ndarray = np.asarray(array.cast(pa.int64()).fill_null(0))
    return numbers * _MICROS[kind.unit] if pa.types.is_timestamp(kind) else numbers


def column(array: pa.Array, bytes_of: BytesOf, before: bytes, absent: bytes) -> pa.Array | bytes:
    """Encode a column: its bytes after `before`, or `absent` where it is null."""
    if array.null_count == len(array):
        return absent
    if not pa.types.is_dictionary(array.type):
        return concat(before, bytes_of(array)).fill_null(absent)
    if len(array.dictionary) > len(array):  # most values are unused
        return column(array.cast(array.type.value_type), bytes_of, before, absent)
    return concat(before, bytes_of(array.dictionary)).take(array.indices).fill_null(absent)
