"""Reads blocks of text lines carefully: every bad line is found, and every good one kept.

Blanks are tidied for the whole block at once, lines with strange bytes are looked at one by one, and
numbers are read as text and checked by column. Good lines become the same rows as by the fast reader.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

import msgspec
import numpy as np
import pyarrow as pa
from pyarrow import csv

from ktrans.decoders.aws.layout import LOGGED_AT, is_time
from ktrans.decoders.frames.block import Block
from ktrans.decoders.read.faults import Faults
from ktrans.decoders.read.raw_columns import Path, RawColumns, added_column
from ktrans.decoders.read.text_fast import TextPlan, has_blank_pair
from ktrans.decoders.rows import DecodedRows
from ktrans.decoders.values import Rule, coerce
from ktrans.kit.text.json_errors import UNREADABLE_JSON
from ktrans.kit.text.lines import line_bounds

_STAMP = Rule("time", unit="rfc3339", nulls=(), strict=True)
_BOM = b"\xef\xbb\xbf"


class _Text(msgspec.Struct):
    """Tidied lines: the index in the block of each, and where each begins and ends if known."""

    data: bytes
    lines: np.ndarray
    known: tuple[np.ndarray, np.ndarray] | None = None

    @property
    def bounds(self) -> tuple[np.ndarray, np.ndarray]:
        if self.known is None:
            self.known = line_bounds(self.data)
        return self.known


def read_carefully(plan: TextPlan, bare: TextPlan, block: Block) -> DecodedRows:
    """Read a block line by line, as far as possible by columns, and build its rows.

    Args:
        plan: for lines with a time before the record.
        bare: for lines without; the block is read with one of the two.
        block: the lines.
    """
    faults = Faults()
    text, skipped = _tidy(block.data, block.records, faults)
    faults.bounds = text.known if text.data is block.data else None
    prepended = np.empty(0, dtype=np.int64)
    chosen = plan if block.layout.prefixed else bare
    columns, wrong_width = _read_strings(chosen, text.data)
    if len(wrong_width) and _mixed(text, wrong_width, chosen, bare.width):
        text, prepended = _prefix_all(text, bare.width)
        chosen = plan
        columns, wrong_width = _read_strings(chosen, text.data)
    if len(wrong_width):
        _note_widths(chosen, _widths(text, wrong_width), faults)
    lines = np.delete(text.lines, wrong_width)
    _check(chosen, columns, lines, prepended, faults)
    raw = RawColumns(len(lines), lines, columns, faults)
    for name, value in block.added.items():
        columns[(name,)] = added_column(value, raw)
    rows = chosen.builder.build(raw, block.uri, block.first)
    return replace(rows, skipped=rows.skipped + skipped)


def _tidy(data: bytes, count: int, faults: Faults) -> tuple[_Text, int]:
    """Reduce blanks in every line to one; drop blank, comment and unreadable lines."""
    text = data
    if has_blank_pair(text) or b"\r" in text or b"\t" in text or not text.isascii():
        text = _single_blanks(text)
    starts, ends = line_bounds(text)  # one line less than `count` if the last one was blank
    special = np.flatnonzero(_is_special(text, starts, ends))
    if not len(special):
        return _Text(text, np.arange(len(starts)), (starts, ends)), count - len(starts)
    skipped = count - len(starts)
    pieces: list[bytes] = []
    dropped: list[int] = []
    after = 0
    for line in special.tolist():
        pieces.append(text[after : starts[line]])
        after = int(ends[line]) + 1
        better = _look_at(text[starts[line] : ends[line]], line, faults)
        if better:
            pieces.append(better + b"\n")
        else:
            dropped.append(line)
            skipped += better is not None
    pieces.append(text[after:])
    kept = np.delete(np.arange(len(starts)), dropped)
    return _Text(b"".join(pieces), kept), skipped


def _single_blanks(text: bytes) -> bytes:
    """Reduce blanks between fields to one, and drop those at the edges of lines."""
    text = text.replace(b"\r\n", b"\n").removesuffix(b"\r")
    text = text.removeprefix(_BOM).replace(b"\n" + _BOM, b"\n").replace(b"\t", b" ")
    while b"  " in text:
        text = text.replace(b"  ", b" ")
    return text.replace(b" \n", b"\n").replace(b"\n ", b"\n").strip(b" ")


def _is_special(text: bytes, starts: np.ndarray, ends: np.ndarray) -> np.ndarray:
    """Mark the lines that need a look of their own."""
    special: np.ndarray = starts == ends
    content = np.frombuffer(text, np.uint8)
    for byte in (b"\0", b"\r", b"#"):
        if byte in text:
            places = np.flatnonzero(content == byte[0])
            special[np.searchsorted(ends, places)] = True
    if b"{" in text:
        filled = starts < ends
        special[filled] |= content[starts[filled]] == ord("{")
    if not text.isascii():
        try:
            text.decode("utf-8")
        except UnicodeDecodeError:
            places = np.flatnonzero(content >= 0x80)  # noqa: PLR2004
            special[np.searchsorted(ends, places)] = True
    return special


def _look_at(line: bytes, number: int, faults: Faults) -> bytes | None:
    """Return what to read instead of a line: b"" to skip it, None if it is a fault."""
    try:
        line.decode("utf-8")
    except UnicodeDecodeError as error:
        found = f"byte {line[error.start]:#04x} at position {error.start + 1} is not UTF-8"
        faults.add(number, "invalid_utf8", found)
        return None
    if line.startswith(b"{"):
        return _unwrapped(line, number, faults)
    for byte, name in ((b"\0", "NUL"), (b"\r", "carriage return")):
        if byte in line:
            place = line.index(byte) + 1
            faults.add(number, "control_character", f"a {name} at position {place}")
            return None
    return _without_comment(line)


def _without_comment(line: bytes) -> bytes:
    tokens = line.split(b" ")
    for place, token in enumerate(tokens):
        if token.startswith(b"#"):
            return b" ".join(tokens[:place])
    return line


class _Wrapped(msgspec.Struct):
    message: str


def _unwrapped(line: bytes, number: int, faults: Faults) -> bytes | None:
    """Return the record in the `message` of a JSON object."""
    try:
        message = msgspec.json.decode(line, type=_Wrapped).message.encode()
    except UNREADABLE_JSON as error:
        faults.add(number, "bad_json", f"the line begins as JSON: {error}")
        return None
    if b"\0" in message:
        faults.add(number, "control_character", "a NUL in message")
        return None
    return _without_comment(b" ".join(message.split()))


def _read_strings(plan: TextPlan, data: bytes) -> tuple[dict[Path, pa.Array], np.ndarray]:
    """Read tidied lines as text; return the fields, and the places of lines of another width."""
    wrong: list[int] = []

    def skip(row: csv.InvalidRow) -> str:
        wrong.append(row.number - 1)
        return "skip"

    if not data:
        return {}, np.empty(0, dtype=np.int64)
    parse = csv.ParseOptions(
        delimiter=" ",
        quote_char=False,
        double_quote=False,
        ignore_empty_lines=False,
        invalid_row_handler=skip,
    )
    columns = plan.read(data, typed=False, parse=parse)
    return columns, np.array(wrong, dtype=np.int64)


def _mixed(text: _Text, wrong: np.ndarray, plan: TextPlan, width: int) -> bool:
    """Return whether some lines have a time before the record and others have not."""
    starts, ends = text.bounds
    for place in wrong.tolist():
        tokens = text.data[starts[place] : ends[place]].split(b" ")
        if plan.layout.prefixed and len(tokens) == width:
            return True
        if not plan.layout.prefixed and len(tokens) == width + 1 and is_time(tokens[0]):
            return True
    return False


def _prefix_all(text: _Text, width: int) -> tuple[_Text, np.ndarray]:
    """Put a dash before records that have no time, so that all lines can be read at once."""
    lines = text.data.removesuffix(b"\n").split(b"\n")
    bare = [place for place, line in enumerate(lines) if line.count(b" ") == width - 1]
    for place in bare:
        lines[place] = b"- " + lines[place]
    return _Text(b"\n".join(lines), text.lines), text.lines[bare]


def _widths(text: _Text, wrong: np.ndarray) -> Iterator[tuple[int, int]]:
    """Yield line and number of fields for each line of another width."""
    starts, ends = text.bounds
    for place in wrong.tolist():
        count = text.data.count(b" ", int(starts[place]), int(ends[place])) + 1
        yield int(text.lines[place]), count


def _note_widths(plan: TextPlan, lines: Iterable[tuple[int, int]], faults: Faults) -> None:
    """Note lines whose number of fields is not, or cannot be, the layout's."""
    width = plan.width - plan.layout.prefixed
    for line, count in lines:
        if plan.layout.guessed:
            found = f"neither a header line nor a format option says what these {count} fields are"
            faults.add(line, "no_layout", found)
        else:
            reason = "too_few_fields" if count < width else "too_many_fields"
            faults.add(line, reason, f"{count} fields where the layout has {width}")


def _check(
    plan: TextPlan,
    columns: dict[Path, pa.Array],
    lines: np.ndarray,
    prepended: np.ndarray,
    faults: Faults,
) -> None:
    """Note the lines whose number of fields is right by chance only."""
    if not len(lines):
        return
    width = plan.width - plan.layout.prefixed
    seen = np.zeros(len(lines), dtype=bool)
    if plan.layout.prefixed:
        stamps, _ = coerce(_STAMP, columns[(LOGGED_AT,)])
        seen |= np.asarray(stamps.is_null()) & ~np.isin(lines, prepended)
        _note_widths(plan, [(line, width + 1) for line in lines[seen].tolist()], faults)
    if plan.layout.guessed:
        foreign = ~plan.guess(columns) & ~seen
        _note_widths(plan, [(line, width) for line in lines[foreign].tolist()], faults)
