"""Bodies of Elasticsearch's bulk API: an action line and a document line for each row."""

from __future__ import annotations

from hashlib import blake2b
from string import Formatter
from typing import Any, ClassVar, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field, field_validator

from ktrans.api import ComponentConfig, ConfigError
from ktrans.kit.rows.json import check_json, json_text, object_pieces
from ktrans.kit.rows.pieces import Piece, as_text, is_text, piece
from ktrans.kit.rows.row_format import TextFormat
from ktrans.kit.rows.scalars import is_scalar, scalar_text

_compute: Any = pc
_HASH_BYTES = 12
_HOUR_SECS = 3600


class EsBulkFormatConfig(ComponentConfig, type="es_bulk"):
    """Options of bodies for the bulk API of Elasticsearch and OpenSearch."""

    index: str = Field(
        "logs-ktrans.flow-default",
        description=(
            "The index or data stream. A column's value goes in by `{column}`, a time by "
            "`{column:%Y.%m.%d}` (no finer than hours)."
        ),
        examples=["logs-ktrans.flow-default", "flows-{@timestamp:%Y.%m.%d}"],
    )
    action: Literal["create", "index"] = Field(
        "create",
        description=(
            "`create` keeps a document that exists, and is the only action of data streams; "
            "`index` replaces it."
        ),
        examples=["create", "index"],
    )
    id_columns: tuple[str, ...] = Field(
        ("source_uri", "source_pos"),
        description=(
            "The columns that together name a row: the document's `_id` is made of them, so that "
            "sending a row again does not store it twice. Empty: Elasticsearch chooses ids."
        ),
        examples=[["source_uri", "source_pos"], ["record_id"], []],
    )
    leave_out: tuple[str, ...] = Field(
        (),
        description="Columns that are not written into the document, such as those of the id.",
        examples=[["source_uri", "source_pos"]],
    )

    @field_validator("index")
    @classmethod
    def _template(cls, value: str) -> str:
        try:
            slots(value)
        except ValueError as error:
            raise ValueError(f"{value!r} is not a template: {error}") from error
        return value


def slots(template: str) -> list[tuple[str, str | None, str]]:
    """Parse an index template into literal text, column (or None) and time format.

    Raises:
        ValueError: it is not well-formed.
    """
    found = []
    for literal, name, spec, conversion in Formatter().parse(template):
        if conversion or name == "":
            raise ValueError("a slot is {column} or {column:%Y.%m.%d}")
        if spec and set(spec[1::2]) & set("MSf"):
            raise ValueError("an index has no minutes or seconds in its name")
        found.append((literal, name, spec or ""))
    return found


