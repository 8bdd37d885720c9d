"""Rejects on their way out: the form in which they are stored, and the limit on their number."""

from __future__ import annotations

import base64

import msgspec
import pyarrow as pa
import pyarrow.compute as pc

from ktrans.api import REJECT_SCHEMA, Refused, RejectLimitError, reject_batch
from ktrans.config.model import RejectLimit
from ktrans.engine.ledger import Ledger
from ktrans.state.epochs import Quarantine

REJECT_OUT_SCHEMA = pa.schema(
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
    ]
)
"""REJECT_SCHEMA for people: `raw` is text where the bytes are UTF-8, else `raw_base64` has them."""


SINK = "sink:"
"""What the `decoder` of a reject begins with if it was a row already, and a sink could not place it."""


def to_out(batch: pa.RecordBatch) -> pa.RecordBatch:
    """Turn a batch of REJECT_SCHEMA into REJECT_OUT_SCHEMA."""
    raw = batch.column("raw")
    encoded = pa.nulls(len(raw), pa.string())
    try:
        text = raw.cast(pa.string())
    except pa.ArrowInvalid:
        text, encoded = _apart(raw)
    columns = {name: batch.column(name) for name in REJECT_SCHEMA.names}
    columns |= {"raw": text, "raw_base64": encoded}
    return pa.RecordBatch.from_arrays(
        [columns[name] for name in REJECT_OUT_SCHEMA.names], schema=REJECT_OUT_SCHEMA
    )


def _apart(raw: pa.Array) -> tuple[pa.Array, pa.Array]:
    """Split bytes into those that are text and those that are not; only for invalid UTF-8."""
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
    """Give back the raw bytes of stored rejects, in order (null where there are none)."""
    text = table.column("raw").combine_chunks().cast(pa.binary())
    encoded = table.column("raw_base64").combine_chunks()
    if encoded.null_count == len(encoded):
        return text
    decoded = [None if v is None else base64.b64decode(v) for v in encoded.to_pylist()]
    return pc.coalesce(text, pa.array(decoded, pa.binary()))


def whole_split(exclusion: Quarantine, decoder: str, version: str) -> pa.RecordBatch:
    """Give the reject that stands for a split of which nothing can be decoded."""
    return reject_batch(
        exclusion.uri,
        [None],
        [exclusion.code],
        [None],
        details=[exclusion.reason],
        decoder=decoder,
        version=version,
    )


def undelivered(sink: str, refused: Refused) -> pa.RecordBatch:
    """Give the rejects that stand for rows which a sink could not place; `raw` is the row as JSON.

    They are few, or the limit stops the run: they are taken row by row.
    """
    rows = refused.rows.to_pylist()
    batch = reject_batch(
        "",
        [row.get("source_pos") for row in rows],
        [refused.reason] * len(rows),
        [msgspec.json.encode(row, enc_hook=str) for row in rows],
        details=[refused.detail] * len(rows),
        decoder=f"{SINK}{sink}",
    )
    uris = [row.get("source_uri") or f"{SINK}{sink}" for row in rows]
    return batch.set_column(0, REJECT_SCHEMA.field(0), pa.array(uris, pa.string()))


def check_limit(limit: RejectLimit, ledger: Ledger, where: str) -> None:
    """Stop a run whose input does not look like what the pipeline was written for.

    Raises:
        RejectLimitError: naming the commonest reasons.
    """
    rejects = ledger.rejects + sum(ledger.refused.values())
    records = ledger.records
    over_count = limit.count is not None and rejects > limit.count
    over_ratio = records >= limit.min_records and rejects > limit.ratio * records
    if not (over_count or over_ratio):
        return
    reasons = [*ledger.rejected.items(), *ledger.refused.items()]
    reasons = sorted(reasons, key=lambda item: -item[1])[:3]
    told = ", ".join(f"{reason} ({count})" for reason, count in reasons)
    bound = f"{limit.count} rejects" if over_count else f"{limit.ratio:.0%} of the records"
    raise RejectLimitError(
        f"{rejects} of {records} records were rejected, more than the limit of {bound}: {told}",
        hint=f"look at what they are with `ktrans preview`, fix the decoder's options, or raise "
        f"rejects.limit; {where} was not written anywhere and will be read again",
    )
