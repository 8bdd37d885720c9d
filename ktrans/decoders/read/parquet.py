"""Reads Parquet objects in blocks of rows, only the columns that are needed.

A file may claim anything: columns are checked before they are used, and a text that a few bytes repeat
over many rows is not expanded beyond what a block may hold.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, BinaryIO

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ktrans.api import Limits, Payload, RejectError, TruncatedError
from ktrans.decoders.frames.block import Block, Refused
from ktrans.decoders.read.python_values import rows_as_json
from ktrans.decoders.texts import by_row
from ktrans.kit.arrow_faults import ARROW_FAULTS
from ktrans.kit.text.inflate import check_ratio
from ktrans.kit.text.lines import SHOWN_BYTES
from ktrans.kit.text.magic import PARQUET_MAGIC

BATCH_ROWS = 1 << 16
UNREADABLE_PARQUET = (*ARROW_FAULTS, OSError, ValueError, OverflowError)
"""What pyarrow raises for a damaged file; a damaged name of a column raises UnicodeDecodeError."""

_MIN_FILE_BYTES = 12
_TEXTS = (pa.string(), pa.large_string())
_PIECE_BYTES = 256 << 20
_BAD_TEXT = "a value that is not what the type of its column says, such as a text that is not UTF-8"

Choose = Callable[[pa.Schema], tuple[list[str], Any]]
"""Returns the names of the columns to read, dotted if nested, and the layout of the blocks; no names if
the file does not hold the log."""


def parquet_blocks(payload: Payload, log: str, choose: Choose, limits: Limits) -> Iterator[Block]:
    """Cut a Parquet object into blocks of bounded size.

    Text columns are read by distinct value, if they are not nested.

    Args:
        payload: the object.
        log: what the file is expected to hold, for people.
        choose: which columns are read.
        limits: how long a record may be, and how far a file may inflate.

    Raises:
        TruncatedError: the file has no end yet.
        RejectError: the file cannot be read, has none of the columns, or inflates too far.
    """
    import pyarrow.parquet as pq

    with payload.random_access() as stream:
        size = _refuse_torn(payload, stream)
        try:
            schema = pq.ParquetFile(stream).schema_arrow
        except UNREADABLE_PARQUET as error:
            raise _unreadable(payload, error) from error
        names, layout = choose(schema)
        if not names:
            shown = ", ".join(schema.names[:8])
            raise RejectError(
                f"{payload.uri}: a Parquet file without the addresses and times of {log}; it has {shown}",
                code="no_layout",
            )
        texts = [f.name for f in schema if f.name in names and f.type in _TEXTS]
        pieces = _Pieces(payload.uri, limits, size, layout)
        try:
            file = pq.ParquetFile(stream, read_dictionary=texts)
            for batch in file.iter_batches(BATCH_ROWS, columns=names):
                yield from pieces.checked(batch)
        except UNREADABLE_PARQUET as error:
            raise _unreadable(payload, error) from error


def _unreadable(payload: Payload, error: Exception) -> RejectError:
    return RejectError(f"{payload.uri}: not a readable Parquet file: {error}")


class _Pieces(msgspec.Struct):
    """Makes blocks of the batches of a file.

    Attributes:
        uri: the file.
        limits: how long a record may be, and how far the file may inflate.
        size: bytes of the file.
        layout: of the blocks.
        first: position of the next row.
        inflated: bytes of the rows so far.
    """

    uri: str
    limits: Limits
    size: int
    layout: Any
    first: int = 1
    inflated: int = 0

    def checked(self, batch: pa.RecordBatch) -> Iterator[Block]:
        """Yield blocks of a batch; rows whose values are not of their type are refused."""
        if _is_valid(batch):
            yield from self._bounded(batch)
            return
        done = 0
        for row in _invalid_rows(batch, 0):
            if row > done:
                yield from self._bounded(batch.slice(done, row - done))
            yield self._refused(batch.slice(row, 1), "bad_record", _BAD_TEXT)
            done = row + 1
        yield from self._bounded(batch.slice(done))

    def _bounded(self, batch: pa.RecordBatch) -> Iterator[Block]:
        """Yield blocks whose texts are not too large once they are written out for each row."""
        self.inflated += batch.nbytes
        if _widest(batch) * batch.num_rows <= _PIECE_BYTES:
            check_ratio(self.uri, self.size, self.inflated, self.limits)
            yield from self._block(batch)
            return
        widths = _widths(batch)
        rows = np.flatnonzero(widths > self.limits.max_line_bytes).tolist()
        done = 0
        for row in [*rows, batch.num_rows]:
            while done < row:
                ends = np.cumsum(widths[done:row])
                count = max(int(np.searchsorted(ends, _PIECE_BYTES, "right")), 1)
                self.inflated += int(ends[count - 1])
                check_ratio(self.uri, self.size, self.inflated, self.limits)
                yield from self._block(batch.slice(done, count))
                done += count
            if row < batch.num_rows:
                length = int(widths[row])
                detail = (
                    f"a record of {length} bytes, where {self.limits.max_line_bytes} are allowed"
                )
                yield self._refused(batch.slice(row, 1), "line_too_long", detail)
                done = row + 1

    def _block(self, batch: pa.RecordBatch) -> Iterator[Block]:
        if batch.num_rows:
            yield Block(self.uri, self.first, batch.num_rows, table=batch, layout=self.layout)
            self.first += batch.num_rows

    def _refused(self, row: pa.RecordBatch, reason: str, detail: str) -> Block:
        [raw] = rows_as_json(row)
        raw, whole = raw[:SHOWN_BYTES], len(raw) <= SHOWN_BYTES
        detail = detail if whole else f"{detail}; its first {SHOWN_BYTES} bytes are kept"
        refused = Refused(self.first, reason, raw, detail, whole)
        self.first += 1
        return Block(self.uri, refused.position, refused=(refused,))


def _is_valid(data: pa.RecordBatch | pa.Array) -> bool:
    try:
        data.validate(full=True)
    except (*ARROW_FAULTS, ValueError):
        return False
    return True


def _invalid_rows(batch: pa.RecordBatch, start: int) -> Iterator[int]:
    """Yield the rows that are not valid, found by halves."""
    if all(_is_valid(_used(column)) for column in batch.columns):
        return
    if batch.num_rows == 1:
        yield start
        return
    half = batch.num_rows // 2
    yield from _invalid_rows(batch.slice(0, half), start)
    yield from _invalid_rows(batch.slice(half), start + half)


def _used(column: pa.Array) -> pa.Array:
    """Return the values of a slice, without those that only other slices have."""
    if pa.types.is_dictionary(column.type):
        return column.dictionary.take(pc.unique(column.indices).drop_null())
    return column.take(pa.array(np.arange(len(column))))


def _lengths(column: pa.Array) -> np.ndarray | None:
    """Return the length of each distinct text; None if the column has no distinct texts."""
    if not pa.types.is_dictionary(column.type):
        return None
    kind = column.type.value_type
    if kind not in _TEXTS and not pa.types.is_binary(kind):
        return None
    return np.asarray(pc.binary_length(column.dictionary).fill_null(0), np.int64)


def _widest(batch: pa.RecordBatch) -> int:
    """Return how many bytes the texts of a row can have at most."""
    lengths = [found for column in batch.columns if (found := _lengths(column)) is not None]
    return sum(int(found.max()) for found in lengths if len(found))


def _widths(batch: pa.RecordBatch) -> np.ndarray:
    """Return how many bytes the texts of each row have."""
    widths = np.zeros(batch.num_rows, np.int64)
    for column in batch.columns:
        lengths = _lengths(column)
        if lengths is not None and len(lengths):
            widths += by_row(column, lengths, 0)
    return widths


def _refuse_torn(payload: Payload, stream: BinaryIO) -> int:
    """Return the size of a file; raise if it has no end yet and may still get one."""
    size = stream.seek(0, 2)
    stream.seek(max(size - len(PARQUET_MAGIC), 0))
    ended = size >= _MIN_FILE_BYTES and stream.read() == PARQUET_MAGIC
    if not ended and not payload.final_attempt:
        raise TruncatedError(f"{payload.uri}: the Parquet file has no footer yet")
    stream.seek(0)
    return size
