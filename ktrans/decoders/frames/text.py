"""From pieces of text and JSON documents to blocks: layouts followed, positions counted."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

import pyarrow as pa

from ktrans.api import Context, Payload
from ktrans.decoders.aws.layout import Dialect, Layout, is_time
from ktrans.decoders.frames.header_lines import HeaderFinder
from ktrans.decoders.frames.log_events import BadDocument, Messages, read_document
from ktrans.decoders.read.text_fast import Events, TextBlock
from ktrans.kit.text.inflate import Problem
from ktrans.kit.text.lines import SHOWN_BYTES, Lines, Overlong, Torn, count_lines


@dataclass(frozen=True, slots=True)
class NoteBlock:
    """Records of a payload that are no rows: rejects found while cutting, headers, controls."""

    rejects: pa.RecordBatch | None
    skipped: int = 0

    @property
    def nbytes(self) -> int:
        """Size of the rejects."""
        return 0 if self.rejects is None else int(self.rejects.nbytes)


class Owner(Protocol):
    """What a cutter needs of its decoder."""

    dialect: ClassVar[Dialect]
    context: Context
    finder: HeaderFinder
    configured: Layout | None

    def tell(self, names: Iterable[str]) -> None:
        """Log names that are not known."""

    def rejects(
        self,
        uri: str,
        positions: Any,
        reasons: Any,
        raw: Any,
        details: Any,
        layout: str | None,
        complete: Any = None,
    ) -> pa.RecordBatch:
        """Make rejects."""


def guessed_layout(dialect: Dialect) -> Layout:
    """Give the layout to try on lines that nothing names the fields of."""
    return Layout(dialect.default, guessed=True)


class TextCutter:
    """Turns pieces of one payload into blocks, switching the layout at each header line."""

    def __init__(self, owner: Owner, payload: Payload, layout: Layout | None) -> None:
        self._owner = owner
        self._uri = payload.uri
        self._line = payload.first_line
        self._fresh = payload.offset == 0
        self._layout = layout
        self._skipped = 0
        if layout is not None:
            owner.tell(layout.names)

    def take(self, piece: Lines | Overlong | Torn) -> Iterator[TextBlock | NoteBlock]:
        """Take the next piece."""
        if isinstance(piece, Torn):
            yield self._refuse(piece.problem.reason, piece.data, piece.problem.message)
            return
        if isinstance(piece, Overlong):
            detail = (
                f"a line of {piece.length} bytes, where "
                f"{self._owner.context.limits.max_line_bytes} are allowed; "
                f"its first {min(SHOWN_BYTES, piece.length)} are kept"
            )
            yield self._refuse("line_too_long", piece.start, detail)
            return
        data = piece.data
        lines = count_lines(data)
        headers = self._owner.finder.find(data, lines, self._layout, at_start=self._fresh)
        self._fresh = False
        done = 0
        for header in headers:
            part = data[done : header.begin]
            yield from self._lines(part, count_lines(part))
            if header.fault:
                line = data[header.begin : header.end].rstrip(b"\r\n")
                yield self._refuse("bad_header", line, header.fault)
            else:
                self._line += 1
                self._skipped += 1
            self._layout = header.layout
            self._owner.tell(header.layout.names)
            done = header.end
        if not headers:
            yield from self._lines(data, lines)
        elif done < len(data):
            part = data[done:]
            yield from self._lines(part, count_lines(part))

    def end(self) -> Iterator[NoteBlock]:
        """Give what is left to count."""
        if self._skipped:
            yield NoteBlock(None, self._skipped)
            self._skipped = 0

    def _lines(self, data: bytes, lines: int) -> Iterator[TextBlock | NoteBlock]:
        if not lines:
            return
        layout = self._layout or guessed_layout(self._owner.dialect)
        if layout.broken:
            yield self._refuse_lines(data, layout.broken)
            return
        end = data.find(b"\n")
        tokens = data[: end if end >= 0 else len(data)].split()
        prefixed = len(tokens) == len(layout.names) + 1 and is_time(tokens[0])
        yield TextBlock(self._uri, data, layout, prefixed, self._line, lines, self._skipped)
        self._skipped = 0
        self._line += lines

    def _refuse(self, reason: str, raw: bytes, detail: str) -> NoteBlock:
        layout = self._layout.text if self._layout else None
        rejects = self._owner.rejects(self._uri, [self._line], [reason], [raw], [detail], layout)
        self._line += 1
        return NoteBlock(rejects)

    def _refuse_lines(self, data: bytes, why: str) -> NoteBlock:
        """Refuse the records behind a header that they cannot be read by."""
        first = self._line
        lines = [line.removesuffix(b"\r") for line in data.removesuffix(b"\n").split(b"\n")]
        bad = [place for place, line in enumerate(lines) if line.strip()]
        self._line += len(lines)
        skipped, self._skipped = self._skipped + len(lines) - len(bad), 0
        rejects = self._owner.rejects(
            self._uri,
            [first + place for place in bad],
            ["no_layout"] * len(bad),
            [lines[place] for place in bad],
            [f"the header line before it cannot be used: {why}"] * len(bad),
            None,
        )
        return NoteBlock(rejects if bad else None, skipped)


class EventCutter:
    """Turns JSON documents of one payload into blocks of their messages.

    The position of a record is the ordinal of its log event in the object; a document that cannot
    be read counts as one.
    """

    def __init__(self, owner: Owner, payload: Payload) -> None:
        self._owner = owner
        self._limits = owner.context.limits
        self._uri = payload.uri
        self._place = payload.first_line
        self._layout = owner.configured or guessed_layout(owner.dialect)
        self._messages = Messages()
        self._bytes = 0
        owner.tell(self._layout.names)

    def take(
        self, document: bytes | BadDocument, problem: Problem | None = None
    ) -> Iterator[TextBlock | NoteBlock]:
        """Take the next document; `problem` says that the stream broke off within or behind it."""
        if isinstance(document, BadDocument):
            yield from self._refuse(document)
        else:
            torn = False
            for bad in read_document(document, self._messages, self._limits):
                torn = True
                if problem is not None:
                    bad.reason, bad.detail = problem.reason, problem.message
                yield from self._refuse(bad)
            if problem is not None and not torn:
                yield from self._refuse(BadDocument(b"", problem.reason, problem.message))
            self._bytes += len(document)
        if self._bytes >= self._limits.block_bytes:
            yield from self.end()

    def end(self) -> Iterator[TextBlock | NoteBlock]:
        """Give the messages that have gathered."""
        found, self._bytes = self._messages.taken(), 0
        count = len(found.texts)
        if count:
            yield TextBlock(
                self._uri,
                b"\n".join(found.texts) + b"\n",
                self._layout,
                prefixed=False,
                first=self._place,
                lines=count,
                skipped=found.control,
                events=Events(tuple(found.ids), tuple(found.millis)),
            )
            self._place += count
        elif found.control:
            yield NoteBlock(None, found.control)

    def _refuse(self, bad: BadDocument) -> Iterator[TextBlock | NoteBlock]:
        yield from self.end()
        rejects = self._owner.rejects(
            self._uri,
            [self._place],
            [bad.reason],
            [bad.raw],
            [bad.detail],
            None,
            complete=[bad.complete],
        )
        self._place += 1
        yield NoteBlock(rejects)
