r"""Formats turn rows into bytes, for files or messages.

>>> import io
>>> import pyarrow as pa
>>> from ktrans.api import ComponentConfig, Encoded
>>> from ktrans.kit.rows.row_format import RowFormat
>>> class PortsFormat(RowFormat[ComponentConfig]):
...     extension = ".ports"
...     def bind(self, schema):
...         pass
...     def encode(self, batch):
...         data = "".join(f"{port}\n" for port in batch["dst_port"].to_pylist()).encode()
...         return Encoded(data, batch.num_rows, len(data))
>>> writer = PortsFormat(ComponentConfig(type="ports")).open(file := io.BytesIO())
>>> writer.write(PortsFormat(ComponentConfig(type="ports")).encode(pa.record_batch({"dst_port": [22]})))
>>> writer.finish(), file.getvalue()
(1, b'22\n')
"""

from __future__ import annotations

import abc
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, BinaryIO, ClassVar

from ktrans.api.component import C, Component

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(slots=True)
class Encoded:
    """One batch as bytes, ready to be written.

    Attributes:
        data: bytes-like for row formats; otherwise whatever the format's own writer takes.
        rows: how many rows it holds, counted by the encoder.
        nbytes: its size, measured or (for containers) estimated.
    """

    data: Any
    rows: int
    nbytes: int


class FormatWriter(abc.ABC):
    """Writes one file. Not thread-safe; encoded batches come in order."""

    @abc.abstractmethod
    def write(self, encoded: Encoded) -> None:
        """Add a batch."""

    @abc.abstractmethod
    def tell(self) -> int:
        """Return the size of the file so far, as exactly as the format can."""

    @abc.abstractmethod
    def finish(self) -> int:
        """Write what is buffered and the footer; leave the stream open.

        Returns:
            The number of rows in the file, counted from what was really written.
        """


class Format(Component[C], abc.ABC):
    """Encodes rows, and writes files of them."""

    extension: ClassVar[str]
    """With its dot: `.parquet`, `.jsonl`."""

    compressible: ClassVar[bool] = True
    """Whether a sink may compress whole files; containers compress inside."""

    def needs(self) -> Sequence[str] | None:
        """Return the columns that it writes; None means all."""
        return None

    @abc.abstractmethod
    def bind(self, schema: pa.Schema) -> None:
        """Take the schema of the rows to come, once, before any `encode`.

        Raises:
            ConfigError: a column is missing, or has a type that the format cannot store.
        """

    @abc.abstractmethod
    def encode(self, batch: pa.RecordBatch) -> Encoded:
        """Turn a batch into bytes (or what `FormatWriter.write` takes). Pure; any thread.

        Raises:
            RowsError: some rows have no form here; the others are passed again without them.
        """

    @abc.abstractmethod
    def open(self, stream: BinaryIO) -> FormatWriter:
        """Begin a file on a stream that can only be written to."""
