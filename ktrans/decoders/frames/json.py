"""Cuts objects with JSON of any layout into blocks of one record a line.

Clouds and their tools write the same records as JSON lines, as documents one after the other, as
one array, inside a document under some key, indented or not. Lines are
passed on as they are, without being parsed; everything else is brought into lines first. Memory
stays within a block and a record.
"""

from __future__ import annotations

import re
from collections.abc import Generator, Iterable, Iterator
from itertools import chain

import numpy as np

from ktrans.api import Limits, Payload
from ktrans.decoders.frames.block import Block
from ktrans.decoders.frames.json_cutter import Cutter
from ktrans.decoders.frames.json_documents import Documents
from ktrans.decoders.frames.json_scan import Found, Place, reads, scan
from ktrans.decoders.read.raw_columns import Path
from ktrans.kit.text.inflate import Inflater
from ktrans.kit.text.lines import Lines, Overlong, cut_lines

_BOM = b"\xef\xbb\xbf"
_LOOKED_AT = 64 << 10
_LOOKED_AT_LINES = 16
_TOGETHER = re.compile(rb"\}[ \t]*\{")
_OPEN, _CLOSE, _NEWLINE = b"{}\n"
_BLANK = b" \t\r\n"


def cut_json(
    payload: Payload,
    limits: Limits,
    *,
    unwrap: tuple[Path, ...] = (),
    inflater: Inflater | None = None,
) -> Iterator[Block]:
    """Cut a payload into blocks of one JSON record a line.

    Args:
        payload: gzip, zstd, bzip2 or plain, told apart by their first bytes.
        limits: sizes of blocks and records, and how far a stream may inflate.
        unwrap: a document with an array at one of these paths is not a record; the array's
            elements are.
        inflater: of the payload's bytes; by default a new one.

    Raises:
        TruncatedError: the stream ends early and may still grow (`payload.final_attempt`).
        RejectError: the stream inflates to more than is allowed.
    """
    inflater = inflater or Inflater(payload.open, limits, payload.uri)
    chunks = inflater.chunks()
    head = _head(chunks)
    cutter = Cutter(payload, limits)
    stream = chain([head] if head else [], chunks)
    if _is_lines(head, unwrap):
        yield from _cut_lines(cutter, stream, inflater)
    else:
        documents = Documents(cutter, unwrap)
        for chunk in _gathered(stream, max(limits.block_bytes, limits.max_line_bytes)):
            yield from documents.take(chunk)
        yield from documents.end(inflater.problem)
    yield from cutter.flush()


def _head(chunks: Iterator[bytes]) -> bytes:
    """Read the start of a stream, without a byte order mark and blanks."""
    head = b""
    for chunk in chunks:
        head = (head + chunk).removeprefix(_BOM).lstrip(_BLANK)
        if len(head) >= _LOOKED_AT:
            break
    return head


def _is_lines(head: bytes, unwrap: tuple[Path, ...]) -> bool:
    """Return whether each line is a document, by the first ones, of which a few may be damaged."""
    if not head.startswith(b"{"):
        return not head.startswith(b"[") and b"\n{" in head[:_LOOKED_AT]
    lines = head[:_LOOKED_AT].split(b"\n")
    whole = lines if len(head) < _LOOKED_AT or len(lines) == 1 else lines[:-1]
    whole = [line for line in whole if line.strip()][:_LOOKED_AT_LINES]
    if any(f'"{path[-1]}"'.encode() in whole[0] for path in unwrap):
        return False
    good = [line for line in whole if line.lstrip().startswith(b"{") and reads(line)]
    return whole[0] in good or len(good) * 2 > len(whole)


