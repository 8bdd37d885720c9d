"""Maps of texts by columns, as in `attrs`: built, taken apart, extended."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ktrans.flow.columns import nulls, raw_values
from ktrans.flow.schema import ATTRS

_compute: Any = pc


def build_attrs(fields: Sequence[tuple[str, pa.DictionaryArray]], rows: int) -> pa.Array:
    """Make the map column from text columns.

    Each row's entries are scattered to their places column by column, so the cost follows the
    number of values that are there, not rows times fields.

    Args:
        fields: name and text column of each field, in the order wanted within a row.
        rows: how many rows they have.

    Returns:
        A map<utf8, utf8> array; a field that is null in a row is absent from its map, and a row
        with no field at all is null.
    """
    present = [(name, column) for name, column in fields if column.null_count < rows]
    if not present:
        return nulls(rows, ATTRS)
    valid = [np.asarray(column.is_valid()) if column.null_count else None for _, column in present]
    counts = np.full(rows, sum(mask is None for mask in valid), dtype=np.int32)
    for mask in valid:
        if mask is not None:
            counts += mask
    offsets = np.zeros(rows + 1, dtype=np.int32)
    np.cumsum(counts, out=offsets[1:])
    keys = np.empty(offsets[-1], dtype=np.int32)
    codes = np.empty(offsets[-1], dtype=np.int32)
    place = offsets[:-1].copy()
    base = 0
    for number, ((_, column), mask) in enumerate(zip(present, valid, strict=True)):
        where, own = place, raw_values(column.indices)
        if mask is not None:
            where, own = place[mask], own[mask]
        keys[where] = number
        codes[where] = own + base
        place += 1 if mask is None else mask
        base += len(column.dictionary)
    names = pa.array([name for name, _ in present], pa.string())
    values = pa.concat_arrays([column.dictionary for _, column in present])
    return pa.MapArray.from_arrays(
        pa.array(offsets),
        names.take(pa.array(keys)),
        values.take(pa.array(codes)),
        type=ATTRS,
        mask=pa.array(counts == 0),
    )


def constant_attrs(fields: Mapping[str, str], rows: int) -> pa.Array:
    """Return the map column whose rows all have the same fields."""
    if not fields:
        return nulls(rows, ATTRS)
    offsets = np.arange(rows + 1, dtype=np.int32) * np.int32(len(fields))
    order = pa.array(np.tile(np.arange(len(fields), dtype=np.int32), rows))
    names, values = (
        pa.array(list(fields), pa.string()),
        pa.array(list(fields.values()), pa.string()),
    )
    return pa.MapArray.from_arrays(
        pa.array(offsets), names.take(order), values.take(order), type=ATTRS
    )


def entries(maps: pa.Array) -> tuple[np.ndarray, pa.Array, pa.Array]:
    """Return the offsets, keys and values of a map column.

    Returns:
        Offsets of the rows' entries (one more than rows), the keys and the values of all entries.
        A null row has no entries.
    """
    offsets = np.asarray(maps.offsets)
    if maps.null_count and np.diff(offsets)[np.asarray(maps.is_null())].any():
        maps = maps.take(pa.array(np.arange(len(maps))))
        offsets = np.asarray(maps.offsets)
    first, count = int(offsets[0]), int(offsets[-1] - offsets[0])
    keys, items = maps.keys, maps.items
    if len(keys) != count:
        keys, items = keys.slice(first, count), items.slice(first, count)
    return offsets - first, keys, items


def map_value(maps: pa.Array, key: str) -> tuple[np.ndarray, pa.Array]:
    """Find one key.

    Returns:
        The rows that have it, and its text in each of these.
    """
    if maps.null_count == len(maps):
        return np.empty(0, np.int64), pa.array([], pa.string())
    offsets, keys, items = entries(maps)
    places = np.flatnonzero(np.asarray(_compute.equal(keys, key)))
    rows = np.searchsorted(offsets, places, side="right") - 1
    return rows, items.take(pa.array(places))


def extended(maps: pa.Array, fields: Sequence[tuple[str, pa.DictionaryArray]]) -> pa.Array:
    """Append entries to maps.

    Args:
        maps: of type map<utf8, utf8>.
        fields: name and text column of each further entry; null where a row has none.
    """
    rows = len(maps)
    fields = [(name, column) for name, column in fields if column.null_count < rows]
    if not fields:
        return maps
    more = build_attrs(fields, rows)
    if maps.null_count == rows:
        return more
    parts = [entries(maps), entries(more)]
    counts = [np.diff(offsets) for offsets, _, _ in parts]
    ends = np.zeros(rows + 1, np.int32)
    np.cumsum(counts[0] + counts[1], out=ends[1:])
    order = np.empty(ends[-1], np.int64)
    shift = 0
    for (offsets, keys, _), count, start in zip(
        parts, counts, (ends[:-1], ends[:-1] + counts[0]), strict=True
    ):
        within = np.arange(offsets[-1]) - np.repeat(offsets[:-1], count)
        order[np.repeat(start, count) + within] = np.arange(offsets[-1]) + shift
        shift += len(keys)
    keys, items = (
        pa.concat_arrays([parts[0][at], parts[1][at]]).take(pa.array(order)) for at in (1, 2)
    )
    empty = np.diff(ends) == 0
    mask = pa.array(empty) if empty.any() else None
    return pa.MapArray.from_arrays(pa.array(ends), keys, items, type=ATTRS, mask=mask)


def renamed(maps: pa.Array, change: Callable[[str], str]) -> pa.Array:
    """Rename keys of maps; `change` is called once for each distinct key."""
    if maps.null_count == len(maps):
        return nulls(len(maps), ATTRS)
    offsets, keys, items = entries(maps)
    coded = keys.dictionary_encode()
    old = coded.dictionary.to_pylist()
    new = [change(key) for key in old]
    if new == old:
        return maps
    keys = pa.array(new, pa.string()).take(coded.indices)
    mask = maps.is_null() if maps.null_count else None
    return pa.MapArray.from_arrays(
        pa.array(offsets.astype(np.int32)), keys, items, type=ATTRS, mask=mask
    )


def exploded(maps: pa.Array) -> dict[str, pa.Array]:
    """Return a plain text column for each key; of a duplicate key in a row the last counts."""
    if maps.null_count == len(maps):
        return {}
    offsets, keys, items = entries(maps)
    coded = keys.dictionary_encode()
    codes = np.asarray(coded.indices)
    rows = np.repeat(np.arange(len(maps)), np.diff(offsets))
    columns = {}
    for code, key in enumerate(coded.dictionary.to_pylist()):
        places = np.flatnonzero(codes == code)
        chosen = np.full(len(maps), -1, np.int64)
        chosen[rows[places]] = places
        picks = pa.array(np.maximum(chosen, 0), mask=chosen < 0)
        columns[key] = items.take(picks)
    return columns
