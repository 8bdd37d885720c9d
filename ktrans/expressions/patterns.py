"""Patterns: SQL's `like` as a regular expression, and what is done with regular expressions."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc


def like_pattern(pattern: str, escape: str | None = None) -> str:
    """Translate a `like` pattern into an anchored RE2 expression.

    `%` stands for any text, `_` for one character; the one behind `escape` stands for itself.
    """
    parts: list[str] = []
    chars = iter(pattern)
    for char in chars:
        if char == escape:
            parts.append(re.escape(next(chars, char)))
        elif char == "%":
            parts.append(".*")
        elif char == "_":
            parts.append(".")
        else:
            parts.append(re.escape(char))
    return rf"(?s)\A{''.join(parts)}\z"


def check_regex(pattern: str) -> None:
    """Have Arrow's regular expressions (RE2) read the pattern.

    Raises:
        ValueError: it is not a regular expression.
    """
    try:
        pc.match_substring_regex(pa.array([""]), pattern)
    except pa.ArrowInvalid as error:
        raise ValueError(str(error)) from None


def extract_regex(pattern: str, group: int = 0) -> Callable[[Any], Any]:
    """Return a function that takes the first match, or a group of it; null where there is none.

    Raises:
        ValueError: it is not a regular expression, or it has no such group.
    """
    check_regex(pattern)
    if not 0 <= group <= 9:  # noqa: PLR2004 - what RE2 can put into a replacement
        raise ValueError("a group is 0 for the whole match, or 1 to 9")
    inner = f"(?:{pattern})" if group else f"({pattern})"
    around = rf"\A(?s:.*?){inner}(?s:.*)\z"
    check_regex(around)
    try:
        replace = replace_regex(around, rf"\{group or 1}")
    except ValueError:
        raise ValueError(f"the pattern has no group {group}") from None

    def extract(value: Any) -> Any:
        matches = pc.match_substring_regex(value, pattern)
        return replace(pc.if_else(matches, value, pa.scalar(None, pa.string())))

    return extract


def replace_regex(pattern: str, replacement: str) -> Callable[[Any], Any]:
    r"""Return a function that replaces all matches; `\1` in the replacement stands for a group.

    Raises:
        ValueError: it is not a regular expression, or the replacement names a group that it lacks.
    """
    check_regex(pattern)
    try:
        pc.replace_substring_regex(pa.array([""]), pattern, replacement)
    except pa.ArrowInvalid:
        raise ValueError(
            f"the pattern has no group for the replacement {replacement!r}, or that ends in a backslash"
        ) from None
    return lambda value: pc.replace_substring_regex(value, pattern, replacement)
