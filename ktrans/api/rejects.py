"""Rejects (dead letters): input that could not become a row, with all that a replay needs.

>>> from ktrans.api import reject_batch
>>> batch = reject_batch(
...     "file:///a.log", [3], ["bad_number"], [b"22 x"], details=["port: 'x'"], decoder="ports"
... )
>>> batch["reason"].to_pylist(), batch["raw_complete"].to_pylist()
(['bad_number'], [True])
"""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

REJECT_SCHEMA = pa.schema(
    [
        pa.field("source_uri", pa.string(), nullable=False),
        pa.field("source_pos", pa.int64()),
        pa.field("reason", pa.string(), nullable=False),
        pa.field("detail", pa.string()),
        pa.field("raw", pa.binary()),
        pa.field("decoder", pa.string(), nullable=False),
        pa.field("decoder_version", pa.string(), nullable=False),
        pa.field("layout", pa.string()),
        pa.field("raw_complete", pa.bool_(), nullable=False),
        pa.field("carrier", pa.string()),
    ]
)
"""One row a rejected record.

source_uri, source_pos: the object, and the 1-based line or record in it; null for the object as a
whole. reason: a stable snake_case code. detail: the same for people, with column and value. raw:
the record's bytes. layout: what the decoder needs to read the bytes again (for AWS text the field
names). raw_complete: whether raw is the whole record, so that decoding it again is safe. carrier: what
the carrier around the record says about it (log group, time, ...), as JSON; ktrans fills it.
"""

PARTIAL_REASONS = ("truncated", "corrupt_stream", "line_too_long")
"""Reasons whose records are never complete."""


STRANGE_REASONS = (
    "bad_json",
    "bad_record",
    "bad_header",
    "control_character",
    "corrupt_stream",
    "invalid_utf8",
    "line_too_long",
    "no_addresses",
    "no_flow_fields",
    "no_flows",
    "no_layout",
    "record_too_long",
    "too_few_fields",
    "too_many_fields",
    "truncated",
)
"""Reasons of records that are not of the log at all, rather than records of it with a bad value. An
object of which nothing else can be read is not that log."""


def reject_batch(  # noqa: PLR0913  # one argument a column
    uri: str,
    positions: Any,
    reasons: Any,
    raw: Any,
    *,
    details: Any = None,
    decoder: str,
    version: str = "1",
    layout: Any = None,
    complete: Any = None,
) -> pa.RecordBatch:
    """Build a batch of REJECT_SCHEMA by columns, all from one object and one decoder.

    Args:
        uri: the object.
        positions: int64 array or sequence, one a reject; None where there is no position.
        reasons: string array or sequence of reason codes.
        raw: binary array or sequence of the records' bytes.
        details: string array or sequence, or None.
        decoder: the type of the decoder that refused them.
        version: the version of that decoder's rules.
        layout: see REJECT_SCHEMA; a text for all of them, a string array with one each, or None.
        complete: boolean array or sequence, false where `raw` was shortened; None if none was. Rows
            without bytes and those of PARTIAL_REASONS are never complete.
    """
    pos = _array(positions, pa.int64())
    count = len(pos)
    codes, held = _array(reasons, pa.string()), _array(raw, pa.binary())
    whole = pc.and_(held.is_valid(), pc.invert(pc.is_in(codes, pa.array(PARTIAL_REASONS))))
    if complete is not None:
        whole = pc.and_(whole, _array(complete, pa.bool_()))
    columns = [
        pa.repeat(pa.scalar(uri, pa.string()), count),
        pos,
        codes,
        pa.nulls(count, pa.string()) if details is None else _array(details, pa.string()),
        held,
        pa.repeat(pa.scalar(decoder, pa.string()), count),
        pa.repeat(pa.scalar(version, pa.string()), count),
        layout
        if isinstance(layout, pa.Array)
        else pa.repeat(pa.scalar(layout, pa.string()), count),
        whole,
        pa.nulls(count, pa.string()),
    ]
    return pa.RecordBatch.from_arrays(columns, schema=REJECT_SCHEMA)


def _array(values: Any, kind: pa.DataType) -> pa.Array:
    if isinstance(values, pa.ChunkedArray):
        values = values.combine_chunks()
    if isinstance(values, pa.Array):
        return values if values.type == kind else values.cast(kind)
    return pa.array(values, kind)
