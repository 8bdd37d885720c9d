"""The payload of a range of offsets: a stream that is never whole in memory."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from typing import Any, BinaryIO, cast

from ktrans.api import Payload, Split
from ktrans_kafka.source_framing import Framing
from ktrans_kafka.source_ranges import Range
from ktrans_kafka.source_reader import Readers

OnRead = Callable[[str, int, int, int], None]
"""Called with a topic, the records of a range, their bytes, and how many had no value."""


class RangePayload(Payload):
    """The records of a range.

    The first piece is kept until a stream reads beyond it, so that opening the stream to sniff its
    start and opening it again to read it needs one fetch.

    Args:
        split: the split to read.
        readers: the pool of readers.
        framing: how to join values into a stream.
        on_read: called when the range has been read.
    """

    def __init__(self, split: Split, readers: Readers, framing: Framing, on_read: OnRead) -> None:
        super().__init__(split)
        self._range = Range.of(split)
        self._readers = readers
        self._framing = framing
        self._on_read = on_read
        self._begun: tuple[bytes, Iterator[bytes]] | None = None

    def open(self) -> BinaryIO:
        """Open the stream from the start of the range."""
        return cast("BinaryIO", PiecesStream(self._pieces()))

    def close(self) -> None:
        """Release the reader."""
        begun, self._begun = self._begun, None
        if begun is not None:
            _end(begun[1])

    def _pieces(self) -> Iterator[bytes]:
        if self._begun is None:
            self._begun = self._begin()
        begun = self._begun
        first, live = begun
        yield first
        if self._begun is begun:
            self._begun, rest = None, b""
        else:  # another stream continued it; a new fetch may return other pieces
            rest, live = self._begin()
            while len(rest) < len(first) and (piece := next(live, b"")):
                rest += piece
            rest = rest[len(first) :]
        try:
            if rest:
                yield rest
            yield from live
        finally:
            _end(live)

    def _begin(self) -> tuple[bytes, Iterator[bytes]]:
        live = self._read()
        return self._framing.begin(next(live, b"")), live

    def _read(self) -> Iterator[bytes]:
        reader = self._readers.acquire(self._range)
        records = size = tombstones = 0
        try:
            for values in reader.values(self._range):
                data, empty = self._framing.join(values)
                records, size, tombstones = (
                    records + len(values),
                    size + len(data),
                    tombstones + empty,
                )
                if data:
                    yield data
        except GeneratorExit:
            self._readers.release(reader)
            raise
        except BaseException:
            reader.close()
            raise
        self._readers.release(reader)
        self._on_read(self._range.topic, records, size, tombstones)


def _end(pieces: Any) -> None:
    pieces.close()


class PiecesStream(io.RawIOBase):
    """A stream of successive pieces of bytes."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces = pieces
        self._piece = memoryview(b"")

    def readable(self) -> bool:
        """Return true."""
        return True

    def read(self, size: int | None = -1) -> bytes:
        """Read up to `size` bytes, or all remaining bytes."""
        if size is None or size < 0:
            rest = [bytes(self._piece), *self._pieces]
            self._piece = memoryview(b"")
            return b"".join(rest)
        while not self._piece:
            piece = next(self._pieces, None)
            if piece is None:
                return b""
            self._piece = memoryview(piece)
        out, self._piece = self._piece[:size], self._piece[size:]
        return bytes(out)

    def readinto(self, buffer: Any) -> int:
        """Read into a buffer; return the number of bytes."""
        data = self.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)

    def close(self) -> None:
        """Release the reader."""
        if not self.closed:
            _end(self._pieces)
        super().close()
