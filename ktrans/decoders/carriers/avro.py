"""Avro containers whose records hold a message, as Event Hubs Capture writes them.

Sources: Apache Avro 1.11 Specification, "Object Container Files", "Binary Encoding"; Azure Event Hubs
documentation, "Exploring captured Avro files".
"""

from __future__ import annotations

import io
import json
import struct
import zlib
from collections.abc import Iterator
from typing import Any, BinaryIO, NamedTuple

import pyarrow as pa

from ktrans.kit.text.inflate import Problem
from ktrans.kit.text.magic import AVRO_MAGIC

BODIES = ("Body", "body", "value", "data", "message", "payload")
_MARKER = 16
_MAX_DEPTH = 32
_CODECS = {"snappy": "snappy", "zstandard": "zstd", "bzip2": "bz2"}
_TIMES = ("EnqueuedTimeUtc", "timestamp", "publish_time")


class Unreadable(Exception):
    """Bytes that are not Avro."""


class Body(NamedTuple):
    """The body of a record.

    Attributes:
        data: the message.
        time: when it was queued, as written.
    """

    data: bytes
    time: Any = None


class Reader:
    """Reads the records of a container.

    Args:
        stream: its bytes.
        longest: how long a block or a value may be.

    Attributes:
        problem: why it ended early, if it did; set after `bodies`.
    """

    def __init__(self, stream: BinaryIO, longest: int) -> None:
        self._stream = stream
        self._longest = longest
        self.problem: Problem | None = None

    def bodies(self) -> Iterator[Body]:
        """Yield the bodies of all records, up to damage.

        Raises:
            Unreadable: the header is damaged, or records have no body.
        """
        schema, codec, marker = self._header()
        known: dict[str, Any] = {}
        try:
            while start := self._stream.read(1):
                count = _long(self._stream, start)
                data = _unpacked(_sized(self._stream, self._longest), codec, self._longest)
                if _read(self._stream, _MARKER) != marker:
                    raise Unreadable("a block does not end with the marker")
                if not 0 <= count <= len(data):
                    raise Unreadable(f"{count} records in a block of {len(data)} bytes")
                block = io.BytesIO(data)
                for _ in range(count):
                    record = _value(block, schema, known, 0, self._longest)
                    yield _body(record)
        except EOFError:
            self.problem = Problem("truncated", "the Avro container ends in the middle")
        except (Unreadable, ValueError, OSError, pa.ArrowException, zlib.error) as error:
            self.problem = Problem("corrupt_stream", f"Avro: {error}")

    def _header(self) -> tuple[dict[str, Any], str, bytes]:
        """Return the schema, the codec and the marker at the end of each block."""
        if self._stream.read(len(AVRO_MAGIC)) != AVRO_MAGIC:
            raise Unreadable("no Avro container")
        try:
            names = _map(self._stream, self._longest)
            marker = _read(self._stream, _MARKER)
            schema = json.loads(names.get("avro.schema", b""))
        except EOFError as error:
            raise Unreadable("its header ends in the middle") from error
        except (ValueError, RecursionError) as error:
            raise Unreadable(f"its schema: {error}") from error
        if not isinstance(schema, dict) or schema.get("type") != "record":
            raise Unreadable("its schema is not that of a record")
        if not {field.get("name") for field in _fields(schema)} & set(BODIES):
            raise Unreadable(f"its records have none of {', '.join(BODIES)}")
        return schema, names.get("avro.codec", b"null").decode("utf-8", "replace"), marker


def _fields(schema: dict[str, Any]) -> list[dict[str, Any]]:
    found = schema.get("fields")
    if not isinstance(found, list) or not all(isinstance(each, dict) for each in found):
        raise Unreadable("its schema has no fields")
    return found


def _body(record: dict[str, Any]) -> Body:
    data = next((record[name] for name in BODIES if record.get(name) is not None), b"")
    raw = data if isinstance(data, bytes) else str(data).encode("utf-8", "replace")
    return Body(raw, next((record[name] for name in _TIMES if name in record), None))


def _unpacked(data: bytes, codec: str, longest: int) -> bytes:
    """Return the records of a block."""
    if codec == "null":
        return data
    if codec == "deflate":
        inflate = zlib.decompressobj(-zlib.MAX_WBITS)
        out = inflate.decompress(data, longest)
        if inflate.unconsumed_tail:
            raise Unreadable(f"a block of more than {longest} bytes")
        return out
    if codec == "snappy":
        return _snappy(data[:-4], longest)
    if codec in _CODECS:
        with pa.CompressedInputStream(pa.BufferReader(data), _CODECS[codec]) as stream:
            out = bytes(stream.read(longest))
            if stream.read(1):
                raise Unreadable(f"a block of more than {longest} bytes")
            return out
    raise Unreadable(f"the codec {codec!r} is not known")


