"""A file without a name that holds rows on the disk, mapped to memory when they are read.

All runs of rows share one file and a few mappings of it: each mapping takes a file descriptor.
"""

from __future__ import annotations

import contextlib
import mmap
import os
import tempfile
from pathlib import Path

import pyarrow as pa

from ktrans.api import RetryableError
from ktrans.kit.disk import DISK_FULL

_MAP_BYTES = 64 << 20
"""What is mapped at a time, at least. The file is sparse: it takes no room for what is not written."""
_ALIGNMENT = 64
"""Arrow reads buffers in place if they begin at a multiple of it."""


class SpillFile:
    """Holds runs of rows, one after the other, until it is closed.

    Raises:
        OSError: no file can be made in the folder.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._file = tempfile.TemporaryFile(prefix="ktrans-", dir=folder)  # noqa: SIM115
        self._end = 0
        self._maps: list[mmap.mmap] = []
        self._map_start = 0
        self._map_end = 0

    def add(self, rows: pa.RecordBatch) -> pa.RecordBatch:
        """Write rows, and return them as they are in the file.

        Raises:
            RetryableError: the disk is full.
        """
        start = -(-self._end // _ALIGNMENT) * _ALIGNMENT
        try:
            self._file.seek(start)
            with pa.ipc.new_stream(self._file, rows.schema) as writer:
                writer.write_batch(rows)
            self._file.flush()
            self._end = self._file.tell()
            if self._end > self._map_end:
                self._map_from(start)
        except OSError as error:
            if error.errno not in DISK_FULL:
                raise
            raise RetryableError(
                f"no space left in {self._folder} for rows that wait for their files",
                code="disk_full",
                hint="free some space there, or raise `buffer_size` of the sink",
            ) from error
        at = start - self._map_start
        written = pa.py_buffer(self._maps[-1]).slice(at, self._end - start)
        with pa.ipc.open_stream(pa.BufferReader(written)) as reader:
            return reader.read_next_batch()

    def forget_read(self) -> None:
        """Let the system take back the memory of what was read; it is in the file still."""
        for mapped in self._maps:
            mapped.madvise(mmap.MADV_DONTNEED)

    def close(self) -> None:
        """Free the room on the disk, once no rows of it are used any more."""
        self._maps.clear()
        with contextlib.suppress(OSError):  # the disk is full: what could not be written is dropped
            self._file.close()

    def _map_from(self, start: int) -> None:
        """Map the file from the beginning of a run, with room for more of them."""
        self._map_start = start - start % mmap.ALLOCATIONGRANULARITY
        length = max(self._end - self._map_start, _MAP_BYTES)
        self._map_end = self._map_start + length
        os.ftruncate(self._file.fileno(), self._map_end)
        self._maps.append(
            mmap.mmap(self._file.fileno(), length, access=mmap.ACCESS_READ, offset=self._map_start)
        )
