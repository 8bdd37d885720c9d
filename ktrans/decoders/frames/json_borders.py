"""Finds where records begin in JSON that is damaged, and lines of text among it."""

from __future__ import annotations

import re
from collections.abc import Iterator

from ktrans.decoders.frames.json_scan import PUNCTUATION, reads

_FIRST_KEY = re.compile(rb'\{\s*("(?:[^"\\]|\\.)*")\s*:')
_ANY_BORDER = re.compile(rb'(?<=\})\s*,?\s*(?=\{\s*"[A-Za-z_@])')
_OF_DOCUMENT = re.compile(
    rb'[ \t\r]*+(?:\Z|[{}\[\],:]|"(?:[^"\\]|\\.)*+"[ \t\r]*+(?:[,:}\]]|\Z)'
    rb"|(?:-?[0-9][0-9.eE+-]*+|true|false|null)[ \t\r]*+(?:[,}\]]|\Z))"
)
"""How the lines of an indented document begin."""
_TORN = re.compile(rb'[ \t\r]*+(?:"|[\w.+-]*\Z)')
"""How its last line may begin if it breaks off."""


class Borders:
    """Finds where records begin in text that is damaged, from how good records begin."""

    def __init__(self) -> None:
        self._pattern: re.Pattern[bytes] | None = None

    def learn(self, record: bytes) -> None:
        """Remember the first key of a good record: the records of an object begin alike."""
        if self._pattern is None and (match := _FIRST_KEY.match(record)):
            self._pattern = re.compile(rb"\{\s*" + re.escape(match[1]) + rb"\s*:")

    def find(self, data: bytes, start: int) -> int:
        """Return the place of the next record, or -1."""
        match = (self._pattern or _ANY_BORDER).search(data, start)
        if match is None:
            return -1
        return match.start() if self._pattern else match.end()

    def split(self, data: bytes) -> list[bytes]:
        """Cut a damaged piece in which records may have been swallowed: documents and lines."""
        parts = []
        done = 0
        while (border := self.find(data, done + 1)) > 0:
            parts += _without_lines(data[done:border].rstrip(PUNCTUATION))
            done = border
        parts += _without_lines(data[done:])
        return [part for part in parts if part.strip(PUNCTUATION)]


def stands_alone(line: bytes) -> bool:
    """Return whether a line is no part of a longer document: it is text, or a whole object."""
    return _OF_DOCUMENT.match(line) is None or (line.startswith(b"{") and reads(line))


def _without_lines(part: bytes) -> list[bytes]:
    """Cut lines that stand alone out of a piece of JSON, whose last line may be torn."""
    if b"\n" not in part:
        return [part]
    return [b"\n".join(lines) for lines in _stretches(part.split(b"\n"))]


def _stretches(lines: list[bytes]) -> Iterator[list[bytes]]:
    """Yield lines that stand alone one by one, and what is between them as a whole."""
    kept: list[bytes] = []
    for place, line in enumerate(lines, 1):
        if stands_alone(line) and not (place == len(lines) and _TORN.match(line)):
            yield kept
            yield [line]
            kept = []
        else:
            kept.append(line)
    yield kept
