"""The form in which rejects are stored, and rejects of splits and of rows that sinks refuse."""

from __future__ import annotations

import base64

import pyarrow as pa
import pyarrow.compute as pc

from ktrans.api import REJECT_SCHEMA, Refused, Split, reject_batch
from ktrans.kit.notifications import message_bytes
from ktrans.kit.rows.json import is_jsonable, object_pieces
from ktrans.kit.rows.pieces import texts_of
from ktrans.state.epochs import Quarantine

STORED_REJECT_SCHEMA = pa.schema(
    [
        pa.field("reason", pa.string()),
        pa.field("detail", pa.string()),
        pa.field("source_uri", pa.string()),
        pa.field("source_pos", pa.int64()),
        pa.field("raw", pa.string()),
        pa.field("raw_base64", pa.string()),
        pa.field("decoder", pa.string()),
        pa.field("decoder_version", pa.string()),
        pa.field("layout", pa.string()),
        pa.field("raw_complete", pa.bool_()),
        pa.field("carrier", pa.string()),
    ]
)
"""REJECT_SCHEMA for people: `raw` is text if the bytes are UTF-8, else `raw_base64` has them."""

SINK = "sink:"
"""The start of `decoder` in rejects that are rows which a sink or a rollup refused."""


def to_stored(batch: pa.RecordBatch) -> pa.RecordBatch:
    """Turn a batch of REJECT_SCHEMA into STORED_REJECT_SCHEMA."""
    raw = batch.column("raw")
    encoded = pa.nulls(len(raw), pa.string())
    try:
        text = raw.cast(pa.string())
    except pa.ArrowInvalid:
        text, encoded = _split_by_encoding(raw)
    columns = {name: batch.column(name) for name in REJECT_SCHEMA.names}
    columns |= {"raw": text, "raw_base64": encoded}
    return pa.RecordBatch.from_arrays(
        [columns[name] for name in STORED_REJECT_SCHEMA.names], schema=STORED_REJECT_SCHEMA
    )


def _split_by_encoding(raw: pa.Array) -> tuple[pa.Array, pa.Array]:
    """Return values that are UTF-8 as text, and the others in base64; only for mixed columns."""
    text: list[str | None] = []
    encoded: list[str | None] = []
    for value in raw.to_pylist():
        try:
            text.append(None if value is None else value.decode("utf-8"))
            encoded.append(None)
        except UnicodeDecodeError:
            text.append(None)
            encoded.append(base64.b64encode(value).decode("ascii"))
    return pa.array(text, pa.string()), pa.array(encoded, pa.string())


def raw_bytes(table: pa.Table) -> pa.Array:
    """Return the raw bytes of stored rejects, in order (null where there are none)."""
    text = table.column("raw").combine_chunks().cast(pa.binary())
    encoded = table.column("raw_base64").combine_chunks()
    if encoded.null_count == len(encoded):
        return text
    decoded = [None if v is None else base64.b64decode(v) for v in encoded.to_pylist()]
    return pc.coalesce(text, pa.array(decoded, pa.binary()))


def split_reject(
    quarantine: Quarantine, split: Split, decoder: str, version: str
) -> pa.RecordBatch:
    """Return the reject of a split of which nothing can be decoded; it has the bytes of a message."""
    raw, complete = message_bytes(split)
    return reject_batch(
        quarantine.uri,
        [None],
        [quarantine.code],
        [raw],
        details=[quarantine.reason],
        decoder=decoder,
        version=version,
        complete=[complete],
    )


def refused_rows(stage: str, refused: Refused) -> pa.RecordBatch:
    """Return the rejects of rows that a sink or a rollup refused; `raw` is the row as JSON."""
    rows = refused.rows
    names = [field.name for field in rows.schema if is_jsonable(field.type)]
    texts = texts_of(
        rows.select(names), lambda part: object_pieces(names, part.columns, nulls=False)
    )
    batch = reject_batch(
        "",
        _values(rows, "source_pos", pa.int64()),
        pa.repeat(refused.reason, rows.num_rows),
        pa.chunked_array(texts, pa.string()),
        details=pa.repeat(refused.detail, rows.num_rows),
        decoder=f"{SINK}{stage}",
    )
    uris = pc.fill_null(_values(rows, "source_uri", pa.string()), f"{SINK}{stage}")
    return batch.set_column(0, REJECT_SCHEMA.field(0), uris)


def _values(rows: pa.RecordBatch, name: str, kind: pa.DataType) -> pa.Array:
    """Return a column, or nulls if the rows do not have it."""
    if name not in rows.schema.names:
        return pa.nulls(rows.num_rows, kind)
    return rows.column(name).cast(kind)