def _cut_lines(cutter: Cutter, stream: Iterable[bytes], inflater: Inflater) -> Iterator[Block]:
    """Cut JSON lines; a stretch that is written otherwise is brought into lines."""
    carry = b""
    pieces = cut_lines(stream, cutter.limits)
    piece = next(pieces, None)
    while piece is not None:
        following = next(pieces, None)
        if isinstance(piece, Overlong):
            yield from cutter.refuse_long(piece.start, piece.length)
        else:
            data = carry + piece.data if carry else piece.data
            if following is None and inflater.problem is not None:
                data, carry = _without_torn(data)
                yield from _take_lines(cutter, data, more=False)
            else:
                carry = yield from _take_lines(cutter, data, more=isinstance(following, Lines))
        piece = following
    if inflater.problem is not None:
        yield from cutter.flush()
        yield from cutter.refuse_torn(carry, inflater.problem)


def _without_torn(data: bytes) -> tuple[bytes, bytes]:
    """Split off what follows the last newline, unless it is whole."""
    end = data.rfind(b"\n") + 1
    return (data, b"") if reads(data[end:]) else (data[:end], data[end:])


def _take_lines(cutter: Cutter, data: bytes, *, more: bool) -> Generator[Block, None, bytes]:
    """Yield blocks of whole lines, and return the start of a record that goes on after them."""
    if b"\r\n" in data[:_LOOKED_AT]:
        data = data.replace(b"\r\n", b"\n")
    count = _ready_lines(data)
    if count is not None:
        yield from cutter.lines(data, count)
        return b""
    found = scan(data, Place.TOP, None)
    rest = data[found.rest :]
    unfinished = bool(rest.strip(_BLANK))
    fits = not unfinished or (more and len(rest) <= cutter.limits.max_line_bytes)
    if fits and found.place is Place.TOP and _are_documents(data, found):
        for start, end in found.spans:
            yield from cutter.record(data[start:end])
        return rest if unfinished else b""
    for line in data.split(b"\n"):
        for record in _records_of(line):
            yield from cutter.record(record)
    return b""


def _ready_lines(data: bytes) -> int | None:
    """Count the lines if each is one pair of braces, as far as its first and last byte tell."""
    content = np.frombuffer(data, np.uint8)
    ends = np.flatnonzero(content == _NEWLINE)
    if not data.endswith(b"\n"):
        ends = np.append(ends, len(data))
    starts = ends[:-1] + 1
    ready = (
        data.startswith(b"{")
        and bool((content[starts] == _OPEN).all())
        and bool((content[ends - 1] == _CLOSE).all())
        and not (_has_pair(content, b"}{", b"} ", b"}\t") and _TOGETHER.search(data))
    )
    return len(ends) if ready else None


def _has_pair(content: np.ndarray, *pairs: bytes) -> bool:
    """Return whether two bytes follow each other anywhere, comparing both at a time."""
    wanted = [np.frombuffer(pair, np.uint16)[0] for pair in pairs]
    for start in (0, 1):
        words = content[start : start + (len(content) - start) // 2 * 2].view(np.uint16)
        if any(bool((words == word).any()) for word in wanted):
            return True
    return False


def _are_documents(data: bytes, found: Found) -> bool:
    """Return whether the records found by brackets are whole where they are not one a line."""
    for start, end in found.spans:
        record = data[start:end]
        if not record.startswith(b"{") or (b"\n" in record and not reads(record)):
            return False
    return True


def _records_of(line: bytes) -> list[bytes]:
    """Return the records on a line: one, whatever it is, or several documents."""
    if _TOGETHER.search(line):
        records = [line[start:end] for start, end in scan(line, Place.TOP, None).spans]
        if all(reads(record) for record in records):
            return records
    return [line] if line.strip(_BLANK) else []


def _gathered(stream: Iterable[bytes], size: int) -> Iterator[bytes]:
    """Join small chunks, so that the rest of one is not scanned again and again."""
    kept: list[bytes] = []
    there = 0
    for chunk in stream:
        kept.append(chunk)
        there += len(chunk)
        if there >= size:
            yield b"".join(kept)
            kept, there = [], 0
    if kept:
        yield b"".join(kept)
