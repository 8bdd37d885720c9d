"""Reads delimited text into columns by name: by Arrow's reader where it can, else line by line."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from ktrans.decoders.read.faults import Faults
from ktrans.decoders.read.key_value import comment_lines
from ktrans.decoders.read.quotes import quoted
from ktrans.decoders.read.raw_columns import Path, RawColumns
from ktrans.flow.schema import TEXT
from ktrans.kit.text.lines import line_bounds

_BLANKS = re.compile(rb"[ \t]+")
_BLANKS_AROUND = re.compile(rb"^ | $", re.MULTILINE)
_STRANGE = "a quote opens that does not close in this line: a record is one line"


@dataclass(frozen=True, slots=True)
class Dialect:
    """How the text is written.

    Attributes:
        delimiter: between values; a space stands for any run of blanks.
        quote: around values that hold a delimiter, or None.
        nulls: texts that mean "not reported".
        comments: beginnings of lines that are no records.
        ragged: whether lines may have fewer or more values than there are columns.
    """

    delimiter: str
    quote: str | None
    nulls: tuple[str, ...]
    comments: tuple[str, ...] = ()
    ragged: bool = False

    @property
    def spaced(self) -> bool:
        """Whether runs of blanks stand between values."""
        return self.delimiter == " "

    def split(self, line: str) -> list[str] | None:
        """Split a line; None if a quoted value does not end in it, or it is no such text at all."""
        if self.spaced and self.quote is None:
            return line.split()
        reader = csv.reader(
            [line, ""],
            delimiter=self.delimiter,
            quotechar=self.quote,
            quoting=csv.QUOTE_NONE if self.quote is None else csv.QUOTE_MINIMAL,
        )
        try:
            values = next(reader)
        except csv.Error:
            return None
        return values if reader.line_num == 1 else None


class CsvParser:
    """Reads blocks of one layout.

    Args:
        dialect: how the text is written.
        names: of the columns, in order.
        needed: names to read; None reads all.
        numbers: names of those that are likely to be integers.
    """

    def __init__(
        self,
        dialect: Dialect,
        names: Sequence[str],
        needed: frozenset[str] | None,
        numbers: frozenset[str],
    ) -> None:
        self._dialect = dialect
        self._comments = tuple(text.encode() for text in dialect.comments)
        self._names = tuple(names)
        self._needed = needed
        self._numbers = numbers
        self._typed = bool(numbers)
        self._header = list(names)

    def read(self, data: bytes, lines: int) -> tuple[RawColumns, int]:
        """Read lines.

        Args:
            data: whole lines.
            lines: how many.

        Returns:
            The columns, and how many blank, comment and header lines there were.
        """
        if any(data.startswith(text) or b"\n" + text in data for text in self._comments):
            return self._around_comments(data)
        clean = self._clean(data)
        names = self._names
        if clean is not None and self._dialect.ragged:
            clean, names = self._padded(clean)
        if clean is not None and self._included(names):
            for typed in (True, False):
                if typed and (not self._typed or b"x" in clean or b"X" in clean):
                    continue
                table = self._arrow(clean, names, typed=typed)
                if table is not None and table.num_rows == lines:
                    self._typed = self._typed and typed
                    return self._native(table, names), 0
        return self._carefully(data)

    def _included(self, names: Sequence[str]) -> list[str]:
        """Return the columns to read."""
        return [name for name in names if self._needed is None or name in self._needed]

    def _around_comments(self, data: bytes) -> tuple[RawColumns, int]:
        """Read lines with comments among them."""
        starts, _ = line_bounds(data)
        comments = comment_lines(data, starts, self._comments)
        kept = np.flatnonzero(~comments)
        lengths = np.diff(np.append(starts, len(data)))
        records = np.frombuffer(data, np.uint8)[np.repeat(~comments, lengths)].tobytes()
        raw, skipped = self.read(records, len(kept))
        raw.lines = kept if raw.lines is None else kept[raw.lines]
        raw.faults.lines = kept[raw.faults.lines].tolist() if raw.faults.lines else []
        return raw, skipped + int(np.count_nonzero(comments))

    def _padded(self, data: bytes) -> tuple[bytes | None, tuple[str, ...]]:
        """Return lines of equal width, and the names of their columns; None where a quote is open."""
        content = np.frombuffer(data, np.uint8)
        starts, ends = line_bounds(data)
        marks = content == ord(self._dialect.delimiter)
        quote = self._dialect.quote
        if quote is not None and quote.encode() in data:
            inside, odd = quoted(content, starts, ends, ord(quote))
            if odd.any() or b"\\" in data:
                return None, ()
            marks &= ~inside
        places = np.flatnonzero(marks)
        counts = np.searchsorted(places, ends) - np.searchsorted(places, starts) + 1
        width = max(len(self._names), int(counts.max(initial=0)))
        short = np.repeat(ends, width - counts)
        if len(short):
            data = np.insert(content, short, ord(self._dialect.delimiter)).tobytes()
        return data, self._widened(width)

    def _widened(self, width: int) -> tuple[str, ...]:
        """Return the names of the columns, and the numbers of those behind them."""
        return (*self._names, *map(str, range(len(self._names) + 1, width + 1)))

    def _clean(self, data: bytes) -> bytes | None:
        """Return a block as Arrow's reader needs it; None if it would misread the block."""
        if not self._names:
            return None
        if b"\r" in data:
            data = data.replace(b"\r\n", b"\n")
            if b"\r" in data:
                return None
        if self._dialect.spaced:
            data = _BLANKS_AROUND.sub(b"", _BLANKS.sub(b" ", data))
        if data.startswith(b"\n") or b"\n\n" in data or b"\xef\xbb\xbf" in data:
            return None
        first = self._names[0].encode()
        if data.startswith(first) or b"\n" + first in data:
            return None
        return data

    def _arrow(self, data: bytes, names: Sequence[str], *, typed: bool) -> pa.Table | None:
        from pyarrow import csv as arrow_csv

        include = self._included(names)
        number = pa.int64() if typed else pa.string()
        types = {name: number if name in self._numbers else TEXT for name in include}
        quote = self._dialect.quote
        try:
            return arrow_csv.read_csv(
                io.BytesIO(data),
                read_options=arrow_csv.ReadOptions(
                    column_names=names, block_size=len(data) + 16, use_threads=False
                ),
                parse_options=arrow_csv.ParseOptions(
                    delimiter=self._dialect.delimiter,
                    quote_char=quote or False,
                    double_quote=quote is not None,
                    ignore_empty_lines=False,
                ),
                convert_options=arrow_csv.ConvertOptions(
                    column_types=types,
                    include_columns=include,
                    null_values=self._dialect.nulls,
                    strings_can_be_null=True,
                ),
            )
        except (pa.ArrowInvalid, pa.ArrowKeyError):
            return None

    def _native(self, table: pa.Table, names: Sequence[str]) -> RawColumns:
        columns: dict[Path, pa.Array] = {}
        for name in self._included(names):
            column = table.column(name).combine_chunks()
            if column.null_count < len(column):
                columns[(name,)] = column
        return RawColumns(table.num_rows, None, columns)

    def _carefully(self, data: bytes) -> tuple[RawColumns, int]:
        """Read line by line, so that each bad one is known."""
        faults = Faults()
        skipped = 0
        kept: list[int] = []
        rows: list[list[str]] = []
        texts = data.split(b"\n")
        if not texts[-1]:
            texts.pop()
        for number, raw in enumerate(texts):
            values = self._values(raw)
            if values is None:
                skipped += 1
            elif isinstance(values, tuple):
                faults.add(number, *values)
            else:
                kept.append(number)
                rows.append(values)
        nulls = self._dialect.nulls
        names = self._widened(max(map(len, rows), default=0))
        rows = [row + [""] * (len(names) - len(row)) for row in rows]
        columns: dict[Path, pa.Array] = {}
        include = set(self._included(names))
        for place, name in enumerate(names):
            if name in include:
                column = pa.array(
                    [None if row[place] in nulls else row[place] for row in rows], pa.string()
                )
                if column.null_count < len(column):
                    columns[(name,)] = column
        lines = np.array(kept, dtype=np.int64) if faults.lines or skipped else None
        return RawColumns(len(rows), lines, columns, faults), skipped

    def _values(self, raw: bytes) -> list[str] | tuple[str, str] | None:
        """Split a line; give reason and words for a bad one, None for a blank or header line."""
        try:
            line = raw.removesuffix(b"\r").removeprefix(b"\xef\xbb\xbf").decode()
        except UnicodeDecodeError as error:
            return "bad_record", f"not UTF-8: {error}"
        if not line.strip():
            return None
        values = self._dialect.split(" ".join(line.split()) if self._dialect.spaced else line)
        if values is None:
            return "bad_record", _STRANGE
        if values == self._header:
            return None
        width = len(self._names)
        if len(values) != width and not self._dialect.ragged:
            reason = "too_few_fields" if len(values) < width else "too_many_fields"
            return reason, f"{len(values)} values where {width} columns are"
        return values
