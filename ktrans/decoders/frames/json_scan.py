"""Finds JSON records in text without parsing it: by brackets outside strings, with array operations.

Only for text that is not one record a line. The whole of a buffer is classified byte by byte at C
speed; Python then walks over the few brackets near the surface.

Source of the grammar: RFC 8259.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from enum import IntEnum

import msgspec
import numpy as np

from ktrans.decoders.read.quotes import escaped_places
from ktrans.decoders.read.raw_columns import Path
from ktrans.kit.text.json_errors import UNREADABLE_JSON

_QUOTE, _BACKSLASH, _OPEN, _CLOSE = 1, 2, 3, 4
_BYTES = {'"': _QUOTE, "\\": _BACKSLASH, "{": _OPEN, "[": _OPEN, "}": _CLOSE, "]": _CLOSE}
_CLASSES = bytes(_BYTES.get(chr(byte), 0) for byte in range(256))
PUNCTUATION = b" \t\r\n,"
_ONE_LINE = bytes.maketrans(b"\r\n", b"  ")
_KEY_REACH = 256
_RAW = msgspec.json.Decoder(msgspec.Raw)


class Place(IntEnum):
    """Places between records where a buffer may begin or end."""

    TOP = 0
    """Between documents."""
    ARRAY = 1
    """In an array of records that is a document."""
    WRAPPED = 2
    """In an array of records that is a member of a document."""
    TAIL = 3
    """Behind such an array, in the document around it."""


Levels = tuple[Path | None, ...]
"""The open brackets around a place, from the outermost: the path of each within its document, or None
if no array of records can be inside it."""


class Wrapper:
    """The arrays of a document that hold its records.

    Args:
        paths: keys that lead to each; arrays in between may be passed.
    """

    def __init__(self, *paths: Path) -> None:
        self._paths = frozenset(paths)
        self._inside = {path[:end] for path in paths for end in range(len(path) + 1)}
        names = b"|".join(sorted(re.escape(name.encode()) for path in paths for name in path))
        self._key = re.compile(rb'"(' + names + rb')"\s*:\s*\Z')
        self.depth = 2 * max(map(len, paths))
        first = paths[0]
        self.levels: Levels = tuple(first[:end] for end in range(len(first) + 1))

    def child(self, parent: Path | None, before: bytes) -> Path | None:
        """Return the path of a bracket by that of the one around it, and the text before it."""
        if parent is None or not before.rstrip().endswith(b":"):
            return parent
        key = self._key.search(before)
        path = None if key is None else (*parent, key[1].decode())
        return path if path in self._inside else None

    def holds(self, path: Path | None) -> bool:
        """Return whether an array there is one of records."""
        return path in self._paths


class Found(msgspec.Struct):
    """The result of a scan.

    Attributes:
        spans: begin and end of each record, and of each piece of text that lies between records
            where there should be none.
        rest: where the part begins that goes on behind the buffer.
        place: where that is.
        opened: whether a record has begun there.
        levels: the open brackets around that place.
    """

    spans: list[tuple[int, int]]
    rest: int
    place: Place
    opened: bool
    levels: Levels = ()


def scan(data: bytes, place: Place, wrapper: Wrapper | None, levels: Levels | None = None) -> Found:
    """Find the records in a buffer that begins between records.

    Args:
        data: the text.
        place: where it begins.
        wrapper: the arrays inside a document that hold records.
        levels: the open brackets around its beginning, where the place alone does not tell.
    """
    if levels is None:
        levels = _levels(place, wrapper)
    walk = _Walk(data, place, wrapper, levels)
    limit = 1 if wrapper is None else wrapper.depth
    for at, opens, depth in _brackets(data, len(levels), limit):
        if walk.start is not None:
            walk.inside(at, opens, depth)
        elif opens:
            walk.begin(at)
        else:
            walk.leave(at)
    rest = walk.done if walk.start is None else walk.start
    return Found(walk.spans, rest, walk.place, walk.start is not None, walk.around())


def _levels(place: Place, wrapper: Wrapper | None) -> Levels:
    if place is Place.TOP:
        return ()
    if place is Place.ARRAY or wrapper is None:
        return (None,)
    return wrapper.levels if place is Place.WRAPPED else wrapper.levels[:-1]


class _Walk:
    """The state of a scan while it passes the brackets of a buffer.

    Attributes:
        place: where it is, outside of records.
        levels: the open brackets there.
        start: where the record begins in which it is, or None.
        done: up to where all is taken.
        spans: what was found.
    """

    def __init__(self, data: bytes, place: Place, wrapper: Wrapper | None, levels: Levels) -> None:
        self._data = data
        self._wrapper = wrapper
        self._inner: list[Path | None] = []
        self._home = len(levels)
        self.place = place
        self.levels = list(levels)
        self.start: int | None = None
        self.done = 0
        self.spans: list[tuple[int, int]] = []

    def inside(self, at: int, opens: bool, depth: int) -> None:
        """Pass a bracket within a record."""
        assert self.start is not None
        if not opens and depth == len(self.levels) + 1:
            self.spans.append((self.start, at + 1))
            self.start, self.done = None, at + 1
        elif self._wrapper is None or self.place is not Place.TOP:
            return
        elif not opens:
            self._inner.pop()
        else:
            path = self._child(self._inner[-1], self.start, at)
            if self._is_wrapper(path, at):
                self.levels += [*self._inner, path]
                self.place, self.start, self.done = Place.WRAPPED, None, at + 1
            else:
                self._inner.append(path)

    def begin(self, at: int) -> None:
        """Pass a bracket that opens between records."""
        if self.place is Place.TAIL:
            path = self._child(self.levels[-1], self.done, at)
            if self._is_wrapper(path, at):
                self.place = Place.WRAPPED
                self.done = at + 1
            self.levels.append(path)
            return
        self._gap(at)
        if self.place is Place.TOP and self._data[at : at + 1] == b"[":
            self.place, self.done = Place.ARRAY, at + 1
            self.levels.append(None)
        else:
            self.start = self.done = at
            self._inner = [()]

    def leave(self, at: int) -> None:
        """Pass a bracket that closes what the records are in; between documents it is stray."""
        if self.place is Place.TOP:
            return
        if self.place is not Place.TAIL:
            self._gap(at)
            self._home = len(self.levels)
        self.levels.pop()
        if len(self.levels) < self._home:
            self._home, self.done = len(self.levels), at + 1
            self.place = Place.TAIL if self.levels else Place.TOP

    def around(self) -> Levels:
        """Return the open brackets around what is left; behind records, what opens there is left."""
        return tuple(self.levels[: self._home] if self.place is Place.TAIL else self.levels)

    def _gap(self, end: int) -> None:
        if self._data[self.done : end].strip(PUNCTUATION):
            self.spans.append((self.done, end))

    def _child(self, parent: Path | None, begin: int, at: int) -> Path | None:
        """Return the path of a bracket that opens in a document."""
        assert self._wrapper is not None
        return self._wrapper.child(parent, self._data[max(begin, at - _KEY_REACH) : at])

    def _is_wrapper(self, path: Path | None, at: int) -> bool:
        """Return whether a bracket opens an array of records."""
        assert self._wrapper is not None
        return self._wrapper.holds(path) and self._data[at : at + 1] == b"["


def _brackets(data: bytes, depth: int, limit: int) -> Iterator[tuple[int, bool, int]]:
    """Yield place, whether it opens, and depth before it, for each bracket that is not too deep.

    Args:
        data: text that begins outside strings.
        depth: how deep it begins.
        limit: brackets between this depth and a deeper one are left out.
    """
    classes = np.frombuffer(data.translate(_CLASSES), np.uint8)
    places = np.flatnonzero(classes)
    kinds = classes[places]
    if b"\\" in data:
        places, kinds = _without_escapes(places, kinds)
    quotes = kinds == _QUOTE
    outside = np.cumsum(quotes) % 2 == 0
    brackets = outside & ~quotes
    places, kinds = places[brackets], kinds[brackets]
    opens = kinds == _OPEN
    after = depth + np.cumsum(np.where(opens, 1, -1))
    # A closing bracket too many leaves the depth at 0 instead of below it.
    after -= np.minimum(np.minimum.accumulate(after), 0) if len(after) else 0
    before = np.concatenate([np.array([depth]), after[:-1]]) if len(after) else after
    near = np.flatnonzero(np.minimum(before, after) <= limit)
    return zip(places[near].tolist(), opens[near].tolist(), before[near].tolist(), strict=True)


def _without_escapes(places: np.ndarray, kinds: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Drop backslashes, and the quotes that an odd number of them makes part of a string."""
    escaped = escaped_places(places[kinds == _BACKSLASH])
    kept = (kinds != _BACKSLASH) & ~((kinds == _QUOTE) & np.isin(places, escaped))
    return places[kept], kinds[kept]


def one_line(text: bytes) -> bytes:
    """Return a record without newlines, which mean nothing between the tokens of JSON."""
    return text.translate(_ONE_LINE) if b"\n" in text or b"\r" in text else text


def reads(text: bytes) -> bool:
    """Return whether a text is one JSON value."""
    try:
        _RAW.decode(text)
    except UNREADABLE_JSON:
        return False
    return True
