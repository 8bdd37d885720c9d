"""Escaping of InfluxDB line protocol, by columns.

Source: InfluxDB documentation, "Line protocol", special characters: comma, equals sign and space
in tag keys, tag values and field keys; comma and space in measurements; double quote and backslash
in string field values. Newlines are not supported anywhere, and a backslash has no escape of its
own outside of string fields, so nothing there may end with one.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from ktrans.kit.rows.pieces import Piece, concat, is_text, piece, replace_chars
from ktrans.kit.rows.scalars import scalar_text

_compute: Any = pc

# Written as the two characters that a program would print for them.
_CONTROLS = [("\n", "\\n"), ("\r", "\\r"), ("\t", "\\t"), ("\v", "\\v"), ("\f", "\\f")]
_KEY = [*_CONTROLS, (",", "\\,"), ("=", "\\="), (" ", "\\ ")]
_MEASUREMENT = [*_CONTROLS, (",", "\\,"), (" ", "\\ ")]
# Backslashes first: what the later ones add must stay single.
_STRING = [("\\", "\\\\"), ('"', '\\"'), ("\n", "\\\\n"), ("\r", "\\\\r")]


def escaped_measurement(name: str) -> str:
    """Escape the name of a measurement."""
    return _replaced(name, _MEASUREMENT)


def escaped_key(name: str) -> str:
    """Escape a tag key or a field key."""
    return _replaced(name, _KEY)


def tag_text(array: pa.Array) -> pa.Array:
    """Return tag values, null where there is none: nulls and empty texts, which a tag cannot hold.

    A value that ends with a backslash gets a space after it, so that it does not escape what
    follows in the line.
    """
    texts = scalar_text(array)
    if not is_text(array.type):
        return texts
    dangling = _compute.ends_with(texts, "\\")
    if _compute.any(dangling).as_py():
        texts = _compute.if_else(dangling, concat(texts, " "), texts)
    texts = replace_chars(texts, _KEY)
    return _compute.if_else(_compute.equal(texts, ""), pa.scalar(None, pa.string()), texts)


def field_piece(column: pa.Array, before: str) -> Piece:
    """Turn a column into a piece of field values; the arguments are those of `piece`."""
    kind = column.type
    if pa.types.is_integer(kind):
        return piece(column, scalar_text, before, _suffix(kind), digits=True)
    return piece(column, field_text, before)


def field_text(array: pa.Array) -> pa.Array:
    """Return field values: `1i`, `1.5`, `true`, `"text"`; null where there is none.

    NaN and infinities, which InfluxDB refuses, are none. Times are integers, microseconds since
    1970. Unsigned 64-bit integers have the suffix `u`.
    """
    kind = array.type
    if pa.types.is_boolean(kind) or pa.types.is_decimal(kind):
        return scalar_text(array)
    if pa.types.is_floating(kind):
        finite = _compute.is_finite(array)
        return _compute.if_else(finite, scalar_text(array), pa.scalar(None, pa.string()))
    if pa.types.is_timestamp(kind):
        array = array.cast(pa.timestamp("us", kind.tz), safe=False).cast(pa.int64())
    if pa.types.is_integer(array.type) or pa.types.is_duration(kind):
        return concat(scalar_text(array), _suffix(kind))
    return concat('"', replace_chars(scalar_text(array), _STRING), '"')


def _replaced(name: str, replacements: Sequence[tuple[str, str]]) -> str:
    for char, replacement in replacements:
        name = name.replace(char, replacement)
    return name


def _suffix(kind: pa.DataType) -> str:
    return "u" if pa.types.is_uint64(kind) else "i"
