"""The payload of a range of offsets: a stream of its records' values, never whole in memory."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from typing import BinaryIO, cast

from ktrans.api import Limits, Payload, Split
from ktrans.kit.text.values import PiecesStream, join_values, not_compressed
from ktrans_kafka.source_clients import Readers
from ktrans_kafka.source_position import Range

Pieces = Generator[bytes, None, None]
OnRead = Callable[[str, int, int, int], None]
"""Called with a topic, the records of a range, their bytes, and how many had no value."""

_SCHEMA_ID_BYTES = 5
"""A zero byte and the schema's id (Confluent documentation, "Formats, Serializers, and
Deserializers", wire format)."""


@dataclass(frozen=True, slots=True)
class Framing:
    """How to join values into a stream.

    Attributes:
        lines: whether to put each value on its own lines, decompressed; otherwise the only value
            is passed on unchanged.
        strip_schema_id: whether to remove the prefix of schema registry serializers.
        limits: limits of decompression.
    """

    lines: bool
    strip_schema_id: bool
    limits: Limits

    def join(self, values: Sequence[bytes | None]) -> tuple[bytes, int]:
        """Return the stream of some values, and the number of tombstones."""
        kept = [value for value in values if value is not None]
        empty = len(values) - len(kept)
        if self.strip_schema_id:
            kept = [_without_schema_id(value) for value in kept]
        if not kept:
            return b"", empty
        if not self.lines:
            return b"".join(kept), empty
        return join_values(kept, self.limits), empty

    def begin(self, data: bytes) -> bytes:
        """Add a line feed before a first value that would make the whole stream look compressed."""
        return not_compressed(data) if self.lines else data


def _without_schema_id(value: bytes) -> bytes:
    framed = value[:1] == b"\0" and len(value) >= _SCHEMA_ID_BYTES
    return value[_SCHEMA_ID_BYTES:] if framed else value


class RangePayload(Payload):
    """The records of a range.

    The first piece is kept until a stream reads beyond it, so that opening the stream to sniff its
    start and opening it again to read it needs one fetch.
    """

    def __init__(self, split: Split, readers: Readers, framing: Framing, on_read: OnRead) -> None:
        super().__init__(split)
        self._range = Range.of(split)
        self._readers = readers
        self._framing = framing
        self._on_read = on_read
        self._begun: tuple[bytes, Pieces] | None = None

    def open(self) -> BinaryIO:
        """Open the stream from the start of the range."""
        return cast("BinaryIO", PiecesStream(self._pieces()))

    def close(self) -> None:
        """Release the reader."""
        begun, self._begun = self._begun, None
        if begun is not None:
            begun[1].close()

    def _pieces(self) -> Pieces:
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
            live.close()

    def _begin(self) -> tuple[bytes, Pieces]:
        live = self._read()
        return self._framing.begin(next(live, b"")), live

    def _read(self) -> Pieces:
        reader = self._readers.acquire(self._range)
        records = size = tombstones = 0
        try:
            for values in reader.values(self._range):
                data, empty = self._framing.join(values)
                records += len(values)
                size += len(data)
                tombstones += empty
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
