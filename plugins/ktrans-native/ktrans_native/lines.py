"""Reads lines of fields."""

from __future__ import annotations

import pyarrow as pa

from ktrans.api import LineReader, LineShape, ReadLines
from ktrans_native import _native
from ktrans_native.arrays import numbers, texts

_TYPES = {"uint8": pa.uint8(), "uint16": pa.uint16(), "uint64": pa.uint64()}


def line_reader(shape: LineShape) -> LineReader:
    """Return a reader of lines of fields."""
    native = _native.LineReader(shape.kinds, sorted(shape.addresses), shape.nulls)
    kinds = [kind for kind in shape.kinds if kind != "skip"]

    def read(data: bytes, records: int) -> ReadLines | None:
        found = native.read(data, records)
        if found is None:
            return None
        buffers, canonical = found
        columns = [
            texts(each[0], each[1], each[2:]) if kind == "text" else numbers(_TYPES[kind], *each)
            for kind, each in zip(kinds, buffers, strict=True)
        ]
        return ReadLines(columns, frozenset(canonical))

    return read
