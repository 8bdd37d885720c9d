"""Columns of rows as columns of a table: types, codecs, and what a column can hold."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pyarrow as pa

from ktrans.kit.flow import TEXT
from ktrans.kit.rows.json import is_jsonable
from ktrans.kit.rows.limits import Limit
from ktrans.kit.rows.pieces import is_text
from ktrans.kit.table_sink import TableColumn

_SMALL = {
    **dict.fromkeys(("src_port", "dst_port", "tcp_flags"), "UInt16"),
    **dict.fromkeys(("protocol", "ip_version"), "UInt8"),
}
"""Columns of flows whose numbers are in a smaller range than their Arrow type."""

_UNIQUE = ("record_id",)
"""Columns of texts that hardly repeat."""

_UNITS = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}
_PARAMETER = re.compile(r"^(\w+)\((.*)\)$")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_DAY = timedelta(days=1)
_TIMES = {
    "DateTime": (_EPOCH, datetime(2106, 2, 7, tzinfo=UTC)),
    "Date": (_EPOCH, datetime(2149, 6, 6, tzinfo=UTC)),
    "DateTime64": (datetime(1900, 1, 1, tzinfo=UTC), datetime(2299, 12, 31, tzinfo=UTC)),
    "DateTime64(9)": (datetime(1900, 1, 1, tzinfo=UTC), datetime(2262, 4, 11, tzinfo=UTC)),
    "Date32": (datetime(1900, 1, 1, tzinfo=UTC), datetime(2299, 12, 31, tzinfo=UTC)),
}
"""The first and the last day of types of times (reference of ClickHouse, "Data types"). Others are
stored as another time, without an error."""

_ARROW = {
    pa.bool_(): "Bool",
    pa.float32(): "Float32",
    pa.float64(): "Float64",
    pa.date32(): "Date32",
    pa.binary(): "String",
    pa.string(): "String",
    TEXT: "String",
    **{getattr(pa, f"int{bits}")(): f"Int{bits}" for bits in (8, 16, 32, 64)},
    **{getattr(pa, f"uint{bits}")(): f"UInt{bits}" for bits in (8, 16, 32, 64)},
}
_CONVERTED = {
    pa.date64(): pa.date32(),
    pa.large_binary(): pa.binary(),
    pa.float16(): pa.float32(),
    pa.null(): pa.string(),
}


def staged_type(kind: pa.DataType, chosen: str | None) -> pa.DataType | None:
    """Return the type in which a column is delivered.

    Args:
        kind: its type in the rows.
        chosen: its type in the table, if the user has chosen one.
    """
    if pa.types.is_dictionary(kind):
        return TEXT if is_text(kind.value_type) else staged_type(kind.value_type, chosen)
    if is_text(kind):
        return pa.string()
    if pa.types.is_timestamp(kind):
        return kind if kind.unit == "ns" else pa.timestamp("us", kind.tz)
    if pa.types.is_nested(kind):
        return _nested_type(kind, chosen)
    kind = _CONVERTED.get(kind, kind)
    return kind if kind in _ARROW or pa.types.is_decimal128(kind) else None


def _nested_type(kind: pa.DataType, chosen: str | None) -> pa.DataType | None:
    if chosen is None or chosen.startswith(("Map", "Array")):
        if pa.types.is_map(kind) and is_text(kind.key_type) and is_text(kind.item_type):
            return pa.map_(pa.string(), pa.string())
        plain = pa.types.is_list(kind) and not pa.types.is_nested(kind.value_type)
        if plain and staged_type(kind.value_type, None) in _ARROW:
            return pa.list_(staged_type(kind.value_type, None))
    return pa.string() if is_jsonable(kind) else None


def column_type(field: pa.Field) -> str:
    """Return the type of a column in a table that is created for the rows.

    Text has no nulls there: by the flow schema an empty one means the same. Numbers and times do.
    """
    staged: Any = staged_type(field.type, None)
    if pa.types.is_map(staged):
        return "Map(LowCardinality(String), String)"
    if pa.types.is_list(staged):
        return f"Array({_nullable(_ARROW[staged.value_type])})"
    if pa.types.is_timestamp(staged):
        zone = f", '{staged.tz}'" if staged.tz else ""
        return f"Nullable(DateTime64({9 if staged.unit == 'ns' else 6}{zone}))"
    if staged == TEXT and not field.name.endswith("_addr") and field.name not in _UNIQUE:
        return "LowCardinality(String)"
    if pa.types.is_decimal(staged):
        return f"Nullable(Decimal({staged.precision}, {staged.scale}))"
    name = _ARROW[staged]
    if name.startswith("Int"):
        name = _SMALL.get(field.name, name)
    return _nullable(name)


def _nullable(name: str) -> str:
    return name if name == "String" else f"Nullable({name})"


def codec(declared: str) -> str:
    """Return the clause for the codec of a column that is created; empty for the default one."""
    base, _ = _inner(declared)
    if base.startswith(("DateTime", "Date")):
        return " CODEC(Delta, ZSTD(1))"
    if re.fullmatch(r"U?Int(32|64)", base):
        return " CODEC(T64, ZSTD(1))"
    return "" if declared.startswith(("LowCardinality", "Map", "Array")) else " CODEC(ZSTD(1))"


def limit_of(column: TableColumn, staged: pa.Field) -> Limit:
    """Return what a column holds of the rows that are delivered."""
    kind = staged.type
    base, nullable = _inner(column.type)
    if pa.types.is_integer(kind) and (sized := re.fullmatch(r"(U?)Int(\d+)", base)):
        bits = int(sized[2])
        low, high = (0, 1 << bits) if sized[1] else (-1 << (bits - 1), 1 << (bits - 1))
        return Limit(low=low, high=high - 1)
    if pa.types.is_timestamp(kind):
        precise = "DateTime64(9)" if base.startswith("DateTime64(9") else base.partition("(")[0]
        if precise in _TIMES:
            first, last = (when - _EPOCH for when in _TIMES[precise])
            unit = _UNITS[kind.unit]
            return Limit(low=first // _DAY * 86400 * unit, high=last // _DAY * 86400 * unit - 1)
    if pa.types.is_date(kind) and base in _TIMES:
        first, last = (when - _EPOCH for when in _TIMES[base])
        return Limit(low=first // _DAY, high=last // _DAY)
    if base in ("IPv4", "IPv6"):
        return Limit(required=not nullable, address=4 if base == "IPv4" else True)
    return Limit()


def _inner(declared: str) -> tuple[str, bool]:
    """Return a type without Nullable and LowCardinality around it, and whether it has nulls."""
    nullable = False
    while (found := _PARAMETER.match(declared)) and found[1] in ("Nullable", "LowCardinality"):
        nullable |= found[1] == "Nullable"
        declared = found[2]
    return declared, nullable
