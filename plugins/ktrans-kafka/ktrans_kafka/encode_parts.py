"""Makes topics, keys, headers and timestamps of records from columns."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ktrans.api import ConfigError
from ktrans.kit.columns import require
from ktrans.kit.files.partition import dense, has_plain_text
from ktrans.kit.files.path_template import NULL_PARTITION, PathTemplate
from ktrans.kit.messages.labels import MISSING, parse_name

Header = tuple[str, bytes]

_SEPARATOR = "|"
_compute: Any = pc
_PER_SECOND = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}
_LEGAL = re.compile(r"[A-Za-z0-9._-]+")
_ILLEGAL = re.compile(r"[^A-Za-z0-9._-]")
MAX_TOPIC_CHARS = 249
"""Apache Kafka, `org.apache.kafka.common.internals.Topic`: allowed characters and length."""


def parse_topic(text: str) -> PathTemplate:
    """Parse the template of a topic.

    Returns:
        A template with its parts in `name`, for `ktrans.kit.files.partition`.

    Raises:
        ValueError: it is not a valid topic name, or does not begin with fixed text.
    """
    rule = "a topic name has letters, digits, dots, dashes and underscores"
    parts = parse_name(text, _LEGAL, rule)
    if text in (".", "..") or len(text) > MAX_TOPIC_CHARS:
        raise ValueError(f"a topic name is neither . nor .. and has {MAX_TOPIC_CHARS} characters")
    return PathTemplate("", (), parts)


def topic_name(template: PathTemplate, values: tuple[str, ...]) -> str:
    """Return the topic name for a group's values, with invalid characters replaced."""
    rest = (MISSING if value == NULL_PARTITION else _ILLEGAL.sub("_", value) for value in values)
    name = "".join(part if isinstance(part, str) else next(rest) for part in template.name)
    return name[:MAX_TOPIC_CHARS]


def check_plain(schema: pa.Schema, columns: Iterable[str]) -> None:
    """Check that columns exist and can be written as plain text."""
    for column in columns:
        kind = _type_of(schema, column)
        if not has_plain_text(kind):
            raise _unsuitable(column, kind, "use a text, integer or boolean column")


def check_time(schema: pa.Schema, column: str | None) -> None:
    """Check that a column, if there is one, exists and holds times."""
    if column is not None and not pa.types.is_timestamp(kind := _type_of(schema, column)):
        raise _unsuitable(column, kind, "use a time column, such as end_time")


def _type_of(schema: pa.Schema, column: str) -> pa.DataType:
    require(schema, [column], "kafka")
    kind = schema.field(column).type
    return kind.value_type if pa.types.is_dictionary(kind) else kind


def _unsuitable(column: str, kind: pa.DataType, hint: str) -> ConfigError:
    return ConfigError(
        f"kafka: column {column!r} of type {kind} cannot be used here",
        code="type_not_supported",
        hint=hint,
    )


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
    """Return the headers of each row, and their size in bytes: int64, shape (rows,).

    Rows with equal headers share one list.
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
