"""Flow rows while they are being built: what a log's own functions may look at and change."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import reduce

import pyarrow as pa

from ktrans.decoders.read.raw_columns import Path, RawColumns
from ktrans.decoders.values import Coerced, Wrong, text_of
from ktrans.flow.columns import coalesce_text


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
        wrong: values that could not be read: name of the value, rows, and a function that returns
            the value of a row as text.
    """

    raw: RawColumns
    wanted: frozenset[str]
    uri: str
    envelopes: tuple[Path, ...] = ((),)
    columns: dict[str, pa.Array] = field(default_factory=dict)
    attrs: dict[str, pa.DictionaryArray] = field(default_factory=dict)
    wrong: list[tuple[str, Wrong, Callable[[int], str]]] = field(default_factory=list)

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

    def take(self, name: Path, read: Callable[[pa.Array], Coerced], column: pa.Array) -> pa.Array:
        """Convert a raw column, and note the values that could not be read."""
        typed, wrong = read(column)
        if wrong is not None:
            self.wrong.append((".".join(name), wrong, lambda row: _shown(column, row)))
        return typed


def _shown(column: pa.Array, row: int) -> str:
    value = column[row].as_py()
    return "" if value is None else str(value)
