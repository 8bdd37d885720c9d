"""The form in which rows wait until their partition is written: rows, or their texts.

A format of texts encodes a whole batch at once, in any thread, and what waits is the text of each
row. For other formats the rows themselves wait, and are encoded partition by partition.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol, runtime_checkable

import numpy as np
import pyarrow as pa

from ktrans.api import Encoded, Format

_TEXTS = pa.schema([("text", pa.large_binary()), ("rows", pa.int64())])


@runtime_checkable
class Texts(Protocol):
    """A format of texts: one a row, joined to a file."""

    def texts(self, batch: pa.RecordBatch) -> list[pa.Array]:
        """Return each row's text, as consecutive arrays."""

    def encode_groups(self, batch: pa.RecordBatch, groups: Sequence[pa.Array]) -> list[Encoded]:
        """Encode the rows at each of these arrays of indices."""


class Form(Protocol):
    """How rows of one format wait.

    Attributes:
        copies: how many times the rows are in memory while they are sorted.
    """

    copies: int

    def of_rows(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """Return the waiting form of rows, one for each. Pure; raises what `Format.encode` raises."""

    def of_part(self, rows: pa.RecordBatch | None, encoded: Encoded) -> pa.RecordBatch:
        """Return the waiting form of rows of one partition, which are encoded already."""

    def encode(self, waiting: pa.RecordBatch) -> Encoded:
        """Encode what waited, or a part of it."""


def form_of(format: Format[Any]) -> Form:  # noqa: A002  # the option's name
    """Return the form in which a format's rows wait."""
    return _TextForm(format) if isinstance(format, Texts) else _RowForm(format)


class _RowForm:
    copies = 1  # it is sorted column by column

    def __init__(self, format: Format[Any]) -> None:  # noqa: A002
        self._format = format

    def of_rows(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        self._format.encode(batch)  # refuses rows while it is known where they come from
        return batch

    def of_part(self, rows: pa.RecordBatch | None, encoded: Encoded) -> pa.RecordBatch:
        del encoded
        assert rows is not None
        return rows

    def encode(self, waiting: pa.RecordBatch) -> Encoded:
        return self._format.encode(waiting)


class _TextForm:
    copies = 3  # as they came, joined, and in order

    def __init__(self, format: Texts) -> None:  # noqa: A002
        self._format = format

    def of_rows(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        texts = [part.cast(pa.large_binary()) for part in self._format.texts(batch)]
        rows = pa.array(np.ones(batch.num_rows, np.int64))
        return pa.RecordBatch.from_arrays([pa.concat_arrays(texts), rows], schema=_TEXTS)

    def of_part(self, rows: pa.RecordBatch | None, encoded: Encoded) -> pa.RecordBatch:
        del rows
        ends = pa.array([0, encoded.nbytes], pa.int64()).buffers()[1]
        text = pa.Array.from_buffers(pa.large_binary(), 1, [None, ends, pa.py_buffer(encoded.data)])
        return pa.RecordBatch.from_arrays([text, pa.array([encoded.rows])], schema=_TEXTS)

    def encode(self, waiting: pa.RecordBatch) -> Encoded:
        texts = waiting.column(0)
        _, ends, data = texts.buffers()
        offsets = np.frombuffer(ends, np.int64)[texts.offset : texts.offset + len(texts) + 1]
        text = memoryview(data)[offsets[0] : offsets[-1]] if data is not None else memoryview(b"")
        rows = int(np.sum(waiting.column(1).to_numpy()))
        return Encoded(text, rows, len(text))
