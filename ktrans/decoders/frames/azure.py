"""Cut Azure flow-log objects into blocks of whole records, and count the tuples in them.

An object is `{"records":[...]}`, and grows while it is being written: what is read of it may begin
behind a record and end within one. A piece ends where a record seems to begin, by the key that the
first record began with. A piece that is not valid JSON was cut in the wrong place, or is damaged: then
brackets are counted. The tuples themselves are parsed by the decoder.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping

from ktrans.api import Limits, Payload
from ktrans.decoders.azure.block import TupleBlock
from ktrans.decoders.azure.records import Fault, Kind, Records
from ktrans.decoders.frames.block import Block, Refused
from ktrans.decoders.frames.json_borders import Borders
from ktrans.decoders.frames.json_scan import Place, Wrapper, one_line, reads, scan
from ktrans.decoders.read.azure_exact import read_exactly
from ktrans.decoders.read.azure_loose import decode_or_fault, read_loosely
from ktrans.kit.text.inflate import Problem, wait_for_more
from ktrans.kit.text.lines import shortened

MAX_RECORD_LINES = 64
"""A record may be so many times as long as a line (`limits.max_line_bytes`): it holds the flows of
an interface over a minute or more."""

_BOM = b"\xef\xbb\xbf"
_PUNCTUATION = b" \t\r\n,"
_WRAPPER = Wrapper(("records",))
_HEADER = re.compile(rb'\s*\{[^{}\[\]]*?"records"\s*:\s*\[', re.IGNORECASE)
_CLOSER = re.compile(rb"\]\s*\}\s*\Z")
_BETWEEN = re.compile(rb'(?:[\s,\[\]}]|\{[^{}\[\]]*?"records"\s*:\s*\[)*', re.IGNORECASE)
_FIRST_KEY = re.compile(rb'[\s,]*\{\s*("(?:[^"\\]|\\.)*")\s*:')
_BEFORE_KEY = re.compile(rb"\}\s*,\s*\{\s*\Z")
_REACH = 96
_TRIES = 64
_TAIL = 256
_CLOSERS = 5


def first_position(payload: Payload) -> int:
    """Return the ordinal of a payload's first tuple.

    A source that reads a growing object part by part may not know how many tuples came before. Then
    counting begins at the part's byte offset: a tuple is longer than a byte, so that positions
    still rise over the object and no two tuples share one.
    """
    return payload.first_line if payload.first_line > 1 else payload.offset + 1


class Cutter:
    """Cuts the bytes of one payload into blocks.

    Args:
        payload: where they come from.
        limits: sizes of blocks and records.
        default: the kind of records that do not name theirs.
    """

    def __init__(self, payload: Payload, limits: Limits, default: Kind) -> None:
        self._payload = payload
        self._limits = limits
        self._max = MAX_RECORD_LINES * limits.max_line_bytes
        self._default = default
        self._position = first_position(payload)
        self._buffer = b""
        self._place = Place.TOP
        self._borders = Borders()
        self._key: bytes | None = None
        self._skipping = False

    def blocks(self, chunks: Iterable[bytes]) -> Iterator[Block]:
        """Cut the stream up to the last whole record of its last piece."""
        wait = self._limits.block_bytes
        fresh = True
        gathered: list[bytes] = []
        size = 0
        for chunk in chunks:
            gathered.append(chunk)
            size += len(chunk)
            if size < wait:
                continue
            self._buffer = b"".join(gathered)
            if fresh:
                self._buffer, fresh = self._buffer.removeprefix(_BOM), False
            yield from self._advance()
            gathered, size = [self._buffer], len(self._buffer)
            wait = max(self._limits.block_bytes, 2 * size)
        self._buffer = b"".join(gathered)
        if fresh:
            self._buffer = self._buffer.removeprefix(_BOM)

    def end(self, problem: Problem | None) -> Iterator[Block]:
        """Cut the end of the stream.

        Raises:
            TruncatedError: it ended within a record, and there may be more.
        """
        if self._skipping and not self._resume():
            return
        self._open()
        text = self._buffer.strip(_PUNCTUATION)
        for whole in (_CLOSER.sub(b"", text), text):
            if problem is None and (blocks := self._try(whole)) is not None:
                self._buffer = b""
                yield from blocks
                return
        yield from self._scan()
        torn = self._buffer.strip(_PUNCTUATION)
        if not torn and problem is None:
            return
        *parts, last = self._borders.split(torn) or [b""]
        for part in parts:
            yield from self._record(part)
        last = _without_closers(last)
        if reads(last) or _BETWEEN.fullmatch(last):
            yield from self._record(last)
            last = b""
        if not last and problem is None:
            return
        problem = problem or Problem("truncated", "the object ends in the middle of a record")
        wait_for_more(self._payload, problem)
        yield self._refuse(problem.reason, last, problem.message)

    def _advance(self) -> Iterator[Block]:
        """Cut the whole records of the buffer."""
        if self._skipping and not self._resume():
            return
        self._open()
        cut = self._cut()
        blocks = self._try(self._buffer, cut) if cut else None
        if blocks is not None:
            self._buffer = self._buffer[cut:]
            yield from blocks
            return
        yield from self._scan()
        parts = self._borders.split(self._buffer)
        if any(reads(part) for part in parts[1:]):
            # What looked like one record has whole ones inside: its own end is missing.
            last = parts.pop() if not reads(parts[-1]) else b""
            for part in parts:
                yield from self._record(part)
            self._buffer = last
        if len(self._buffer) > self._max:
            yield self._refuse(
                "record_too_long",
                self._buffer,
                f"a record of more than {self._max} bytes",
            )
            self._skipping = True
            self._buffer = self._buffer[-_TAIL:]

    def _resume(self) -> bool:
        """Skip to the record behind one that is too long."""
        border = self._borders.find(self._buffer, 0)
        self._skipping = border < 0
        self._buffer = self._buffer[-_TAIL:] if self._skipping else self._buffer[border:]
        return not self._skipping

    def _open(self) -> None:
        """Skip the begin of the document, and remember the first key of the first record."""
        if self._place is Place.TOP and (match := _HEADER.match(self._buffer)):
            self._buffer = self._buffer[match.end() :]
            self._place = Place.WRAPPED
        if self._key is None and (match := _FIRST_KEY.match(self._buffer)):
            self._key = match[1]
            self._borders.learn(self._buffer[: match.end()].lstrip(_PUNCTUATION))

    def _cut(self) -> int:
        """Find the end of the last record behind which another seems to begin; 0 if there is none."""
        if self._key is None:
            return 0
        end = len(self._buffer)
        for _ in range(_TRIES):
            end = self._buffer.rfind(self._key, 0, end)
            if end < 0:
                return 0
            start = max(0, end - _REACH)
            if match := _BEFORE_KEY.search(self._buffer[start:end]):
                return start + match.start() + 1
        return 0

    def _try(self, text: bytes, end: int | None = None) -> list[Block] | None:
        """Read records with commas between them, up to `end`; None if they are not valid."""
        end = len(text) if end is None else end
        start = 0
        while start < end and text[start] in _PUNCTUATION:
            start += 1
        while end > start and text[end - 1] in _PUNCTUATION:
            end -= 1
        if start == end:
            return []
        array = b"".join((b"[", memoryview(text)[start:end], b"]"))
        foreign: Mapping[str, int] = {}
        parts = read_exactly(array)
        if parts is None:
            try:
                parts, foreign = read_loosely(decode_or_fault(array), self._default)
            except Fault:
                return None
        return self._take(parts, foreign)

    def _take(self, parts: list[Records], foreign: Mapping[str, int]) -> list[Block]:
        """Make blocks of records, and count their tuples."""
        uri = self._payload.uri
        blocks: list[Block] = []
        for groups in parts:
            if groups.tuples:
                blocks.append(TupleBlock(uri, self._position, groups.tuples, groups=groups))
                self._position += groups.tuples
        if foreign:
            skipped = sum(foreign.values())
            blocks.append(Block(uri, self._position, skipped=skipped, foreign=foreign))
        return blocks

    def _scan(self) -> Iterator[Block]:
        """Cut the whole records of the buffer by counting brackets, and keep the rest."""
        found = scan(self._buffer, self._place, _WRAPPER)
        data, done = self._buffer, 0
        self._buffer = data[found.rest :]
        self._place = found.place
        pending: list[bytes] = []
        for start, end in [*found.spans, (found.rest, found.rest)]:
            between = data[done:start]
            if not _BETWEEN.fullmatch(between):
                yield from self._records(pending)
                pending = []
                for part in self._borders.split(between.strip(_PUNCTUATION)):
                    yield from self._record(part)
            if start < end:
                pending.append(data[start:end])
            done = end
        yield from self._records(pending)

    def _records(self, texts: list[bytes]) -> Iterator[Block]:
        """Read records together, or one by one if one of them is damaged."""
        blocks = self._try(b",".join(texts))
        if blocks is not None:
            yield from blocks
            return
        for text in texts:
            yield from self._record(text)

    def _record(self, text: bytes) -> Iterator[Block]:
        """Read a record; if it is damaged, read the records that seem to be inside it."""
        text = _without_closers(text.strip(_PUNCTUATION))
        if _BETWEEN.fullmatch(text):
            return
        exact = read_exactly(b"[%b]" % text)
        if exact is not None:
            yield from self._take(exact, {})
            return
        try:
            parts, foreign = read_loosely(decode_or_fault(text), self._default)
        except Fault as fault:
            pieces = [] if reads(text) else self._borders.split(text)
            if len(pieces) > 1:
                for piece in pieces:
                    yield from self._record(piece)
            else:
                yield self._refuse(fault.reason, text, str(fault))
            return
        yield from self._take(parts, foreign)

    def _refuse(self, reason: str, raw: bytes, detail: str) -> Block:
        raw, detail, complete = shortened(raw, detail, self._limits.max_line_bytes)
        refused = Refused(self._position, reason, one_line(raw), detail, complete)
        self._position += 1
        return Block(self._payload.uri, self._position, refused=(refused,))


def _without_closers(text: bytes) -> bytes:
    """Remove closing brackets of the document from the end of a record, if it is valid without."""
    shorter = text
    for _ in range(_CLOSERS):
        if reads(shorter):
            return shorter
        shorter = shorter.rstrip(_PUNCTUATION)
        if not shorter.endswith((b"]", b"}")):
            return text
        shorter = shorter[:-1]
    return text
