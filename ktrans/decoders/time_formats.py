"""Reads times by a format, as `strptime` has them, with array operations.

Arrow's own `strptime` reads neither `%f` nor names of zones, and takes February 31 for March 3.

Source: Python documentation, "strftime() and strptime() format codes".
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime, timedelta
from functools import lru_cache

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ktrans.flow.schema import TIME

_DAY = r" *(?P<day>[0-9]{1,2})"
_PARTS = {
    "Y": r"(?P<year>[0-9]{4})",
    "y": r"(?P<short_year>[0-9]{2})",
    "m": r"(?P<month>[0-9]{1,2})",
    "b": r"(?P<name>[A-Za-z]{3})",
    "B": r"(?P<name>[A-Za-z]{3})[a-z]*",
    "d": _DAY,
    "e": _DAY,
    "a": r"[A-Za-z]+",
    "A": r"[A-Za-z]+",
    "H": r" *(?P<hour>[0-9]{1,2})",
    "I": r" *(?P<half>[0-9]{1,2})",
    "p": r"(?P<noon>[AaPp])[Mm]",
    "M": r"(?P<minute>[0-9]{1,2})",
    "S": r"(?P<second>[0-9]{1,2})",
    "f": r"(?P<fraction>[0-9]+)",
    "z": r" ?(?:Z|UTC|GMT|(?P<sign>[+-])(?P<zone_hour>[0-9]{2}):?(?P<zone_minute>[0-9]{2})?)",
    "Z": r"(?:Z|UTC|GMT)",
    "%": "%",
}
_TOGETHER = {"%F": "%Y-%m-%d", "%T": "%H:%M:%S", "%D": "%m/%d/%y", "%R": "%H:%M"}
_DIRECTIVE = re.compile(r"%(.)|([ \t]+)|(.)", re.DOTALL)
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_MOST = {"hour": 23, "half": 12, "minute": 59, "second": 60, "zone_hour": 23, "zone_minute": 59}
_THIS_CENTURY = 69
_AHEAD = timedelta(days=1)


class TimeFormat(msgspec.Struct, frozen=True):
    """A format of times.

    Attributes:
        text: as it was given.
        regex: what a time of this format matches, with a group for each part.
        parts: names of these groups.
    """

    text: str
    regex: str
    parts: frozenset[str]


@lru_cache(maxsize=64)
def time_format(text: str) -> TimeFormat:
    """Return the format that a text describes.

    Raises:
        ValueError: with what is wrong, for people.
    """
    whole = text
    for short, long in _TOGETHER.items():
        whole = whole.replace(short, long)
    regex = ""
    for directive, blank, other in _DIRECTIVE.findall(whole):
        if directive and directive not in _PARTS:
            raise ValueError(
                f"{text!r}: %{directive} cannot be read; there are %{' %'.join(_PARTS)}"
            )
        regex += _PARTS[directive] if directive else " +" if blank else re.escape(other)
    parts = re.findall(r"\(\?P<(\w+)>", regex)
    if len(parts) > len(set(parts)):
        raise ValueError(f"{text!r}: a part of the time is there twice")
    if "day" not in parts or not {"month", "name"} & set(parts):
        raise ValueError(f"{text!r}: a time needs a month (%m or %b) and a day (%d)")
    if "half" in parts and "noon" not in parts:
        raise ValueError(f"{text!r}: %I needs %p")
    return TimeFormat(text, f"^{regex}$", frozenset(parts))


def read_times(texts: pa.StringArray, form: TimeFormat, zone: str, now: datetime) -> pa.Array:
    """Return the times that texts of a format mean, null where a text has another format.

    Args:
        texts: the texts.
        form: their format. Without a year, it is the last one in which the time is not more than a
            day ahead of now.
        zone: name of the time zone of times that have none themselves.
        now: the current time.
    """
    found = pc.extract_regex(texts, form.regex)
    if found.null_count == len(found):
        return pa.nulls(len(texts), TIME)
    valid = np.asarray(found.is_valid())
    parts = {kind.name: part for kind, part in zip(found.type, found.flatten(), strict=True)}
    clock, good = _clock(parts, valid)
    month = _month(parts)
    day = _number(parts, "day")
    if form.parts & {"year", "short_year"}:
        date, dated = _date(_year(parts), month, day)
        return _stamps(date * _DAY_MICROS + clock, good & dated, form, zone)
    times = pa.nulls(len(texts), TIME)
    for year in (now.year + 1, now.year, now.year - 1):
        date, dated = _date(np.full(len(texts), year, dtype=np.int64), month, day)
        there = _stamps(date * _DAY_MICROS + clock, good & dated, form, zone)
        past = pc.less_equal(there, pa.scalar(now + _AHEAD, TIME))
        times = pc.coalesce(times, pc.if_else(past, there, pa.scalar(None, TIME)))
    return times


_DAY_MICROS = 86_400_000_000


def _number(parts: Mapping[str, pa.StringArray], name: str) -> np.ndarray:
    """Return a part as numbers, 0 where it is missing."""
    column = parts[name]
    there = pc.fill_null(pc.greater(pc.binary_length(column), 0), False)
    values: np.ndarray = np.asarray(pc.if_else(there, column, "0").cast(pa.int64()))
    return values


def _clock(parts: Mapping[str, pa.StringArray], valid: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the microseconds since midnight, and which rows have a time of day that exists."""
    good = valid.copy()
    numbers: dict[str, np.ndarray] = {}
    for name, most in _MOST.items():
        if name in parts:
            numbers[name] = _number(parts, name)
            good &= numbers[name] <= most
    zeros = np.zeros(len(valid), dtype=np.int64)
    hour = numbers.get("hour", zeros)
    if "half" in numbers:
        good &= numbers["half"] > 0
        afternoon = np.asarray(pc.is_in(parts["noon"], value_set=pa.array(["p", "P"])))
        hour = numbers["half"] % 12 + 12 * afternoon
    minutes = hour * 60 + numbers.get("minute", zeros)
    if "sign" in parts:
        offset = numbers["zone_hour"] * 60 + numbers["zone_minute"]
        behind = np.asarray(pc.fill_null(pc.equal(parts["sign"], "-"), False))
        minutes = minutes - np.where(behind, -offset, offset)
    micros = (minutes * 60 + numbers.get("second", zeros)) * 1_000_000
    if "fraction" in parts:
        six = pc.utf8_slice_codeunits(pc.utf8_rpad(parts["fraction"], 6, "0"), 0, 6)
        micros = micros + _number({"fraction": six}, "fraction")
    return micros, good