def _snappy(data: bytes, longest: int) -> bytes:
    """Return what a block of snappy holds; it begins with its length."""
    size = shift = 0
    for byte in data[:5]:
        size |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:  # noqa: PLR2004
            break
    if size > longest:
        raise Unreadable(f"a block of more than {longest} bytes")
    return bytes(pa.decompress(data, decompressed_size=size, codec="snappy", asbytes=True))


def _read(stream: Any, size: int) -> bytes:
    data = b""
    while len(data) < size and (more := stream.read(size - len(data))):
        data += more
    if len(data) < size:
        raise EOFError
    return data


def _long(stream: Any, start: bytes = b"") -> int:
    """Read an integer: seven bits a byte, the lowest first, in zigzag order."""
    value = shift = 0
    while True:
        byte = (start or _read(stream, 1))[0]
        start = b""
        value |= (byte & 0x7F) << shift
        if byte < 0x80:  # noqa: PLR2004
            return (value >> 1) ^ -(value & 1)
        shift += 7
        if shift > 63:  # noqa: PLR2004
            raise Unreadable("an integer of more than 64 bits")


def _sized(stream: Any, longest: int) -> bytes:
    size = _long(stream)
    if not 0 <= size <= longest:
        raise Unreadable(f"a length of {size}")
    return _read(stream, size)


def _map(stream: Any, longest: int) -> dict[str, bytes]:
    """Read the members of the header."""
    found: dict[str, bytes] = {}
    while count := _long(stream):
        if count < 0:
            _long(stream)
        for _ in range(abs(count)):
            name = _sized(stream, longest).decode("utf-8", "replace")
            found[name] = _sized(stream, longest)
    return found


def _value(stream: Any, schema: Any, known: dict[str, Any], depth: int, longest: int) -> Any:  # noqa: C901, PLR0911, PLR0912
    """Read a value of a schema."""
    if depth > _MAX_DEPTH:
        raise Unreadable("its schema is nested too deep")
    if isinstance(schema, list):
        place = _long(stream)
        if not 0 <= place < len(schema):
            raise Unreadable(f"branch {place} of a union of {len(schema)}")
        return _value(stream, schema[place], known, depth + 1, longest)
    kind = schema.get("type") if isinstance(schema, dict) else schema
    if isinstance(kind, dict | list):
        return _value(stream, kind, known, depth + 1, longest)
    if isinstance(schema, dict) and isinstance(schema.get("name"), str):
        known[schema["name"]] = schema
        if isinstance(schema.get("namespace"), str):
            known[f"{schema['namespace']}.{schema['name']}"] = schema
    match kind:
        case "null":
            return None
        case "boolean":
            return _read(stream, 1) != b"\0"
        case "int" | "long" | "enum":
            return _long(stream)
        case "float":
            return struct.unpack("<f", _read(stream, 4))[0]
        case "double":
            return struct.unpack("<d", _read(stream, 8))[0]
        case "bytes":
            return _sized(stream, longest)
        case "string":
            return _sized(stream, longest).decode("utf-8", "replace")
        case "fixed":
            size = schema.get("size")
            if not isinstance(size, int) or not 0 <= size <= longest:
                raise Unreadable(f"a fixed size of {size}")
            return _read(stream, size)
        case "record":
            return {
                str(field.get("name")): _value(stream, field.get("type"), known, depth + 1, longest)
                for field in _fields(schema)
            }
        case "map" | "array":
            _skip_blocks(stream, schema, known, depth, longest)
            return None
    if isinstance(kind, str) and kind in known:
        return _value(stream, known[kind], known, depth + 1, longest)
    raise Unreadable(f"the type {kind!r} is not known")


def _skip_blocks(
    stream: Any, schema: dict[str, Any], known: dict[str, Any], depth: int, longest: int
) -> None:
    """Pass over the values of a map or an array."""
    inner = schema.get("values") if schema["type"] == "map" else schema.get("items")
    while count := _long(stream):
        if count < 0:
            _read(stream, min(max(_long(stream), 0), longest))
            continue
        if inner == "null" and count > longest:
            raise Unreadable(f"{count} values")
        for _ in range(count):
            if schema["type"] == "map":
                _sized(stream, longest)
            _value(stream, inner, known, depth + 1, longest)
