"""Turning native values into typed ones, saying which cannot be.

Texts come as whole columns; what is wrong with them is found with array operations on their bytes,
so that a block full of bad lines costs little more than a clean one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ktrans.flow.addresses import canonical_addresses
from ktrans.flow.columns import raw_values, recode
from ktrans.flow.schema import TEXT

FieldKind = Literal[
    "text", "address", "port", "protocol", "version", "flags", "count", "time", "stamp"
]

CSV_TYPES: dict[FieldKind, pa.DataType] = {
    "text": TEXT,
    "address": TEXT,
    "stamp": TEXT,
    "port": pa.uint16(),
    "protocol": pa.uint8(),
    "version": pa.uint16(),
    "flags": pa.uint16(),
    "count": pa.uint64(),
    "time": pa.uint64(),
}
"""What the CSV reader makes of each kind. Unsigned types of the right width check the range of
ports and protocols, and refuse negative numbers, at no cost."""

TYPES: dict[FieldKind, pa.DataType] = {
    "text": TEXT,
    "address": TEXT,
    "stamp": pa.timestamp("us", tz="UTC"),
    "port": pa.int32(),
    "protocol": pa.int16(),
    "version": pa.int16(),
    "flags": pa.int16(),
    "count": pa.int64(),
    "time": pa.int64(),
}
"""The type of each kind once checked."""

RANGES: dict[FieldKind, int] = {
    "port": 65535,
    "protocol": 255,
    "version": 32767,
    "flags": 32767,
    "count": (1 << 63) - 1,
    "time": (1 << 63) - 1,
}
INTEGERS = frozenset(RANGES)
_RANGE_IS_TYPE = frozenset({"port", "protocol"})
_MAX_DIGITS = 19
_NO_ROWS = np.empty(0, dtype=np.int64)
_STAMP_REGEX = r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,9})?(?:Z|[+-]\d\d:\d\d)$"


@dataclass(frozen=True, slots=True)
class Wrong:
    """Rows of one column that cannot be: their numbers, and the reason of each."""

    rows: np.ndarray
    reasons: tuple[str, ...]


def coerce(kind: FieldKind, column: pa.Array) -> tuple[pa.Array, Wrong | None]:
    """Give the checked form of a column.

    Args:
        kind: of the field.
        column: what the CSV reader made: the type of CSV_TYPES, or text for every kind.

    Returns:
        An array of TYPES, null where wrong, and what was wrong.
    """
    if kind == "text":
        return column, None
    if kind == "address":
        return _addresses(column)
    if kind == "stamp":
        return _stamps(column)
    if pa.types.is_integer(column.type):
        return _in_range(kind, column)
    return _integers(kind, column)


def _addresses(column: pa.DictionaryArray) -> tuple[pa.Array, Wrong | None]:
    values = column.dictionary
    canonical, invalid = canonical_addresses(values)
    wrong = None
    if invalid is not None:
        codes = np.asarray(column.indices.fill_null(0))
        rows = np.flatnonzero(invalid[codes] & np.asarray(column.is_valid()))
        if len(rows):
            wrong = Wrong(rows, ("bad_address",) * len(rows))
    return (column if canonical is values else recode(column, canonical)), wrong


def _stamps(column: pa.DictionaryArray) -> tuple[pa.Array, Wrong | None]:
    values = column.dictionary
    shaped = pc.match_substring_regex(values, _STAMP_REGEX)
    candidates = pc.if_else(shaped, values, pa.scalar(None, pa.string()))
    try:
        times = _to_micros(candidates)
    except pa.ArrowInvalid:
        times = pa.array([_time_or_none(text) for text in candidates.to_pylist()], TYPES["stamp"])
    rows_times = times.take(column.indices)
    rows = np.flatnonzero(np.asarray(rows_times.is_null()) & np.asarray(column.is_valid()))
    return rows_times, Wrong(rows, ("bad_timestamp",) * len(rows)) if len(rows) else None


def _to_micros(texts: pa.Array) -> pa.Array:
    return texts.cast(pa.timestamp("ns", tz="UTC")).cast(TYPES["stamp"], safe=False)


def _time_or_none(text: str | None) -> object:
    try:
        return _to_micros(pa.array([text], pa.string()))[0]
    except pa.ArrowInvalid:
        return None


def _in_range(kind: FieldKind, column: pa.Array) -> tuple[pa.Array, Wrong | None]:
    """Narrow unsigned numbers to the kind's type, nulling those beyond its range."""
    if column.type == CSV_TYPES[kind] and kind in _RANGE_IS_TYPE:
        return column.cast(TYPES[kind]), None
    over = raw_values(column) > RANGES[kind]
    if over.any() and column.null_count:
        over &= np.asarray(column.is_valid())
    rows = np.flatnonzero(over) if over.any() else _NO_ROWS
    if len(rows):
        column = pc.if_else(pa.array(over), pa.scalar(None, column.type), column)
    same_width = column.type == pa.uint64() and TYPES[kind] == pa.int64()
    typed = column.view(pa.int64()) if same_width else column.cast(TYPES[kind], safe=False)
    if not len(rows):
        return typed, None
    return typed, Wrong(rows, (_reason(kind, "out_of_range"),) * len(rows))


