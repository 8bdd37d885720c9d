"""Finds what is inside quotes in lines of text, with array operations."""

from __future__ import annotations

import numpy as np

BACKSLASH = ord("\\")


def quoted(
    content: np.ndarray, starts: np.ndarray, ends: np.ndarray, quote: int
) -> tuple[np.ndarray, np.ndarray]:
    """Find the bytes inside quotes.

    Args:
        content: the bytes of whole lines.
        starts: where each line begins.
        ends: where each line ends.
        quote: the quote character. One behind a backslash is no quote, unless that one is behind
            another backslash.

    Returns:
        A mask of the bytes inside quotes, opening quotes included, and a mask of the lines in which
        a quote opens that does not close.
    """
    marks = content == quote
    slashes = np.flatnonzero(content == BACKSLASH)
    if len(slashes):
        marks = _without_escaped(marks, slashes)
    count = np.cumsum(marks, dtype=np.int32)
    before = np.concatenate([np.zeros(1, np.int32), count])[starts]
    last = count[np.maximum(ends - 1, 0)]
    odd = (ends > starts) & ((last - before) % 2 == 1)
    lengths = np.diff(np.append(starts, len(content)))
    inside: np.ndarray = (count - np.repeat(before, lengths)) % 2 == 1
    return inside, odd


def escaped_places(slashes: np.ndarray) -> np.ndarray:
    """Return the places behind an odd number of backslashes, of which these are the places."""
    breaks = np.flatnonzero(np.diff(slashes) != 1)
    first = slashes[np.concatenate([np.zeros(1, dtype=np.int64), breaks + 1])]
    last = slashes[np.concatenate([breaks, np.array([len(slashes) - 1])])]
    places: np.ndarray = (last + 1)[(last - first) % 2 == 0]
    return places


def _without_escaped(marks: np.ndarray, slashes: np.ndarray) -> np.ndarray:
    """Drop the quotes that an odd number of backslashes is before."""
    escaped = escaped_places(slashes)
    kept = marks.copy()
    kept[escaped[escaped < len(marks)]] = False
    return kept
