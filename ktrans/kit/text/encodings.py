"""Decodes streams of text that is not UTF-8, and of base64 that holds something compressed."""

from __future__ import annotations

import base64
import codecs
import io
import re
from collections.abc import Iterable, Iterator
from typing import Any

UTF8_BOM = b"\xef\xbb\xbf"
UTF16_MAGIC = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
BASE64_MAGIC = (b"H4sI", b"KLUv", b"Qlpo")
"""How base64 of gzip, zstd and bzip2 begins."""

_BLANKS = bytes.maketrans(b"", b"")
_GROUP = 4
_PADDED = re.compile(rb"[^=]*=+|[^=]+")


def from_utf16(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """Yield text in UTF-16 with a byte order mark as UTF-8.

    Raises:
        ValueError: it is not UTF-16.
    """
    decoder = codecs.getincrementaldecoder("utf-16")()
    for piece in pieces:
        if text := decoder.decode(piece):
            yield text.encode("utf-8", "surrogatepass")
    decoder.decode(b"", final=True)


def from_base64(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """Yield the bytes of base64, in one line or several, padded at its end or in between.

    Raises:
        ValueError: it is not base64.
    """
    rest = b""
    for piece in pieces:
        rest += piece.translate(_BLANKS, b" \t\r\n")
        whole = len(rest) - len(rest) % _GROUP - _GROUP
        if whole > 0:
            yield _decoded(rest[:whole])
            rest = rest[whole:]
    if rest:
        yield _decoded(rest)


def _decoded(text: bytes) -> bytes:
    if b"=" not in text:
        return base64.b64decode(text, validate=True)
    return b"".join(base64.b64decode(part, validate=True) for part in _PADDED.findall(text))


class PiecesStream(io.RawIOBase):
    """A stream of successive pieces of bytes."""

    def __init__(self, pieces: Iterable[bytes | memoryview]) -> None:
        super().__init__()
        self._pieces = iter(pieces)
        self._piece = memoryview(b"")

    def readable(self) -> bool:
        """Return true."""
        return True

    def read(self, size: int | None = -1, /) -> bytes:
        """Read up to `size` bytes, or all remaining bytes."""
        if size is None or size < 0:
            rest = [bytes(self._piece), *self._pieces]
            self._piece = memoryview(b"")
            return b"".join(rest)
        while not self._piece:
            piece = next(self._pieces, None)
            if piece is None:
                return b""
            self._piece = memoryview(piece).cast("B")
        out, self._piece = self._piece[:size], self._piece[size:]
        return bytes(out)

    def readinto(self, buffer: Any, /) -> int:
        """Read into a buffer; return the number of bytes."""
        data = self.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)
