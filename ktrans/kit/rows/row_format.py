"""Bases of formats whose files are a header and then rows, one after the other."""

from __future__ import annotations

import abc
from collections.abc import Sequence
from typing import BinaryIO

import pyarrow as pa

from ktrans.api import Encoded, Format, FormatWriter
from ktrans.api.component import C
from ktrans.kit.rows.pieces import Piece, text_bytes, texts_of


class RowFormat(Format[C]):
    """A format of a header and then rows.

    Subclasses implement `encode` (`data` is a buffer of whole rows) and, if files begin with
    something, `header`.
    """

    def header(self) -> bytes:
        """Return the beginning of each file."""
        return b""

    def open(self, stream: BinaryIO) -> FormatWriter:
        """Begin a file with the header."""
        return RowWriter(stream, self.header())


class RowWriter(FormatWriter):
    """Writes a header, then the rows as they are encoded."""

    def __init__(self, stream: BinaryIO, header: bytes) -> None:
        self.stream = stream
        self._rows = 0
        self._size = len(header)
        stream.write(header)

    def write(self, encoded: Encoded) -> None:
        """Append encoded rows."""
        self.stream.write(encoded.data)
        self._rows += encoded.rows
        self._size += encoded.nbytes

    def tell(self) -> int:
        """Return the size so far."""
        return self._size

    def finish(self) -> int:
        """Return the number of rows."""
        return self._rows


class TextFormat(RowFormat[C]):
    """A format of one text a row. Subclasses implement `pieces`."""

    @abc.abstractmethod
    def pieces(self, batch: pa.RecordBatch) -> list[Piece]:
        """Return the pieces of the rows, row ends included."""

    def texts(self, batch: pa.RecordBatch) -> list[pa.Array]:
        """Return each row's text, with its row end, as consecutive arrays (usually one)."""
        return texts_of(batch, self.pieces)

    def encode_groups(self, batch: pa.RecordBatch, groups: Sequence[pa.Array]) -> list[Encoded]:
        """Encode groups of a batch's rows separately: all rows at once, then cut into groups.

        Args:
            batch: the rows.
            groups: indices of the rows of each group, in the order of the output.
        """
        texts = self.texts(batch)
        if len(texts) != 1:
            return [self.encode(batch.take(indices)) for indices in groups]
        return [_encoded([texts[0].take(indices)]) for indices in groups]

    def encode(self, batch: pa.RecordBatch) -> Encoded:
        """Return the rows as one buffer, usually without a copy."""
        return _encoded(self.texts(batch))


def _encoded(texts: Sequence[pa.Array]) -> Encoded:
    buffers = [text_bytes(part) for part in texts]
    data = buffers[0] if len(buffers) == 1 else memoryview(b"".join(buffers))
    return Encoded(data, sum(len(part) for part in texts), len(data))
