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
from ktrans.decoders.read.raw_columns import Path, RawColumns
from ktrans.flow.schema import TEXT

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
    """

    delimiter: str
    quote: str | None
    nulls: tuple[str, ...]

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
        self._names = tuple(names)
        self._include = [name for name in names if needed is None or name in needed]
        self._numbers = numbers
        self._typed = bool(numbers)
        self._header = list(names)

    def read(self, data: bytes, lines: int) -> tuple[RawColumns, int]:
        """Read lines.

        Args:
            data: whole lines.
            lines: how many.

        Returns:
            The columns, and how many blank and header lines there were.
        """
        clean = self._clean(data)
        if clean is not None and self._include:
            for typed in (True, False):
                if typed and (not self._typed or b"x" in clean or b"X" in clean):
                    continue
                table = self._arrow(clean, typed=typed)
                if table is not None and table.num_rows == lines:
                    self._typed = self._typed and typed
                    return self._native(table), 0
        return self._carefully(data)

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

    def _arrow(self, data: bytes, *, typed: bool) -> pa.Table | None:
        from pyarrow import csv as arrow_csv

        number = pa.int64() if typed else pa.string()
        types = {name: number if name in self._numbers else TEXT for name in self._include}
        quote = self._dialect.quote
        try:
            return arrow_csv.read_csv(
                io.BytesIO(data),
                read_options=arrow_csv.ReadOptions(
                    column_names=self._names, block_size=len(data) + 16, use_threads=False
                ),
                parse_options=arrow_csv.ParseOptions(
                    delimiter=self._dialect.delimiter,
                    quote_char=quote or False,
                    double_quote=quote is not None,
                    ignore_empty_lines=False,
                ),
                convert_options=arrow_csv.ConvertOptions(
                    column_types=types,
                    include_columns=self._include,
                    null_values=self._dialect.nulls,
                    strings_can_be_null=True,
                ),
            )
        except (pa.ArrowInvalid, pa.ArrowKeyError):
            return None

    def _native(self, table: pa.Table) -> RawColumns:
        columns: dict[Path, pa.Array] = {}
        for name in self._include:
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
        columns: dict[Path, pa.Array] = {}
        for place, name in enumerate(self._names):
            if name in self._include:
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
        if len(values) != width:
            reason = "too_few_fields" if len(values) < width else "too_many_fields"
            return reason, f"{len(values)} values where {width} columns are"
        return values
