"""Rows held back until an epoch's end: in memory up to a bound, then on disk."""

from __future__ import annotations

import tempfile
import weakref
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO

import numpy as np
import pyarrow as pa

from ktrans.api import RunError


def without_rows(
    batches: Iterable[pa.RecordBatch], dropped: np.ndarray
) -> Iterator[pa.RecordBatch]:
    """Yield batches without the rows of these sorted numbers, counted over all batches."""
    first = 0
    for batch in batches:
        last = first + batch.num_rows
        gone = dropped[slice(*np.searchsorted(dropped, (first, last)))] - first
        first = last
        if gone.size:
            keep = np.ones(batch.num_rows, bool)
            keep[gone] = False
            yield batch.filter(pa.array(keep))
        else:
            yield batch


class Hold:
    """Batches in the order they came; those beyond the bound wait in a temporary file.

    The file has no name, so that nothing is left of it whatever becomes of the process. It is an
    Arrow stream compressed with LZ4.

    Args:
        memory_bytes: how much to keep in memory, in Arrow's own size.
        folder: where the file goes; None for the system's temporary folder.
    """

    def __init__(self, memory_bytes: int, folder: Path | None = None) -> None:
        self._room = memory_bytes
        self._folder = folder
        self._batches: list[pa.RecordBatch] = []
        self._file: IO[bytes] | None = None
        self._writer: pa.RecordBatchStreamWriter | None = None

    def add(self, batch: pa.RecordBatch) -> None:
        """Keep a batch.

        Raises:
            RunError: the disk does not take it.
        """
        if self._writer is None and batch.nbytes <= self._room:
            self._room -= batch.nbytes
            self._batches.append(batch)
            return
        try:
            if self._writer is None:
                self._open(batch.schema)
            assert self._writer is not None
            self._writer.write_batch(batch)
        except OSError as error:
            place = self._folder or tempfile.gettempdir()
            raise RunError(
                f"cannot hold rows back in {place}: {error.strerror or error}",
                code="spill_failed",
                hint="make room, name another folder in `spill_folder`, raise `memory`, or "
                "make epochs smaller (engine.epoch_size)",
            ) from None

    def drain(self) -> Iterator[pa.RecordBatch]:
        """Yield the batches once, and free them."""
        self._batches.reverse()
        while self._batches:
            yield self._batches.pop()
        if self._writer is None:
            return
        self._writer.close()
        self._writer = None
        assert self._file is not None
        self._file.seek(0)
        with pa.ipc.open_stream(self._file) as reader:
            yield from reader
        self._file.close()

    def _open(self, schema: pa.Schema) -> None:
        # It is closed when the hold goes, read or not.
        self._file = tempfile.TemporaryFile(prefix="ktrans-", dir=self._folder)  # noqa: SIM115
        weakref.finalize(self, self._file.close)
        options = pa.ipc.IpcWriteOptions(compression="lz4")
        self._writer = pa.ipc.new_stream(self._file, schema, options=options)
