"""Columns of synthetic records, and their conversion to lines of text or Arrow columns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

Ints = npt.NDArray[np.int64]
Codes = npt.NDArray[np.int32]


@dataclass(frozen=True, slots=True)
class Coded:
    """A text column by its distinct values.

    Attributes:
        values: distinct texts.
        codes: index into them, one a row. Columns that depend on the same thing (the host) share
            one codes array, and their distinct values are joined instead of their rows.
    """

    values: pa.Array
    codes: Codes

    @classmethod
    def of(cls, values: Sequence[str], codes: npt.NDArray[Any]) -> Coded:
        """Make a column of texts picked by codes."""
        return cls(pa.array(values, pa.string()), codes.astype(np.int32, copy=False))

    def array(self) -> pa.Array:
        """Return one text a row."""
        return self.values.take(pa.array(self.codes))


Column: TypeAlias = Coded | Ints | str | pa.StringArray
"""Texts by code, whole numbers, one text for all rows, or one for each."""


def as_array(column: Column, rows: int) -> pa.Array:
    """Return a column as an Arrow array: text, or int64."""
    if isinstance(column, str):
        return pa.repeat(pa.scalar(column, pa.string()), rows)
    return column.array() if isinstance(column, Coded) else pa.array(column)


def join(columns: Sequence[Column], rows: int, separator: str) -> pa.Array:
    """Join columns to one text for each row; neighbours with the same codes are joined by value."""
    parts: list[Column] = []
    for column in columns:
        last = parts[-1] if parts else None
        merged = None if last is None else _merge(last, column, separator)
        if merged is None:
            parts.append(column)
        else:
            parts[-1] = merged
    arrays = [_text(part) for part in parts]
    if all(isinstance(array, pa.StringScalar) for array in arrays):
        return as_array(str(pc.binary_join_element_wise(*arrays, separator)), rows)
    return pc.binary_join_element_wise(*arrays, separator)


def _text(column: Column) -> pa.Array | pa.StringScalar:
    if isinstance(column, pa.Array):
        return column
    if isinstance(column, str):
        return pa.scalar(column, pa.string())
    return column.array() if isinstance(column, Coded) else pc.cast(pa.array(column), pa.string())


def _merge(left: Column, right: Column, separator: str) -> Column | None:
    if isinstance(left, str) and isinstance(right, str):
        return f"{left}{separator}{right}"
    if isinstance(left, Coded) and isinstance(right, str):
        tail = pa.scalar(right, pa.string())
        return Coded(pc.binary_join_element_wise(left.values, tail, separator), left.codes)
    if isinstance(left, str) and isinstance(right, Coded):
        head = pa.scalar(left, pa.string())
        return Coded(pc.binary_join_element_wise(head, right.values, separator), right.codes)
    if isinstance(left, Coded) and isinstance(right, Coded) and left.codes is right.codes:
        return Coded(pc.binary_join_element_wise(left.values, right.values, separator), left.codes)
    return None


def replace(lines: pa.Array, mask: npt.NDArray[np.bool_], new: pa.Array) -> pa.Array:
    """Replace lines where the mask is true."""
    return pc.replace_with_mask(lines, pa.array(mask), new) if mask.any() else lines
