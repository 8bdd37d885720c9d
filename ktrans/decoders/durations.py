"""Reads durations, and makes the begin or end of a flow of one."""

from __future__ import annotations

from typing import Literal

import pyarrow as pa
import pyarrow.compute as pc

from ktrans.decoders.partial_rows import PartialRows
from ktrans.decoders.values import NULL_TEXTS, Coerced, Wrong, text_of
from ktrans.flow.schema import TIME

DurationUnit = Literal["s", "ms", "us", "ns"]
_MICROS: dict[DurationUnit, float] = {"s": 1e6, "ms": 1e3, "us": 1.0, "ns": 1e-3}
_NUMBER = r"^[0-9]+(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?$"
_LONGEST = 1e15
"""Microseconds; no connection takes longer than thirty years."""


def to_microseconds(
    column: pa.Array, unit: DurationUnit = "s", nulls: tuple[str, ...] = NULL_TEXTS
) -> Coerced:
    """Convert durations to microseconds."""
    if pa.types.is_dictionary(column.type) or pa.types.is_string(column.type):
        column = text_of(column, nulls).cast(pa.string())
        digits = pc.match_substring_regex(column, _NUMBER)
        given = pc.if_else(digits, column, pa.scalar(None, pa.string())).cast(pa.float64())
    elif pa.types.is_boolean(column.type):
        given = pa.nulls(len(column), pa.float64())
    else:
        given = column.cast(pa.float64(), safe=False)
    micros = pc.multiply(given, _MICROS[unit])
    good = pc.and_(pc.greater_equal(micros, 0.0), pc.less(micros, _LONGEST)).fill_null(False)
    bad = pc.and_(column.is_valid(), pc.invert(good))
    micros = pc.round(pc.if_else(good, micros, pa.scalar(None, pa.float64()))).cast(pa.int64())
    return micros, Wrong.of(bad.to_numpy(zero_copy_only=False), "wrong_type")


def end_from_duration(rows: PartialRows) -> None:
    """Replace a duration in the column of the end by the start plus the duration."""
    duration, start = rows.columns.pop("end_time", None), rows.columns.get("start_time")
    if duration is not None and start is not None:
        rows.columns["end_time"] = pc.add(start.cast(pa.int64()), duration).cast(TIME)


def start_from_duration(rows: PartialRows) -> None:
    """Replace a duration in the column of the start by the end minus the duration."""
    duration, end = rows.columns.pop("start_time", None), rows.columns.get("end_time")
    if duration is not None and end is not None:
        rows.columns["start_time"] = pc.subtract(end.cast(pa.int64()), duration).cast(TIME)
