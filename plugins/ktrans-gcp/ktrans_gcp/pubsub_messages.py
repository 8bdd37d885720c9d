"""Turns rows into messages, by columns: each row's text, or slices of rows as small files.

Source: Google Cloud Pub/Sub documentation, "Quotas and limits": 10 MB a message and a request,
1000 messages a request, 100 attributes a message, 256 bytes a key and 1024 bytes a value of an
attribute, 1 KB an ordering key.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ktrans.api import ConfigError, Format, Refused
from ktrans.kit.buffered_sink import Kept
from ktrans.kit.columns import option, require
from ktrans.kit.rows.row_format import TextFormat
from ktrans.kit.rows.scalars import is_binary, is_scalar, scalar_text
from ktrans_gcp.pubsub_sink_config import PubsubSinkConfig

MAX_ATTRIBUTE_BYTES = 1024
ORDERING_KEY = "ordering_key"
_FIXED = [("data", pa.large_binary()), ("rows", pa.int32()), (ORDERING_KEY, pa.string())]
_compute: Any = pc


def schema_of(attributes: Sequence[str]) -> pa.Schema:
    """Return the schema of staged messages; attributes are the columns behind the fixed ones."""
    return pa.schema([*_FIXED, *((f"a:{name}", pa.string()) for name in attributes)])


def check_column(schema: pa.Schema, column: str, name: str) -> None:
    """Check whether a column can be an attribute or an ordering key, as the option `name` says.

    Raises:
        ConfigError: it is missing, or its values have no plain text.
    """
    with option(name):
        require(schema, [column], "pubsub")
        kind = schema.field(column).type
        if not is_scalar(kind) or is_binary(kind):
            raise ConfigError(
                f"column {column!r} of type {kind} cannot be an attribute",
                code="type_not_supported",
                hint="take a text, number, boolean or time column",
            )


def encode(config: PubsubSinkConfig, made: Format[Any], batch: pa.RecordBatch) -> Kept:
    """Turn a batch into messages, by the options and the format of the sink. Pure."""
    if config.rows_per_message > 1:
        return _sliced(config, made, batch)
    assert isinstance(made, TextFormat)
    texts = pa.concat_arrays(
        [part.cast(pa.large_binary()) for part in made.texts(batch)]
        or [pa.nulls(0, pa.large_binary())]
    )
    data = _compute.binary_slice(texts, 0, -1)
    key = _text(batch, config.ordering_key)
    values = [_text(batch, column) for column in config.attributes.values()]
    messages = pa.RecordBatch.from_arrays(
        [data, pa.array(np.ones(len(data), np.int32)), key, *values],
        schema=schema_of(list(config.attributes)),
    )
    return _without_refused(config.max_message_size, batch, messages)


def _without_refused(max_bytes: int, batch: pa.RecordBatch, made: pa.RecordBatch) -> Kept:
    sizes = _lengths(made.column(0))
    longest = np.zeros(len(sizes), np.int64)
    for index in range(2, made.num_columns):
        lengths = _lengths(made.column(index))
        sizes = sizes + lengths
        longest = np.maximum(longest, lengths)
    too_large = sizes > max_bytes
    too_long = (longest > MAX_ATTRIBUTE_BYTES) & ~too_large
    refused = []
    if too_large.any():
        detail = f"a message of up to {int(sizes.max())} bytes; {max_bytes} are allowed"
        refused.append(_refuse(batch, too_large, "message_too_large", detail))
    if too_long.any():
        detail = (
            f"an attribute or ordering key of up to {int(longest.max())} bytes; Pub/Sub takes "
            f"{MAX_ATTRIBUTE_BYTES}"
        )
        refused.append(_refuse(batch, too_long, "attribute_too_long", detail))
    if refused:
        made = made.filter(pa.array(~(too_large | too_long)))
    return Kept(made, _compute.sum(made.column(1)).as_py() or 0, refused)


def _refuse(batch: pa.RecordBatch, flags: np.ndarray, reason: str, detail: str) -> Refused:
    return Refused(batch.filter(pa.array(flags)), reason, detail)


def _sliced(config: PubsubSinkConfig, made: Format[Any], batch: pa.RecordBatch) -> Kept:
    """Make a message of each slice of rows; slices that are too large are halved."""
    data: list[bytes] = []
    counts: list[int] = []
    refused: list[Refused] = []
    waiting = [
        (start, min(config.rows_per_message, batch.num_rows - start))
        for start in range(0, batch.num_rows, config.rows_per_message)
    ][::-1]
    while waiting:
        start, count = waiting.pop()
        rows = batch.slice(start, count)
        file = _file(made, rows)
        if len(file) <= config.max_message_size:
            data.append(file)
            counts.append(count)
        elif count == 1:
            detail = f"a message of {len(file)} bytes; {config.max_message_size} are allowed"
            refused.append(Refused(rows, "message_too_large", detail))
        else:
            half = count // 2
            waiting += [(start + half, count - half), (start, half)]
    messages = pa.RecordBatch.from_arrays(
        [
            pa.array(data, pa.large_binary()),
            pa.array(counts, pa.int32()),
            pa.nulls(len(data), pa.string()),
        ],
        schema=schema_of(()),
    )
    return Kept(messages, _compute.sum(messages.column(1)).as_py() or 0, refused)


def _file(made: Format[Any], rows: pa.RecordBatch) -> bytes:
    stream = io.BytesIO()
    writer = made.open(stream)
    writer.write(made.encode(rows))
    writer.finish()
    return stream.getvalue()


def _text(batch: pa.RecordBatch, column: str | None) -> pa.Array:
    if column is None:
        return pa.nulls(batch.num_rows, pa.string())
    return scalar_text(batch.column(column))


def _lengths(array: pa.Array) -> np.ndarray:
    lengths = _compute.binary_length(array).fill_null(0).cast(pa.int64())
    return np.asarray(lengths)
