"""Cuts delimited text into blocks of whole lines, without the header line."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator

from ktrans.api import Limits, Payload
from ktrans.decoders.frames.block import Block, Refused
from ktrans.kit.text.inflate import Inflater
from ktrans.kit.text.lines import Lines, Overlong, Torn, count_lines, whole_lines


def cut_csv(
    payload: Payload,
    limits: Limits,
    names: tuple[str, ...],
    header: Callable[[bytes], tuple[str, ...]] | None,
) -> Iterator[Block]:
    """Cut an object into blocks.

    Args:
        payload: the object.
        limits: sizes of blocks and lines.
        names: of the columns, as far as they are known.
        header: reads the names off the first line; None if that is a record.

    Raises:
        TruncatedError: the stream ends early and may still grow (`payload.final_attempt`).
    """
    inflater = Inflater(payload.open, limits, payload.uri)
    place = payload.first_line
    for piece in whole_lines(payload, inflater, limits):
        block = _block(payload.uri, piece, place, names, limits)
        if header is not None and not block.refused:
            line, _, rest = block.data.partition(b"\n")
            names = header(line)
            lines = block.records - 1
            block = Block(payload.uri, place + 1, lines, rest, layout=names, skipped=1)
        header = None
        place += block.total
        yield block


def _block(
    uri: str, piece: Lines | Overlong | Torn, place: int, names: tuple[str, ...], limits: Limits
) -> Block:
    if isinstance(piece, Lines):
        return Block(uri, place, count_lines(piece.data), piece.data, layout=names)
    reason: str
    if isinstance(piece, Torn):
        reason, detail, raw = piece.problem.reason, piece.problem.message, piece.data
    else:
        reason, raw = "line_too_long", piece.start
        detail = f"a line of {piece.length} bytes, where {limits.max_line_bytes} are allowed"
    layout = json.dumps(names) if names else None
    return Block(uri, place, refused=(Refused(place, reason, raw, detail, layout=layout),))
