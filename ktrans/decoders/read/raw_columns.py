"""The columns of some records as a reader found them, before they become flow columns."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec
import numpy as np
import pyarrow as pa

from ktrans.decoders.read.faults import Faults
from ktrans.flow.columns import constant_text

Path = tuple[str, ...]
"""The place of a value in a record: the names of the objects around it, and its own."""


class RawColumns(msgspec.Struct):
    """The columns of some records, by path.

    Attributes:
        rows: number of records.
        lines: 0-based line of each record in its block; None if the block has no other lines.
        columns: values by path: text, integers, doubles, booleans; nested values are JSON text.
        faults: lines that could not be read as records.
        canonical: paths of addresses that were checked as they were read, and are in canonical form.
    """

    rows: int
    lines: np.ndarray | None
    columns: dict[Path, pa.Array]
    faults: Faults = msgspec.field(default_factory=Faults)
    canonical: frozenset[Path] = frozenset()

    def take(self, kept: np.ndarray) -> RawColumns:
        """Return the rows at these places."""
        places = pa.array(kept)
        lines = kept if self.lines is None else self.lines[kept]
        columns = {path: column.take(places) for path, column in self.columns.items()}
        return RawColumns(len(kept), lines, columns, self.faults, self.canonical)


class Shape(msgspec.Struct, frozen=True):
    """The values to read from a record.

    Attributes:
        parents: objects whose members are read as values; other nested values become JSON text.
        paths: values to read, with their likely types; None reads all values.
        numbers: values to read as numbers; other numbers stay text, as they are written.
    """

    parents: frozenset[Path]
    paths: Mapping[Path, pa.DataType] | None = None
    numbers: frozenset[Path] = frozenset()


def added_column(value: str | pa.Array, raw: RawColumns) -> pa.Array:
    """Return a value that the records do not have themselves as a column of those that were read.

    Args:
        value: one text for all records, or a column with a value for each line.
        raw: the records that were read.
    """
    if isinstance(value, str):
        return constant_text(value, raw.rows)
    return value if raw.lines is None else value.take(pa.array(raw.lines))
