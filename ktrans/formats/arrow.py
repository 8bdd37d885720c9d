"""Arrow IPC streams: the batches as they are, for readers that map or scan Arrow."""

from __future__ import annotations

from typing import Any, BinaryIO, ClassVar, Literal

import pyarrow as pa
from pydantic import Field

from ktrans.api import ComponentConfig, Encoded, Format, FormatWriter
from ktrans.formats.conform import conform, storable
from ktrans.kit.rows.row_format import RowWriter

_END_OF_STREAM = b"\xff\xff\xff\xff\x00\x00\x00\x00"
"""A continuation marker and a length of 0 (Arrow columnar format, "IPC Streaming Format")."""


class ArrowFormatConfig(ComponentConfig, type="arrow"):
    """Options of Arrow IPC."""

    compression: Literal["none", "lz4", "zstd"] = Field(
        "zstd",
        description="Codec of the buffers inside the stream.",
        examples=["zstd", "lz4", "none"],
    )


class ArrowFormat(Format[ArrowFormatConfig]):
    """An IPC stream, not an IPC file.

    A stream can be read while it grows, and it may replace dictionaries from batch to batch, which
    the file form forbids and batches of this pipeline need. Each batch is serialised by itself in
    any thread; the file is the schema message, then the batches' messages, then the end mark.
    """

    extension: ClassVar[str] = ".arrows"
    compressible: ClassVar[bool] = False

    _schema: pa.Schema
    _head: bytes

    def bind(self, schema: pa.Schema) -> None:
        """Keep the schema and its message, which each file begins with.

        Raises:
            ConfigError: a column's type cannot be put into a stream.
        """
        storable(schema, "an Arrow stream", lambda part: _serialised(part, None, self._options()))
        self._schema = schema
        self._head = _serialised(schema, None, self._options())[: -len(_END_OF_STREAM)]

    def encode(self, batch: pa.RecordBatch) -> Encoded:
        """Return the messages of the batch and of its dictionaries."""
        batch = conform(batch, self._schema)
        whole = _serialised(self._schema, batch, self._options())
        data = memoryview(whole)[len(self._head) : -len(_END_OF_STREAM)]
        return Encoded(data, batch.num_rows, len(data))

    def open(self, stream: BinaryIO) -> FormatWriter:
        """Begin a stream with its schema."""
        return _ArrowWriter(stream, self._head)

    def _options(self) -> Any:
        codec = self.config.compression
        return pa.ipc.IpcWriteOptions(compression=None if codec == "none" else codec)


class _ArrowWriter(RowWriter):
    def tell(self) -> int:
        return super().tell() + len(_END_OF_STREAM)

    def finish(self) -> int:
        self.stream.write(_END_OF_STREAM)
        return super().finish()


def _serialised(schema: pa.Schema, batch: pa.RecordBatch | None, options: Any) -> pa.Buffer:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, schema, options=options) as writer:
        if batch is not None:
            writer.write_batch(batch)
    return sink.getvalue()
