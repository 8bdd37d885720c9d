"""Parquet with a column of records, or with records of JSON as rows."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec
import pyarrow as pa

from ktrans.api import Decoder, Payload, RejectError
from ktrans.decoders.aws.decoder import AwsDecoder
from ktrans.decoders.base import FlowDecoder
from ktrans.decoders.carriers.envelopes import TEXT_KEYS, Part, open_envelope
from ktrans.decoders.mapped.decoder import MappedDecoder
from ktrans.decoders.mapped.frames import Parquet

_ROWS = 8192
_TEXTS = (pa.string(), pa.large_string(), pa.string_view())


def rows_of(payload: Payload, decoder: Decoder[Any]) -> Iterator[Part] | None:
    """Return what the rows of a Parquet file carry; None if they are left to the decoder.

    Rows are records themselves if the decoder reads JSON objects and no Parquet: BigQuery exports them so.
    """
    import pyarrow.parquet as pq

    try:
        with payload.random_access() as stream:
            schema = pq.read_schema(stream)
    except (pa.ArrowException, OSError):
        return None
    if any(name in TEXT_KEYS and _is_text(schema.field(name).type) for name in schema.names):
        return _rows(payload, as_records=False)
    if may_read(decoder) or not decoder.json_records:
        return None
    return _rows(payload, as_records=True)


def may_read(decoder: Decoder[Any]) -> bool:
    """Return whether a decoder reads Parquet files itself, as far as is known."""
    if isinstance(decoder, MappedDecoder):
        return any(isinstance(frame, Parquet) for frame in decoder.frames)
    return isinstance(decoder, AwsDecoder) or not isinstance(decoder, FlowDecoder)


def _is_text(kind: pa.DataType) -> bool:
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    return kind in (*_TEXTS, pa.binary(), pa.large_binary())


def _rows(payload: Payload, *, as_records: bool) -> Iterator[Part]:
    import pyarrow.parquet as pq

    with payload.random_access() as stream:
        try:
            for batch in pq.ParquetFile(stream).iter_batches(_ROWS):
                for row in _undecoded(batch).to_pylist():
                    plain = _plain(row)
                    if as_records:
                        yield Part("record", plain)
                        continue
                    found = open_envelope(plain, lambda _: False)
                    if found is None:
                        yield Part("bad", plain)
                    else:
                        yield from found
        except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
            message = f"{payload.uri}: not a readable Parquet file: {error}"
            raise RejectError(message) from error


def _undecoded(rows: pa.RecordBatch) -> pa.RecordBatch:
    """Return rows with text as bytes: in a damaged file it may be no UTF-8, which costs only its row."""
    columns = [
        column.dictionary_decode() if pa.types.is_dictionary(column.type) else column
        for column in rows.columns
    ]
    columns = [
        column.cast(pa.large_binary()) if column.type in _TEXTS else column for column in columns
    ]
    return pa.RecordBatch.from_arrays(columns, rows.schema.names)


def _plain(value: Any) -> Any:
    """Return a value as JSON has it, without members that are null."""
    if isinstance(value, dict):
        return {str(name): _plain(each) for name, each in value.items() if each is not None}
    if isinstance(value, list):
        return [_plain(each) for each in value]
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    if value is None or isinstance(value, str | int | float):
        return value
    return msgspec.to_builtins(value, enc_hook=str)
