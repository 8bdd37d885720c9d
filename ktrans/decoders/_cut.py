"""Cutting a stream of text into blocks of whole lines, and finding the header lines in them.

This runs in one thread for each object, so it does little more than copy: newlines are counted and
headers looked for with array operations.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from ktrans.api import Limits
from ktrans.decoders._layout import Dialect, Layout, parse_header

SHOWN_BYTES = 4096
"""How much of an overlong line its reject keeps."""

_COUNT_STEP = 1 << 19
_PAIR_STEP = 1 << 17
_PREFIX = 12


def shortened(raw: bytes, detail: str, longest: int) -> tuple[bytes, str]:
    """Give the bytes that a reject keeps, and its detail, which tells if that is not all."""
    if len(raw) <= longest:
        return raw, detail
    return raw[:longest], f"{detail}; its first {longest} bytes are kept"


@dataclass(frozen=True, slots=True)
class Lines:
    """Whole lines; only the last one of a stream may lack its newline."""

    data: bytes


@dataclass(frozen=True, slots=True)
class Overlong:
    """A line longer than allowed: its first bytes and its length."""

    start: bytes
    length: int


def count_lines(data: bytes) -> int:
    """Count lines, the unterminated last one included."""
    content = np.frombuffer(data, np.uint8)
    newlines = sum(
        int(np.count_nonzero(content[place : place + _COUNT_STEP] == ord("\n")))
        for place in range(0, len(content), _COUNT_STEP)
    )
    return newlines + (not data.endswith(b"\n") and bool(data))


def cut_lines(chunks: Iterable[bytes], limits: Limits) -> Iterator[Lines | Overlong]:
    """Cut chunks at newlines into pieces of about `limits.block_bytes`.

    Memory stays within a block and a line, whatever the stream holds.
    """
    longest = limits.max_line_bytes
    kept: list[bytes] = []
    size = 0
    lost: Overlong | None = None
    for chunk in chunks:
        piece = chunk
        if lost is not None:
            end = piece.find(b"\n")
            if end < 0:
                lost = Overlong(lost.start, lost.length + len(piece))
                continue
            yield Overlong(lost.start, lost.length + end)
            lost = None
            piece = piece[end + 1 :]
        size += len(piece)
        end = piece.rfind(b"\n") + 1 if size >= limits.block_bytes else 0
        if end:
            yield from split_overlong(b"".join((*kept, memoryview(piece)[:end])), longest)
            piece = piece[end:]
            kept, size = [], len(piece)
        kept.append(piece)
        if size > max(longest, limits.block_bytes):
            data = b"".join(kept)
            end = data.rfind(b"\n") + 1
            if end:
                yield from split_overlong(data[:end], longest)
            tail = data[end:]
            if len(tail) > longest:
                lost = Overlong(tail[:SHOWN_BYTES], len(tail))
                tail = b""
            kept, size = [tail], len(tail)
    if lost is not None:
        yield lost
    elif size:
        yield from split_overlong(b"".join(kept), longest)


def split_overlong(data: bytes, longest: int) -> Iterator[Lines | Overlong]:
    """Take the lines out that are longer than allowed.

    Such a line leaves some half of `longest` bytes without a newline, so looking at the windows'
    first newlines is enough to know that there is none.
    """
    window = max(longest // 2, 1)
    if len(data) <= longest or all(
        data.find(b"\n", place, place + window) >= 0
        for place in range(0, len(data) - window + 1, window)
    ):
        if data:
            yield Lines(data)
        return
    done = place = 0
    while place < len(data):
        end = data.find(b"\n", place)
        end = len(data) if end < 0 else end
        if end - place > longest:
            if place > done:
                yield Lines(data[done:place])
            yield Overlong(data[place : place + SHOWN_BYTES], end - place)
            done = end + 1
        place = end + 1
    if done < len(data):
        yield Lines(data[done:])


class HeaderFinder:
    """Finds header lines within blocks.

    Args:
        dialect: whose field names to look for.
    """

    def __init__(self, dialect: Dialect) -> None:
        self._dialect = dialect
        self._names = {
            form.encode() for name in dialect.by_name for form in (name, name.replace("-", "_"))
        }

    def find(
        self, data: bytes, lines: int, current: Layout | None, *, at_start: bool
    ) -> list[tuple[int, int, Layout]]:
        """Give begin, end (behind the newline) and layout of each header line in a block.

        Args:
            data: whole lines.
            lines: how many.
            current: the layout that holds so far; its own header may use names that are not known.
            at_start: the block begins the object, where unknown names may come first and a single
                name is a header.
        """
        names = self._names | ({current.names[0].encode()} if current else set())
        initials = {name[:1] for name in names} | {b" ", b"\t", b"\xef"}
        headers = []
        for start in self._candidates(data, lines, names, initials, first=at_start):
            end = data.find(b"\n", start)
            end = len(data) if end < 0 else end
            layout = parse_header(data[start:end], self._dialect)
            if layout is None:
                continue
            repeated = current is not None and layout.names == current.names
            if len(layout.names) > 1 or repeated or (at_start and start == 0):
                headers.append((start, min(end + 1, len(data)), layout))
                current = layout
        return headers

    def _candidates(
        self, data: bytes, lines: int, names: set[bytes], initials: set[bytes], *, first: bool
    ) -> list[int]:
        """Give the starts of lines whose first token may be a field's name."""
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
    """Tell whether every line begins with this byte, comparing two bytes at a time."""
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
