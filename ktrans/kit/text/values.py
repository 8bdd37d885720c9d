"""Joins the values of records of a stream into lines: each value on lines of its own, decompressed."""

from __future__ import annotations

import io
from collections.abc import Generator, Sequence
from typing import Any

from ktrans.api import Limits, RejectError
from ktrans.kit.text.inflate import Inflater, codec_of

_COMPRESSED = (b"\x1f\x8b", b"\x28\xb5\x2f\xfd")
"""First bytes of gzip and zstd (RFC 1952, RFC 8878), which no text begins with."""


def join_values(values: Sequence[bytes], limits: Limits) -> bytes:
    r"""Return a stream of lines of some values; those that are gzip or zstd are decompressed.

    >>> join_values([b"one", b"two\n", b"three"], Limits())
    b'one\ntwo\nthree\n'
    """
    if not values:
        return b""
    data = b"\n".join(values)
    if any(magic in data for magic in _COMPRESSED):
        values = [_inflated(value, limits) for value in values]
        data = b"\n".join(values)
    if b"\n\n" in data:  # values that end with a line feed
        data = b"\n".join([value.removesuffix(b"\n") for value in values])
    return data if data.endswith(b"\n") else data + b"\n"


def not_compressed(data: bytes) -> bytes:
    """Add a line feed before a first value that would make the whole stream look compressed."""
    return b"\n" + data if codec_of(data[:4]) != "plain" else data


def _inflated(value: bytes, limits: Limits) -> bytes:
    """Decompress a value; a damaged one is returned unchanged, for the decoder to reject."""
    if not value.startswith(_COMPRESSED):
        return value
    inflater = Inflater(lambda: io.BytesIO(value), limits, "a record's value")
    try:
        data = b"".join(inflater.chunks())
    except RejectError:
        return value
    return value if inflater.problem else data


class PiecesStream(io.RawIOBase):
    """A stream of successive pieces of bytes.

    Args:
        pieces: closed with the stream.
    """

    def __init__(self, pieces: Generator[bytes, None, None]) -> None:
        self._pieces = pieces
        self._piece = memoryview(b"")

    def readable(self) -> bool:
        """Return True."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Read into a buffer."""
        while not self._piece:
            piece = next(self._pieces, None)
            if piece is None:
                return 0
            self._piece = memoryview(piece)
        count = min(len(buffer), len(self._piece))
        buffer[:count] = self._piece[:count]
        self._piece = self._piece[count:]
        return count

    def close(self) -> None:
        """Close the pieces."""
        if not self.closed:
            self._pieces.close()
        super().close()
