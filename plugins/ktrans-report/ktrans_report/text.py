"""Numbers, times and values of logs as people read them."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Sequence

_UNSHOWABLE = re.compile(
    "[\x00-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufdd0-\ufdef\ufeff\ufffe\uffff]"
)
"""Control characters, those that XML does not allow, and those that turn the direction of text."""

_PREFIXES = ((10**15, "P"), (10**12, "T"), (10**9, "G"), (10**6, "M"), (10**3, "k"))


def clean(value: object, limit: int = 120) -> str:
    """Return a value from a log as text that is safe to show: visible characters, shortened."""
    text = _UNSHOWABLE.sub("\N{REPLACEMENT CHARACTER}", str(value))
    return text if len(text) <= limit else f"{text[: limit - 1]}…"


def number(value: float) -> str:
    """Return a number with thousands separators: `1,234,567`."""
    return f"{value:,.0f}" if isinstance(value, int) or float(value).is_integer() else f"{value:,}"


def scale(largest: float, unit: str) -> tuple[float, str]:
    """Choose the unit for a chart: what to divide by, and its name (`GB`, `Mbit/s`)."""
    for size, prefix in _PREFIXES:
        if abs(largest) >= size and not (size == 10**3 and unit == "flows"):
            return float(size), _join(prefix, unit)
    return 1.0, _join("", unit)


def _join(prefix: str, unit: str) -> str:
    if unit in {"flows", "packets", "rows"}:
        words = {"": "", "k": "thousand ", "M": "million ", "G": "billion ", "T": "trillion "}
        return f"{words.get(prefix, prefix)}{unit}"
    if unit == "bytes":
        return f"{prefix}B" if prefix else "bytes"
    return f"{prefix}{unit}"


def amount(value: float | None, unit: str) -> str:
    """Return a quantity in a suitable unit, with three digits: `1.23 GB`, `640 kbit/s`."""
    if value is None:
        return "not reported"
    if unit in {"flows", "packets", "rows", "records"}:
        return f"{number(round(value))} {unit if round(value) != 1 else unit[:-1]}"
    size, name = scale(value, unit)
    return f"{significant(value / size)} {name}"


def significant(value: float) -> str:
    """Return three significant digits, without zeros at the end."""
    if value == 0:
        return "0"
    digits = 2 if abs(value) < 10 else 1 if abs(value) < 100 else 0  # noqa: PLR2004
    text = f"{value:,.{digits}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def share(part: float, whole: float) -> str:
    """Return a share in percent; small ones are not rounded to nothing."""
    if not whole:
        return "0 %"
    percent = 100 * part / whole
    if 0 < percent < 0.1:  # noqa: PLR2004 - only zero is shown as 0 %
        return "less than 0.1 %"
    if 99.9 < percent < 100:  # noqa: PLR2004
        return "more than 99.9 %"
    return f"{significant(percent) if percent < 10 else f'{percent:.1f}'.removesuffix('.0')} %"  # noqa: PLR2004


def money(value: float) -> str:
    """Return an amount of USD."""
    if 0 < value < 0.01:  # noqa: PLR2004
        return "less than 0.01 USD"
    return f"{value:,.2f} USD"


def moment(us: int) -> dt.datetime:
    """Turn microseconds since 1970 into a time."""
    return dt.datetime(1970, 1, 1, tzinfo=dt.UTC) + dt.timedelta(microseconds=us)


def when(us: int) -> str:
    """Return a time to the minute, UTC: `2026-05-04 08:15`."""
    return moment(us).strftime("%Y-%m-%d %H:%M")


def length(us: int) -> str:
    """Return a duration in a suitable unit."""
    minutes = us / 60_000_000
    if minutes < 120:  # noqa: PLR2004
        return amount_of(round(minutes) or 1, "minute")
    if minutes < 48 * 60:
        return amount_of(float(f"{minutes / 60:.1f}"), "hour")
    return amount_of(float(f"{minutes / 1440:.1f}"), "day")


def amount_of(count: float, thing: str) -> str:
    """Return a count of things: `1 account`, `3 accounts`."""
    shown = number(count) if float(count).is_integer() else f"{count:,.1f}"
    return f"{shown} {thing}{'' if count == 1 else 's'}"


def listed(names: Sequence[str], most: int = 3) -> str:
    """Join names for a sentence; of many the first."""
    shown = list(names[:most])
    rest = len(names) - len(shown)
    if rest > 0:
        return f"{', '.join(shown)} and {rest:,} more"
    return shown[0] if len(shown) == 1 else f"{', '.join(shown[:-1])} and {shown[-1]}"
