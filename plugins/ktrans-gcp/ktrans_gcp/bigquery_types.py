"""Types of BigQuery for columns of Arrow.

Source: BigQuery documentation, "Supported protocol buffer and Arrow data types".
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from ktrans.api import ConfigError
from ktrans.kit.rows.json import check_json, json_text

_compute: Any = pc
_TIMES = ("start_time", "end_time", "logged_at")
Field = dict[str, str]
"""A column as the API describes it: `name`, `type` and `mode`."""

_SENT = (
    (pa.types.is_uint64, pa.decimal128(20, 0)),
    (pa.types.is_integer, pa.int64()),
    (pa.types.is_floating, pa.float64()),
    (pa.types.is_date, pa.date32()),
    (pa.types.is_binary, pa.binary()),
    (pa.types.is_large_binary, pa.binary()),
)
_ALIASES = {"INT64": "INTEGER", "FLOAT64": "FLOAT", "BOOL": "BOOLEAN"}


def described(schema: pa.Schema) -> list[Field]:
    """Return the columns of a table for rows.

    Raises:
        ConfigError: a column's type has no form in BigQuery, or names repeat.
    """
    check_json(schema)
    found = []
    for field in schema:
        kind = delivered_type(field.type)
        repeated = pa.types.is_list(kind)
        name = _name_of(kind.value_type if repeated else kind)
        if pa.types.is_nested(field.type) and not repeated:
            name = "JSON"
        mode = "REPEATED" if repeated else "NULLABLE"
        found.append({"name": field.name, "type": name, "mode": mode})
    return found


def delivered_type(kind: pa.DataType) -> pa.DataType:
    """Return the type in which a column is sent: maps and structs as JSON, lists of scalars as lists."""
    if pa.types.is_dictionary(kind):
        return delivered_type(kind.value_type)
    if pa.types.is_timestamp(kind):
        return pa.timestamp("us", None if kind.tz is None else "UTC")
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        scalar = not pa.types.is_nested(kind.value_type)
        return pa.list_(delivered_type(kind.value_type)) if scalar else pa.string()
    if pa.types.is_boolean(kind) or pa.types.is_decimal128(kind):
        return kind
    return next((sent for is_it, sent in _SENT if is_it(kind)), pa.string())


def _name_of(kind: pa.DataType) -> str:
    names = (
        (pa.types.is_integer, "INT64"),
        (pa.types.is_floating, "FLOAT64"),
        (pa.types.is_boolean, "BOOL"),
        (pa.types.is_decimal, "NUMERIC"),
        (pa.types.is_date, "DATE"),
        (pa.types.is_binary, "BYTES"),
    )
    if pa.types.is_timestamp(kind):
        return "DATETIME" if kind.tz is None else "TIMESTAMP"
    return next((name for is_it, name in names if is_it(kind)), "STRING")


def delivered(batch: pa.RecordBatch, schema: pa.Schema) -> pa.RecordBatch:
    """Return rows in the types in which they are sent."""
    columns = [
        _converted(column, field.type) for column, field in zip(batch.columns, schema, strict=True)
    ]
    return pa.RecordBatch.from_arrays(columns, schema=schema)


def delivered_schema(schema: pa.Schema) -> pa.Schema:
    """Return the schema of rows as they are sent."""
    return pa.schema([(field.name, delivered_type(field.type)) for field in schema])


def _converted(column: pa.Array, kind: pa.DataType) -> pa.Array:
    have = column.type
    if have == kind:
        return column
    if pa.types.is_string(kind) and (pa.types.is_nested(have) or not _castable(have)):
        return json_text(column)
    # Digits below a microsecond have no place.
    return column.cast(kind, safe=not (pa.types.is_timestamp(have) and have.unit == "ns"))


def _castable(kind: pa.DataType) -> bool:
    if pa.types.is_dictionary(kind):
        return _castable(kind.value_type)
    return bool(
        pa.types.is_string(kind)
        or pa.types.is_large_string(kind)
        or pa.types.is_string_view(kind)
        or pa.types.is_null(kind)
    )


def time_column(chosen: str | None, schema: pa.Schema) -> str | None:
    """Return the column by which a table is partitioned; None for none."""
    return next((each for each in (chosen, *_TIMES) if each and each in schema.names), None)


def check_table(wanted: Sequence[Field], table: Sequence[Field], name: str) -> None:
    """Check that a table has a column of the right type for each of the rows, and needs no others.

    Raises:
        ConfigError: it does not.
    """
    have = {field["name"].lower(): field for field in table}
    missing = [field for field in wanted if field["name"].lower() not in have]
    if missing:
        added = ", ".join(f"ADD COLUMN {column_text(field)}" for field in missing)
        raise ConfigError(
            f"table {name} has no column {missing[0]['name']!r}",
            field="table",
            code="bigquery_columns",
            hint=f"ALTER TABLE `{name}` {added}; or leave it out with `columns:` of the sink",
        )
    for field in wanted:
        found = have[field["name"].lower()]
        if _kind(found) != _kind(field):
            raise ConfigError(
                f"table {name}: column {field['name']!r} is {column_text(found)}, and the rows have"
                f" {column_text(field)}",
                field="table",
                code="bigquery_columns",
                hint="change the table, or convert the column with a derive enricher",
            )
    names = {field["name"].lower() for field in wanted}
    for key, field in have.items():
        if field.get("mode") == "REQUIRED" and key not in names:
            raise ConfigError(
                f"table {name} requires the column {field['name']!r}, which the rows do not have",
                field="table",
                code="bigquery_columns",
                hint="let it be null, or add it with a derive enricher",
            )


def _kind(field: Field) -> tuple[str, bool]:
    kind = field["type"].upper()
    return _ALIASES.get(kind, kind), field.get("mode") == "REPEATED"


def column_text(field: Field) -> str:
    """Return a column as SQL describes it."""
    kind = field["type"]
    return f"`{field['name']}` " + (f"ARRAY<{kind}>" if field.get("mode") == "REPEATED" else kind)
