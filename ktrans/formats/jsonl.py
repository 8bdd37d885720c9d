"""JSON lines: one object a row, for whatever reads JSON (jsonlines.org, RFC 8259)."""

from __future__ import annotations

from typing import ClassVar, Literal

import pyarrow as pa
from pydantic import Field

from ktrans.api import ComponentConfig
from ktrans.kit.rows.json import check_json, object_pieces
from ktrans.kit.rows.pieces import Piece
from ktrans.kit.rows.row_format import TextFormat


class JsonlFormatConfig(ComponentConfig, type="jsonl"):
    """Options of JSON lines."""

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
        """Check that every column has a JSON form and a name of its own."""
        check_json(schema)

    def pieces(self, batch: pa.RecordBatch) -> list[Piece]:
        """Return the pieces of one object a row."""
        nulls = self.config.nulls == "write"
        return object_pieces(batch.schema.names, batch.columns, nulls, end="}\n")
