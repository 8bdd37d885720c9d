"""The rules by which the attributes of target schemas are computed from a batch.

A rule turns columns into one array of the attribute's type. Rules work on distinct values of texts,
and on whole arrays elsewhere.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ktrans.enrichers.reshape.batch_view import View, codes_of, only_where, valid
from ktrans.flow.columns import nulls
from ktrans.flow.protocols import PROTOCOL_KEYWORDS
from ktrans.flow.schema import BY_NAME, TEXT, TIME
from ktrans.flow.target_schemas.attribute import TEXTS, Attribute
from ktrans.kit.columns import MISSING, coded, distinct

_compute: Any = pc
_KEYWORDS = pa.array([PROTOCOL_KEYWORDS.get(n, f"protocol {n}") for n in range(256)], pa.string())


def copy(view: View, attribute: Attribute) -> pa.Array:
    """Take the first column as it is."""
    return view.column(attribute.columns[0], attribute.kind)


def constant(view: View, attribute: Attribute) -> pa.Array:
    """Return the same value in every row; that of an option, if it is the name of one."""
    value = attribute.value
    if isinstance(value, str):
        value = view.options.get(value, value)
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
    """Return the first time as Unix seconds, rounded down."""
    return _floor(first_time(view, attribute), 1_000_000)


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
    """Return the IANA keyword of the protocol number; numbers without one are `protocol N`.

    Numbers beyond a byte, which `derive` can make, are no protocol: their name is null.
    """
    numbers = view.column(attribute.columns[0], pa.int32())
    bounds = _compute.min_max(numbers)
    low, high = bounds["min"].as_py(), bounds["max"].as_py()
    if low is not None and (low < 0 or high >= len(_KEYWORDS)):
        values = np.asarray(numbers.fill_null(-1))
        numbers = only_where(numbers, (values >= 0) & (values < len(_KEYWORDS)))
    return pa.DictionaryArray.from_arrays(numbers, _KEYWORDS, safe=False)


def number_text(view: View, attribute: Attribute) -> pa.Array:
    """Return a number as text."""
    numbers = view.column(attribute.columns[0], pa.int64()).dictionary_encode()
    return pa.DictionaryArray.from_arrays(numbers.indices, numbers.dictionary.cast(pa.string()))


def as_texts(view: View, names: Sequence[str]) -> list[tuple[str, pa.DictionaryArray]]:
    """Return flow columns as texts by name, without numbers that are null in all rows."""
    texts = []
    for name in names:
        if BY_NAME[name].type == TEXT:
            texts.append((name, view.text(name)))
        elif view.column(name, pa.int64()).null_count < view.rows:
            texts.append((name, number_text(view, Attribute((name,), TEXT, (name,)))))
    return texts


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
    codes = np.stack([codes_of(chunk.indices) for chunk in unified.chunks], axis=1)
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
    **{
        rule.__name__: rule
        for rule in (
            copy, constant, words, first_text, first_time, seconds, millis, nanos, nanos_between,
            total, protocol_name, number_text,
        )
    },
    "distinct": distinct_texts,
    "only_aws": only_provider("aws"),
    "only_gcp": only_provider("gcp"),
}  # fmt: skip
"""The rules that targets share, by the name that their tables use."""
