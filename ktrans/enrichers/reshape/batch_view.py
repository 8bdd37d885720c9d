"""The columns of one batch as the reshaping enrichers look at them."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ktrans.flow.columns import as_text, coalesce_text, nulls
from ktrans.flow.schema import TEXT
from ktrans.kit.columns import distinct
from ktrans.kit.flow_rules import DIRECTION_SIDES, REPORTER_SIDES

_compute: Any = pc
_REPORTERS = {reporter: side + 1 for reporter, side in REPORTER_SIDES.items()}
_DIRECTIONS = {direction: side + 1 for direction, side in DIRECTION_SIDES.items()}


class View:
    """One batch: columns by name, whatever type they came as, and what several rules share.

    Args:
        batch: the rows.
        options: those of the enricher, which are the values of constants named like them.
    """

    def __init__(self, batch: pa.RecordBatch, options: Mapping[str, Any]) -> None:
        self.rows = batch.num_rows
        self.options = options
        self._columns = dict(zip(batch.schema.names, batch.columns, strict=True))
        self._texts: dict[str, pa.DictionaryArray] = {}

    def column(self, name: str, kind: pa.DataType) -> pa.Array:
        """Return a column as a type; nulls if it is missing, and for numbers that the type lacks."""
        found = self._columns.get(name)
        if found is None:
            return nulls(self.rows, kind)
        if kind == TEXT:
            return self.text(name)
        return found if found.type == kind else _narrowed(found, kind)

    def text(self, name: str) -> pa.DictionaryArray:
        """Return a text column without nulls among its distinct values."""
        known = self._texts.get(name)
        if known is None:
            found = self._columns.get(name)
            known = nulls(self.rows, TEXT) if found is None else tidy_text(found)
            self._texts[name] = known
        return known

    def words(self, name: str) -> pa.Array:
        """Return a column of few values: a text column, or numbers as they are."""
        found = self._columns.get(name)
        whole = found is not None and pa.types.is_integer(found.type)
        return found if whole else self.text(name)

    def codes(self, name: str, words: Mapping[Any, int], other: int) -> np.ndarray:
        """Return each row's word as a number."""
        values, indices = distinct(self.text(name))
        table = [words.get(word, other) for word in values.to_pylist()]
        codes: np.ndarray = np.array([*table, words.get(None, other)], np.int32)[indices]
        return codes

    @cached_property
    def side(self) -> np.ndarray:
        """The side of each row's capture point: 1 source, 2 destination, 0 unknown."""
        by_reporter = self.codes("reporter", _REPORTERS, 0)
        if by_reporter.all():
            return by_reporter
        return np.where(by_reporter > 0, by_reporter, self.codes("direction", _DIRECTIONS, 0))

    def original(self, packet: str, address: str) -> pa.DictionaryArray:
        """Return the packet's own address if there is one, else the flow's."""
        return coalesce_text(self.text(packet), self.text(address))

    def differing(self, address: str, packet: str) -> pa.DictionaryArray:
        """Return the flow's address where the packet has another one; null elsewhere."""
        own, other = self.text(address), self.text(packet)
        if self.rows in {own.null_count, other.null_count}:
            return nulls(self.rows, TEXT)
        both = pa.chunked_array([own, other]).unify_dictionaries()
        left, right = (codes_of(both.chunk(at).indices) for at in (0, 1))
        return only_where(own, (left != right) & (left >= 0) & (right >= 0))


def _narrowed(column: pa.Array, kind: pa.DataType) -> pa.Array:
    """Return a column as a type; null for integers that do not fit it, which `derive` can make."""
    try:
        return column.cast(kind)
    except pa.ArrowInvalid:
        if not (pa.types.is_integer(kind) and pa.types.is_integer(column.type)):
            raise
    own, other = (np.iinfo(each.to_pandas_dtype()) for each in (column.type, kind))
    low, high = max(own.min, other.min), min(own.max, other.max)
    fits = _compute.and_(
        _compute.greater_equal(column, pa.scalar(low, column.type)),
        _compute.less_equal(column, pa.scalar(high, column.type)),
    )
    return _compute.if_else(fits, column, pa.scalar(None, column.type)).cast(kind)


def tidy_text(column: pa.Array) -> pa.DictionaryArray:
    """Return a column of any text type as TEXT, without nulls in its dictionary."""
    if pa.types.is_null(column.type):
        return nulls(len(column), TEXT)
    column = as_text(column)
    if column.dictionary.null_count:
        column = column.cast(pa.string()).dictionary_encode()
    return column


def only_where(column: pa.Array, mask: np.ndarray) -> pa.Array:
    """Return a column with null wherever the mask is False."""
    if mask.all():
        return column
    if not mask.any():
        return nulls(len(column), column.type)
    if isinstance(column, pa.DictionaryArray):
        codes = only_where(column.indices, mask)
        return pa.DictionaryArray.from_arrays(codes, column.dictionary)
    return _compute.if_else(pa.array(mask), column, pa.scalar(None, column.type))


def codes_of(indices: pa.Array) -> np.ndarray:
    """Return the codes of a dictionary array, -1 for null."""
    return np.asarray(indices.fill_null(-1) if indices.null_count else indices)


def valid(column: pa.Array) -> np.ndarray:
    """Return where a column has values."""
    if not column.null_count:
        return np.ones(len(column), bool)
    return np.asarray(column.is_valid())
