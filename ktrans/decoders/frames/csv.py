"""Cuts delimited text into blocks of whole lines, each with the layout of its lines."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from ktrans.api import Limits, Payload
from ktrans.decoders.frames.block import Block, Refused
from ktrans.decoders.read.csv import Dialect
from ktrans.kit.text.inflate import Inflater
from ktrans.kit.text.lines import Lines, Overlong, Torn, count_lines, whole_lines


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


def cut_csv(
    payload: Payload,
    limits: Limits,
    layout: DelimitedLayout,
    header: Callable[[bytes], DelimitedLayout] | None,
) -> Iterator[Block]:
    """Cut an object into blocks.

    Args:
        payload: the object.
        limits: sizes of blocks and lines.
        layout: of the lines, as far as it is known.
        header: reads the layout from the first line; None if that is a record.

    Raises:
        TruncatedError: the stream ends early and may still grow (`payload.final_attempt`).
    """
    inflater = Inflater(payload.open, limits, payload.uri)
    place = payload.first_line
    for piece in whole_lines(payload, inflater, limits):
        if not isinstance(piece, Lines):
            block = refused_piece(payload.uri, piece, place, layout.text, limits)
        elif header is None:
            block = Block(payload.uri, place, count_lines(piece.data), piece.data, layout=layout)
        else:
            line, _, rest = piece.data.partition(b"\n")
            layout = header(line)
            lines = count_lines(piece.data) - 1
            block = Block(payload.uri, place + 1, lines, rest, layout=layout, skipped=1)
        header = None
        place += block.total
        yield block


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
