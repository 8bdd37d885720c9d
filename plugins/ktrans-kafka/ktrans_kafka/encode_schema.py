"""Encodes rows as Avro or Protobuf, with the framing that the consumer expects."""

from __future__ import annotations

import json
import threading
from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from ktrans.api import Context
from ktrans_kafka.encode import Values
from ktrans_kafka.encode_avro import avro_schema, datums, fingerprint
from ktrans_kafka.encode_binary import sizes
from ktrans_kafka.encode_protobuf import ProtoField, messages, proto_fields, proto_text
from ktrans_kafka.schema_registry import SchemaRegistry
from ktrans_kafka.sink_config import KafkaSinkConfig

_SINGLE_OBJECT = b"\xc3\x01"
"""Avro specification, "Single object encoding specification": marker, then the fingerprint."""

_FIRST_MESSAGE = b"\x00"
"""Confluent wire format for Protobuf: the message index list [0] is one zero byte."""


class SchemaEncoder:
    """Encodes each row as an Avro datum or a Protobuf message.

    With a registry, a value is a zero byte, the schema id (four bytes, big-endian), for Protobuf the
    index of the message in its file, and the datum (Confluent documentation, "Schema Registry, wire
    format").
    """

    def __init__(self, config: KafkaSinkConfig, context: Context) -> None:
        self._config = config
        self._lock = threading.Lock()
        self._headers: dict[str, bytes] = {}
        self._fields: list[ProtoField] = []
        self._text = ""
        self._plain_header = b""
        self._registry = None
        if config.registry_url is not None:
            self._registry = SchemaRegistry(config, context)

    def bind(self, schema: pa.Schema) -> None:
        """Create the schema of the values.

        Raises:
            ConfigError: the encoding cannot represent a column.
        """
        if self._config.encoding == "protobuf":
            self._fields = proto_fields(schema)
            self._text = proto_text(self._fields, self._config.schema_name)
            return
        record = avro_schema(schema, self._config.schema_name)
        self._text = json.dumps(record, separators=(",", ":"), ensure_ascii=False)
        if self._config.framing in ("auto", "single_object") and self._registry is None:
            self._plain_header = _SINGLE_OBJECT + fingerprint(record)

    def values(self, batch: pa.RecordBatch, topic: str) -> Values:
        """Encode the rows; ask the registry for the schema id once per subject."""
        if not batch.num_rows:
            return Values([], np.zeros(0, dtype=np.int64))
        header = self._header(topic)
        if self._config.encoding == "protobuf":
            made = messages(batch, self._fields, header)
        else:
            made = datums(batch, header)
        return Values(made.to_pylist(), sizes(made))

    def check(self, topics: Sequence[str]) -> None:
        """Check that the registry has the schema or would accept it; registers nothing."""
        if self._registry is None:
            return
        if not topics and "topic" in self._config.subject_strategy:
            self._registry.check("", "", self._kind)  # subjects depend on the rows
            return
        for subject in {self._subject(topic) for topic in topics or [""]}:
            self._registry.check(subject, self._text, self._kind)

    @property
    def _kind(self) -> str:
        return self._config.encoding.upper()

    def _header(self, topic: str) -> bytes:
        if self._registry is None:
            return self._plain_header
        subject = self._subject(topic)
        with self._lock:
            if subject not in self._headers:
                schema_id = self._registry.schema_id(subject, self._text, self._kind)
                header = b"\x00" + schema_id.to_bytes(4, "big")
                if self._config.encoding == "protobuf":
                    header += _FIRST_MESSAGE
                self._headers[subject] = header
            return self._headers[subject]

    def _subject(self, topic: str) -> str:
        name = self._config.schema_name
        return {
            "topic_name": f"{topic}-value",
            "record_name": name,
            "topic_record_name": f"{topic}-{name}",
        }[self._config.subject_strategy]
