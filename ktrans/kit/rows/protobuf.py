"""Rows as messages of Protocol Buffers, by columns (its wire format).

Each function returns an array of encoded fields, one a row, null where the value is null; `message`
joins the fields of a row.

>>> import pyarrow as pa
>>> fields = [text(1, pa.array(["ab", None])), varint(2, pa.array([300, -1], pa.int64()))]
>>> [bytes.hex() for bytes in message(fields, 2).to_pylist()]
['0a02616210ac02', '10ffffffffffffffffff01']
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ktrans.kit.rows.pieces import as_text

_compute: Any = pc
_VARINT, _FIXED64, _DELIMITED = 0, 1, 2
_MAX_VARINT_BYTES = 10
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
    """Encode a field of bytes or messages."""
    lengths = _compute.binary_length(payload).dictionary_encode()
    tag = _tag(field, _DELIMITED)
    heads = [None if n is None else tag + number_bytes(n) for n in lengths.dictionary.to_pylist()]
    head = pa.array(heads, pa.binary()).take(lengths.indices)
    return _compute.binary_join_element_wise(head, payload, _EMPTY)


def text(field: int, values: pa.Array) -> pa.Array:
    """Encode a field of texts."""
    return delimited(field, as_text(values).cast(pa.binary()))


def fixed64(field: int, values: pa.Array) -> pa.Array:
    """Encode a field of 8 bytes: fixed64 and sfixed64 of integers, double of floats."""
    kind = "<f8" if pa.types.is_floating(values.type) else "<i8"
    wide = values.cast(pa.float64() if kind == "<f8" else pa.int64())
    raw = np.asarray(wide.fill_null(0)).astype(kind).view(np.uint8).reshape(-1, 8)
    tag = np.frombuffer(_tag(field, _FIXED64), np.uint8)
    whole = np.hstack([np.broadcast_to(tag, (len(values), len(tag))), raw])
    return _rows(whole, np.ones(whole.shape, bool), values)


def varint(field: int, values: pa.Array) -> pa.Array:
    """Encode a field of integers (int32, int64, uint64, bool; not sint64)."""
    tag = np.frombuffer(_tag(field, _VARINT), np.uint8)
    left = np.asarray(values.cast(pa.int64()).fill_null(0)).view(np.uint64)
    shifts = np.arange(_MAX_VARINT_BYTES, dtype=np.uint64) * np.uint64(7)
    parts = left[:, None] >> shifts
    used = parts > 0
    used[:, 0] = True
    more = np.zeros(used.shape, bool)
    more[:, :-1] = used[:, 1:]
    octets = (parts & np.uint64(0x7F)).astype(np.uint8) | (more * np.uint8(0x80))
    whole = np.hstack([np.broadcast_to(tag, (len(values), len(tag))), octets])
    mask = np.hstack([np.ones((len(values), len(tag)), bool), used])
    return _rows(whole, mask, values)


def _rows(octets: np.ndarray, mask: np.ndarray, values: pa.Array) -> pa.Array:
    """Return the bytes of each row that the mask has, null where the value is null."""
    offsets = np.concatenate(([0], np.cumsum(mask.sum(axis=1), dtype=np.int32)))
    buffers = [None, pa.py_buffer(offsets.astype(np.int32)), pa.py_buffer(octets[mask])]
    made = pa.BinaryArray.from_buffers(pa.binary(), len(values), buffers)
    if not values.null_count:
        return made
    return _compute.if_else(values.is_valid(), made, pa.scalar(None, pa.binary()))


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
