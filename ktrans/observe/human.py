"""Formats numbers, sizes and durations for people."""

from __future__ import annotations

_UNITS = ("B", "kB", "MB", "GB", "TB", "PB")
_STEP = 1000
_MINUTE, _HOUR = 60, 3600


def count(number: int, word: str = "", plural: str = "") -> str:
    """Format a number with separators and, if given, a word in singular or plural: `2 rows`."""
    text = f"{number:,}"
    if not word:
        return text
    return f"{text} {word if number == 1 else plural or word + 's'}"


def size(number: float) -> str:
    """Format a size in bytes: `512 B`, `1.5 MB` (powers of 1000)."""
    for unit in _UNITS:
        if abs(number) < _STEP or unit == _UNITS[-1]:
            break
        number /= _STEP
    return f"{number:.0f} B" if unit == "B" else f"{number:.3g} {unit}"


def rate(number: float, seconds: float) -> str:
    """Format a rate per second: `850`, `12.3 k`, `1.2 M`; empty if no time has passed."""
    if seconds <= 0:
        return ""
    value = number / seconds
    for unit in ("", " k", " M"):
        if value < _STEP or unit == " M":
            break
        value /= _STEP
    return f"{value:,.0f}{unit}" if not unit or value >= _STEP / 10 else f"{value:.3g}{unit}"


def duration(seconds: float) -> str:
    """Format a duration: `0.42 s`, `12.3 s`, `4 min 05 s`, `2 h 10 min`."""
    if seconds < 1:
        return f"{seconds:.2f} s"
    if seconds < _MINUTE:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < _HOUR:
        return f"{whole // _MINUTE} min {whole % _MINUTE:02d} s"
    return f"{whole // _HOUR} h {whole % _HOUR // _MINUTE:02d} min"
