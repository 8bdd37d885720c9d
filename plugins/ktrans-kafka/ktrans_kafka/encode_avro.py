"""Encodes rows as Avro datums, column by column (Apache Avro 1.12, "Binary Encoding").

Each column is a union of null and its type with default null, so that readers with an older or newer
schema can read it.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ktrans.kit.rows.pieces import is_text
from ktrans_kafka.encode_binary import (
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
    zigzag,
)

_compute: Any = pc
_NULL, _VALUE = b"\x00", b"\x02"
_EMPTY_FINGERPRINT = 0xC15D213AA4D7A795


def avro_schema(schema: pa.Schema, name: str) -> dict[str, Any]:
    """Return the Avro schema of rows.

    Args:
        schema: the schema of the rows.
        name: the full name of the record.

    Raises:
        ConfigError: Avro cannot represent a column's type, or does not allow its name.
    """
    space, _, short = name.rpartition(".")
    fields = []
    for field in schema:
        check_name(field.name, "Avro")
        made: dict[str, Any] = {"name": field.name, "type": ["null", _type(field.type, field.name)]}
        made["default"] = None
        description = (field.metadata or {}).get(b"description")
        if description:
            made["doc"] = description.decode()
        fields.append(made)
    record: dict[str, Any] = {"type": "record", "name": short}
    if space:
        record["namespace"] = space
    return record | {"fields": fields}


def fingerprint(schema: dict[str, Any]) -> bytes:
    """Return the CRC-64-AVRO fingerprint of a schema's parsing canonical form.

    Source: Avro specification, "Parsing Canonical Form for Schemas", "Single-object encoding".
    """
    space = schema.get("namespace")
    full = f"{space}.{schema['name']}" if space else schema["name"]
    fields = [{"name": f["name"], "type": _canonical(f["type"])} for f in schema["fields"]]
    form = {"name": full, "type": "record", "fields": fields}
    crc = _EMPTY_FINGERPRINT
    table = [_crc_entry(byte) for byte in range(256)]
    for byte in json.dumps(form, separators=(",", ":"), ensure_ascii=False).encode():
        crc = (crc >> 8) ^ table[(crc ^ byte) & 0xFF]
    return crc.to_bytes(8, "little")


def _crc_entry(value: int) -> int:
    for _ in range(8):
        value = (value >> 1) ^ (_EMPTY_FINGERPRINT if value & 1 else 0)
    return value


def _canonical(kind: Any) -> Any:
    if isinstance(kind, list):
        return [_canonical(each) for each in kind]
    if isinstance(kind, str):
        return kind
    if kind["type"] == "map":
        return {"type": "map", "values": _canonical(kind["values"])}
    if kind["type"] == "array":
        return {"type": "array", "items": _canonical(kind["items"])}
    return kind["type"]


_TYPES: tuple[tuple[Callable[[pa.DataType], bool], Any], ...] = (
    (is_text, "string"),
    (pa.types.is_binary, "bytes"),
    (pa.types.is_large_binary, "bytes"),
    (pa.types.is_boolean, "boolean"),
    (lambda kind: pa.types.is_int64(kind) or pa.types.is_uint32(kind), "long"),
    (lambda kind: pa.types.is_integer(kind) and not pa.types.is_uint64(kind), "int"),
    (pa.types.is_float64, "double"),
    (pa.types.is_floating, "float"),
    (pa.types.is_date32, {"type": "int", "logicalType": "date"}),
)


def _type(kind: pa.DataType, column: str) -> Any:
    if pa.types.is_dictionary(kind):
        return _type(kind.value_type, column)
    for fits, name in _TYPES:
        if fits(kind):
            return name
    if pa.types.is_timestamp(kind) and kind.unit != "ns":
        logical = "timestamp-micros" if kind.tz else "local-timestamp-micros"
        return {"type": "long", "logicalType": logical}
    if pa.types.is_map(kind) and is_text(kind.key_type):
        return {"type": "map", "values": ["null", _type(kind.item_type, column)]}
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        return {"type": "array", "items": ["null", _type(kind.value_type, column)]}
    raise type_not_supported(column, kind, "avro")


def datums(batch: pa.RecordBatch, header: bytes) -> pa.Array:
    """Encode rows.

    Args:
        batch: rows whose schema `avro_schema` accepts.
        header: the bytes before each datum.

    Returns:
        A `binary` array with one datum per row.
    """
    pieces = [header, *(piece(column, _plain, _VALUE, _NULL) for column in batch.columns)]
    return joined(pieces, batch.num_rows)


def _plain(array: pa.Array) -> pa.Array:
    """Encode values without the union index; nulls stay null."""
    kind = array.type
    if pa.types.is_map(kind):
        entries = concat(prefixed(array.keys, _longs), _union(array.items))
        return _blocks(array, entries)
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        return _blocks(array, _union(array.values))
    return scalars(array, _longs)


def _longs(array: pa.Array) -> pa.Array:
    return where_valid(array, varints(zigzag(whole_numbers(array))))


def _union(array: pa.Array) -> pa.Array:
    values = concat(_VALUE, _plain(array))
    return values.fill_null(_NULL) if values.null_count else values


def _blocks(array: pa.Array, items: pa.Array) -> pa.Array:
    """Encode maps and arrays: one block with its count, then the end marker; or only that."""
    offsets = run_offsets(array, items)
    counts = np.diff(offsets)
    length = varints(zigzag(counts))
    filled = concat(length, grouped(items, offsets), b"\x00")
    empty = pa.array(counts == 0)
    made = _compute.if_else(empty, pa.scalar(b"\x00", pa.binary()), filled)
    return where_valid(array, made)
