"""Cuts a stream of text into blocks of whole lines, in limited memory for any content."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import msgspec
import numpy as np

from ktrans.api.component import Limits
from ktrans.api.payload import Payload
from ktrans.kit.text.inflate import Inflater, Problem, wait_for_more

SHOWN_BYTES = 4096
"""How much of an overlong line its reject keeps."""

_COUNT_STEP = 1 << 19
_ASCII = 0x7F


def shortened(raw: bytes, detail: str, longest: int) -> tuple[bytes, str, bool]:
    """Return the bytes that a reject keeps, its detail, and whether they are complete."""
    if len(raw) <= longest:
        return raw, detail, True
    return raw[:longest], f"{detail}; its first {longest} bytes are kept", False


class Lines(msgspec.Struct, frozen=True):
    """Whole lines; only the last one of a stream may have no newline."""

    data: bytes


class Overlong(msgspec.Struct, frozen=True):
    """A line longer than allowed: its first bytes and its length."""

    start: bytes
    length: int


class Torn(msgspec.Struct, frozen=True):
    """The bytes after the last newline of a stream that ended early, and why it did."""

    data: bytes
    problem: Problem


def count_lines(data: bytes) -> int:
    """Count lines, including an unterminated last one."""
    content = np.frombuffer(data, np.uint8)
    newlines = sum(
        int(np.count_nonzero(content[place : place + _COUNT_STEP] == ord("\n")))
        for place in range(0, len(content), _COUNT_STEP)
    )
    return newlines + (not data.endswith(b"\n") and bool(data))


def line_bounds(data: bytes) -> tuple[np.ndarray, np.ndarray]:
    """Return where each line begins and ends, without its newline."""
    ends = np.flatnonzero(np.frombuffer(data, np.uint8) == ord("\n"))
    if data and not data.endswith(b"\n"):
        ends = np.append(ends, len(data))
    starts = np.empty_like(ends)
    if len(ends):
        starts[0] = 0
        starts[1:] = ends[:-1] + 1
    return starts, ends


def not_utf8(
    data: bytes, starts: np.ndarray, ends: np.ndarray
) -> Iterator[tuple[int, UnicodeDecodeError]]:
    """Yield the lines that are not UTF-8, each with the error."""
    try:
        data.decode("utf-8")
    except UnicodeDecodeError:
        odd = np.flatnonzero(np.frombuffer(data, np.uint8) > _ASCII)
        for line in np.unique(np.searchsorted(ends, odd)).tolist():
            try:
                data[starts[line] : ends[line]].decode("utf-8")
            except UnicodeDecodeError as error:
                yield line, error


def cut_lines(chunks: Iterable[bytes], limits: Limits) -> Iterator[Lines | Overlong]:
    """Cut chunks at newlines into pieces of about `limits.block_bytes`.

    Memory is limited to a block and a line, whatever the content.
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


def whole_lines(
    payload: Payload,
    inflater: Inflater,
    limits: Limits,
    chunks: Iterable[bytes] | None = None,
) -> Iterator[Lines | Overlong | Torn]:
    """Cut a stream into whole lines; if it ended early, the torn rest comes last.

    Args:
        payload: whose bytes these are.
        inflater: of its bytes; knows whether the stream ended early.
        limits: on the lengths of blocks and lines.
        chunks: the inflater's chunks, if some of them were examined before.

    Raises:
        TruncatedError: it ended early and may still grow.
    """
    last: Lines | Overlong | None = None
    for piece in cut_lines(inflater.chunks() if chunks is None else chunks, limits):
        if last is not None:
            yield last
        last = piece
    problem = inflater.problem
    if problem is None:
        if last is not None:
            yield last
        return
    wait_for_more(payload, problem)
    torn = b""
    if isinstance(last, Lines):
        data = last.data
        end = data.rfind(b"\n") + 1
        last, torn = Lines(data[:end]) if end else None, data[end:]
    if last is not None:
        yield last
    yield Torn(torn[: limits.max_line_bytes], problem)


def split_overlong(data: bytes, longest: int) -> Iterator[Lines | Overlong]:
    """Separate the lines that are longer than allowed.

    Such a line fills some window of half of `longest` bytes without a newline, so if every window has
    one, there is no such line.
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
