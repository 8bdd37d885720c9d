"""Reads times as logs write them: Unix times of any unit, numbers or text, and RFC 3339.

Source: RFC 3339. Variants in use: no zone (read as UTC), `+0000`, seven to twelve fraction digits.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any, Literal

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ktrans.api.clock import CLOCK
from ktrans.decoders.integers import to_integers
from ktrans.decoders.time_formats import TimeFormat, in_zone, read_times
from ktrans.flow.columns import MICROS_FROM, MILLIS_FROM, NANOS_FROM, raw_values, unix_times
from ktrans.flow.schema import TIME

TimeUnit = Literal["auto", "s", "ms", "us", "ns", "rfc3339"]


class Written(msgspec.Struct, frozen=True):
    """How times are written as text, besides Unix and RFC 3339 times.

    Attributes:
        formats: tried in order, before the others.
        zone: of times that have no zone themselves.
        now: returns the current time.
    """

    formats: tuple[TimeFormat, ...] = ()
    zone: str = "UTC"
    now: Callable[[], datetime] = CLOCK.now


PLAIN = Written()

_LAST_MICROS = 253_402_300_799_999_999
"""The end of the year 9999: no later time can be printed."""

_LAST_MILLIS, _LAST_SECONDS = _LAST_MICROS // 1000, _LAST_MICROS // 1_000_000
_STAMP_REGEX = (
    r"^\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(?:[.,]\d+)?(?:[Zz]| ?UTC|[+-]\d\d(?::?\d\d)?)?$"
)
_RFC3339_REGEX = r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,9})?(?:Z|[+-]\d\d:\d\d)$"
_WITHOUT_ZONE_REGEX = r"\d\d:\d\d:\d\d(?:[.,]\d+)?$"
_WIDE = 64
_NUMBER_REGEX = r"^[0-9]{1,19}$"
_FRACTION_REGEX = r"^[0-9]{1,17}\.[0-9]+$"


def coerce_times(
    column: pa.Array, unit: TimeUnit, *, strict: bool = False, written: Written = PLAIN
) -> tuple[pa.Array, np.ndarray | None]:
    """Convert a column to timestamps.

    Args:
        column: integers, doubles, text or timestamps; values of any other type are wrong.
        unit: unit of numbers; auto finds it by the size of each number.
        strict: whether texts must be Unix times, or RFC 3339 if that is the unit.
        written: other ways in which texts may be written.

    Returns:
        Timestamps, null where wrong, and a mask of the wrong rows (None if there are none).
    """
    kind = column.type
    if pa.types.is_null(kind) or not len(column):
        return pa.nulls(len(column), TIME), None
    if pa.types.is_timestamp(kind):
        return column.cast(TIME, safe=False), None
    if pa.types.is_integer(kind):
        if unit == "auto" and not _any_beyond(column):
            return unix_times(column.view(pa.int64()) if kind.bit_width == _WIDE else column), None
        times = _of_integers(column.cast(pa.int64(), safe=False), unit)
    elif pa.types.is_floating(kind):
        times = _of_doubles(column.cast(pa.float64()), unit)
    elif pa.types.is_string(kind):
        times = _of_strict_texts(column, unit) if strict else _of_texts(column, unit, written)
    else:
        times = pa.nulls(len(column), TIME)
    if times.null_count == column.null_count:
        return times, None
    return times, np.asarray(column.is_valid()) & np.asarray(times.is_null())


def _any_beyond(column: pa.Array) -> bool:
    """Return whether a number is below zero, or so large that it is not a time of any unit."""
    if column.type.bit_width < _WIDE:
        return True
    values = raw_values(column)
    return bool(len(values)) and bool(values.view(np.int64).min() < 0)


def _of_integers(column: pa.Array, unit: TimeUnit) -> pa.Array:
    values = raw_values(column)
    good = values >= 0
    if unit == "us":
        micros = values
    elif unit == "ns":
        micros = values // 1000
    elif unit == "s":
        good &= values <= _LAST_SECONDS
        micros = np.where(good, values, 0) * 1_000_000
    elif unit == "ms":
        good &= values <= _LAST_MILLIS
        micros = np.where(good, values, 0) * 1000
    else:
        conditions = [values >= NANOS_FROM, values >= MICROS_FROM, values >= MILLIS_FROM]
        capped = np.minimum(values, MICROS_FROM)
        micros = np.select(
            conditions, [values // 1000, values, capped * 1000], np.minimum(values, MILLIS_FROM) * 1_000_000
        )  # fmt: skip
    good &= micros <= _LAST_MICROS
    return _stamps(micros, good, column)


def _of_doubles(column: pa.Array, unit: TimeUnit) -> pa.Array:
    values = np.where(np.asarray(column.is_valid()), raw_values(column), 0.0)
    if unit in ("auto", "rfc3339"):
        factor: Any = np.select(
            [values >= NANOS_FROM, values >= MICROS_FROM, values >= MILLIS_FROM],
            [1e-3, 1.0, 1e3],
            1e6,
        )
    else:
        factor = {"s": 1e6, "ms": 1e3, "us": 1.0, "ns": 1e-3}[unit]
    with np.errstate(over="ignore", invalid="ignore"):
        micros = np.rint(values * factor)
        good = (values >= 0) & (micros <= _LAST_MICROS)
    return _stamps(np.where(good, micros, 0).astype(np.int64), good, column)


def _stamps(micros: np.ndarray, good: np.ndarray, column: pa.Array) -> pa.Array:
    if column.null_count:
        good = good & np.asarray(column.is_valid())
    return pa.array(micros, pa.int64(), mask=None if good.all() else ~good).view(TIME)


def _of_strict_texts(column: pa.StringArray, unit: TimeUnit) -> pa.Array:
    """Convert texts that are nothing but digits, or RFC 3339 times with a zone."""
    if unit == "rfc3339":
        coded = column.dictionary_encode()
        shaped = pc.match_substring_regex(coded.dictionary, _RFC3339_REGEX)
        texts = pc.if_else(shaped, coded.dictionary, pa.scalar(None, pa.string()))
        return _of_stamps(texts).take(coded.indices)
    numbers, _ = to_integers(column, strict=True)
    return _of_integers(numbers, unit)


def _of_texts(column: pa.StringArray, unit: TimeUnit, written: Written) -> pa.Array:
    """Convert the distinct texts: times of a given format, numbers or RFC 3339 times."""
    coded = column.dictionary_encode()
    texts = pc.ascii_trim_whitespace(coded.dictionary)
    none = pa.scalar(None, pa.string())
    times = pa.nulls(len(texts), TIME)
    for form in written.formats:
        times = pc.coalesce(times, read_times(texts, form, written.zone, written.now()))
    if times.null_count:
        stamps = pc.if_else(pc.match_substring_regex(texts, _STAMP_REGEX), texts, none)
        times = pc.coalesce(times, _of_stamps(stamps, written.zone))
    if times.null_count:
        digits = pc.if_else(pc.match_substring_regex(texts, _NUMBER_REGEX), texts, none)
        times = pc.coalesce(times, _of_integers(_integers(digits), unit))
    if times.null_count:
        points = pc.if_else(pc.match_substring_regex(texts, _FRACTION_REGEX), texts, none)
        times = pc.coalesce(times, _of_doubles(points.cast(pa.float64()), unit))
    return times.take(coded.indices)


def _integers(digits: pa.StringArray) -> pa.Array:
    try:
        return digits.cast(pa.int64())
    except pa.ArrowInvalid:  # nineteen digits may be too many
        short = pc.less_equal(pc.binary_length(digits), 18)
        return pc.if_else(short, digits, pa.scalar(None, pa.string())).cast(pa.int64())


def _of_stamps(texts: pa.StringArray, zone: str = "UTC") -> pa.Array:
    """Convert RFC 3339 times and their variants; every text has the right shape or is null."""
    if texts.null_count == len(texts):
        return pa.nulls(len(texts), TIME)
    if zone != "UTC":
        bare = pc.match_substring_regex(texts, _WITHOUT_ZONE_REGEX)
        times = _of_stamps(texts)
        return pc.if_else(bare, in_zone(times, zone), times)
    # Nine fraction digits are the most that Arrow reads; a time without a zone is UTC.
    texts = pc.replace_substring_regex(texts, r"[.,](\d{1,9})\d*", r".\1")
    texts = pc.replace_substring_regex(texts, r"^(\d{4}-\d\d-\d\d)[ t]", r"\1T")
    texts = pc.replace_substring_regex(texts, r"(?: ?UTC|[zZ])$", "Z")
    texts = pc.replace_substring_regex(texts, r"(T\d\d:\d\d:\d\d(?:\.\d+)?)$", r"\1Z")
    try:
        return _parsed(texts)
    except pa.ArrowInvalid:
        return pa.array([_one(text) for text in texts.to_pylist()], TIME)


def _parsed(texts: pa.StringArray) -> pa.Array:
    return texts.cast(pa.timestamp("ns", tz="UTC")).cast(TIME, safe=False)


def _one(text: str | None) -> object:
    if text is None:
        return None
    try:
        return _parsed(pa.array([text], pa.string()))[0].as_py()
    except pa.ArrowInvalid:
        return None