def _integers(kind: FieldKind, column: pa.StringArray) -> tuple[pa.Array, Wrong | None]:
    """Read plain decimal digits; nothing else is a number here (no sign, no 0x, no exponent)."""
    if isinstance(column, pa.DictionaryArray):
        column = column.cast(pa.string())
    lengths = np.asarray(pc.binary_length(column).fill_null(1))
    if (lengths > _MAX_DIGITS).any():
        column = _without_zeros(column, lengths > _MAX_DIGITS)
        lengths = np.asarray(pc.binary_length(column).fill_null(1))
    suspects = [np.flatnonzero((lengths > _MAX_DIGITS) | (lengths == 0)), _not_digits(column)]
    bad = np.unique(np.concatenate(suspects))
    reasons = [_why(kind, text) for text in column.take(pa.array(bad)).to_pylist()]
    if len(bad):
        mask = np.zeros(len(column), dtype=bool)
        mask[bad] = True
        column = pc.if_else(pa.array(mask), pa.scalar(None, pa.string()), column)
    typed, over = _in_range(kind, column.cast(pa.uint64()))
    if over is not None:
        rows = np.concatenate([bad, over.rows])
        order = np.argsort(rows, kind="stable")
        words = [*reasons, *over.reasons]
        return typed, Wrong(rows[order], tuple(words[place] for place in order.tolist()))
    return typed, Wrong(bad, tuple(reasons)) if len(bad) else None


def _without_zeros(column: pa.StringArray, mask: np.ndarray) -> pa.StringArray:
    """Drop the leading zeros of numbers that are too long with them, as the CSV reader does."""
    shorter = [text.lstrip("0") or "0" for text in column.filter(pa.array(mask)).to_pylist()]
    return pc.replace_with_mask(column, pa.array(mask), pa.array(shorter, pa.string()))


def _not_digits(column: pa.StringArray) -> np.ndarray:
    """Give the rows that hold anything but the digits 0 to 9."""
    _, offsets_buffer, data = column.buffers()
    if data is None:
        return _NO_ROWS
    offsets = np.frombuffer(offsets_buffer, np.int32)[
        column.offset : column.offset + len(column) + 1
    ]
    content = np.frombuffer(data, np.uint8)[offsets[0] : offsets[-1]]
    places = np.flatnonzero((content - np.uint8(ord("0"))) > np.uint8(9)) + offsets[0]
    rows = np.unique(np.searchsorted(offsets, places, side="right") - 1)
    if column.null_count and len(rows):
        rows = rows[np.asarray(column.is_valid())[rows]]
    return rows


def _why(kind: FieldKind, text: str) -> str:
    digits = text.removeprefix("-")
    plain = digits.isascii() and digits.isdigit()
    return _reason(kind, "out_of_range" if plain else "bad_integer")


def _reason(kind: FieldKind, reason: str) -> str:
    return "bad_timestamp" if kind == "time" else reason


def explain(kind: FieldKind, name: str, text: str) -> str:
    """Say what is wrong with a value, for people."""
    shown = text if len(text) <= 80 else f"{text[:77]}..."  # noqa: PLR2004
    if kind == "address":
        return f"{name}: {shown!r} is neither an IPv4 nor an IPv6 address"
    if kind == "stamp":
        return f"{shown!r} before the record is not an RFC 3339 time"
    if kind == "time":
        return f"{name}: {shown!r} is not a Unix time"
    return f"{name}: {shown!r} is not an integer of 0 to {RANGES[kind]}"
