"""Rows as messages of Protocol Buffers, by columns (its wire format).

Each function returns an array of encoded fields, one a row, null where the value is null; `message`
joins the fields of a row.

>>> import pyarrow as pa
>>> fields = [delimited(1, pa.array(["ab", None])), varint(2, pa.array([300, -1], pa.int64()))]
>>> [bytes.hex() for bytes in message(fields, 2).to_pylist()]
['0a02616210ac02', '10ffffffffffffffffff01']
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ktrans.kit.rows import binary

_compute: Any = pc
_VARINT, _FIXED64, _DELIMITED = 0, 1, 2
_EMPTY = pa.scalar(b"", pa.binary())


def number_bytes(value: int) -> bytes:
    """Return one number as a varint."""
    value &= (1 << 64) - 1
    found = bytearray()
    while value > 0x7F:  # noqa: PLR2004  # seven bits a byte
        found.append(value & 0x7F | 0x80)
        value >>= 7
    found.append(value)
    return bytes(found)


def field_bytes(field: int, payload: bytes) -> bytes:
    """Return one field of bytes, a text or a message."""
    return _tag(field, _DELIMITED) + number_bytes(len(payload)) + payload


def message(fields: Sequence[pa.Array], rows: int) -> pa.Array:
    """Join the fields of each row; those that are null are absent."""
    if not fields:
        return pa.array([b""] * rows, pa.binary())
    # "skip" as null_handling would drop rows of which all fields are null.
    return _compute.binary_join_element_wise(
        *fields, _EMPTY, null_handling="replace", null_replacement=""
    )


def delimited(field: int, payload: pa.Array) -> pa.Array:
    """Encode a field of bytes, texts or messages."""
    return binary.concat(_tag(field, _DELIMITED), binary.prefixed(payload, _varints))


def fixed64(field: int, values: pa.Array) -> pa.Array:
    """Encode a field of 8 bytes: fixed64 and sfixed64 of integers, double of floats."""
    floats = pa.types.is_floating(values.type)
    wide = values.cast(pa.float64() if floats else pa.int64()).fill_null(0)
    octets = binary.fixed(np.asarray(wide).astype("<f8" if floats else "<i8"))
    return binary.concat(_tag(field, _FIXED64), binary.where_valid(values, octets))


def varint(field: int, values: pa.Array) -> pa.Array:
    """Encode a field of integers (int32, int64, uint64, bool; not sint64)."""
    return binary.concat(_tag(field, _VARINT), _varints(values.cast(pa.int64())))


def _varints(values: pa.Array) -> pa.Array:
    numbers = np.asarray(values.fill_null(0)).astype(np.int64).view(np.uint64)
    return binary.where_valid(values, binary.varints(numbers))


def _tag(field: int, wire: int) -> bytes:
    return number_bytes(field << 3 | wire)


def read_fields(data: bytes) -> list[tuple[int, int | bytes]]:
    """Return the fields of one small message: numbers of varints, bytes of everything else.

    What is no message has no fields.
    """
    found: list[tuple[int, int | bytes]] = []
    at = 0
    try:
        while at < len(data):
            key, at = _number(data, at)
            wire = key & 7
            if wire == _VARINT:
                value, at = _number(data, at)
                found.append((key >> 3, value))
                continue
            size, at = (
                _number(data, at) if wire == _DELIMITED else (8 if wire == _FIXED64 else 4, at)
            )
            if at + size > len(data):
                return []
            found.append((key >> 3, data[at : at + size]))
            at += size
    except IndexError:
        return []
    return found


def _number(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        octet = data[at]
        value |= (octet & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if octet < 0x80:  # noqa: PLR2004  # the last byte
            return value, at
