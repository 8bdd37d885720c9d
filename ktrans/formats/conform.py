"""Casts batches to the schema of a container file, and lists its leaves."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pyarrow as pa

from ktrans.api import ConfigError
from ktrans.kit.rows.codes import compact

_REFUSED = (pa.ArrowInvalid, pa.ArrowNotImplementedError, pa.ArrowTypeError)


def storable(schema: pa.Schema, target: str, attempt: Callable[[pa.Schema], object]) -> None:
    """Check that a container can store all columns, by writing an empty file.

    `attempt` writes an empty file with a schema, or raises; `target` is for the message.

    Raises:
        ConfigError: names the first column that cannot be stored.
    """
    try:
        attempt(schema)
    except _REFUSED:
        suspects = schema
    else:
        suspects = pa.schema([])
    for field in suspects:
        try:
            attempt(pa.schema([field]))
        except _REFUSED as error:
            raise ConfigError(
                f"column {field.name!r} of type {field.type} cannot be stored in {target}",
                code="type_not_supported",
                hint="leave it out or cast it with a select or derive enricher",
            ) from error


def conform(batch: pa.RecordBatch, schema: pa.Schema) -> pa.RecordBatch:
    """Return the batch in exactly this schema, its dictionaries without nulls and unused values.

    Plain text is cast to a dictionary where the schema has one, and the other way round.

    Raises:
        pa.ArrowInvalid: a value does not fit the schema's type.
        KeyError: a column is missing.
    """
    names = batch.schema.names
    columns = []
    for index, field in enumerate(schema):
        aligned = index < len(names) and names[index] == field.name
        column = batch.column(index if aligned else field.name)
        columns.append(_conform(column, field.type))
    return pa.RecordBatch.from_arrays(columns, schema=schema)


def _conform(column: Any, kind: pa.DataType) -> pa.Array:
    if not pa.types.is_dictionary(kind):
        return column if column.type == kind else column.cast(kind)
    if not pa.types.is_dictionary(column.type):
        return column.cast(kind.value_type).dictionary_encode().cast(kind)
    if column.dictionary.null_count:
        # A null among the values is legal in Arrow, but Parquet's writer refuses it.
        column = column.cast(column.type.value_type).dictionary_encode()
    column = compact(column)
    return column if column.type == kind else column.cast(kind)


def leaves(name: str, kind: pa.DataType) -> dict[str, pa.DataType]:
    """Return a column's leaves by their paths in Parquet."""
    if pa.types.is_map(kind):
        return {
            **leaves(f"{name}.key_value.key", kind.key_type),
            **leaves(f"{name}.key_value.value", kind.item_type),
        }
    if pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind):
        return leaves(f"{name}.list.element", kind.value_type)
    if pa.types.is_struct(kind):
        members: dict[str, pa.DataType] = {}
        for field in kind:
            members |= leaves(f"{name}.{field.name}", field.type)
        return members
    return {name: kind}
