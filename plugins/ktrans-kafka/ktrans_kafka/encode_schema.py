"""Encodes rows as Avro datums or Protobuf messages, column by column, and describes them.

Sources: Apache Avro 1.12, "Binary Encoding"; Protocol Buffers, "Encoding", proto3.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from functools import partial
from hashlib import blake2b
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ktrans.api import ConfigError
from ktrans.kit.flow import NAMES
from ktrans.kit.rows.binary import (
    column,
    concat,
    grouped,
    joined,
    prefixed,
    run_offsets,
    scalars,
    varints,
    where_valid,
    whole_numbers,
    zigzag,
)
from ktrans.kit.rows.pieces import is_text

_compute: Any = pc
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_NULL, _VALUE = b"\x00", b"\x02"
"""Avro: the index of a value's type in its union."""

_VARINT, _I64, _LEN, _I32 = 0, 1, 2, 5
"""Protobuf: wire types."""

_FIRST_OTHER, _OTHERS = 20_000, 200_000
"""Field numbers of columns outside the flow schema; they are above Protobuf's reserved range."""

_TYPES: tuple[tuple[Callable[[pa.DataType], bool], Any, str, int], ...] = (
    (is_text, "string", "string", _LEN),
    (pa.types.is_binary, "bytes", "bytes", _LEN),
    (pa.types.is_large_binary, "bytes", "bytes", _LEN),
    (pa.types.is_boolean, "boolean", "bool", _VARINT),
    (pa.types.is_uint64, None, "uint64", _VARINT),
    (pa.types.is_uint32, "long", "uint32", _VARINT),
    (pa.types.is_int64, "long", "int64", _VARINT),
    (pa.types.is_integer, "int", "int32", _VARINT),
    (pa.types.is_float64, "double", "double", _I64),
    (pa.types.is_floating, "float", "float", _I32),
    (pa.types.is_date32, {"type": "int", "logicalType": "date"}, "int32", _VARINT),
    (lambda kind: pa.types.is_timestamp(kind) and kind.unit != "ns", "time", "int64", _VARINT),
)
"""Arrow's types as types of Avro (None: it has none) and of Protobuf, with the wire type."""


class AvroCodec:
    """Encodes rows as Avro datums; `text` is the schema as the registry takes it.

    Each column is a union of null and its type with default null, so that readers with an older or
    newer schema can read it.
    """

    def __init__(self, schema: pa.Schema, name: str) -> None:
        space, _, short = name.rpartition(".")
        self.schema: dict[str, Any] = {"type": "record", "name": short}
        if space:
            self.schema["namespace"] = space
        self.schema["fields"] = [_avro_field(field) for field in schema]
        self.text = json.dumps(self.schema, separators=(",", ":"), ensure_ascii=False)

    def fingerprint(self) -> bytes:
        """Return the CRC-64-AVRO fingerprint of the schema's parsing canonical form."""
        from fastavro.schema import fingerprint, to_parsing_canonical_form

        return bytes.fromhex(fingerprint(to_parsing_canonical_form(self.schema), "CRC-64-AVRO"))

    def encode(self, batch: pa.RecordBatch, header: bytes) -> pa.Array:
        """Return each row as bytes after the header: a `binary` array."""
        columns = (column(array, _avro_values, _VALUE, _NULL) for array in batch.columns)
        return joined([header, *columns], batch.num_rows)


class ProtobufCodec:
    """Encodes rows as Protobuf messages; `text` is the schema as the registry takes it.

    Fields are `optional`: null is an absent field. Field numbers do not change when columns are
    added or removed: a flow column has its position in the flow schema, any other column a hash of
    its name.
    """

    def __init__(self, schema: pa.Schema, name: str) -> None:
        self.numbers: dict[str, int] = {}
        lines = []
        for field in schema:
            number = _number(field.name)
            for other, taken in self.numbers.items():
                if taken == number:
                    raise ConfigError(
                        f"columns {other!r} and {field.name!r} get the same field number",
                        code="field_number",
                        hint="rename one of them with a select enricher",
                    )
            self.numbers[field.name] = number
            lines.append(_protobuf_line(field, number))
        space, _, short = name.rpartition(".")
        package = f"package {space};\n\n" if space else ""
        body = "\n".join(lines)
        self.text = f'syntax = "proto3";\n\n{package}message {short} {{\n{body}\n}}\n'

    def encode(self, batch: pa.RecordBatch, header: bytes) -> pa.Array:
        """Return each row as bytes after the header: a `binary` array."""
        parts: list[pa.Array | bytes] = [header]
        for name, array in zip(batch.schema.names, batch.columns, strict=True):
            tag, bytes_of = _tag(self.numbers[name], array.type), _protobuf_values
            if pa.types.is_map(array.type):  # each entry has the tag
                tag, bytes_of = b"", partial(_protobuf_map, tag=tag)
            parts.append(column(array, bytes_of, tag, b""))
        return joined(parts, batch.num_rows)


def _check_name(name: str, encoding: str) -> None:
    if not _NAME.fullmatch(name):
        raise ConfigError(
            f"column {name!r} has a name that {encoding} does not allow",
            code="column_name",
            hint="rename it with a select enricher: letters, digits and underscores",
        )


