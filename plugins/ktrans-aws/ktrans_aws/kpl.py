"""Takes apart records that the Kinesis Producer Library has aggregated.

Source: awslabs/amazon-kinesis-producer, aggregation-format.md: the bytes F3 89 9A C2, a Protocol Buffers
message, and its MD5. In the message field 3 is a record, in which field 3 is the data.
"""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import md5

_MAGIC = b"\xf3\x89\x9a\xc2"
_DIGEST_BYTES = 16
_RECORDS = 3
_DATA = 3
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_MORE = 0x80


def values_of(data: bytes) -> list[bytes]:
    """Return the values of a record: those that were aggregated, or the record itself.

    What begins like an aggregated record and has another digest is a value, as the Kinesis Client
    Library takes it.
    """
    if not data.startswith(_MAGIC):
        return [data]
    message, digest = data[len(_MAGIC) : -_DIGEST_BYTES], data[-_DIGEST_BYTES:]
    if md5(message, usedforsecurity=False).digest() != digest:
        return [data]
    try:
        return [
            value
            for number, record in _fields(message)
            if number == _RECORDS
            for inner, value in _fields(record)
            if inner == _DATA
        ]
    except (IndexError, ValueError):
        return [data]


def _fields(message: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield the numbers and bytes of the fields that hold bytes."""
    at = 0
    while at < len(message):
        tag, at = _varint(message, at)
        kind = tag & 7
        if kind == _BYTES:
            size, at = _varint(message, at)
            if at + size > len(message):
                raise ValueError("a field is longer than its message")
            yield tag >> 3, message[at : at + size]
            at += size
        elif kind == _VARINT:
            _, at = _varint(message, at)
        elif kind in (_FIXED32, _FIXED64):
            at += 4 if kind == _FIXED32 else 8
        else:
            raise ValueError("an unknown type of a field")


def _varint(message: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = message[at]
        at += 1
        value |= (byte & ~_MORE) << shift
        if not byte & _MORE:
            return value, at
        shift += 7
