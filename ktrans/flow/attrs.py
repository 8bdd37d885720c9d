"""The `attrs` column: the fields of a record that have no column of their own."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from ktrans.flow.columns import nulls
from ktrans.flow.schema import ATTRS


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
    valid = [np.asarray(column.is_valid()) for _, column in present]
    counts = np.zeros(rows, dtype=np.int32)
    for mask in valid:
        counts += mask
    offsets = np.zeros(rows + 1, dtype=np.int32)
    np.cumsum(counts, out=offsets[1:])
    keys = np.empty(offsets[-1], dtype=np.int32)
    codes = np.empty(offsets[-1], dtype=np.int32)
    place = offsets[:-1].copy()
    base = 0
    for number, ((_, column), mask) in enumerate(zip(present, valid, strict=True)):
        where = place[mask]
        keys[where] = number
        codes[where] = np.asarray(column.indices.drop_null()) + base
        place += mask
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
