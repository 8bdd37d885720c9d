"""Flow rows while they are being built: what a log's own functions may look at and change."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from functools import reduce

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ktrans.decoders.flow_rule import REQUIRED, ZERO_DATE
from ktrans.decoders.read.raw_columns import Path, RawColumns
from ktrans.decoders.texts import where
from ktrans.decoders.values import Coerced, Wrong, text_of
from ktrans.flow.columns import coalesce_text
from ktrans.flow.schema import TEXT


@dataclass(frozen=True, slots=True)
class Unread:
    """The values of one field that could not be read.

    Attributes:
        name: path of the field, dotted.
        column: the flow column that it is for.
        wrong: the rows, and why.
        values: the field as it was read.
        zero_dates: whether all of them are dates of zeros, which stand for no date.
    """

    name: str
    column: str
    wrong: Wrong
    values: pa.Array
    zero_dates: bool = False

    @property
    def costs_rows(self) -> bool:
        """Whether the rows are rejected, or only their column is null."""
        return self.column in REQUIRED and not self.zero_dates

    def split(self) -> Iterator[Unread]:
        """Yield the dates of all zeros, as databases write for no date, apart from other values."""
        zero = np.fromiter(
            (self.shown(row).startswith(ZERO_DATE) for row in self.wrong.rows.tolist()), bool
        )
        if self.column != "start_time" or not zero.any():
            yield self
            return
        for chosen, zeros in ((zero, True), (~zero, False)):
            if chosen.any():
                reasons = np.array(self.wrong.reasons)[chosen].tolist()
                yield replace(
                    self, wrong=Wrong(self.wrong.rows[chosen], tuple(reasons)), zero_dates=zeros
                )

    def shown(self, row: int) -> str:
        """Return the value of a row as text."""
        value = self.values[row].as_py()
        return "" if value is None else str(value)

    def texts(self, rows: int) -> pa.DictionaryArray:
        """Return the values that could not be read as text, null in the other rows.

        Args:
            rows: number of rows.
        """
        text = text_of(self.values, ())
        there = np.zeros(rows, dtype=bool)
        there[self.wrong.rows] = True
        return where(text, there)


REPORTERS = {"ingress": "destination", "egress": "source"}
"""Which side of a flow reports it, by its direction."""


def merged(first: pa.Array, second: pa.Array) -> pa.Array:
    """Return the first column's values, and the second's where the first has none."""
    if first.null_count == 0:
        return first
    return (coalesce_text if second.type == TEXT else pc.coalesce)(first, second)


@dataclass(slots=True)
class PartialRows:
    """The rows of one block while they are being built.

    Attributes:
        raw: the values as they were read.
        wanted: the flow columns to fill.
        uri: the object.
        envelopes: objects that a record may be in, by path from the top.
        columns: the flow columns so far.
        attrs: attributes to add or replace, by name.
        unread: values that could not be read.
    """

    raw: RawColumns
    wanted: frozenset[str]
    uri: str
    envelopes: tuple[Path, ...] = ((),)
    columns: dict[str, pa.Array] = field(default_factory=dict)
    attrs: dict[str, pa.DictionaryArray] = field(default_factory=dict)
    unread: list[Unread] = field(default_factory=list)

    @property
    def rows(self) -> int:
        """Number of rows."""
        return self.raw.rows

    def values(self, *path: str) -> Iterator[tuple[Path, pa.Array]]:
        """Yield the full path and the raw column of a value, for each envelope that has it."""
        for envelope in self.envelopes:
            column = self.raw.columns.get(envelope + path)
            if column is not None:
                yield envelope + path, column

    def text(self, *path: str) -> pa.DictionaryArray | None:
        """Return a value as text; None if no row has it."""
        found = [text_of(column) for _, column in self.values(*path)]
        return reduce(coalesce_text, found) if found else None

    def fill(self, column: str, values: pa.Array | None) -> None:
        """Fill a flow column where it has no values."""
        if values is not None:
            given = self.columns.get(column)
            self.columns[column] = values if given is None else merged(given, values)

    def take(
        self, name: Path, read: Callable[[pa.Array], Coerced], column: pa.Array, target: str
    ) -> pa.Array:
        """Convert a raw column for a flow column, and note the values that could not be read."""
        typed, wrong = read(column)
        if wrong is not None:
            self.unread.append(Unread(".".join(name), target, wrong, column))
        return typed
