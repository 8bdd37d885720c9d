"""Encodes rows as bytes, column by column; shared by Avro and Protobuf.

Each column becomes a `binary` array with one datum per row, and Arrow joins the columns row by row. A
column with few distinct values stays dictionary-coded until the join, and adjacent columns with few
combinations are combined, so that each distinct value is encoded once.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ktrans.api import ConfigError
from ktrans.kit.rows.pieces import is_text

_compute: Any = pc
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_MICROS = {"s": 10**6, "ms": 10**3, "us": 1}

BytesOf = Callable[[pa.Array], pa.Array]
"""Encodes values as a `binary` array; nulls stay null."""


@dataclass(frozen=True, slots=True)
class Coded:
    """A dictionary-coded column: int64 codes, shape (rows,), into values without nulls."""

    codes: np.ndarray
    values: pa.Array


@dataclass(frozen=True, slots=True)
class Plain:
    """A column with one value per row: a `binary` array without nulls."""

    values: pa.Array


Piece = bytes | Coded | Plain
"""Constant bytes; a dictionary-coded column; a plain column."""


def check_name(column: str, encoding: str) -> None:
    """Check that an encoding allows a column's name.

    Raises:
        ConfigError: it does not.
    """
    if not _NAME.fullmatch(column):
        raise ConfigError(
            f"column {column!r} has a name that {encoding} does not allow",
            code="column_name",
            hint="rename it with a select enricher: letters, digits and underscores",
        )


def type_not_supported(column: str, kind: pa.DataType, encoding: str) -> ConfigError:
    """Make the error for a column whose type an encoding cannot represent."""
    return ConfigError(
        f"column {column!r} has type {kind}, which encoding {encoding} does not support",
        code="type_not_supported",
        hint="drop it or cast it with a select or derive enricher, or use encoding json",
    )


def varints(values: np.ndarray) -> pa.Array:
    """Encode unsigned numbers as varints: base 128, least significant group first.

    Source: Protocol Buffers, "Encoding", base 128 varints; Avro specification, int and long.

    Args:
        values: uint64, shape (n,).

    Returns:
        A `binary` array, shape (n,).
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
    return from_lengths(lengths, data)


def zigzag(values: np.ndarray) -> np.ndarray:
    """Map signed to unsigned numbers (uint64) by zigzag encoding: small ones stay small."""
    values = values.astype(np.int64, copy=False)
    mapped: np.ndarray = ((values << 1) ^ (values >> 63)).view(np.uint64)
    return mapped


def from_lengths(lengths: np.ndarray, data: np.ndarray) -> pa.Array:
    """Make a `binary` array from lengths and the concatenated values."""
    offsets = np.zeros(len(lengths) + 1, dtype=np.int32)
    np.cumsum(lengths, out=offsets[1:])
    buffers = [None, pa.py_buffer(offsets), pa.py_buffer(np.ascontiguousarray(data))]
    return pa.BinaryArray.from_buffers(pa.binary(), len(lengths), buffers)


def fixed(values: np.ndarray) -> pa.Array:
    """Encode numbers in their fixed-width, little-endian form."""
    values = np.ascontiguousarray(values)
    width = values.dtype.itemsize
    return from_lengths(np.full(len(values), width), values.view(np.uint8))


def concat(*parts: pa.Array | bytes) -> pa.Array:
    """Concatenate bytes element by element; null if one of them is null."""
    operands = [pa.scalar(p, pa.binary()) if isinstance(p, bytes) else p for p in parts]
    return _compute.binary_join_element_wise(*operands, pa.scalar(b"", pa.binary()))


def sizes(values: pa.Array) -> np.ndarray:
    """Return the length of each value, 0 for null: int64."""
    return np.asarray(_compute.binary_length(values).fill_null(0)).astype(np.int64)


def prefixed(values: pa.Array, length: BytesOf) -> pa.Array:
    """Encode values with their length before them.

    Args:
        values: binary or text.
        length: encodes an int64 array of lengths.
    """
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
    """Join runs of values without a copy; run i is from offsets[i] to offsets[i + 1].

    Args:
        values: a `binary` array without nulls.
        offsets: int, shape (runs + 1,), ascending.
    """
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
    """Encode text, bytes, booleans and numbers as both Avro and Protobuf do; nulls stay null.

    Args:
        array: the values.
        integers: encodes integers, lengths and times.
    """
    kind = array.type
    if pa.types.is_dictionary(kind):
        return scalars(array.dictionary, integers).take(array.indices)
    if is_text(kind) or pa.types.is_binary(kind) or pa.types.is_large_binary(kind):
        return prefixed(array, integers)
    if pa.types.is_boolean(kind):
        flags = np.asarray(array.cast(pa.uint8()).fill_null(0))
        return where_valid(array, from_lengths(np.ones(len(array), dtype=np.int64), flags))
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