def _year(parts: Mapping[str, pa.StringArray]) -> np.ndarray:
    if "year" in parts:
        return _number(parts, "year")
    short = _number(parts, "short_year")
    return short + np.where(short < _THIS_CENTURY, 2000, 1900)


def _month(parts: Mapping[str, pa.StringArray]) -> np.ndarray:
    """Return the months from 1; 0 where there is no such month."""
    if "month" in parts:
        return _number(parts, "month")
    places = pc.index_in(pc.ascii_lower(parts["name"]), value_set=pa.array(_MONTHS))
    found: np.ndarray = np.asarray(pc.fill_null(places, -1)).astype(np.int64) + 1
    return found


def _date(year: np.ndarray, month: np.ndarray, day: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the days since 1970, and which rows have a date that exists."""
    months = ((year - 1970) * 12 + month - 1).astype("datetime64[M]")
    days = months.astype("datetime64[D]") + (day - 1)
    good = (month >= 1) & (month <= 12) & (day >= 1)  # noqa: PLR2004
    good &= days.astype("datetime64[M]") == months
    return days.astype(np.int64), good


def _stamps(micros: np.ndarray, good: np.ndarray, form: TimeFormat, zone: str) -> pa.Array:
    times = pa.array(micros, pa.int64(), mask=~good).view(TIME)
    return times if "%z" in form.text.lower() else in_zone(times, zone)


def in_zone(times: pa.Array, zone: str) -> pa.Array:
    """Return times of day in a zone that were read as if they were UTC.

    An hour that comes twice means the first; one that a zone leaves out, the moment at its end.
    """
    if zone == "UTC":
        return times
    bare = times.cast(pa.timestamp("us"))
    return pc.assume_timezone(bare, zone, ambiguous="earliest", nonexistent="latest").cast(TIME)
