"""Joins the values of Kafka records into the byte stream that a decoder reads."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass

from ktrans.api import Limits, RejectError
from ktrans.kit.text.inflate import Inflater, codec_of

_COMPRESSED = (b"\x1f\x8b", b"\x28\xb5\x2f\xfd")
"""First bytes of gzip and zstd (RFC 1952, RFC 8878), which no text begins with."""
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
        data = b"\n".join(kept)
        if any(magic in data for magic in _COMPRESSED):
            kept = [self._inflated(value) for value in kept]
            data = b"\n".join(kept)
        if b"\n\n" in data:  # values that end with a line feed
            data = b"\n".join([value.removesuffix(b"\n") for value in kept])
        if not data.endswith(b"\n"):
            data += b"\n"
        return data, empty

    def begin(self, data: bytes) -> bytes:
        """Add a line feed before a first value that would make the whole stream look compressed."""
        return b"\n" + data if self.lines and codec_of(data[:4]) != "plain" else data

    def _inflated(self, value: bytes) -> bytes:
        """Decompress a value; a damaged one is returned unchanged, for the decoder to reject."""
        if not value.startswith(_COMPRESSED):
            return value
        inflater = Inflater(lambda: io.BytesIO(value), self.limits, "a record's value")
        try:
            data = b"".join(inflater.chunks())
        except RejectError:
            return value
        return value if inflater.problem else data


def _without_schema_id(value: bytes) -> bytes:
    framed = value[:1] == b"\0" and len(value) >= _SCHEMA_ID_BYTES
    return value[_SCHEMA_ID_BYTES:] if framed else value
