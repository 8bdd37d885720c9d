"""Makes keys, headers and timestamps of records from columns."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ktrans.api import ConfigError
from ktrans.kit.files.partition import dense, has_plain_text

Header = tuple[str, bytes]

_SEPARATOR = "|"
_compute: Any = pc
_PER_SECOND = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}


def check_column(schema: pa.Schema, column: str, option: str) -> None:
    """Check that a column exists and can be written as plain text."""
    kind = _type_of(schema, column, option)
    if not has_plain_text(kind):
        raise ConfigError(
            f"kafka: column {column!r} of type {kind} cannot be used in {option}",
            field=option,
            code="type_not_supported",
            hint="use a text, integer or boolean column",
        )


def check_time(schema: pa.Schema, column: str, option: str) -> None:
    """Check that a column exists and holds times."""
    kind = _type_of(schema, column, option)
    if not pa.types.is_timestamp(kind):
        raise ConfigError(
            f"kafka: column {column!r} is not a time but {kind}",
            field=option,
            code="type_not_supported",
            hint="use a time column, such as end_time",
        )


def _type_of(schema: pa.Schema, column: str, option: str) -> pa.DataType:
    if column not in schema.names:
        raise ConfigError(
            f"kafka: {option} needs column {column!r}, which the rows do not have",
            field=option,
            code="column_missing",
            hint=f"the rows have: {', '.join(schema.names)}",
        )
    kind = schema.field(column).type
    return kind.value_type if pa.types.is_dictionary(kind) else kind


def text(array: pa.Array) -> pa.Array:
    """Return the values as plain text (`string`); nulls stay null."""
    if pa.types.is_dictionary(array.type):
        return text(array.dictionary).take(array.indices)
    return array.cast(pa.string())


def key_texts(batch: pa.RecordBatch, columns: Sequence[str]) -> pa.Array:
    """Join columns into keys: a `binary` array, null where all columns are null."""
    parts = [text(batch.column(name)) for name in columns]
    if len(parts) == 1:
        return parts[0].cast(pa.binary())
    joined = _compute.binary_join_element_wise(
        *parts, pa.scalar(_SEPARATOR), null_handling="replace", null_replacement=""
    )
    absent = parts[0].is_null()
    for part in parts[1:]:
        absent = _compute.and_(absent, part.is_null())
    return _compute.if_else(absent, pa.scalar(None, pa.string()), joined).cast(pa.binary())


def header_lists(
    batch: pa.RecordBatch, fixed: list[Header], columns: Sequence[str]
) -> tuple[list[list[Header]], np.ndarray]:
    """Return the headers of each row; rows with equal headers share one list.

    Returns:
        The lists, and the size of each row's headers in bytes: int64, shape (rows,).
    """
    codes = np.zeros(batch.num_rows, dtype=np.int64)
    lists = [fixed]
    for name in columns:
        column = text(batch.column(name)).dictionary_encode()
        texts: list[str | None] = [*column.dictionary.to_pylist(), None]
        own = np.asarray(column.indices.cast(pa.int64()).fill_null(len(texts) - 1))
        codes, present = dense(codes * len(texts) + own)
        pairs = [divmod(at, len(texts)) for at in present.tolist()]
        lists = [_with(lists[before], name, texts[text]) for before, text in pairs]
    sizes = np.array(
        [sum(len(name.encode()) + len(value) for name, value in headers) for headers in lists],
        dtype=np.int64,
    )
    return [lists[code] for code in codes.tolist()], sizes[codes]


def _with(headers: list[Header], name: str, value: str | None) -> list[Header]:
    return headers if value is None else [*headers, (name, value.encode())]


def milliseconds(column: pa.Array) -> np.ndarray:
    """Return times as milliseconds since 1970; null becomes 0, which Kafka takes for now."""
    ticks = np.asarray(column.cast(pa.int64()).fill_null(0))
    per_second = _PER_SECOND[column.type.unit]
    scaled = ticks * 1000 if per_second == 1 else ticks // (per_second // 1000)
    made: np.ndarray = np.maximum(scaled, 0)
    return made
