"""JSON lines: one object a row, for whatever reads JSON (jsonlines.org, RFC 8259)."""

from __future__ import annotations

from typing import ClassVar, Literal

import pyarrow as pa
from pydantic import Field

from ktrans.api import ComponentConfig, ConfigError
from ktrans.formats.text.json import is_jsonable, object_pieces
from ktrans.formats.text.pieces import Piece
from ktrans.formats.text.row_format import TextFormat


class JsonlFormatConfig(ComponentConfig):
    """Options of JSON lines."""

    type: Literal["jsonl"] = Field("jsonl", description="JSON lines.", examples=["jsonl"])
    nulls: Literal["omit", "write"] = Field(
        "omit",
        description="Whether members without a value are left out or written as null.",
        examples=["omit", "write"],
    )


class JsonlFormat(TextFormat[JsonlFormatConfig]):
    """One JSON object a line, members in the order of the columns.

    Times are RFC 3339 texts in UTC with microseconds, integers are numbers in full (readers that
    keep numbers as doubles lose digits beyond 2^53), maps are objects, bytes are base64, NaN and
    infinities are null. Text is UTF-8 and escaped only where RFC 8259 asks for it.
    """

    extension: ClassVar[str] = ".jsonl"

    def bind(self, schema: pa.Schema) -> None:
        """Check that every column has a JSON form and a name of its own.

        Raises:
            ConfigError: a column's type has none (unions, month intervals), or names repeat.
        """
        for field in schema:
            if not is_jsonable(field.type):
                raise ConfigError(
                    f"column {field.name!r} of type {field.type} has no form in JSON",
                    code="type_not_supported",
                    hint="leave it out with a select enricher, or write parquet or arrow",
                )
            if len(schema.get_all_field_indices(field.name)) > 1:
                raise ConfigError(
                    f"two columns are named {field.name!r}, which one JSON object cannot hold",
                    code="duplicate_column",
                    hint="rename one of them with a select enricher",
                )

    def pieces(self, batch: pa.RecordBatch) -> list[Piece]:
        """Give the pieces of one object a row."""
        nulls = self.config.nulls == "write"
        return object_pieces(batch.schema.names, batch.columns, nulls, end="}\n")
