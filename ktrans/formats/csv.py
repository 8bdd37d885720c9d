"""CSV with a header line, quoted as RFC 4180 says."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field, field_validator

from ktrans.api import ComponentConfig, ConfigError
from ktrans.kit.rows.json import is_jsonable, json_text
from ktrans.kit.rows.pieces import Piece, concat, is_text, piece, replace_chars
from ktrans.kit.rows.row_format import TextFormat
from ktrans.kit.rows.scalars import is_binary, is_scalar, scalar_text

_compute: Any = pc

_FORMULA = r"^([=+\-@\t\r\n])"


class CsvFormatConfig(ComponentConfig, type="csv"):
    """Options of CSV."""

    delimiter: str = Field(
        ",",
        min_length=1,
        max_length=1,
        description="The character between fields.",
        examples=[",", ";", "\t"],
    )
    header: bool = Field(
        True, description="Whether each file begins with the column names.", examples=[True]
    )
    line_end: Literal["lf", "crlf"] = Field(
        "lf",
        description="How lines end: `lf` as Unix tools expect, `crlf` as RFC 4180 has it.",
        examples=["lf", "crlf"],
    )

    escape_formulas: bool = Field(
        False,
        description="Whether a text that a spreadsheet would take for a formula gets a `'` before "
        "it: one that begins with `=`, `+`, `-`, `@`, a tab or a line end. Other readers see the "
        "`'` as part of the text.",
        examples=[True],
    )

    @field_validator("delimiter")
    @classmethod
    def _plain(cls, value: str) -> str:
        if value in '"\r\n' or not value.isascii():
            raise ValueError("the delimiter is one ASCII character, not a quote or a line end")
        return value


class CsvFormat(TextFormat[CsvFormatConfig]):
    """One line a row, fields in the order of the columns.

    A null is an empty field, an empty text is `""`. Times are RFC 3339, maps and other nested
    values are JSON text, bytes are base64. A field is quoted when it is empty text or holds the
    delimiter, a quote or a line end. In a file of one column a null is `""` too, since an empty
    line would not be a row for most readers.
    """

    extension: ClassVar[str] = ".csv"

    _names: tuple[str, ...] = ()

    def bind(self, schema: pa.Schema) -> None:
        """Check that every column has a text form.

        Raises:
            ConfigError: a column's type has none (unions, month intervals).
        """
        for field in schema:
            if not is_jsonable(field.type):
                raise ConfigError(
                    f"column {field.name!r} of type {field.type} has no form in CSV",
                    code="type_not_supported",
                    hint="leave it out with a select enricher, or write parquet or arrow",
                )
        self._names = tuple(schema.names)

    def header(self) -> bytes:
        """Return the line of column names, unless there is to be none."""
        if not self.config.header:
            return b""
        names = self._quoted(pa.array(self._names, pa.string())).to_pylist()
        return (self.config.delimiter.join(names) + self._line_end).encode()

    def pieces(self, batch: pa.RecordBatch) -> list[Piece]:
        """Return the pieces of one line for each row."""
        absent = '""' if batch.num_columns == 1 else ""
        pieces: list[Piece] = []
        for index, column in enumerate(batch.columns):
            if index:
                pieces.append(self.config.delimiter)
            pieces.append(piece(column, self._field, absent=absent, digits=self._bare))
        return [*pieces, self._line_end]

    @property
    def _line_end(self) -> str:
        return "\n" if self.config.line_end == "lf" else "\r\n"

    @property
    def _bare(self) -> bool:
        """Whether numbers and times need no quotes: unless the delimiter is an unusual one."""
        return self.config.delimiter in ",;|\t"

    def _field(self, array: pa.Array) -> pa.Array:
        kind = array.type
        if is_scalar(kind):
            text = scalar_text(array)
            if self.config.escape_formulas and is_text(kind):
                text = _compute.replace_substring_regex(text, _FORMULA, r"'\1")
            safe = self._bare and not (is_text(kind) or is_binary(kind))
            return text if safe else self._quoted(text)
        return self._quoted(json_text(array))

    def _quoted(self, texts: pa.Array) -> pa.Array:
        pattern = f'^$|["\r\n\\x{ord(self.config.delimiter):02x}]'
        needed = _compute.match_substring_regex(texts, pattern)
        if not _compute.any(needed).as_py():
            return texts
        return _compute.if_else(
            needed, concat('"', replace_chars(texts, [('"', '""')]), '"'), texts
        )
