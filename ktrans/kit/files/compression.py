"""Compressing a file as it is written, so that the same content gives the same bytes."""

from __future__ import annotations

from typing import Any, BinaryIO, Literal, Protocol, cast

Compression = Literal["none", "gzip", "zstd"]

EXTENSIONS: dict[Compression, str] = {"none": "", "gzip": ".gz", "zstd": ".zst"}


class Writable(Protocol):
    """What bytes can be written to."""

    def write(self, data: Any, /) -> int:
        """Write all of a buffer."""


class CountedStream:
    """A file that knows how much was written to it. Others may close it without effect."""

    closed = False

    def __init__(self, file: Writable) -> None:
        self._file: Writable | None = file
        self.size = 0

    def write(self, data: Any) -> int:
        """Write all of a buffer."""
        length = memoryview(data).nbytes
        if self._file is not None:
            self._file.write(data)
        self.size += length
        return length

    def drop(self) -> None:
        """Ignore what is written from now on: codecs complete their frames when they go."""
        self._file = None

    def flush(self) -> None:
        """Leave it to whoever owns the file."""

    def close(self) -> None:
        """Leave it to whoever owns the file."""

    def writable(self) -> bool:
        """Say yes."""
        return True

    def readable(self) -> bool:
        """Say no."""
        return False

    def seekable(self) -> bool:
        """Say no."""
        return False


def compressed(stream: CountedStream, compression: Compression) -> BinaryIO:
    """Give a stream whose content arrives compressed; its `close` completes the last frame."""
    if compression == "gzip":
        return cast("BinaryIO", _GzipStream(stream))
    if compression == "zstd":
        import pyarrow as pa

        return cast("BinaryIO", pa.CompressedOutputStream(stream, "zstd"))
    return cast("BinaryIO", stream)


class _GzipStream:
    """One gzip member whose header holds neither a name nor a time."""

    def __init__(self, stream: CountedStream) -> None:
        from isal import isal_zlib

        self._stream = stream
        self._codec = isal_zlib.compressobj(2, wbits=31)

    def write(self, data: Any) -> int:
        self._stream.write(self._codec.compress(data))
        return memoryview(data).nbytes

    def close(self) -> None:
        self._stream.write(self._codec.flush())