class EsBulkFormat(TextFormat[EsBulkFormatConfig]):
    """Two lines for each row: the action with its index, then the document, as in JSON lines.

    The id is a hash of each text among the id columns and the digits of each number or time. A row where
    one of them is null has no id, and is stored again when it is sent again.
    """

    extension: ClassVar[str] = ".ndjson"

    def bind(self, schema: pa.Schema) -> None:
        """Check that the columns are there and have a JSON form.

        Raises:
            ConfigError: a column of the id or of the index is missing or has no text, or a column
                has no form in JSON.
        """
        check_json(schema)
        for name in self.config.id_columns:
            kind = _kind(schema, name, "id_columns")
            if not (is_text(kind) or pa.types.is_integer(kind) or pa.types.is_timestamp(kind)):
                raise ConfigError(
                    f"id_columns: {name!r} holds {kind}, where text, whole numbers or times are needed",
                    field="id_columns",
                    code="column_type",
                )
        for _, slot, spec in slots(self.config.index):
            if slot is None:
                continue
            kind = _kind(schema, slot, "index")
            if bool(spec) != pa.types.is_timestamp(kind) or not is_scalar(kind):
                raise ConfigError(
                    f"index: {slot!r} holds {kind}; times take a format such as "
                    f"{{{slot}:%Y.%m.%d}}, and only times do",
                    field="index",
                    code="column_type",
                )

    def pieces(self, batch: pa.RecordBatch) -> list[Piece]:
        """Return the pieces of the action and of the document."""
        pieces: list[Piece] = [f'{{"{self.config.action}":{{"_index":"']
        for literal, name, spec in slots(self.config.index):
            pieces.append(_inner(literal))
            if name is not None:
                column = batch.column(name)
                pieces.append(piece(_days(column, spec) if spec else column, _quoted_inner))
        pieces += ['"', *self._id(batch), "}}\n"]
        left = [name for name in batch.schema.names if name not in self.config.leave_out]
        columns = [batch.column(name) for name in left]
        return [*pieces, *object_pieces(left, columns, nulls=False, end="}\n")]

    def _id(self, batch: pa.RecordBatch) -> list[Piece]:
        columns = [batch.column(name) for name in self.config.id_columns]
        if not columns:
            return []
        there = np.ones(batch.num_rows, bool)
        for column in columns:
            there &= np.asarray(_hashed(column).is_valid())
        if not there.all():
            columns = [_only(column, there) for column in columns]
        pieces: list[Piece] = []
        for number, column in enumerate(columns):
            before = "-" if number else ',"_id":"'
            after = '"' if number == len(columns) - 1 else ""
            whole = pa.types.is_integer(column.type)
            pieces.append(piece(column, _hashed, before, after, digits=whole))
        return pieces


def _kind(schema: pa.Schema, name: str, option: str) -> pa.DataType:
    if name not in schema.names:
        raise ConfigError(
            f"{option}: there is no column {name!r}",
            field=option,
            code="column_missing",
            hint=f"the rows have: {', '.join(schema.names)}; an enricher that reshapes rows has "
            "`keep` for columns that are still needed",
        )
    kind = schema.field(name).type
    return kind.value_type if pa.types.is_dictionary(kind) else kind


def _hashed(array: pa.Array) -> pa.Array:
    """Return each value's part of an id: the digits of a number or a time, a hash of a text."""
    if pa.types.is_dictionary(array.type):
        return _hashed(array.dictionary).take(array.indices)
    if pa.types.is_timestamp(array.type):
        array = array.cast(pa.int64())
    if pa.types.is_integer(array.type):
        return array.cast(pa.string())
    coded = as_text(array).dictionary_encode()
    digests = [
        None if text is None else blake2b(text.encode(), digest_size=_HASH_BYTES).hexdigest()
        for text in coded.dictionary.to_pylist()
    ]
    return pa.array(digests, pa.string()).take(coded.indices)


def _only(column: pa.Array, mask: np.ndarray) -> pa.Array:
    if pa.types.is_dictionary(column.type):
        codes = _only(column.indices, mask)
        return pa.DictionaryArray.from_arrays(codes, column.dictionary)
    return _compute.if_else(pa.array(mask), column, pa.scalar(None, column.type))


def _days(column: pa.Array, spec: str) -> pa.Array:
    """Return formatted times; only distinct hours are formatted."""
    seconds = column.cast(pa.timestamp("s", "UTC"), safe=False).cast(pa.int64())
    hours = _compute.floor(_compute.divide(seconds.cast(pa.float64()), float(_HOUR_SECS)))
    coded = hours.cast(pa.int64()).dictionary_encode()
    starts = _compute.multiply(coded.dictionary, pa.scalar(_HOUR_SECS, pa.int64()))
    texts = _compute.strftime(starts.cast(pa.timestamp("s", "UTC")), format=spec)
    return pa.DictionaryArray.from_arrays(coded.indices, texts)


def _quoted_inner(array: pa.Array) -> pa.Array:
    """Return values as they are written inside a JSON string."""
    text = json_text(scalar_text(array))
    return _compute.utf8_slice_codeunits(text, 1, -1)


def _inner(text: str) -> str:
    return str(_quoted_inner(pa.array([text], pa.string()))[0])
