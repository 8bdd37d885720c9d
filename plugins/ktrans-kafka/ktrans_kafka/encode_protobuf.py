"""Encodes rows as Protobuf messages, column by column (Protocol Buffers, "Encoding", proto3).

Fields are `optional`: null is an absent field. Field numbers do not change when columns are added or
removed: a flow column has its position in the flow schema, any other column a hash of its name.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from hashlib import blake2b
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ktrans.api import ConfigError
from ktrans.kit.flow import NAMES
from ktrans.kit.rows.pieces import is_text
from ktrans_kafka.encode_binary import (
    Piece,
    check_name,
    concat,
    grouped,
    joined,
    piece,
    prefixed,
    run_offsets,
    scalars,
    type_not_supported,
    varints,
    where_valid,
    whole_numbers,
)

_compute: Any = pc
_VARINT, _I64, _LEN, _I32 = 0, 1, 2, 5
_FIRST_OTHER, _OTHERS = 20_000, 200_000
"""Field numbers of columns outside the flow schema; they are above Protobuf's reserved range."""


@dataclass(frozen=True, slots=True)
class ProtoField:
    """A field of the message: name, type as in a .proto file, number and description."""

    name: str
    type: str
    number: int
    description: str

    def tag(self, kind: pa.DataType) -> bytes:
        """Return the bytes before each value."""
        return _tag(self.number, _wire(kind))

    def line(self) -> str:
        """Return the line of the field in a .proto file."""
        label = "" if self.type.startswith("map<") else "optional "
        comment = f"  // {self.description}" if self.description else ""
        return f"  {label}{self.type} {self.name} = {self.number};{comment}"


def proto_fields(schema: pa.Schema) -> list[ProtoField]:
    """Return the message fields for rows, in the order of the columns.

    Raises:
        ConfigError: Protobuf cannot represent a column's type, or does not allow its name.
    """
    made: dict[int, ProtoField] = {}
    for field in schema:
        check_name(field.name, "Protobuf")
        number = _number(field.name)
        if number in made:
            raise ConfigError(
                f"columns {made[number].name!r} and {field.name!r} get the same field number",
                code="field_number",
                hint="rename one of them with a select enricher",
            )
        description = (field.metadata or {}).get(b"description", b"").decode().replace("\n", " ")
        if pa.types.is_timestamp(field.type):
            description = f"{description}, microseconds since 1970 UTC".removeprefix(", ")
        made[number] = ProtoField(field.name, _type(field.type, field.name), number, description)
    return list(made.values())


def proto_text(fields: list[ProtoField], name: str) -> str:
    """Return the .proto file of the message."""
    space, _, short = name.rpartition(".")
    package = f"package {space};\n\n" if space else ""
    lines = "\n".join(field.line() for field in fields)
    return f'syntax = "proto3";\n\n{package}message {short} {{\n{lines}\n}}\n'


def messages(batch: pa.RecordBatch, fields: list[ProtoField], header: bytes) -> pa.Array:
    """Encode rows.

    Args:
        batch: rows with the columns of the fields.
        fields: from `proto_fields`.
        header: the bytes before each message.

    Returns:
        A `binary` array with one message per row.
    """
    pieces: list[Piece] = [header]
    for field, column in zip(fields, batch.columns, strict=True):
        tag = field.tag(column.type)
        if pa.types.is_map(column.type):
            pieces.append(piece(column, partial(_map, tag=tag)))
        else:
            pieces.append(piece(column, _plain, tag))
    return joined(pieces, batch.num_rows)


def _number(name: str) -> int:
    if name in NAMES:
        return NAMES.index(name) + 1
    digest = blake2b(name.encode(), digest_size=8).digest()
    return _FIRST_OTHER + int.from_bytes(digest, "big") % _OTHERS


_TYPES: tuple[tuple[Callable[[pa.DataType], bool], str], ...] = (
    (is_text, "string"),
    (pa.types.is_binary, "bytes"),
    (pa.types.is_large_binary, "bytes"),
    (pa.types.is_boolean, "bool"),
    (pa.types.is_uint64, "uint64"),
    (pa.types.is_uint32, "uint32"),
    (pa.types.is_int64, "int64"),
    (pa.types.is_integer, "int32"),
    (pa.types.is_float64, "double"),
    (pa.types.is_floating, "float"),
    (lambda kind: pa.types.is_timestamp(kind) and kind.unit != "ns", "int64"),
    (pa.types.is_date32, "int32"),
)


def _type(kind: pa.DataType, column: str) -> str:
    if pa.types.is_dictionary(kind):
        return _type(kind.value_type, column)
    for fits, name in _TYPES:
        if fits(kind):
            return name
    if pa.types.is_map(kind) and is_text(kind.key_type) and not pa.types.is_map(kind.item_type):
        return f"map<string, {_type(kind.item_type, column)}>"
    raise type_not_supported(column, kind, "protobuf")


def _wire(kind: pa.DataType) -> int:
    if pa.types.is_dictionary(kind):
        return _wire(kind.value_type)
    if pa.types.is_floating(kind):
        return _I64 if kind == pa.float64() else _I32
    if pa.types.is_boolean(kind) or pa.types.is_integer(kind):
        return _VARINT
    return _VARINT if pa.types.is_timestamp(kind) or pa.types.is_date32(kind) else _LEN


def _tag(number: int, wire: int) -> bytes:
    made: bytes = varints(np.array([number << 3 | wire], dtype=np.uint64))[0].as_py()
    return made


def _plain(array: pa.Array) -> pa.Array:
    """Encode values without their tags; nulls stay null."""
    return scalars(array, _numbers)


def _numbers(array: pa.Array) -> pa.Array:
    """Encode integers and times; negative numbers as 64-bit two's complement."""
    if pa.types.is_uint64(array.type):
        return where_valid(array, varints(np.asarray(array.fill_null(0))))
    numbers = np.ascontiguousarray(whole_numbers(array)).view(np.uint64)
    return where_valid(array, varints(numbers))


def _map(array: pa.Array, tag: bytes) -> pa.Array:
    """Encode maps: each entry is a message with key (1) and value (2), after the field's tag.

    A null value is omitted; readers see the zero of its type.
    """
    keys = concat(_tag(1, _LEN), prefixed(array.keys, _numbers))
    items = array.items
    values = concat(_tag(2, _wire(items.type)), _plain(items))
    entries = concat(keys, values.fill_null(b"") if values.null_count else values)
    whole = concat(tag, prefixed(entries, _numbers))
    return where_valid(array, grouped(whole, run_offsets(array, whole)))
