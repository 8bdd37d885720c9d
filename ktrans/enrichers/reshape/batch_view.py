"""The columns of one batch as the reshaping enrichers look at them, and the rules of one attribute.

A rule turns columns into one array of the attribute's type. Rules work on distinct values where
texts are concerned, and on whole arrays elsewhere.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ktrans.flow.columns import as_text, coalesce_text, nulls
from ktrans.flow.protocols import PROTOCOL_KEYWORDS
from ktrans.flow.schema import TEXT, TIME
from ktrans.flow.target_schemas.attribute import TEXTS, Attribute
from ktrans.kit.columns import MISSING, coded, distinct

_compute: Any = pc
_KEYWORDS = pa.array([PROTOCOL_KEYWORDS.get(n, f"protocol {n}") for n in range(256)], pa.string())
_SIDE_CODES = {"src": 1, "dst": 2}
_REPORTERS = {"source": 1, "source_gateway": 1, "destination": 2, "destination_gateway": 2}
_DIRECTIONS = {"egress": 1, "ingress": 2}


class View:
    """One batch: columns by name, whatever type they came as, and what several rules share.

    Args:
        batch: the rows.
        settings: values of constants that depend on the config, by the name in `Attribute.value`.
    """

    def __init__(self, batch: pa.RecordBatch, settings: Mapping[str, Any]) -> None:
        self.rows = batch.num_rows
        self.settings = settings
        self._columns = dict(zip(batch.schema.names, batch.columns, strict=True))
        self._texts: dict[str, pa.DictionaryArray] = {}

    def column(self, name: str, kind: pa.DataType) -> pa.Array:
        """Return a column as a type; nulls if it is missing."""
        found = self._columns.get(name)
        if found is None:
            return nulls(self.rows, kind)
        if kind == TEXT:
            return self.text(name)
        return found if found.type == kind else found.cast(kind)

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
        left, right = (_filled(both.chunk(at).indices) for at in (0, 1))
        return only_where(own, (left != right) & (left >= 0) & (right >= 0))


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


def _filled(indices: pa.Array) -> np.ndarray:
    return np.asarray(indices.fill_null(-1) if indices.null_count else indices)


def valid(column: pa.Array) -> np.ndarray:
    """Return where a column has values."""
    if not column.null_count:
        return np.ones(len(column), bool)
    return np.asarray(column.is_valid())


# --- rules ---


def copy(view: View, attribute: Attribute) -> pa.Array:
    """Take the first column as it is."""
    return view.column(attribute.columns[0], attribute.kind)


def constant(view: View, attribute: Attribute) -> pa.Array:
    """Return the same value in every row; settings replace the values that they name."""
    value = attribute.value
    if isinstance(value, str):
        value = view.settings.get(value, value)
    if attribute.kind == TEXT:
        codes = pa.array(np.zeros(view.rows, np.int32))
        return pa.DictionaryArray.from_arrays(codes, pa.array([value], pa.string()))
    if attribute.kind == TEXTS:
        return lists_of([list(value)], np.zeros(view.rows, np.int32))
    return pa.array(np.full(view.rows, value), attribute.kind)


def lists_of(choices: Sequence[Sequence[str]], codes: np.ndarray) -> pa.Array:
    """Return each row one of a few lists of texts."""
    flat = [word for words in choices for word in words]
    starts = np.cumsum([0, *(len(words) for words in choices)])[:-1]
    lengths = np.array([len(words) for words in choices], np.int64)[codes]
    offsets = np.zeros(len(codes) + 1, np.int32)
    np.cumsum(lengths, out=offsets[1:])
    inner = np.arange(offsets[-1]) - np.repeat(offsets[:-1], lengths)
    picked = (np.repeat(starts[codes], lengths) + inner).astype(np.int32)
    words = pa.DictionaryArray.from_arrays(pa.array(picked), pa.array(flat, pa.string()))
    return pa.ListArray.from_arrays(pa.array(offsets), words)


def words(view: View, attribute: Attribute) -> pa.Array:
    """Look each distinct word up in the attribute's words; `...` as other keeps the word."""
    values, indices = distinct(view.words(attribute.columns[0]))
    given = values.to_pylist()
    keeps = attribute.other is ...
    made = [attribute.words.get(w, w if keeps else attribute.other) for w in given]
    made.append(attribute.words.get(None))
    if attribute.kind == TEXT:
        texts = [text for text in dict.fromkeys(made) if text is not None]
        places = {text: place for place, text in enumerate(texts)}
        codes = np.array([MISSING if text is None else places[text] for text in made], np.int32)
        return coded(codes[indices], pa.array(texts, pa.string()))
    numbers = np.array([0 if number is None else number for number in made])[indices]
    there = np.array([number is not None for number in made])[indices]
    return only_where(pa.array(numbers).cast(attribute.kind), there)


def first_text(view: View, attribute: Attribute) -> pa.Array:
    """Return the first column's text, else the second's."""
    return view.original(*attribute.columns[:2])


