"""Describes the columns of the flow schema as plain data, and Arrow types in short words."""

from __future__ import annotations

from typing import Any

import pyarrow as pa

from ktrans.flow.schema import COLUMNS


def describe_columns() -> list[dict[str, str]]:
    """Return the columns of the flow schema as plain data."""
    return [
        {
            "name": column.name,
            "type": type_text(column.type),
            "unit": column.unit,
            "description": column.description,
            "source": column.source,
            "role": column.role,
        }
        for column in COLUMNS
    ]


def type_text(kind: Any) -> str:
    """Return a short name of an Arrow type; how the values are encoded is left out."""
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        return "text"
    if pa.types.is_timestamp(kind):
        return f"timestamp[{kind.unit}{', ' + kind.tz if kind.tz else ''}]"
    if pa.types.is_map(kind):
        return f"map of {type_text(kind.key_type)} to {type_text(kind.item_type)}"
    return str(kind)
