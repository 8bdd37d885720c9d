"""Columns of rows as columns of a table: types, and what a column can hold."""

from __future__ import annotations

import re

import pyarrow as pa

from ktrans.kit.flow import TEXT
from ktrans.kit.rows.json import is_jsonable
from ktrans.kit.rows.limits import Limit
from ktrans.kit.rows.pieces import is_text
from ktrans.kit.table_sink import TableColumn

_TEXTS = ("text", "character varying", "character", "citext", '"char"')
_INTEGERS = {"smallint": 15, "integer": 31, "bigint": 63}
_EARLIEST = -210_866_803_200_000_000
"""The start of the Julian calendar, 4713 BC, in microseconds since 1970: PostgreSQL's first time."""

_DATES = (_EARLIEST // 86_400_000_000, 2_145_042_905)
"""PostgreSQL's first and last date, in the year 5874897, in days since 1970."""

_NUL_IN_JSON = r"(?:^|[^\\])(?:\\\\)*\\u0000"
_OF_STAGED = (
    (pa.types.is_boolean, "boolean"),
    (pa.types.is_int16, "smallint"),
    (pa.types.is_int32, "integer"),
    (pa.types.is_int64, "bigint"),
    (pa.types.is_float32, "real"),
    (pa.types.is_float64, "double precision"),
    (pa.types.is_date, "date"),
    (pa.types.is_decimal, "numeric"),
    (pa.types.is_binary, "bytea"),
)
_SIMPLE = {
    pa.int8(): pa.int16(),
    pa.uint8(): pa.int16(),
    pa.uint16(): pa.int32(),
    pa.uint32(): pa.int64(),
    pa.uint64(): pa.int64(),
    pa.float16(): pa.float32(),
    **{kind: kind for kind in (pa.bool_(), pa.int16(), pa.int32(), pa.int64())},
    **{kind: kind for kind in (pa.float32(), pa.float64(), pa.date32(), pa.binary())},
    pa.date64(): pa.date32(),
    pa.large_binary(): pa.binary(),
    pa.null(): pa.string(),
}


def staged_type(kind: pa.DataType) -> pa.DataType | None:
    """Return the type in which the driver takes a column."""
    if pa.types.is_dictionary(kind):
        return TEXT if is_text(kind.value_type) else staged_type(kind.value_type)
    if is_text(kind):
        return pa.string()
    if pa.types.is_timestamp(kind):
        return pa.timestamp("us", "UTC" if kind.tz else None)
    if pa.types.is_decimal128(kind):
        return kind
    return _nested_type(kind) if pa.types.is_nested(kind) else _SIMPLE.get(kind)


def _nested_type(kind: pa.DataType) -> pa.DataType | None:
    plain = pa.types.is_list(kind) and not pa.types.is_nested(kind.value_type)
    inner = staged_type(kind.value_type) if plain else None
    if inner in _ELEMENTS:
        return pa.list_(inner)
    return pa.string() if is_jsonable(kind) else None


_ELEMENTS = {pa.string(), pa.int16(), pa.int32(), pa.int64(), pa.float64()}
"""Types of lists that are arrays; other lists are JSON."""


def column_type(field: pa.Field) -> str:
    """Return the type of a column in a table that is created for the rows."""
    kind, staged = field.type, staged_type(field.type)
    if pa.types.is_timestamp(kind):
        return "timestamp with time zone" if kind.tz else "timestamp without time zone"
    if staged is not None and pa.types.is_list(staged):
        return f"{column_type(pa.field(field.name, staged.value_type))}[]"
    if pa.types.is_nested(kind):
        return "jsonb"
    if staged in (pa.string(), TEXT):
        return "inet" if field.name.endswith("_addr") else "text"
    return next(name for fits, name in _OF_STAGED if fits(staged))


def limit_of(column: TableColumn, staged: pa.Field) -> Limit:
    """Return what a column holds of the rows that are delivered."""
    kind, required = staged.type, column.required
    base = column.type.partition("(")[0].removesuffix("[]")
    if pa.types.is_timestamp(kind):
        return Limit(low=_EARLIEST, required=required)
    if pa.types.is_date(kind):
        return Limit(low=_DATES[0], high=_DATES[1], required=required)
    if pa.types.is_integer(kind):
        bits = _INTEGERS.get(base)
        if bits is None:
            return Limit(required=required)
        return Limit(low=-(1 << bits), high=(1 << bits) - 1, required=required)
    texts = kind.value_type if pa.types.is_list(kind) else kind
    return (
        _limit_of_text(column, base) if texts in (pa.string(), TEXT) else Limit(required=required)
    )


def _limit_of_text(column: TableColumn, base: str) -> Limit:
    most = re.search(r"\((\d+)\)", column.type) if base in _TEXTS else None
    nul = {"json": ("", ""), "jsonb": (r"\u0000", _NUL_IN_JSON)}.get(base, ("\0", ""))
    return Limit(
        required=column.required,
        utf8=True,
        without=nul[0],
        harmful=nul[1],
        address=base in ("inet", "cidr"),
        networks=True,
        host_bits=base != "cidr",
        max_chars=int(most[1]) if most else None,
    )


def cast(name: str, column: TableColumn) -> str:
    """Return the expression for a column of the staged rows, in the type of the table's column."""
    base = column.type.partition("(")[0]
    # An explicit cast would cut a text that is too long, an assignment refuses it.
    return name if base in _TEXTS else f"{name}::{column.type}"
