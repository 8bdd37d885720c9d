"""Cutting delimited text into blocks of whole lines, the header line taken off."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from ktrans.api import Limits, Payload
from ktrans.kit.text.inflate import Inflater
from ktrans.kit.text.lines import Lines, Overlong, Torn, count_lines, whole_lines


@dataclass(frozen=True, slots=True)
class CsvBlock:
    """Lines of one object.

    Attributes:
        uri: the object.
        data: whole lines.
        first_pos: line number of the first.
        lines: how many.
        names: of the columns.
        skipped: header lines before them.
        reject: a line that cannot be read at all: its reason and words for people; `data` is it.
    """

    uri: str
    data: bytes
    first_pos: int
    lines: int
    names: tuple[str, ...]
    skipped: int = 0
    reject: tuple[str, str] | None = None

    @property
    def nbytes(self) -> int:
        """Size of the lines."""
        return len(self.data)


def cut_csv(
    payload: Payload,
    limits: Limits,
    names: tuple[str, ...],
    header: Callable[[bytes], tuple[str, ...]] | None,
) -> Iterator[CsvBlock]:
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
        if header is not None and block.reject is None:
            line, _, rest = block.data.partition(b"\n")
            names = header(line)
            block = CsvBlock(payload.uri, rest, place + 1, block.lines - 1, names, skipped=1)
        header = None
        place += block.lines + block.skipped
        yield block


def _block(
    uri: str, piece: Lines | Overlong | Torn, place: int, names: tuple[str, ...], limits: Limits
) -> CsvBlock:
    if isinstance(piece, Torn):
        reject = (piece.problem.reason, piece.problem.message)
        return CsvBlock(uri, piece.data, place, 1, names, reject=reject)
    if isinstance(piece, Overlong):
        detail = f"a line of {piece.length} bytes, where {limits.max_line_bytes} are allowed"
        return CsvBlock(uri, piece.start, place, 1, names, reject=("line_too_long", detail))
    return CsvBlock(uri, piece.data, place, count_lines(piece.data), names)
