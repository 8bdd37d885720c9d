"""Finds the header lines in blocks of whole lines.

This runs in one thread for each object, so it has to be cheap: newlines are counted and headers found
with array operations.
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec
import numpy as np

from ktrans.decoders.aws.layout import Dialect, Layout, parse_glued, parse_header
from ktrans.decoders.names import COLUMN_OF

_PAIR_STEP = 1 << 17
_PREFIX = 12
_MARK = b"addr"
_RARE = (b"k", b"y")
"""Bytes that every useful header has (addresses, and packets or bytes) and hardly any record. Single
bytes are searched first, which costs next to nothing."""


class Header(msgspec.Struct, frozen=True):
    """A header line in a block.

    Attributes:
        begin: where it begins.
        end: behind its newline.
        layout: what it says.
        fault: why the line is to be refused, if it is.
    """

    begin: int
    end: int
    layout: Layout
    fault: str = ""


class HeaderFinder:
    """Finds header lines within blocks.

    Args:
        dialect: whose field names to look for.
    """

    def __init__(self, dialect: Dialect) -> None:
        self._dialect = dialect
        self._names = {
            form.encode()
            for name in (*dialect.by_name, *COLUMN_OF.values())
            for form in (name, name.replace("-", "_"))
        }

    def find(
        self, data: bytes, lines: int, current: Layout | None, *, at_start: bool
    ) -> list[Header]:
        """Return the header lines in a block, in order.

        Args:
            data: whole lines.
            lines: how many.
            current: the layout that holds so far; its own header may use names that are not known.
            at_start: the block begins the object, where unknown names may come first and a single
                name is a header.
        """
        names = self._names | ({current.names[0].encode()} if current else set())
        initials = {name[:1] for name in names} | {b" ", b"\t", b"\xef"}
        headers: list[Header] = []
        for start in self._candidates(data, lines, names, initials, first=at_start):
            end = data.find(b"\n", start)
            end = len(data) if end < 0 else end
            layout = parse_header(data[start:end], self._dialect)
            if layout is None:
                continue
            repeated = current is not None and layout.names == current.names
            if len(layout.names) > 1 or repeated or (at_start and start == 0):
                headers.append(Header(start, min(end + 1, len(data)), layout, layout.broken))
                current = layout
        if any(byte in data for byte in _RARE) and _MARK in data:
            glued = self._glued(data, {header.begin for header in headers})
            headers = sorted([*headers, *glued], key=lambda header: header.begin)
        return headers

    def _glued(self, data: bytes, known: set[int]) -> Iterator[Header]:
        """Yield the headers after records whose newline is missing, as where files were joined."""
        place = data.find(_MARK)
        while place >= 0:
            begin = data.rfind(b"\n", 0, place) + 1
            end = data.find(b"\n", place)
            end = len(data) if end < 0 else end
            layout = None if begin in known else parse_glued(data[begin:end], self._dialect)
            if layout is not None:
                fault = layout.broken or "a record without its newline, and a header behind it"
                yield Header(begin, min(end + 1, len(data)), layout, fault)
            place = data.find(_MARK, end)

    def _candidates(
        self, data: bytes, lines: int, names: set[bytes], initials: set[bytes], *, first: bool
    ) -> list[int]:
        """Return the starts of lines whose first token may be the name of a field."""
        lead = data[:1]
        found = [0] if first and data else []
        if lead not in initials and _all_begin_with(data, lead, lines):
            return found
        content = np.frombuffer(data, np.uint8)
        starts = np.flatnonzero(content[:-1] == ord("\n")) + 1
        starts = np.concatenate([np.zeros(1, dtype=starts.dtype), starts])
        table = np.zeros(256, dtype=bool)
        table[[initial[0] for initial in initials if initial]] = True
        starts = starts[table[content[starts]]]
        if len(starts):
            starts = _with_known_prefix(data, starts, names)
        return sorted({*found, *starts.tolist()})


def _all_begin_with(data: bytes, lead: bytes, lines: int) -> bool:
    """Return whether every line begins with this byte, comparing two bytes at a time."""
    content = np.frombuffer(data, np.uint8)
    pair = np.frombuffer(b"\n" + lead, np.uint16)[0]
    matches = 0
    for start in (0, 1):
        pairs = content[start : start + (len(content) - start) // 2 * 2].view(np.uint16)
        for place in range(0, len(pairs), _PAIR_STEP):
            matches += int(np.count_nonzero(pairs[place : place + _PAIR_STEP] == pair))
    return matches == lines - 1


def _with_known_prefix(data: bytes, starts: np.ndarray, names: set[bytes]) -> np.ndarray:
    """Keep the line starts whose first bytes are those of a field's name, by distinct prefix."""
    padded = np.frombuffer(data + b"\n" * _PREFIX, np.uint8)
    windows = np.lib.stride_tricks.sliding_window_view(padded, _PREFIX)[starts]
    prefixes, inverse = np.unique(
        np.ascontiguousarray(windows).view(f"S{_PREFIX}").ravel(), return_inverse=True
    )
    known = np.array([_may_begin_header(bytes(prefix), names) for prefix in prefixes])
    kept: np.ndarray = starts[known[inverse]]
    return kept


def _may_begin_header(prefix: bytes, names: set[bytes]) -> bool:
    text = prefix.removeprefix(b"\xef\xbb\xbf").lstrip(b" \t").lower()
    token = text.split(maxsplit=1)[0] if text.strip() else b""
    if not token or len(token) < len(text):
        return token in names or not token
    return any(name.startswith(token) for name in names)
