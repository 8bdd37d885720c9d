"""Finds the values of Parquet columns by path, as a reader of JSON records would have found them."""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ktrans.decoders.read.python_values import plain, python_values
from ktrans.decoders.read.raw_columns import Path
from ktrans.flow.maps import exploded
from ktrans.flow.schema import ATTRS

_compute: Any = pc
_PAIR = 2


def leaf_name(schema: pa.Schema, path: Path) -> str:
    """Return the dotted name of the column of a value, as deep as there are structs."""
    kind: Any = schema.field(path[0]).type
    depth = 1
    while depth < len(path) and pa.types.is_struct(kind):
        if kind.get_field_index(path[depth]) < 0:
            break
        kind = kind.field(path[depth]).type
        depth += 1
    return ".".join(path[:depth])


def values_by_path(batch: pa.RecordBatch) -> dict[Path, pa.Array]:
    """Return the values of nested columns by path."""
    found: dict[Path, pa.Array] = {}
    for name, column in zip(batch.schema.names, batch.columns, strict=True):
        _add(found, (name,), column)
    return found


def _add(found: dict[Path, pa.Array], path: Path, column: pa.Array) -> None:
    kind = column.type
    if pa.types.is_struct(kind):
        for index, child in enumerate(column.flatten()):
            _add(found, (*path, kind.field(index).name), child)
    elif pa.types.is_map(kind) and pa.types.is_string(kind.key_type):
        texts = column if kind == ATTRS else None
        if texts is None and pa.types.is_string(kind.item_type):
            texts = column.cast(ATTRS)
        if texts is None:
            found[path] = _as_json(column)
            return
        for key, values in exploded(texts).items():
            found[(*path, key)] = values
    elif _is_list(kind) and _is_list(kind.value_type):
        _add_pairs(found, path, column)
    elif pa.types.is_nested(kind):
        found[path] = _texts_as_json(column) if _is_list(kind) else _as_json(column)
    else:
        found[path] = _scalar(column)


def _scalar(column: pa.Array) -> pa.Array:  # noqa: PLR0911 - one return a type reads best
    """Return a column in the type that a JSON parser would have made of it."""
    kind = column.type
    if pa.types.is_dictionary(kind):
        return _scalar(column.cast(kind.value_type))
    if pa.types.is_timestamp(kind):
        return column.cast(pa.timestamp("us", kind.tz), safe=False).cast(pa.int64())
    if pa.types.is_floating(kind):
        values = column.cast(pa.float64())
        return _compute.if_else(_compute.is_nan(values), pa.scalar(None, pa.float64()), values)
    if pa.types.is_uint64(kind):
        return column.cast(pa.string())
    if pa.types.is_integer(kind):
        return column.cast(pa.int64())
    if pa.types.is_boolean(kind):
        return column
    if pa.types.is_binary(kind) or pa.types.is_large_binary(kind):
        return _as_json(column)
    return column.cast(pa.string())


def _is_list(kind: pa.DataType) -> bool:
    return bool(pa.types.is_list(kind) or pa.types.is_large_list(kind))


def _add_pairs(found: dict[Path, pa.Array], path: Path, column: pa.Array) -> None:
    """Add lists of (name, value) pairs, as some tools write maps, like a map."""
    pairs = column.flatten()
    texts = pairs.flatten()
    two = np.asarray(_compute.list_value_length(pairs).fill_null(0)) == _PAIR
    if not (two.all() and pa.types.is_string(texts.type)):
        found[path] = _as_json(column)
        return
    names = texts.take(pa.array(np.arange(0, len(texts), _PAIR)))
    if names.null_count:
        found[path] = _as_json(column)
        return
    values = texts.take(pa.array(np.arange(1, len(texts), _PAIR)))
    lengths = np.asarray(_compute.list_value_length(column).fill_null(0))
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32)
    maps = pa.MapArray.from_arrays(pa.array(offsets), names, values, type=ATTRS)
    for key, each in exploded(maps).items():
        found[(*path, key)] = each


def _texts_as_json(column: pa.Array) -> pa.Array:
    """Return lists of texts as JSON; an empty list is null."""
    values = column.flatten()
    if pa.types.is_dictionary(values.type):
        plain = pa.list_(pa.string())
        column, values = column.cast(plain), values.cast(pa.string())
    if not pa.types.is_string(values.type) or values.null_count:
        return _as_json(column)
    if _compute.any(_compute.match_substring_regex(values, r'["\\[:cntrl:]]')).as_py():
        return _as_json(column)
    quote, end = pa.scalar('["', pa.string()), pa.scalar('"]', pa.string())
    inner = _compute.binary_join(column, pa.scalar('","', pa.string()))
    whole = _compute.binary_join_element_wise(quote, inner, end, pa.scalar("", pa.string()))
    empty = _compute.equal(_compute.list_value_length(column), pa.scalar(0, pa.int32()))
    return _compute.if_else(empty, pa.scalar(None, pa.string()), whole)


def _as_json(column: pa.Array) -> pa.Array:
    """Return values of any type as JSON, one by one: for what is rare in flow logs."""
    texts = [
        None if value is None else msgspec.json.encode(plain(value), enc_hook=str).decode()
        for value in python_values(column)
    ]
    return pa.array(texts, pa.string())
