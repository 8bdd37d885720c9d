"""Formats: how rows look as bytes, in a file or one message at a time."""

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
        data: bytes-like for row formats; whatever the format's own writer takes otherwise.
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
        """Bytes that the file holds so far, as exactly as the format can tell."""

    @abc.abstractmethod
    def finish(self) -> int:
        """Write what is still buffered and the footer; leave the stream open.

        Returns:
            The number of rows in the file, counted from what was really written.
        """


class Format(Component[C], abc.ABC):
    """How rows look as bytes."""

    extension: ClassVar[str]
    """With its dot: `.parquet`, `.jsonl`."""

    compressible: ClassVar[bool] = True
    """Whether a sink may compress the file from outside; containers compress inside."""

    def needs(self) -> Sequence[str] | None:
        """Name the columns that it writes; None means all that it is given."""
        return None

    @abc.abstractmethod
    def bind(self, schema: pa.Schema) -> None:
        """Learn the schema of the rows to come, once, before any `encode`.

        Raises:
            ConfigError: a type that the format cannot store, or a column it needs is missing.
        """

    @abc.abstractmethod
    def encode(self, batch: pa.RecordBatch) -> Encoded:
        """Turn a batch into bytes (or what `FormatWriter.write` takes). Pure; any thread."""

    @abc.abstractmethod
    def open(self, stream: BinaryIO) -> FormatWriter:
        """Begin a file on a stream that can only be written to."""


class RowFormat(Format[C]):
    """A format whose files are a header and then rows, one after the other: text, mostly.

    Subclasses give `encode` (with `data` a buffer of whole rows) and, if files begin with
    something, `header`.
    """

    def header(self) -> bytes:
        """Give what each file begins with."""
        return b""

    def open(self, stream: BinaryIO) -> FormatWriter:
        """Begin a file: write the header, then buffers as they come."""
        return _RowWriter(stream, self.header())


class _RowWriter(FormatWriter):
    def __init__(self, stream: BinaryIO, header: bytes) -> None:
        self._stream = stream
        self._rows = 0
        self._size = len(header)
        stream.write(header)

    def write(self, encoded: Encoded) -> None:
        self._stream.write(encoded.data)
        self._rows += encoded.rows
        self._size += encoded.nbytes

    def tell(self) -> int:
        return self._size

    def finish(self) -> int:
        return self._rows
