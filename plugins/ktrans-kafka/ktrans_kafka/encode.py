"""Encodes batches as records: one per row (JSON, Avro, Protobuf) or per batch (Arrow, Parquet)."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from ktrans.api import ComponentConfig, Context, Refused
from ktrans.kit.files.format_option import build_format
from ktrans.kit.files.partition import group, take
from ktrans.kit.rows.binary import sizes
from ktrans.kit.rows.json import check_json, object_pieces
from ktrans.kit.rows.pieces import texts_of
from ktrans_kafka.encode_parts import (
    Header,
    header_lists,
    key_texts,
    milliseconds,
    parse_topic,
    topic_name,
)
from ktrans_kafka.framing import FramedRows
from ktrans_kafka.sink_config import BY_BATCH, WITH_SCHEMA, KafkaSinkConfig

TOO_LARGE = "record_too_large"
_ENVELOPE = 100
_HEADER_ENVELOPE = 10
"""Upper bounds of the overhead of a record that is alone in its batch, and of each header (Apache
Kafka, "Message Format": record batch 61 bytes, record up to 36, two lengths of up to 5 a header)."""


@dataclass(slots=True)
class Records:
    """Records of one batch for one topic, ready to be sent; all lists have the same length.

    Attributes:
        topic: their topic.
        values: their values.
        rows: how many rows they hold.
        nbytes: size of the values.
        keys: their keys, if the sink sets keys.
        timestamps: milliseconds since 1970 (0 means now), if a column has them.
        headers: name and value pairs, if there are any.
    """

    topic: str
    values: list[bytes]
    rows: int
    nbytes: int
    keys: list[bytes | None] | None = None
    timestamps: list[int] | None = None
    headers: list[list[Header]] | None = None


@dataclass(slots=True)
class Outgoing:
    """The records of a batch by topic, and the rows that are too large."""

    records: list[Records] = field(default_factory=list)
    refused: list[Refused] = field(default_factory=list)


class Encoder:
    """Encodes batches as records, according to the sink's options. Thread-safe."""

    def __init__(self, config: KafkaSinkConfig, context: Context) -> None:
        self._config = config
        self._template = parse_topic(config.topic)
        self._headers = [(name, value.encode()) for name, value in config.headers.items()]
        self._format: Any = None
        self._framed: FramedRows | None = None
        if config.encoding in BY_BATCH:
            self._format = build_format(ComponentConfig(type=config.encoding), context)
        elif config.encoding in WITH_SCHEMA:
            self._framed = FramedRows(config, context)

    def bind(self, schema: pa.Schema) -> None:
        """Check that the columns can be encoded."""
        if self._format is not None:
            self._format.bind(schema)
        elif self._framed is not None:
            self._framed.bind(schema)
        else:
            check_json(schema)

    def check(self, topics: Sequence[str]) -> None:
        """Check that the schema registry, if there is one, is ready."""
        if self._framed is not None:
            self._framed.check(topics)

    def encode(self, batch: pa.RecordBatch) -> Outgoing:
        """Encode a batch as records, grouped by topic. Pure, except for looking up schemas."""
        made = Outgoing()
        if batch.num_rows:
            encode = self._by_row if self._format is None else self._by_batch
            for topic, rows in self._by_topic(batch):
                encode(topic, rows, made)
        return made

    def _by_topic(self, batch: pa.RecordBatch) -> Iterator[tuple[str, pa.RecordBatch]]:
        if not self._template.slots:
            yield self._config.topic, batch
            return
        keys, groups = group(self._template, batch)
        if not groups:
            yield topic_name(self._template, keys[0]), batch
            return
        for key, indices in zip(keys, groups, strict=True):
            yield topic_name(self._template, key), take(batch, indices)

    # -- one record per row ---------------------------------------------------------------------

    def _by_row(self, topic: str, batch: pa.RecordBatch, made: Outgoing) -> None:
        config = self._config
        values = self._json(batch) if self._framed is None else self._framed.encode(batch, topic)
        value_sizes = sizes(values)
        needed = value_sizes + _ENVELOPE
        keys = headers = timestamps = None
        if config.key:
            texts = key_texts(batch, config.key)
            keys = texts.to_pylist()
            needed = needed + sizes(texts)
        if config.headers or config.header_columns:
            headers, header_sizes = header_lists(batch, self._headers, config.header_columns)
            count = len(config.headers) + len(config.header_columns)
            needed = needed + header_sizes + count * _HEADER_ENVELOPE
        if config.timestamp_column is not None:
            timestamps = milliseconds(batch.column(config.timestamp_column)).tolist()
        large = needed > config.max_record_size
        if large.any():
            made.refused.append(self._refuse(batch.filter(pa.array(large)), int(needed.max())))
            if not large.all():
                self._by_row(topic, batch.filter(pa.array(~large)), made)
            return
        nbytes = int(value_sizes.sum())
        made.records.append(
            Records(topic, values.to_pylist(), batch.num_rows, nbytes, keys, timestamps, headers)
        )

    def _json(self, batch: pa.RecordBatch) -> pa.ChunkedArray:
        """Return each row as a JSON object, like the `jsonl` format."""
        nulls = self._config.json_nulls == "write"
        texts = texts_of(batch, lambda b: object_pieces(b.schema.names, b.columns, nulls))
        return pa.chunked_array([each.cast(pa.binary()) for each in texts], pa.binary())

    def _refuse(self, rows: pa.RecordBatch, size: int) -> Refused:
        limit = self._config.max_record_size
        detail = f"a record of up to {size} bytes; max_record_size is {limit}"
        return Refused(rows, TOO_LARGE, detail)

    # -- one record per batch -------------------------------------------------------------------

    def _by_batch(self, topic: str, batch: pa.RecordBatch, made: Outgoing) -> None:
        """Encode a batch as one record, or as several if it is too large."""
        data = self._file(batch)
        limit = self._config.max_record_size
        size = len(data) + _ENVELOPE + _HEADER_ENVELOPE * len(self._headers)
        size += sum(len(name.encode()) + len(value) for name, value in self._headers)
        if size <= limit:
            headers = [self._headers] if self._headers else None
            made.records.append(Records(topic, [data], batch.num_rows, len(data), headers=headers))
        elif batch.num_rows == 1:
            made.refused.append(self._refuse(batch, size))
        else:
            parts = min(batch.num_rows, max(2, int(size * 1.1 / limit) + 1))
            step = -(-batch.num_rows // parts)
            for start in range(0, batch.num_rows, step):
                self._by_batch(topic, batch.slice(start, step), made)

    def _file(self, batch: pa.RecordBatch) -> bytes:
        stream = io.BytesIO()
        writer = self._format.open(stream)
        writer.write(self._format.encode(batch))
        writer.finish()
        return stream.getvalue()
