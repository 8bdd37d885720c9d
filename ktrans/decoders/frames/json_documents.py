"""Cuts JSON that is not one record a line: documents, arrays, arrays inside documents."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import pairwise

from ktrans.decoders.frames.block import Block
from ktrans.decoders.frames.json_borders import Borders, stands_alone
from ktrans.decoders.frames.json_cutter import Cutter
from ktrans.decoders.frames.json_scan import Levels, Place, Wrapper, reads, scan
from ktrans.decoders.read.raw_columns import Path
from ktrans.kit.text.inflate import Problem
from ktrans.kit.text.lines import SHOWN_BYTES, Overlong

_OVERLAP = 256
_START = re.compile(rb'\{\s*"[^"\\]*"\s*:')
_BLANK = b" \t\r\n"


class Documents:
    """Finds the records in a stream of JSON documents.

    Args:
        cutter: makes blocks of them.
        unwrap: paths of the arrays whose elements are the records.
    """

    def __init__(self, cutter: Cutter, unwrap: tuple[Path, ...]) -> None:
        self._cutter = cutter
        self._wrapper = Wrapper(*unwrap) if unwrap else None
        self._borders = Borders()
        self._place = Place.TOP
        self._levels: Levels = ()
        self._opened = False
        self._rest = b""
        self._lost: Overlong | None = None

    def take(self, chunk: bytes) -> Iterator[Block]:
        """Yield blocks of the records that end in the next bytes."""
        data = self._rest + chunk
        if self._lost is not None:
            border = self._borders.find(data, 0)
            if border < 0:
                self._lost = Overlong(self._lost.start, self._lost.length + len(chunk))
                self._rest = data[-_OVERLAP:]
                return
            length = self._lost.length + border - len(self._rest)
            yield from self._cutter.refuse_long(self._lost.start, length)
            self._lost, data = None, data[border:]
        if self._wrapper is None and self._place is Place.TOP and not self._levels:
            *alike, data = _alike(data)
            for record in alike:
                self._borders.learn(record)
                yield from self._cutter.record(record)
        found = scan(data, self._place, self._wrapper, self._levels)
        for start, end in found.spans:
            yield from self._span(data[start:end])
        self._place, self._opened, self._levels = found.place, found.opened, found.levels
        self._rest = data[found.rest :]
        if len(self._rest) > self._cutter.limits.max_line_bytes:
            yield from self._bound()

    def end(self, problem: Problem | None) -> Iterator[Block]:
        """Yield blocks of what is left at the end of the stream.

        Args:
            problem: why it ended early, if it did.
        """
        if self._lost is not None:
            yield from self._cutter.refuse_long(self._lost.start, self._lost.length)
            self._rest, self._opened = b"", False
        yield from self._salvage()
        if problem is None and stands_alone(self._rest):
            yield from self._cutter.record(self._rest)
            self._rest, self._opened = b"", False
        if problem is None and (self._opened or self._place is not Place.TOP):
            problem = Problem("truncated", "the JSON document ends in the middle")
        if problem is not None:
            yield from self._cutter.flush()
            yield from self._cutter.refuse_torn(self._rest, problem)
        elif self._rest:
            yield from self._cutter.record(self._rest)

    def _span(self, span: bytes) -> Iterator[Block]:
        """Add a record; if it is damaged, add the records that it contains."""
        if reads(span):
            self._borders.learn(span)
            yield from self._cutter.record(span)
            return
        for part in self._borders.split(span):
            yield from self._cutter.record(part)

    def _bound(self) -> Iterator[Block]:
        """Limit what is unfinished: it is damaged, or too long."""
        yield from self._salvage()
        if len(self._rest) > self._cutter.limits.max_line_bytes:
            self._lost = Overlong(self._rest[:SHOWN_BYTES], len(self._rest))
            self._rest = self._rest[-_OVERLAP:]

    def _salvage(self) -> Iterator[Block]:
        """Add the records that an unfinished one contains."""
        *records, self._rest = self._borders.split(self._rest) or [b""]
        for record in records:
            yield from self._cutter.record(record)


def _alike(data: bytes) -> list[bytes]:
    """Return the documents at the start of some bytes that all begin with the same key, and what follows.

    Whole documents one after the other can be cut in one way only, so it is enough that each reads.
    """
    data = data.lstrip(_BLANK)
    first = _START.match(data)
    again = -1 if first is None else data.find(first[0], first.end())
    if first is None or again < 0:
        return [data]
    gap = data[data.rfind(b"}", 0, again) + 1 : again]
    if gap.strip(_BLANK):
        return [data]
    border, starts = b"}" + gap + first[0], [0]
    while (at := data.find(border, starts[-1])) >= 0:
        starts.append(at + 1 + len(gap))
    records = [data[begin:end] for begin, end in pairwise(starts)]
    return [*records, data[starts[-1] :]] if all(map(reads, records)) else [data]