def first_time(view: View, attribute: Attribute) -> pa.Array:
    """Return the first of several times that is not null."""
    times = view.column(attribute.columns[0], TIME)
    for name in attribute.columns[1:]:
        if not times.null_count:
            break
        times = _compute.coalesce(times, view.column(name, TIME))
    return times


def millis(view: View, attribute: Attribute) -> pa.Array:
    """Return the first time as Unix milliseconds, rounded down."""
    return _floor(first_time(view, attribute), 1000)


def nanos(view: View, attribute: Attribute) -> pa.Array:
    """Return the first time as Unix nanoseconds."""
    return _compute.multiply(first_time(view, attribute).view(pa.int64()), 1000)


def _floor(times: pa.Array, divisor: int) -> pa.Array:
    micros = times.view(pa.int64())
    if not micros.null_count:
        return pa.array(np.asarray(micros) // divisor)
    there = valid(micros)
    return only_where(pa.array(np.asarray(micros.fill_null(0)) // divisor), there)


def seconds(view: View, attribute: Attribute) -> pa.Array:
    """Return a time as Unix seconds, rounded down."""
    return _floor(view.column(attribute.columns[0], TIME), 1_000_000)


def nanos_between(view: View, attribute: Attribute) -> pa.Array:
    """Return the nanoseconds from the second time to the first, never less than 0."""
    end, start = (view.column(name, TIME).view(pa.int64()) for name in attribute.columns)
    lasted = _compute.multiply(_compute.subtract(end, start), 1000)
    return _compute.max_element_wise(lasted, pa.scalar(0, pa.int64()), skip_nulls=False)


def total(view: View, attribute: Attribute) -> pa.Array:
    """Add the counters of both directions; null where one of them is not known."""
    there, back = (view.column(name, pa.int64()) for name in attribute.columns)
    if back.null_count == view.rows:
        return back
    return _compute.add(there, back)


def protocol_name(view: View, attribute: Attribute) -> pa.Array:
    """Return the IANA keyword of the protocol number; numbers without one are `protocol N`."""
    numbers = view.column(attribute.columns[0], pa.int32())
    return pa.DictionaryArray.from_arrays(numbers, _KEYWORDS, safe=False)


def number_text(view: View, attribute: Attribute) -> pa.Array:
    """Return a number as text."""
    numbers = view.column(attribute.columns[0], pa.int64()).dictionary_encode()
    return pa.DictionaryArray.from_arrays(numbers.indices, numbers.dictionary.cast(pa.string()))


def only_provider(provider: str) -> Callable[[View, Attribute], pa.Array]:
    """Make the rule for attributes that only one cloud's rows have."""

    def rule(view: View, attribute: Attribute) -> pa.Array:
        is_one = view.codes("provider", {provider: 1}, 0) == 1
        if not is_one.any():
            return nulls(view.rows, attribute.kind)
        if attribute.words:
            array = words(view, attribute)
        elif attribute.value == "seconds":
            array = seconds(view, attribute)
        elif attribute.value == "thousandth":
            array = _compute.divide(view.column(attribute.columns[0], pa.int64()), 1000)
        else:
            array = copy(view, attribute)
        return only_where(array, is_one)

    return rule


def distinct_texts(view: View, attribute: Attribute) -> pa.Array:
    """Return the texts of several columns as a list, each once, in the order of the columns."""
    columns = [view.text(name) for name in attribute.columns]
    columns = [column for column in columns if column.null_count < view.rows]
    if not columns:
        return nulls(view.rows, TEXTS)
    unified = pa.chunked_array(columns).unify_dictionaries()
    codes = np.stack([_filled(chunk.indices) for chunk in unified.chunks], axis=1)
    keep = codes >= 0
    for at in range(1, codes.shape[1]):
        for before in range(at):
            keep[:, at] &= codes[:, at] != codes[:, before]
    return text_lists(codes, keep, unified.chunk(unified.num_chunks - 1).dictionary)


def text_lists(codes: np.ndarray, keep: np.ndarray, values: pa.Array) -> pa.Array:
    """Make lists of texts of the kept codes of each row; a row without any is null."""
    counts = keep.sum(axis=1)
    offsets = np.zeros(len(codes) + 1, np.int32)
    np.cumsum(counts, out=offsets[1:])
    picked = np.ascontiguousarray(codes[keep], np.int32)
    texts = pa.DictionaryArray.from_arrays(pa.array(picked), values)
    empty = counts == 0
    mask = pa.array(empty) if empty.any() else None
    return pa.ListArray.from_arrays(pa.array(offsets), texts, mask=mask)


RULES: dict[str, Callable[[View, Attribute], pa.Array]] = {
    "copy": copy,
    "constant": constant,
    "words": words,
    "first_text": first_text,
    "first_time": first_time,
    "millis": millis,
    "nanos": nanos,
    "nanos_between": nanos_between,
    "total": total,
    "protocol_name": protocol_name,
    "number_text": number_text,
    "distinct": distinct_texts,
    "only_aws": only_provider("aws"),
    "only_gcp": only_provider("gcp"),
}
"""The rules that targets share, by the name that their tables use."""
