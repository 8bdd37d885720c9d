"""Cuts text lines into blocks: follows layouts, and counts positions."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Protocol

from ktrans.api import Context, Payload, RejectError
from ktrans.decoders.aws.layout import Dialect, Layout, is_time
from ktrans.decoders.frames.block import Block, Refused, refused_lines
from ktrans.decoders.frames.header_lines import HeaderFinder
from ktrans.kit.text.lines import SHOWN_BYTES, Lines, Overlong, Torn, count_lines


class Owner(Protocol):
    """What a cutter needs of its decoder."""

    dialect: Dialect
    context: Context
    finder: HeaderFinder
    configured: Layout | None

    def note_fields(self, names: Iterable[str]) -> None:
        """Log the names that are not known."""


def guessed_layout(dialect: Dialect) -> Layout:
    """Return the layout to try on lines whose fields nothing names."""
    return Layout(dialect.default, guessed=True)


class TextCutter:
    """Cuts the lines of one payload into blocks, with a new layout at each header line."""

    def __init__(self, owner: Owner, payload: Payload, layout: Layout | None) -> None:
        self._owner = owner
        self._uri = payload.uri
        self._line = payload.first_line
        self._fresh = payload.offset == 0
        self._layout = layout
        self._skipped = 0
        if layout is not None:
            owner.note_fields(layout.names)

    def take(self, piece: Lines | Overlong | Torn) -> Iterator[Block]:
        """Cut the next piece."""
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
            if header.layout.lacking and self._line == 1:
                raise RejectError(
                    f"{self._uri}: the header line is not that of flows: {header.layout.lacking}",
                    code="no_layout",
                    hint="for other names, describe the log with flow_csv",
                )
            if header.fault:
                line = data[header.begin : header.end].rstrip(b"\r\n")
                yield self._refuse("bad_header", line, header.fault)
            else:
                self._line += 1
                self._skipped += 1
            self._layout = header.layout
            self._owner.note_fields(header.layout.names)
            done = header.end
        if not headers:
            yield from self._lines(data, lines)
        elif done < len(data):
            part = data[done:]
            yield from self._lines(part, count_lines(part))

    def end(self) -> Iterator[Block]:
        """Yield a block that counts the header lines at the end."""
        if self._skipped:
            yield Block(self._uri, self._line, layout=self._layout, skipped=self._skipped)
            self._skipped = 0

    def _lines(self, data: bytes, lines: int) -> Iterator[Block]:
        if not lines:
            return
        layout = self._layout or guessed_layout(self._owner.dialect)
        if layout.broken:
            detail = f"the header line before it cannot be used: {layout.broken}"
            yield refused_lines(self._uri, self._line, data, detail, self._skipped)
            self._skipped = 0
            self._line += lines
            return
        end = data.find(b"\n")
        tokens = data[: end if end >= 0 else len(data)].split()
        if len(tokens) == len(layout.names) + 1 and is_time(tokens[0]):
            layout = replace(layout, prefixed=True)
        skipped = self._skipped
        yield Block(self._uri, self._line, lines, data, layout=layout, skipped=skipped)
        self._skipped = 0
        self._line += lines

    def _refuse(self, reason: str, raw: bytes, detail: str) -> Block:
        layout = self._layout.text if self._layout else None
        refused = Refused(self._line, reason, raw, detail, layout=layout)
        self._line += 1
        return Block(self._uri, refused.position, refused=(refused,))
