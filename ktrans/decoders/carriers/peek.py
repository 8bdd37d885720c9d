"""Looks at the first bytes of a payload without opening it twice."""

from __future__ import annotations

import io
from typing import Any, BinaryIO, cast

from ktrans.api import Payload

HEAD_BYTES = 64 << 10


class Peeked(Payload):
    """A payload whose first bytes were read; who opens it first gets them, and the rest of the stream.

    Attributes:
        start: its first bytes.
        bytes_read: how many bytes have been read of it.
    """

    def __init__(self, inner: Payload) -> None:
        super().__init__(inner.split, offset=inner.offset, first_line=inner.first_line)
        self.final_attempt = inner.final_attempt
        self._inner = inner
        self._stream: BinaryIO | None = inner.open()
        self.bytes_read = 0
        self.start = b""
        while len(self.start) < HEAD_BYTES and (more := self._read(HEAD_BYTES - len(self.start))):
            self.start += more

    def _read(self, size: int) -> bytes:
        assert self._stream is not None
        data = self._stream.read(size)
        self.bytes_read += len(data)
        return data

    def open(self) -> BinaryIO:
        """Open the bytes; the first time, those that were read are not read again."""
        if self._stream is None:
            return self._inner.open()
        stream, self._stream = self._stream, None
        return cast("BinaryIO", _Continued(self, stream))

    def head(self, size: int) -> bytes:
        """Read the first bytes of the object."""
        if self.offset or size > len(self.start) >= HEAD_BYTES:
            return self._inner.head(size)
        return self.start[:size]

    def object_head(self) -> bytes:
        """Return the first bytes of the object, or of this part of it if they cannot be had."""
        try:
            return self.head(HEAD_BYTES)
        except io.UnsupportedOperation:
            return self.start

    def random_access(self) -> BinaryIO:
        """Open the whole object for random access."""
        return self._inner.random_access()

    def verify(self) -> None:
        """Check that the bytes were those planned."""
        self._inner.verify()

    def close(self) -> None:
        """Close the stream, if nobody opened it."""
        if self._stream is not None:
            self._stream.close()
            self._stream = None


class _Continued(io.RawIOBase):
    """The bytes that were read first, and the rest of their stream."""

    def __init__(self, owner: Peeked, stream: BinaryIO) -> None:
        super().__init__()
        self._owner = owner
        self._start = owner.start
        self._rest = stream

    def readable(self) -> bool:
        return True

    def read(self, size: int | None = -1, /) -> bytes:
        if self._start and size is not None and size >= 0:
            piece, self._start = self._start[:size], self._start[size:]
            return piece
        start, self._start = self._start, b""
        data = self._rest.read(-1 if size is None else size) or b""
        self._owner.bytes_read += len(data)
        return start + data if start else data

    def readinto(self, buffer: Any, /) -> int:
        data = self.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)

    def close(self) -> None:
        self._rest.close()
        super().close()
