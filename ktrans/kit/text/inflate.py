"""Inflates streams within limits; gzip, zstd and bzip2 are recognised by their first bytes.

Names and HTTP headers can be wrong about compression; magic bytes are not. What is inflated may be
compressed again, or be base64 of something compressed, or UTF-16: the answer is the innermost content, as
UTF-8. Of a stream that ends early or is damaged, every byte before the damage is returned.

Formats: RFC 1952 (gzip, several members), RFC 8878 (zstd, several frames), bzip2 (several streams).
"""

from __future__ import annotations

import bz2
import io
import zlib
from collections.abc import Callable, Iterator
from itertools import chain
from typing import Any, BinaryIO, Literal, Protocol, cast

import msgspec

from ktrans.api.component import Limits
from ktrans.api.errors import RejectError, TruncatedError
from ktrans.api.payload import Payload
from ktrans.kit.text.encodings import (
    BASE64_MAGIC,
    UTF8_BOM,
    UTF16_MAGIC,
    PiecesStream,
    from_base64,
    from_utf16,
)

Codec = Literal["plain", "gzip", "zstd", "bz2", "base64", "utf-16"]

MAX_LAYERS = 4
"""How often content may be compressed or encoded again."""

READ_BYTES = 256 << 10
OUT_BYTES = 256 << 10
"""Output of a decompressor at a time: 1.5 times as fast if it fits the cache."""
RATIO_FREE_BYTES = 64 << 20
_ZSTD_READ_BYTES = 64 << 10

_MAGIC: dict[bytes, Codec] = {
    b"\x1f\x8b": "gzip",
    b"\x28\xb5\x2f\xfd": "zstd",
    b"BZh": "bz2",
    **dict.fromkeys(BASE64_MAGIC, "base64"),
    **dict.fromkeys(UTF16_MAGIC, "utf-16"),
}


def codec_of(start: bytes) -> Codec:
    """Return the compression or encoding of a stream by its first bytes (4 are enough)."""
    for magic, codec in _MAGIC.items():
        if start.startswith(magic):
            return codec
    return "plain"


class Problem(msgspec.Struct, frozen=True):
    """Why a stream ended early: `truncated` or `corrupt_stream`, and a message."""

    reason: Literal["truncated", "corrupt_stream"]
    message: str


def wait_for_more(payload: Payload, problem: Problem) -> None:
    """Raise TruncatedError if a stream ended early and this is not the last attempt.

    Raises:
        TruncatedError: more bytes may still arrive.
    """
    if problem.reason == "truncated" and not payload.final_attempt:
        raise TruncatedError(
            f"{payload.uri}: {problem.message}",
            hint="it is read again; after the last attempt its complete records are kept",
        )


def check_ratio(name: str, size: int, given: int, limits: Limits) -> None:
    """Raise an error if a few bytes have become too many.

    Raises:
        RejectError: `max_inflate_ratio` is exceeded.
    """
    ratio = limits.max_inflate_ratio
    if given > max(RATIO_FREE_BYTES, ratio * size):
        raise RejectError(
            f"{name} inflates to more than {ratio} times its size "
            f"({size} bytes gave {given} so far)",
            code="inflate_ratio",
            hint="raise limits.max_inflate_ratio if the object is known to be harmless",
        )


