"""Encodes batches as records: one per row (JSON, Avro, Protobuf) or per batch (Arrow, Parquet)."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
import pyarrow as pa

from ktrans.api import ComponentConfig, Context, Refused
from ktrans.kit.files.format_option import build_format
from ktrans.kit.files.partition import group, take
from ktrans.kit.rows.json import check_json, object_pieces
from ktrans.kit.rows.pieces import Piece, texts_of
from ktrans_kafka.encode_binary import sizes
from ktrans_kafka.encode_parts import Header, header_lists, key_texts, milliseconds
from ktrans_kafka.sink_config import BY_BATCH, KafkaSinkConfig
from ktrans_kafka.topic_template import parse_topic, topic_name

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


@dataclass(slots=True)
class Values:
    """Encoded rows and their sizes: int64, shape (rows,)."""

    items: list[bytes]
    sizes: np.ndarray


class RowEncoder(Protocol):
    """Encodes each row as one value."""

    def bind(self, schema: pa.Schema) -> None:
        """Check that all columns can be encoded."""

    def values(self, batch: pa.RecordBatch, topic: str) -> Values:
        """Encode the rows for a topic. Pure, except for looking up a schema."""

    def check(self, topics: Sequence[str]) -> None:
        """Check that the schema registry, if there is one, is ready."""


class JsonEncoder:
    """Encodes each row as a JSON object, like the `jsonl` format."""

    def __init__(self, config: KafkaSinkConfig) -> None:
        self._nulls = config.json_nulls == "write"

    def bind(self, schema: pa.Schema) -> None:
        """Check that JSON can represent all columns."""
        check_json(schema)

    def values(self, batch: pa.RecordBatch, topic: str) -> Values:  # noqa: ARG002  same for all
        """Encode the rows."""
        items: list[bytes] = []
        lengths = [np.zeros(0, dtype=np.int64)]
        for texts in texts_of(batch, self._pieces):
            objects = texts.cast(pa.binary())
            items += objects.to_pylist()
            lengths.append(sizes(objects))
        return Values(items, np.concatenate(lengths))

    def check(self, topics: Sequence[str]) -> None:
        """Do nothing."""

    def _pieces(self, batch: pa.RecordBatch) -> list[Piece]:
        return object_pieces(batch.schema.names, batch.columns, self._nulls)


class Encoder:
    """Encodes batches as records, according to the sink's options. Thread-safe."""

    def __init__(self, config: KafkaSinkConfig, context: Context, rows: RowEncoder | None) -> None:
        self._config = config
        self._rows = rows
        self._template = parse_topic(config.topic)
        self._format: Any = None
        if config.encoding in BY_BATCH:
            self._format = build_format(ComponentConfig(type=config.encoding), context)

    def bind(self, schema: pa.Schema) -> None:
        """Check that the columns can be encoded."""
        (self._rows or self._format).bind(schema)

    def encode(self, batch: pa.RecordBatch) -> Outgoing:
        """Encode a batch as records, grouped by topic."""
        made = Outgoing()
        if not batch.num_rows:
            return made
        for topic, rows in self._by_topic(batch):
            if self._format is not None:
                self._batches(topic, rows, made)
            else:
                self._by_row(topic, rows, made)
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
        assert self._rows is not None
        config = self._config
        values = self._rows.values(batch, topic)
        needed = values.sizes + _ENVELOPE
        keys = headers = timestamps = None
        if config.key:
            texts = key_texts(batch, config.key, config.key_separator)
            keys = texts.to_pylist()
            needed = needed + sizes(texts)
        if config.headers or config.header_columns:
            headers, header_sizes = header_lists(batch, config.headers, config.header_columns)
            count = len(config.headers) + len(config.header_columns)
            needed = needed + header_sizes + count * _HEADER_ENVELOPE
        if config.timestamp_column is not None:
            timestamps = milliseconds(batch.column(config.timestamp_column)).tolist()
        records = Records(
            topic, values.items, batch.num_rows, int(values.sizes.sum()), keys, timestamps, headers
        )
        large = needed > config.max_record_size
        if large.any():
            made.refused.append(self._refuse(batch.filter(pa.array(large)), int(needed.max())))
            records = _without(records, values.sizes, large)
        if records.rows:
            made.records.append(records)

    def _refuse(self, rows: pa.RecordBatch, size: int) -> Refused:
        limit = self._config.max_record_size
        detail = f"a record of up to {size} bytes; max_record_size is {limit}"
        return Refused(rows, TOO_LARGE, detail)

    # -- one record per batch -------------------------------------------------------------------

    def _batches(self, topic: str, batch: pa.RecordBatch, made: Outgoing) -> None:
        """Encode a batch as one record, or as several if it is too large."""
        data = self._file(batch)
        limit = self._config.max_record_size
        size = len(data) + _ENVELOPE
        size += sum(len(k.encode()) + len(v.encode()) for k, v in self._config.headers.items())
        size += _HEADER_ENVELOPE * len(self._config.headers)
        if size <= limit:
            records = Records(topic, [data], batch.num_rows, len(data))
            if self._config.headers:
                records.headers = [[(k, v.encode()) for k, v in self._config.headers.items()]]
            made.records.append(records)
        elif batch.num_rows == 1:
            made.refused.append(self._refuse(batch, size))
        else:
            parts = min(batch.num_rows, max(2, int(size * 1.1 / limit) + 1))
            step = -(-batch.num_rows // parts)
            for start in range(0, batch.num_rows, step):
                self._batches(topic, batch.slice(start, step), made)

    def _file(self, batch: pa.RecordBatch) -> bytes:
        stream = io.BytesIO()
        writer = self._format.open(stream)
        writer.write(self._format.encode(batch))
        writer.finish()
        return stream.getvalue()


def _without(records: Records, lengths: np.ndarray, large: np.ndarray) -> Records:
    keep = np.flatnonzero(~large).tolist()

    def kept(items: list[Any] | None) -> list[Any] | None:
        return None if items is None else [items[at] for at in keep]

    return Records(
        records.topic,
        kept(records.values) or [],
        len(keep),
        int(lengths[~large].sum()),
        kept(records.keys),
        kept(records.timestamps),
        kept(records.headers),
    )
