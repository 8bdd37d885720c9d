"""Patterns: SQL's `like` as a regular expression, and a check of regular expressions."""

from __future__ import annotations

import re

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