class _Decompressor(Protocol):
    @property
    def eof(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...
    def decompress(self, data: bytes, max_length: int, /) -> bytes: ...


class Inflater:
    """The inflated bytes of one stream.

    Args:
        opener: opens the raw stream from its start; called again only to read a damaged zstd
            stream up to the damage.
        limits: `max_inflate_ratio` limits the output, over all layers together.
        name: the stream's name in errors.
        outer: inflates the stream around this one.

    Attributes:
        codec: how the stream is compressed or encoded on the outside, known once `chunks` has begun.
        problem: why it ended early, set after `chunks`; None if it did not.
        layer: how many layers there are down to this one.
        bytes_in: how many bytes of the stream were read.
    """

    def __init__(
        self,
        opener: Callable[[], BinaryIO],
        limits: Limits | None = None,
        name: str = "stream",
        outer: Inflater | None = None,
    ) -> None:
        self.outer = outer
        self.layer: int = 1 if outer is None else outer.layer + 1
        self._opener = opener
        self._limits = limits or Limits()
        self._name = name
        self.bytes_in = 0
        self._bytes_out = 0
        self.codec: Codec = "plain"
        self.problem: Problem | None = None

    def chunks(self) -> Iterator[bytes]:
        """Return the innermost bytes, piece by piece, each at most a few MB.

        Raises:
            RejectError: `max_inflate_ratio` is exceeded (code `inflate_ratio`).
        """
        pieces = self._own_layer()
        start = b""
        for piece in pieces:
            start += piece
            if len(start) >= len(UTF8_BOM) + 1:
                break
        if self.codec == "plain" or codec_of(start) == "plain":
            if start := start.removeprefix(UTF8_BOM):
                yield start
            yield from pieces
        elif self.layer < MAX_LAYERS:
            yield from self._inner_layers(start, pieces)
        else:
            message = f"compressed or encoded more than {MAX_LAYERS} times"
            self.problem = Problem("corrupt_stream", message)

    def _inner_layers(self, start: bytes, pieces: Iterator[bytes]) -> Iterator[bytes]:
        """Return the innermost bytes of a stream of which one layer is inflated."""
        begun = [chain([start], pieces)]

        def opener() -> BinaryIO:
            again = Inflater(self._opener, self._limits, self._name)
            return cast("BinaryIO", PiecesStream(begun.pop() if begun else again._own_layer()))

        inner = Inflater(opener, self._limits, self._name, self)
        yield from inner.chunks()
        self.problem = self.problem or inner.problem

    def _own_layer(self) -> Iterator[bytes]:
        """Return the bytes below the outermost layer."""
        stream = self._opener()
        try:
            start = _read(stream, 4)
            self.codec = codec_of(start)
            self.bytes_in += len(start)
            if self.codec == "plain":
                yield from self._plain(start, stream)
            elif self.codec == "zstd":
                yield from self._bounded(self._zstd(start, stream))
            elif self.codec in ("base64", "utf-16"):
                yield from self._bounded(self._encoded(start, stream))
            else:
                yield from self._bounded(self._members(start, stream))
        finally:
            stream.close()

    def _encoded(self, start: bytes, stream: BinaryIO) -> Iterator[bytes]:
        """Return the bytes of a stream of text in another encoding."""
        decode = from_base64 if self.codec == "base64" else from_utf16
        try:
            yield from decode(self._raw(start, stream))
        except ValueError as error:
            self.problem = Problem("corrupt_stream", f"{self.codec}: {error}")

    def _raw(self, start: bytes, stream: BinaryIO) -> Iterator[bytes]:
        yield start
        while piece := stream.read(READ_BYTES):
            self.bytes_in += len(piece)
            yield piece

    def _plain(self, start: bytes, stream: BinaryIO) -> Iterator[bytes]:
        if start:
            yield start
        while piece := stream.read(self._limits.block_bytes):
            yield piece

    def _bounded(self, pieces: Iterator[bytes]) -> Iterator[bytes]:
        outermost = self
        while outermost.outer is not None:
            outermost = outermost.outer
        for piece in pieces:
            self._bytes_out += len(piece)
            check_ratio(self._name, outermost.bytes_in, self._bytes_out, self._limits)
            yield piece

    def _members(self, start: bytes, stream: BinaryIO) -> Iterator[bytes]:
        """Inflate gzip members or bzip2 streams, one after the other."""
        magic = start[:2] if self.codec == "gzip" else start[:3]
        pending = start
        while pending and self.problem is None:
            if not pending.startswith(magic):
                self.problem = Problem(
                    "corrupt_stream", f"a complete {self.codec} member is followed by other data"
                )
                return
            decompressor = self._new()
            yield from self._member(decompressor, pending, stream)
            pending = self._between(decompressor.unused_data, stream, len(magic))

    def _member(
        self, decompressor: _Decompressor, pending: bytes, stream: BinaryIO
    ) -> Iterator[bytes]:
        """Inflate one member, to its end or to a problem."""
        full = False
        while not decompressor.eof:
            if not pending and not full:
                pending = stream.read(READ_BYTES)
                self.bytes_in += len(pending)
                if not pending:
                    message = f"the {self.codec} stream ends in the middle"
                    self.problem = Problem("truncated", message)
                    return
            try:
                out = decompressor.decompress(pending, OUT_BYTES)
            except _errors() as error:
                self.problem = Problem("corrupt_stream", f"{self.codec}: {error}")
                return
            pending = _rest(decompressor)
            full = len(out) == OUT_BYTES
            if out:
                yield out

    def _between(self, pending: bytes, stream: BinaryIO, size: int) -> bytes:
        """Skip the zero padding between members; return the start of the next, or nothing."""
        pending = pending.lstrip(b"\0")
        while len(pending) < size:
            more = stream.read(READ_BYTES)
            self.bytes_in += len(more)
            if not more:
                break
            pending = (pending + more).lstrip(b"\0")
        return pending

    def _new(self) -> Any:
        if self.codec == "bz2":
            return bz2.BZ2Decompressor()
        try:
            from isal import isal_zlib
        except ImportError:
            return zlib.decompressobj(31)
        return isal_zlib.decompressobj(31)

    def _zstd(self, start: bytes, stream: BinaryIO) -> Iterator[bytes]:
        import pyarrow as pa

        given = 0
        ended = False

        def raw() -> Iterator[bytes]:
            nonlocal ended
            yield from self._raw(start, stream)
            ended = True

        source = PiecesStream(raw())
        try:
            with pa.CompressedInputStream(pa.PythonFile(source, "r"), "zstd") as inflated:
                while piece := inflated.read(_ZSTD_READ_BYTES):
                    given += len(piece)
                    yield piece
        except (OSError, pa.ArrowInvalid) as error:
            # Only a stream that ended in the middle is asked for more than there is.
            reason: Literal["truncated", "corrupt_stream"] = (
                "truncated" if ended else "corrupt_stream"
            )
            self.problem = Problem(reason, f"zstd: {error}")
            yield self._salvage(given)

    def _salvage(self, given: int) -> bytes:
        """Read the damaged zstd stream again, byte by byte from the last complete read.

        A read that fails returns nothing of what it had inflated.
        """
        import pyarrow as pa

        saved = bytearray()
        with (
            self._opener() as stream,
            pa.CompressedInputStream(pa.PythonFile(stream, "r"), "zstd") as inflated,
        ):
            try:
                while given:
                    given -= len(inflated.read(min(given, _ZSTD_READ_BYTES)))
                while byte := inflated.read(1):
                    saved += byte
            except (OSError, pa.ArrowInvalid):
                return bytes(saved)
        return bytes(saved)


def inflate_head(data: bytes, size: int) -> bytes:
    """Inflate the first bytes of an object to at most `size` bytes; never raises."""
    inflater = Inflater(lambda: io.BytesIO(data))
    head = b""
    for piece in inflater.chunks():
        head += piece
        if len(head) >= size:
            break
    return head[:size]


def _rest(decompressor: _Decompressor) -> bytes:
    """Return the input that a call did not use: zlib returns it, bz2 keeps it."""
    return getattr(decompressor, "unconsumed_tail", b"")


def _errors() -> tuple[type[Exception], ...]:
    known: list[Any] = [zlib.error, OSError, ValueError, EOFError]
    try:
        from isal.igzip_lib import IsalError
    except ImportError:
        return tuple(known)
    return (*known, IsalError)


def _read(stream: BinaryIO, size: int) -> bytes:
    """Read exactly `size` bytes unless the stream ends: raw streams may return less."""
    data = b""
    while len(data) < size and (more := stream.read(size - len(data))):
        data += more
    return data
