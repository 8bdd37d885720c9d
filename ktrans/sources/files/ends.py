"""Finds where the complete records of a file that may still be written end."""

from __future__ import annotations

import json
import os

from ktrans.sources.files.known_files import last_line_end

MAX_JSON = 32 << 20
"""The largest JSON that is parsed to find out whether it is complete, in bytes."""

_DECODER = json.JSONDecoder()


def complete_end(fd: int, start: int, end: int) -> int:
    """Return the offset behind the last complete record in a range of an open file.

    A line is complete with its line end. JSON needs none: its last line, or all of it, is complete
    if it parses.
    """
    cut = last_line_end(fd, start, end)
    if cut == end or os.pread(fd, 1, end - 1) not in b"}] \t\r":
        return cut
    for begin in (cut, start):
        if end - begin <= MAX_JSON and _is_json(os.pread(fd, end - begin, begin)):
            return end
    return cut


def _is_json(data: bytes) -> bool:
    """Return whether data is JSON objects and arrays, one or several."""
    at = 0
    try:
        text = data.decode("utf-8-sig").rstrip()
        while at < len(text):
            if text[at].isspace():
                at += 1
            elif text[at] in "{[":
                at = _DECODER.raw_decode(text, at)[1]
            else:
                return False
    except (ValueError, RecursionError):
        return False
    return at > 0
