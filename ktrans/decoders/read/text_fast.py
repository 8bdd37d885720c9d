"""Decoding blocks of text lines: a fast reading that trusts the block, a careful one if it must not.

The fast reading is one call of the CSV reader over the whole block with types that refuse most bad
input by themselves. A few searches for single bytes, and checks of the distinct texts, catch what
the reader would let pass. Whatever fails sends the whole block to the careful reading.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
from pyarrow import csv

from ktrans.decoders.aws.layout import LOGGED_AT, Layout
from ktrans.decoders.aws.rows import Mapper
from ktrans.decoders.aws.values import CSV_TYPES, INTEGERS, coerce
from ktrans.flow.schema import TEXT

SUSPICIOUS = (b"\0", b"\r", b"\t", b"#", b"{")
"""Bytes that no well-formed block has; a search for one takes well under 1 % of the parsing."""

_PARSE = csv.ParseOptions(
    delimiter=" ", quote_char=False, double_quote=False, ignore_empty_lines=False
)
_TROUBLED = 2
_PAIR_STEP = 1 << 17
_NOT_BLANK_BITS = np.uint16(0xD5D5)


@dataclass(frozen=True, slots=True)
class Events:
    """What CloudWatch says about each line of a block: event ids, times in milliseconds."""

    ids: tuple[str | None, ...]
    millis: tuple[int | None, ...]


@dataclass(frozen=True, slots=True)
class TextBlock:
    """Whole lines of one layout.

    Attributes:
        uri: the object.
        data: the lines, each ended by a newline (the last one perhaps not).
        layout: their fields.
        prefixed: whether the first line has a CloudWatch export's time before the record.
        first: the 1-based number of the first line in the object.
        lines: how many there are.
        skipped: records before this block that are not flows (headers); counted with it.
        events: for lines that were messages of log events.
    """

    uri: str
    data: bytes
    layout: Layout
    prefixed: bool
    first: int
    lines: int
    skipped: int = 0
    events: Events | None = None

    @property
    def nbytes(self) -> int:
        """Size of the lines."""
        return len(self.data)


@dataclass(slots=True)
class TextPlan:
    """How to read lines of one layout, prepared once.

    Attributes:
        layout: the layout.
        prefixed: whether a time stands before each record.
        mapper: makes rows of the native columns.
        names: what the CSV reader calls its columns.
        include: the columns that are read.
        trouble: how many blocks in a row the fast reading has failed on; from two on it is not
            tried until a block turns out to be clean. It changes the speed, never the rows.
    """

    layout: Layout
    prefixed: bool
    mapper: Mapper
    names: list[str] = field(init=False)
    include: list[str] = field(init=False)
    trouble: int = field(init=False, default=0)

    def __post_init__(self) -> None:
        self.names = list(self.mapper.names)
        needed = set(self.mapper.needed)
        if self.layout.guessed:
            needed.update(self.mapper.dialect.guess_fields)
        if self.prefixed:
            needed.add(LOGGED_AT)
        self.include = [name for name in self.names if name in needed] or self.names[:1]

    @property
    def width(self) -> int:
        """How many tokens a line has."""
        return len(self.names)

    @property
    def troubled(self) -> bool:
        """Whether the fast reading is likely to fail again."""
        return self.trouble >= _TROUBLED

    def options(self, *, typed: bool) -> csv.ConvertOptions:
        """Give the CSV reader's options, with numbers as numbers or as texts."""
        kinds = self.mapper.kinds
        types = {
            name: pa.string() if kinds[name] in INTEGERS and not typed else CSV_TYPES[kinds[name]]
            for name in self.include
        }
        return csv.ConvertOptions(
            column_types=types,
            null_values=self.mapper.dialect.null_values,
            strings_can_be_null=True,
            include_columns=self.include,
            check_utf8=not typed,  # a block that is read typed has been looked at (looks_clean)
        )

    def read(
        self, data: bytes, *, typed: bool = True, parse: csv.ParseOptions = _PARSE
    ) -> pa.Table:
        """Read lines into one chunk a column."""
        table = csv.read_csv(
            pa.BufferReader(pa.py_buffer(data)),
            csv.ReadOptions(column_names=self.names, block_size=len(data) + 16, use_threads=False),
            parse,
            self.options(typed=typed),
        )
        return table.combine_chunks() if _chunked(table) else table


def _chunked(table: pa.Table) -> bool:
    return bool(table.num_columns) and int(table.column(0).num_chunks) != 1


def read_fast(plan: TextPlan, block: TextBlock) -> dict[str, pa.Array] | None:
    """Read a block that is taken to be well-formed.

    Returns:
        The checked column of each included field, or None if anything at all is out of order.
    """
    try:
        table = plan.read(block.data) if looks_clean(plan, block.data) else None
    except pa.ArrowInvalid:
        return None
    if table is None or table.num_rows != block.lines:
        return None
    checked = _checked(plan, table)
    if checked is None or (plan.prefixed and checked[LOGGED_AT].null_count):
        return None
    if plan.layout.guessed and not plan.mapper.dialect.guess(checked).all():
        return None
    return checked


def _checked(plan: TextPlan, table: pa.Table) -> dict[str, pa.Array] | None:
    checked: dict[str, pa.Array] = {}
    for name in plan.include:
        column = table.column(name).chunk(0)
        if column.type == TEXT and has_empty(column.dictionary):
            return None
        checked[name], wrong = coerce(plan.mapper.kinds[name], column)
        if wrong is not None:
            return None
    return checked


def looks_clean(plan: TextPlan, data: bytes) -> bool:
    """Tell whether a block has none of the bytes that the CSV reader would misread."""
    if not data.isascii() and not _is_utf8(data):
        return False
    if any(byte in data for byte in SUSPICIOUS):
        return False
    if (b"x" in data or b"X" in data) and _has_hex(data):
        return False
    return len(plan.include) == plan.width or not has_blank_pair(data)


def _is_utf8(data: bytes) -> bool:
    """Tell whether a block is UTF-8 without byte order marks."""
    try:
        data.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return b"\xef\xbb\xbf" not in data


def _has_hex(data: bytes) -> bool:
    """Tell whether a token begins with 0x: Arrow reads such numbers as hexadecimal."""
    content = np.frombuffer(data, np.uint8)
    places = np.flatnonzero((content[1:] | np.uint8(0x20)) == ord("x"))
    places = places[content[places] == ord("0")]
    return bool(len(places)) and bool(
        ((places == 0) | (content[np.maximum(places - 1, 0)] <= ord(" "))).any()
    )


def has_blank_pair(data: bytes) -> bool:
    """Tell whether two blanks or newlines meet, or one stands at an edge.

    An empty field is harmless when its column is read (it is found there), but not in one that is
    left out. Compares two bytes at a time; the few other bytes that pass the mask only send a block
    to the careful reading for nothing.
    """
    if data[:1] in (b" ", b"\n") or data[-1:] == b" ":
        return True
    content = np.frombuffer(data, np.uint8)
    for start in (0, 1):
        pairs = content[start : start + (len(content) - start) // 2 * 2].view(np.uint16)
        for place in range(0, len(pairs), _PAIR_STEP):
            part = pairs[place : place + _PAIR_STEP]
            if np.count_nonzero(part & _NOT_BLANK_BITS) != len(part):
                return True
    return False


def has_empty(values: pa.StringArray) -> bool:
    """Tell whether one of the distinct texts is empty."""
    if not len(values):
        return False
    buffers = values.buffers()
    offsets = np.frombuffer(buffers[1], np.int32)[values.offset : values.offset + len(values) + 1]
    return bool((offsets[1:] == offsets[:-1]).any())