def _not_supported(field: pa.Field, encoding: str) -> ConfigError:
    return ConfigError(
        f"column {field.name!r} has type {field.type}, which encoding {encoding} does not support",
        code="type_not_supported",
        hint="drop it or cast it with a select or derive enricher, or use encoding json",
    )


def _types_of(kind: pa.DataType) -> tuple[Any, str | None, int]:
    """Return the types of Avro and Protobuf, None if there is none, and the wire type."""
    if pa.types.is_dictionary(kind):
        return _types_of(kind.value_type)
    for fits, avro, protobuf, wire in _TYPES:
        if fits(kind):
            return avro, protobuf, wire
    return None, None, _LEN


def _is_text_map(kind: pa.DataType) -> bool:
    return pa.types.is_map(kind) and is_text(kind.key_type)


# -- Avro -----------------------------------------------------------------------------------------


def _avro_field(field: pa.Field) -> dict[str, Any]:
    _check_name(field.name, "Avro")
    made = {"name": field.name, "type": ["null", _avro_type(field.type, field)], "default": None}
    description = (field.metadata or {}).get(b"description")
    return made | {"doc": description.decode()} if description else made


def _avro_type(kind: pa.DataType, field: pa.Field) -> Any:
    if _is_text_map(kind):
        return {"type": "map", "values": ["null", _avro_type(kind.item_type, field)]}
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        return {"type": "array", "items": ["null", _avro_type(kind.value_type, field)]}
    made = _types_of(kind)[0]
    if made is None:
        raise _not_supported(field, "avro")
    if made == "time":
        logical = "timestamp-micros" if kind.tz else "local-timestamp-micros"
        return {"type": "long", "logicalType": logical}
    return made


def _avro_values(array: pa.Array) -> pa.Array:
    """Encode values without the union index; nulls stay null."""
    kind = array.type
    if pa.types.is_map(kind):
        return _blocks(array, concat(prefixed(array.keys, _longs), _union(array.items)))
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        return _blocks(array, _union(array.values))
    return scalars(array, _longs)


def _longs(array: pa.Array) -> pa.Array:
    return where_valid(array, varints(zigzag(whole_numbers(array))))


def _union(array: pa.Array) -> pa.Array:
    return concat(_VALUE, _avro_values(array)).fill_null(_NULL)


def _blocks(array: pa.Array, items: pa.Array) -> pa.Array:
    """Encode maps and arrays: one block with its count, then the end marker; or only that."""
    offsets = run_offsets(array, items)
    counts = np.diff(offsets)
    filled = concat(varints(zigzag(counts)), grouped(items, offsets), b"\x00")
    made = _compute.if_else(pa.array(counts == 0), pa.scalar(b"\x00", pa.binary()), filled)
    return where_valid(array, made)


# -- Protobuf -------------------------------------------------------------------------------------


def _number(name: str) -> int:
    if name in NAMES:
        return NAMES.index(name) + 1
    digest = blake2b(name.encode(), digest_size=8).digest()
    return _FIRST_OTHER + int.from_bytes(digest, "big") % _OTHERS


def _protobuf_line(field: pa.Field, number: int) -> str:
    """Return the line of a field in a .proto file."""
    _check_name(field.name, "Protobuf")
    label, kind = "optional ", field.type
    if _is_text_map(kind):
        label, kind = "", kind.item_type
    made = _types_of(kind)[1]
    if made is None:
        raise _not_supported(field, "protobuf")
    if not label:
        made = f"map<string, {made}>"
    comment = (field.metadata or {}).get(b"description", b"").decode().replace("\n", " ")
    if pa.types.is_timestamp(kind):
        comment = f"{comment}, microseconds since 1970 UTC".removeprefix(", ")
    return f"  {label}{made} {field.name} = {number};{comment and f'  // {comment}'}"


def _tag(number: int, kind: pa.DataType) -> bytes:
    """Return the bytes before each value of a field."""
    made: bytes = varints(np.array([number << 3 | _types_of(kind)[2]], np.uint64))[0].as_py()
    return made


def _protobuf_values(array: pa.Array) -> pa.Array:
    """Encode values without their tags; nulls stay null."""
    return scalars(array, _numbers)


def _numbers(array: pa.Array) -> pa.Array:
    """Encode integers and times; negative numbers as 64-bit two's complement."""
    if pa.types.is_uint64(array.type):
        return where_valid(array, varints(np.asarray(array.fill_null(0))))
    numbers = np.ascontiguousarray(whole_numbers(array)).view(np.uint64)
    return where_valid(array, varints(numbers))


def _protobuf_map(array: pa.Array, tag: bytes) -> pa.Array:
    """Encode maps: each entry is a message with key (1) and value (2), after the field's tag.

    A null value is omitted; readers see the zero of its type.
    """
    keys = concat(_tag(1, pa.string()), prefixed(array.keys, _numbers))
    values = concat(_tag(2, array.items.type), _protobuf_values(array.items)).fill_null(b"")
    whole = concat(tag, prefixed(concat(keys, values), _numbers))
    return where_valid(array, grouped(whole, run_offsets(array, whole)))
