"""Looks at the first bytes of a payload without opening it twice."""

from __future__ import annotations

import io
from collections.abc import Iterator
from itertools import chain
from typing import BinaryIO, cast

from ktrans.api import Payload
from ktrans.kit.text.encodings import PiecesStream

HEAD_BYTES = 64 << 10
_READ_BYTES = 256 << 10


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


class _Continued(PiecesStream):
    """The bytes that were read first, and the rest of their stream."""

    def __init__(self, owner: Peeked, stream: BinaryIO) -> None:
        self._owner = owner
        self._rest = stream
        super().__init__(chain([owner.start] if owner.start else [], self._more()))

    def _more(self) -> Iterator[bytes]:
        while piece := self._rest.read(_READ_BYTES):
            self._owner.bytes_read += len(piece)
            yield piece

    def close(self) -> None:
        """Close the stream."""
        self._rest.close()
        super().close()
