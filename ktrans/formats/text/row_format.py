"""The base of text formats: a batch becomes pieces, the pieces become one buffer of whole rows."""

from __future__ import annotations

import abc
from collections.abc import Sequence

import pyarrow as pa

from ktrans.api import Encoded, RowFormat
from ktrans.api.component import C
from ktrans.formats.text.pieces import MAX_JOINED_BYTES, Piece, joined, max_bytes, payload


class TextFormat(RowFormat[C]):
    """A format of one text a row. Subclasses give the pieces that a batch's rows consist of."""

    @abc.abstractmethod
    def pieces(self, batch: pa.RecordBatch) -> list[Piece]:
        """Give the pieces of the rows, row ends included."""

    def texts(self, batch: pa.RecordBatch) -> list[pa.Array]:
        """Give each row's text, with its row end, as arrays that follow each other.

        More than one array only where a single one could pass Arrow's 2 GiB.
        """
        if not batch.num_rows:
            return []
        pieces = self.pieces(batch)
        if batch.num_rows > 1 and max_bytes(pieces, batch.num_rows) > MAX_JOINED_BYTES:
            half = batch.num_rows // 2
            return [*self.texts(batch.slice(0, half)), *self.texts(batch.slice(half))]
        return [joined(pieces, batch.num_rows)]

    def encode_groups(self, batch: pa.RecordBatch, groups: Sequence[pa.Array]) -> list[Encoded]:
        """Encode groups of a batch's rows apart: all rows first, then each group's texts.

        Args:
            batch: the rows.
            groups: indices of the rows of each group, in the order they shall come in.
        """
        texts = self.texts(batch)
        if len(texts) != 1:
            return [self.encode(batch.take(indices)) for indices in groups]
        gathered = [texts[0].take(indices) for indices in groups]
        return [_encoded([part]) for part in gathered]

    def encode(self, batch: pa.RecordBatch) -> Encoded:
        """Give the rows as one buffer; without a copy in all but extreme cases."""
        return _encoded(self.texts(batch))


def _encoded(texts: Sequence[pa.Array]) -> Encoded:
    buffers = [payload(part) for part in texts]
    data = buffers[0] if len(buffers) == 1 else memoryview(b"".join(buffers))
    return Encoded(data, sum(len(part) for part in texts), len(data))
