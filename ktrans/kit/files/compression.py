"""Compresses files as they are written; the same content always gives the same bytes."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any, BinaryIO, Literal, cast

Compression = Literal["none", "gzip", "zstd"]

EXTENSIONS: dict[Compression, str] = {"none": "", "gzip": ".gz", "zstd": ".zst"}


class OutputStream(io.RawIOBase):
    """A binary stream that counts what is written. Formats and codecs cannot close what is below.

    Attributes:
        size: bytes written so far.
    """

    def __init__(self, write: Callable[[Any], object]) -> None:
        super().__init__()
        self._write: Callable[[Any], object] | None = write
        self.size = 0

    def write(self, data: Any) -> int:
        """Write all of a buffer."""
        length = memoryview(data).nbytes
        if self._write is not None:
            self._write(data)
        self.size += length
        return length

    def drop(self) -> None:
        """Ignore what is written from now on: codecs complete their frames when they are freed."""
        self._write = None

    def tell(self) -> int:
        """Return `size`."""
        return self.size

    def close(self) -> None:
        """Do nothing."""

    def writable(self) -> bool:
        """Return True."""
        return True


def compressed(stream: OutputStream, compression: Compression) -> BinaryIO:
    """Return a stream that compresses into another; its `close` completes the last frame."""
    if compression == "gzip":
        return cast("BinaryIO", _GzipStream(stream))
    if compression == "zstd":
        import pyarrow as pa

        return cast("BinaryIO", pa.CompressedOutputStream(stream, "zstd"))
    return cast("BinaryIO", stream)


class _GzipStream:
    """One gzip member whose header holds neither a name nor a time."""

    def __init__(self, stream: OutputStream) -> None:
        from isal import isal_zlib

        self._stream = stream
        self._codec = isal_zlib.compressobj(2, wbits=31)

    def write(self, data: Any) -> int:
        self._stream.write(self._codec.compress(data))
        return memoryview(data).nbytes

    def close(self) -> None:
        self._stream.write(self._codec.flush())
