"""Reads blocks of text lines fast, on the assumption that they are well-formed.

This is one call of the CSV reader over the whole block, with types that refuse most bad input. A few
searches for single bytes, and checks of the distinct texts, find what the CSV reader would accept. A
block with anything wrong goes to the careful reader. Where there is an accelerator, it reads the blocks
in which nothing is odd.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pyarrow as pa
from pyarrow import csv

from ktrans.api import FieldKind, LineReader, LineShape
from ktrans.decoders.aws.layout import LOGGED_AT, Dialect, Layout
from ktrans.decoders.aws.table import aws_table
from ktrans.decoders.frames.block import Block
from ktrans.decoders.read.raw_columns import Path, RawColumns
from ktrans.decoders.rows import RowBuilder
from ktrans.decoders.time_limits import TimeLimits
from ktrans.decoders.values import CSV_TYPES, NUMBERS, all_longer
from ktrans.flow.schema import TEXT
from ktrans.kit.accelerate import accelerator, reader_of

SUSPICIOUS = (b"\0", b"\r", b"\t", b"#", b"{")
"""Bytes that no well-formed block has; a search for one takes well under 1 % of the parsing."""

_PARSE = {
    "delimiter": " ",
    "quote_char": False,
    "double_quote": False,
    "ignore_empty_lines": False,
}
_NATIVE_KINDS: dict[pa.DataType, FieldKind] = {
    TEXT: "text",
    pa.uint8(): "uint8",
    pa.uint16(): "uint16",
    pa.uint64(): "uint64",
}
_TROUBLED = 2
_PAIR_STEP = 1 << 17
_NOT_BLANK_BITS = np.uint16(0xD5D5)


class TextPlan:
    """What is needed to read lines of one layout, prepared once.

    Attributes:
        layout: the layout.
        builder: builds rows of the fields.
        names: the fields of a line, in order.
        include: the fields that are read.
        trouble: how many blocks in a row the fast reader failed on. After two it is not tried again
            until a block is clean; this changes the speed, never the rows.
    """

    def __init__(
        self, layout: Layout, dialect: Dialect, schema: pa.Schema, times: TimeLimits
    ) -> None:
        self.layout = layout
        self.dialect = dialect
        self.names = [LOGGED_AT, *layout.names] if layout.prefixed else list(layout.names)
        self.builder = RowBuilder(aws_table(dialect, self.names), schema, times)
        wanted = {name for name in self.names if self.builder.needs((name,))}
        if layout.guessed:
            wanted.update(dialect.guess_fields)
        if layout.prefixed:
            wanted.add(LOGGED_AT)
        self.include = [name for name in self.names if name in wanted] or self.names[:1]
        self.trouble = 0
        self._kinds = {
            name: dialect.by_name[name].kind for name in self.names if name in dialect.by_name
        }
        self._native = self._native_reader()

    @property
    def width(self) -> int:
        """Number of fields of a line."""
        return len(self.names)

    @property
    def troubled(self) -> bool:
        """Whether the fast reader is likely to fail again."""
        return self.trouble >= _TROUBLED

    def guess(self, columns: Mapping[Path, pa.Array]) -> np.ndarray:
        """Return which rows are of the default format, where nothing names the fields of the lines."""
        return self.dialect.guess({path[0]: column for path, column in columns.items()})

    def _type(self, name: str, *, typed: bool) -> pa.DataType:
        kind = self._kinds.get(name, "text")
        return pa.string() if kind in NUMBERS and not typed else CSV_TYPES[kind]

    def _native_reader(self) -> LineReader | None:
        """Return the reader of the accelerator, if there is one."""
        native = accelerator()
        if native is None:
            return None
        kinds = [
            _NATIVE_KINDS[self._type(name, typed=True)] if name in self.include else "skip"
            for name in self.names
        ]
        addresses = [n for n, name in enumerate(self.names) if self._kinds.get(name) == "address"]
        shape = LineShape(tuple(kinds), frozenset(addresses), self.dialect.null_values)
        return reader_of(native.lines, shape, native.name)

    def read_native(self, block: Block) -> RawColumns | None:
        """Read the included fields by the accelerator; None if there is none, or anything is odd."""
        found = None if self._native is None else self._native(block.data, block.records)
        if found is None:
            return None
        paths: list[Path] = [(name,) for name in self.include]
        columns = dict(zip(paths, found.columns, strict=True))
        canonical = frozenset(paths[place] for place in found.canonical)
        return RawColumns(block.records, None, columns, canonical=canonical)

    def read(
        self, data: bytes, *, typed: bool = True, parse: csv.ParseOptions | None = None
    ) -> dict[Path, pa.Array]:
        """Read the included fields of lines.

        Args:
            data: the lines.
            typed: whether numbers are read as numbers; else as text.
            parse: how lines are split; at blanks by default.
        """
        table = csv.read_csv(
            pa.BufferReader(pa.py_buffer(data)),
            csv.ReadOptions(column_names=self.names, block_size=len(data) + 16, use_threads=False),
            parse or csv.ParseOptions(**_PARSE),
            csv.ConvertOptions(
                column_types={name: self._type(name, typed=typed) for name in self.include},
                null_values=self.dialect.null_values,
                strings_can_be_null=True,
                include_columns=self.include,
                check_utf8=not typed,  # looks_clean has checked a block that is read typed
            ),
        )
        if table.column(0).num_chunks != 1:
            table = table.combine_chunks()
        return {
            (name,): table.column(name).chunk(0)
            if table.num_rows
            else pa.array([], self._type(name, typed=typed))
            for name in self.include
        }


def read_fast(plan: TextPlan, block: Block) -> RawColumns | None:
    """Read a block of lines that are taken to be well-formed.

    Returns:
        The fields, or None if anything is out of order.
    """
    raw = plan.read_native(block) or _read_csv(plan, block)
    if raw is None:
        return None
    if plan.layout.prefixed and raw.columns[(LOGGED_AT,)].null_count:
        return None
    if plan.layout.guessed and not plan.guess(raw.columns).all():
        return None
    return raw


def _read_csv(plan: TextPlan, block: Block) -> RawColumns | None:
    """Read the included fields by the CSV reader; None if anything is out of order."""
    try:
        columns = plan.read(block.data) if looks_clean(plan, block.data) else None
    except pa.ArrowInvalid:
        return None
    if columns is None or any(len(column) != block.records for column in columns.values()):
        return None
    if any(
        column.type == TEXT and not all_longer(column.dictionary, 0) for column in columns.values()
    ):
        return None
    return RawColumns(block.records, None, columns)


def looks_clean(plan: TextPlan, data: bytes) -> bool:
    """Return whether a block has none of the bytes that the CSV reader would misread."""
    if not data.isascii() and not _is_utf8(data):
        return False
    if any(byte in data for byte in SUSPICIOUS):
        return False
    if (b"x" in data or b"X" in data) and _has_hex(data):
        return False
    return len(plan.include) == plan.width or not has_blank_pair(data)


def _is_utf8(data: bytes) -> bool:
    """Return whether a block is UTF-8 without byte order marks."""
    try:
        data.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return b"\xef\xbb\xbf" not in data


def _has_hex(data: bytes) -> bool:
    """Return whether a token begins with 0x: Arrow reads such numbers as hexadecimal."""
    content = np.frombuffer(data, np.uint8)
    places = np.flatnonzero((content[1:] | np.uint8(0x20)) == ord("x"))
    places = places[content[places] == ord("0")]
    return bool(len(places)) and bool(
        ((places == 0) | (content[np.maximum(places - 1, 0)] <= ord(" "))).any()
    )


def has_blank_pair(data: bytes) -> bool:
    """Return whether two blanks or newlines meet, or a blank is at an edge.

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