def piece(array: pa.Array, bytes_of: BytesOf, before: bytes = b"", absent: bytes = b"") -> Piece:
    """Encode a column: its bytes after `before`, or `absent` where it is null."""
    if array.null_count == len(array):
        return absent
    coded = _coded(array)
    values = bytes_of(array if coded is None else coded[1])
    if before:
        values = concat(before, values)
    if values.null_count:
        values = values.fill_null(absent)
    if coded is None:
        return Plain(values)
    return bytes(values[0].as_py()) if len(values) == 1 else Coded(coded[0], values)


def joined(pieces: Iterable[Piece], rows: int) -> pa.Array:
    """Join pieces row by row into a `binary` array, shape (rows,)."""
    merged: list[Piece] = []
    for part in pieces:
        pair = _pair(merged[-1], part, rows) if merged else None
        if pair is not None:
            merged[-1] = pair
        elif not isinstance(part, bytes) or part:
            merged.append(part)
    if all(isinstance(part, bytes) for part in merged):
        whole = b"".join(part for part in merged if isinstance(part, bytes))
        return pa.repeat(pa.scalar(whole, pa.binary()), rows)
    return concat(*(_spread(part) for part in merged))


def _spread(part: Piece) -> Any:
    if isinstance(part, Coded):
        return _compute.take(part.values, pa.array(part.codes), boundscheck=False)
    return part.values if isinstance(part, Plain) else part


def _pair(left: Piece, right: Piece, rows: int) -> Piece | None:
    """Combine two adjacent pieces; None if that would cost more than it saves."""
    if isinstance(left, bytes) and isinstance(right, bytes):
        return left + right
    if isinstance(left, bytes) and isinstance(right, Coded):
        return Coded(right.codes, concat(left, right.values)) if left else right
    if isinstance(left, Coded) and isinstance(right, bytes):
        return Coded(left.codes, concat(left.values, right)) if right else left
    if not (isinstance(left, Coded) and isinstance(right, Coded)):
        return None
    size = len(left.values) * len(right.values)
    if size > rows // 4 + 64:
        return None
    codes = left.codes * len(right.values) + right.codes
    first, second = np.divmod(np.arange(size), len(right.values))
    return Coded(
        codes, concat(left.values.take(pa.array(first)), right.values.take(pa.array(second)))
    )


def _coded(array: pa.Array) -> tuple[np.ndarray, pa.Array] | None:
    """Split a column into codes and distinct values (the last one null if there are nulls)."""
    kind = array.type
    if pa.types.is_boolean(kind):
        array = array.dictionary_encode()
    elif pa.types.is_integer(kind) or pa.types.is_timestamp(kind):
        return _by_range(array)
    elif not pa.types.is_dictionary(kind):
        return None
    values, indices = array.dictionary, array.indices
    codes = np.asarray(indices.fill_null(0)).astype(np.int64)
    if len(values) > len(codes):  # drop unused values
        used = np.zeros(len(values), dtype=bool)
        used[codes] = True
        codes = (np.cumsum(used) - 1)[codes]
        values = values.take(pa.array(np.flatnonzero(used)))
    if indices.null_count:
        codes[np.asarray(indices.is_null())] = len(values)
        values = pa.concat_arrays([values, pa.nulls(1, values.type)])
    return codes, values


def _by_range(array: pa.Array) -> tuple[np.ndarray, pa.Array] | None:
    bounds = _compute.min_max(
        array.cast(pa.int64()) if pa.types.is_timestamp(array.type) else array
    )
    low, high = bounds["min"].as_py(), bounds["max"].as_py()
    if high - low > len(array) // 2 or high > np.iinfo(np.int64).max - 1:
        return None
    numbers = array.cast(pa.int64())
    codes = np.asarray(numbers.fill_null(low)) - low
    values = pa.array(np.arange(low, high + 1), pa.int64()).cast(array.type)
    if array.null_count:
        codes[np.asarray(array.is_null())] = high - low + 1
        values = pa.concat_arrays([values, pa.nulls(1, array.type)])
    return codes, values
