"""Building flow columns cheaply: constants, nulls, texts recoded by distinct value, times, batches.

A flow batch has every column of the projected schema. Most logs fill about half of them; the rest
are nulls, which must cost next to nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ktrans.flow.schema import TEXT, TIME

MILLIS_FROM = 100_000_000_000
MICROS_FROM = 100_000_000_000_000
NANOS_FROM = 100_000_000_000_000_000
"""Unix times from here on are milliseconds, microseconds, nanoseconds: as seconds they would lie
beyond the year 5138."""

_SHARED_ROWS = 1 << 16
_nulls: dict[pa.DataType, pa.Array] = {}


def nulls(rows: int, kind: pa.DataType) -> pa.Array:
    """Return an array of nulls; those of usual length are slices of a shared one."""
    if rows > _SHARED_ROWS:
        return pa.nulls(rows, kind)
    shared = _nulls.get(kind)
    if shared is None:
        shared = _nulls.setdefault(kind, pa.nulls(_SHARED_ROWS, kind))
    return shared.slice(0, rows)


def constant_text(value: str | None, rows: int) -> pa.Array:
    """Return a text column with the same value in every row."""
    if value is None:
        return nulls(rows, TEXT)
    codes = _zeros().slice(0, rows) if rows <= _SHARED_ROWS else pa.array(np.zeros(rows, np.int32))
    return pa.DictionaryArray.from_arrays(codes, pa.array([value], pa.string()))


@cache
def _zeros() -> pa.Array:
    return pa.array(np.zeros(_SHARED_ROWS, np.int32))


def _stored_as(kind: pa.DataType) -> np.dtype:
    """Return the numpy type in which a fixed-width type is stored; a time is an int64."""
    letter = "u" if pa.types.is_unsigned_integer(kind) else "i"
    if pa.types.is_floating(kind):
        letter = "f"
    return np.dtype(f"{letter}{kind.bit_width // 8}")


def raw_values(column: pa.Array) -> np.ndarray:
    """Return the numbers of a fixed-width array without copying; undefined for null."""
    kind = _stored_as(column.type)
    buffer = column.buffers()[1]
    if buffer is None:
        return np.zeros(len(column), dtype=kind)
    return np.frombuffer(buffer, kind)[column.offset : column.offset + len(column)]


def as_text(column: pa.Array) -> pa.DictionaryArray:
    """Return a column of any text type (utf8, large_utf8, views, dictionaries of these) as TEXT."""
    if column.type == TEXT:
        return column
    if pa.types.is_dictionary(column.type):
        values = column.dictionary.cast(pa.string())
        return pa.DictionaryArray.from_arrays(column.indices.cast(pa.int32()), values)
    return column.cast(pa.string()).dictionary_encode()


def recode(column: pa.DictionaryArray, values: pa.Array) -> pa.DictionaryArray:
    """Replace the distinct values of a text column.

    Args:
        column: a text column.
        values: one new text for each value of its dictionary; null makes those rows null. New
            values may repeat: the answer's dictionary holds each once.
    """
    if values.null_count == 0 and len(values.unique()) == len(values):
        return pa.DictionaryArray.from_arrays(column.indices, values)
    coded = values.dictionary_encode()
    codes = coded.indices.take(column.indices)
    return pa.DictionaryArray.from_arrays(codes, coded.dictionary)


def lower_text(column: pa.DictionaryArray) -> pa.DictionaryArray:
    """Return a text column in lower case."""
    return recode(column, pc.utf8_lower(column.dictionary))


def coalesce_text(first: pa.DictionaryArray, second: pa.DictionaryArray) -> pa.DictionaryArray:
    """Return the first column's text, and the second's where the first has none."""
    if first.null_count == 0 or second.null_count == len(second):
        return first
    if first.null_count == len(first) and second.type == first.type:
        return second
    both = pa.chunked_array([first, second]).unify_dictionaries()
    left, right = both.chunk(0), both.chunk(1)
    codes = pc.coalesce(left.indices, right.indices)
    return pa.DictionaryArray.from_arrays(codes, right.dictionary)


def unix_times(column: pa.Array) -> pa.Array:
    """Turn Unix times (int64) into timestamps, with the unit of each row by its size.

    Some records of logs in seconds carry milliseconds; a time of 100,000,000,000 or more is taken
    as milliseconds, from 1e14 as microseconds, from 1e17 as nanoseconds (rounded down).
    """
    values = raw_values(column)
    if not len(values) or values.max() < MILLIS_FROM:
        return pc.multiply(column, pa.scalar(1_000_000, pa.int64())).view(TIME)
    if values.min() >= NANOS_FROM:
        micros = values // 1000
    else:
        micros = np.select(
            [values >= NANOS_FROM, values >= MICROS_FROM, values >= MILLIS_FROM],
            [values // 1000, values, values * 1000],
            values * 1_000_000,
        )
    mask = np.asarray(column.is_null()) if column.null_count else None
    return pa.array(micros, pa.int64(), mask=mask).view(TIME)


def flow_batch(schema: pa.Schema, rows: int, columns: Mapping[str, pa.Array]) -> pa.RecordBatch:
    """Make a batch of the (projected) flow schema; columns that are not given are null."""
    arrays = [
        columns[field.name] if field.name in columns else nulls(rows, field.type)
        for field in schema
    ]
    return pa.RecordBatch.from_arrays(arrays, schema=schema)
