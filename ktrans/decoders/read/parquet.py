"""Reads Parquet objects in blocks of rows, only the columns that are needed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, BinaryIO

import pyarrow as pa

from ktrans.api import Payload, RejectError, TruncatedError
from ktrans.decoders.frames.block import Block

PARQUET_MAGIC = b"PAR1"
BATCH_ROWS = 1 << 16
_MIN_FILE_BYTES = 12
_TEXTS = (pa.string(), pa.large_string())

Choose = Callable[[pa.Schema], tuple[list[str], Any]]
"""Returns the names of the columns to read, dotted if nested, and the layout of the blocks; no names if
the file does not hold the log."""


def parquet_blocks(
    payload: Payload, log: str, choose: Choose, *, dictionaries: bool = False
) -> Iterator[Block]:
    """Cut a Parquet object into blocks of bounded size.

    Args:
        payload: the object.
        log: what the file is expected to hold, for people.
        choose: which columns are read.
        dictionaries: whether text columns are read by distinct value.

    Raises:
        TruncatedError: the file has no end yet.
        RejectError: the file cannot be read, or has none of the columns.
    """
    import pyarrow.parquet as pq

    with payload.random_access() as stream:
        _refuse_torn(payload, stream)
        try:
            file = pq.ParquetFile(stream)
            schema = file.schema_arrow
            names, layout = choose(schema)
            if not names:
                shown = ", ".join(schema.names[:8])
                raise RejectError(
                    f"{payload.uri}: a Parquet file without the columns of {log}; it has {shown}",
                    code="no_layout",
                )
            texts = [f.name for f in schema if f.name in names and f.type in _TEXTS]
            if texts and dictionaries:
                file = pq.ParquetFile(stream, read_dictionary=texts)
            first = 1
            for table in file.iter_batches(BATCH_ROWS, columns=names):
                yield Block(payload.uri, first, table.num_rows, table=table, layout=layout)
                first += table.num_rows
        except (pa.ArrowException, OSError) as error:
            raise RejectError(f"{payload.uri}: not a readable Parquet file: {error}") from error


def _refuse_torn(payload: Payload, stream: BinaryIO) -> None:
    """Raise if the file has no end yet and may still get one."""
    if payload.final_attempt:
        return
    size = stream.seek(0, 2)
    stream.seek(max(size - len(PARQUET_MAGIC), 0))
    if size < _MIN_FILE_BYTES or stream.read() != PARQUET_MAGIC:
        raise TruncatedError(f"{payload.uri}: the Parquet file has no footer yet")
    stream.seek(0)
