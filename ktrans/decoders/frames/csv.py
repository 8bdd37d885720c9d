"""Cuts delimited text into blocks of whole lines, each with the layout of its lines."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from ktrans.api import Limits, Payload
from ktrans.decoders.frames.block import Block, Refused
from ktrans.decoders.read.csv import Dialect
from ktrans.kit.text.inflate import Inflater
from ktrans.kit.text.lines import Lines, Overlong, Torn, count_lines, whole_lines

_LOOKED_AT = 64 << 10


@dataclass(frozen=True, slots=True)
class DelimitedLayout:
    """How delimited lines are read.

    Attributes:
        names: names of the columns, in order.
        dialect: how the values are separated.
        text: what a replay needs to read such lines again.
    """

    names: tuple[str, ...]
    dialect: Dialect
    text: str | None = None


@dataclass(frozen=True, slots=True)
class Top:
    """The lines of an object before its first record.

    Attributes:
        header: reads the layout from the header line; None if there is none.
        skip_lines: how many lines to skip before it.
        comments: beginnings of lines before it to skip as well.
    """

    header: Callable[[bytes], Any] | None = None
    skip_lines: int = 0
    comments: tuple[str, ...] = ()

    def ends(self, data: bytes, skip: int) -> tuple[int, int, bytes | None]:
        """Find the end of these lines in the text that an object begins with.

        Args:
            data: whole lines.
            skip: how many lines are still to skip.

        Returns:
            Where the records begin; how many lines are still to skip; the header line, if it was
            there.
        """
        comments = tuple(text.encode() for text in self.comments)
        place = 0
        while place < len(data) and (skip or self.header is not None):
            end = data.find(b"\n", place)
            end = len(data) if end < 0 else end
            line, place = data[place:end], end + 1
            if skip:
                skip -= 1
            elif line.strip() and not (comments and line.startswith(comments)):
                return min(place, len(data)), 0, line
        return min(place, len(data)), skip, None


NO_TOP = Top()


def cut_csv(payload: Payload, limits: Limits, layout: Any, top: Top = NO_TOP) -> Iterator[Block]:
    """Cut an object into blocks.

    Args:
        payload: the object.
        limits: sizes of blocks and lines.
        layout: of the lines, as far as it is known; it has a `text`, for replays.
        top: the lines before the first record.

    Raises:
        TruncatedError: the stream ends early and may still grow (`payload.final_attempt`).
    """
    inflater = Inflater(payload.open, limits, payload.uri)
    place = payload.first_line
    skip = max(0, top.skip_lines - place + 1)
    for piece in whole_lines(payload, inflater, limits, _with_newlines(inflater.chunks())):
        if not isinstance(piece, Lines):
            block = refused_piece(payload.uri, piece, place, layout.text, limits)
            skip = max(0, skip - 1)
        else:
            begin, skip, header = top.ends(piece.data, skip)
            if header is not None and top.header is not None:
                layout, top = top.header(header), NO_TOP
            skipped, data = count_lines(piece.data[:begin]), piece.data[begin:]
            lines = count_lines(data)
            block = Block(payload.uri, place + skipped, lines, data, layout=layout, skipped=skipped)
        place += block.total
        yield block


def _with_newlines(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """Replace the carriage returns that end the lines of a text without newlines."""
    head, there = b"", iter(chunks)
    for chunk in there:
        head += chunk
        if b"\n" in head or len(head) > _LOOKED_AT:
            break
    if b"\r" not in head[:-1] or b"\n" in head:
        yield head
        yield from there
        return
    yield head.replace(b"\r", b"\n")
    for chunk in there:
        yield chunk.replace(b"\r", b"\n")


def refused_piece(
    uri: str, piece: Overlong | Torn, place: int, layout: str | None, limits: Limits
) -> Block:
    """Return a block that refuses a line that is too long, or torn."""
    reason: str
    if isinstance(piece, Torn):
        reason, detail, raw = piece.problem.reason, piece.problem.message, piece.data
    else:
        reason, raw = "line_too_long", piece.start
        detail = f"a line of {piece.length} bytes, where {limits.max_line_bytes} are allowed"
    return Block(uri, place, refused=(Refused(place, reason, raw, detail, layout=layout),))
