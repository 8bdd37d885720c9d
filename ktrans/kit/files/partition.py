"""Splits a batch by the folders of its rows, by columns."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ktrans.api import ConfigError
from ktrans.kit.files.path_template import Key, PathTemplate, Slot, safe_value

_compute: Any = pc
K = TypeVar("K")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def check_columns(template: PathTemplate, schema: pa.Schema) -> None:
    """Check that the rows have the columns that the template needs.

    Raises:
        ConfigError: a column is missing, or its type does not fit its slot.
    """
    for slot in template.slots:
        if slot.column not in schema.names:
            raise ConfigError(
                f"the path needs column {slot.column!r}, which the rows do not have",
                code="column_missing",
                hint=f"the rows have: {', '.join(schema.names)}",
            )
        kind = schema.field(slot.column).type
        time = pa.types.is_timestamp(kind) or pa.types.is_date(kind)
        if time and not slot.format:
            raise ConfigError(
                f"column {slot.column!r} is a time: the path needs a format for it",
                code="path_format",
                hint=f"for example {{{slot.column}:%Y-%m-%d}}",
            )
        if slot.format and not time:
            raise ConfigError(
                f"column {slot.column!r} is not a time but {kind}, so {slot.format} does not apply",
                code="path_format",
                hint=f"write {{{slot.column}}}",
            )
        if not time and not has_plain_text(
            kind.value_type if pa.types.is_dictionary(kind) else kind
        ):
            raise ConfigError(
                f"column {slot.column!r} of type {kind} cannot be part of a path",
                code="type_not_supported",
                hint="take a text, integer, boolean or time column",
            )


def number(template: PathTemplate, batch: pa.RecordBatch) -> tuple[list[Key], np.ndarray]:
    """Number the combinations of values that fill the template's slots.

    Returns:
        Each combination of the slots' texts; and for each row, the index of its own.
    """
    codes = np.zeros(batch.num_rows, dtype=np.int64)
    keys: list[Key] = [()]
    for slot in template.slots:
        slot_codes, texts = _slot(batch.column(slot.column), slot)
        if len(texts) == 1:
            keys = [(*key, texts[0]) for key in keys]
            continue
        codes, present = dense(codes * len(texts) + slot_codes)
        keys = [(*keys[at // len(texts)], texts[at % len(texts)]) for at in present.tolist()]
    return _merged(keys, codes)


def group(
    template: PathTemplate, batch: pa.RecordBatch
) -> tuple[list[tuple[str, ...]], list[pa.Array]]:
    """Group rows by the values that fill the template's slots.

    Returns:
        Each combination of the slots' texts, made safe; and the indices of its rows, in the order
        of the batch. No indices if there is only one combination.
    """
    found, numbers = number(template, batch)
    safe = [tuple(safe_value(value) for value in key) for key in found]
    keys, numbers = _merged(safe, numbers)
    return keys, indices_of(numbers, len(keys)) if len(keys) > 1 else []


def _merged(keys: Sequence[K], codes: np.ndarray) -> tuple[list[K], np.ndarray]:
    """Return each key once, and the codes of rows for that."""
    numbers: dict[K, int] = {}
    final = [numbers.setdefault(key, len(numbers)) for key in keys]
    return list(numbers), np.asarray(final, dtype=np.int32)[codes]


def indices_of(numbers: np.ndarray, count: int) -> list[pa.Array]:
    """Return the indices of the rows of each number below `count`, in the order of the rows."""
    indices = pa.array(stable_order(numbers, count))
    ends = np.cumsum(np.bincount(numbers, minlength=count))
    starts = np.concatenate([[0], ends[:-1]])
    return [
        indices.slice(start, end - start)
        for start, end in zip(starts.tolist(), ends.tolist(), strict=True)
    ]


def stable_order(numbers: np.ndarray, count: int) -> np.ndarray:
    """Return the order that sorts numbers below `count`, equal ones as they come."""
    if count <= 1 << 16:
        numbers = numbers.astype(np.uint16)  # sorted by radix, in linear time
    return np.argsort(numbers, kind="stable")


def take(batch: pa.RecordBatch, indices: pa.Array) -> pa.RecordBatch:
    """Return some of a batch's rows; columns with one value only are sliced, which is cheaper."""
    columns = [
        column.slice(0, len(indices))
        if column.null_count == len(column) or _constant(column)
        else column.take(indices)
        for column in batch.columns
    ]
    return pa.RecordBatch.from_arrays(columns, schema=batch.schema)


def render(parts: Sequence[str | Slot], values: dict[Slot, str]) -> str:
    """Fill slots with texts, made safe."""
    return "".join(part if isinstance(part, str) else values[part] for part in parts)


def dense(codes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Renumber codes from 0 without gaps; return the new codes, and the old one of each."""
    if not len(codes):
        return codes, codes
    low, high = int(codes.min()), int(codes.max())
    if high - low > 4 * len(codes) + 1024:
        present, renumbered = np.unique(codes, return_inverse=True)
        return renumbered, present
    shifted = codes - low
    used = np.zeros(high - low + 1, dtype=bool)
    used[shifted] = True
    present = np.flatnonzero(used)
    if len(present) == len(used):
        return shifted, present + low
    return (np.cumsum(used) - 1)[shifted], present + low


def _slot(column: pa.Array, slot: Slot) -> tuple[np.ndarray, list[str | None]]:
    """Return a code for each row, and the text of each code."""
    if slot.format:
        return _time_slot(column, slot)
    if not pa.types.is_dictionary(column.type):
        column = column.dictionary_encode()
    values = column.dictionary.cast(pa.string())
    indices = column.indices
    if len(values) > len(column):
        codes, present = dense(np.asarray(indices.fill_null(0)).astype(np.int64))
        values = values.take(pa.array(present))
        indices = pa.array(codes, mask=np.asarray(indices.is_null()))
    texts = values.to_pylist()
    if indices.null_count:
        texts.append(None)
        indices = indices.cast(pa.int64()).fill_null(len(texts) - 1)
    return np.asarray(indices).astype(np.int64), texts or [None]


def _time_slot(column: pa.Array, slot: Slot) -> tuple[np.ndarray, list[str | None]]:
    nulls = np.asarray(column.is_null()) if column.null_count else None
    if pa.types.is_date(column.type):
        seconds = column.cast(pa.date32()).cast(pa.int32()).cast(pa.int64())
        buckets = np.asarray(seconds.fill_null(0)) * 86_400 // slot.span_secs
    else:
        per_second = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}[column.type.unit]
        ticks = np.asarray(column.cast(pa.int64()).fill_null(0))
        buckets = np.floor_divide(ticks, per_second * slot.span_secs)
    codes, present = dense(buckets)
    texts = [_time_text(bucket * slot.span_secs, slot.format) for bucket in present.tolist()]
    if nulls is not None:
        codes = np.where(nulls, len(texts), codes)
        texts.append(None)
    return codes, texts


def _time_text(seconds: int, form: str) -> str | None:
    try:
        moment = _EPOCH + timedelta(seconds=seconds)
    except OverflowError:
        return None
    return moment.strftime(form)


def _constant(column: pa.Array) -> bool:
    if not pa.types.is_dictionary(column.type) or column.null_count:
        return False
    return len(column.dictionary) == 1


def has_plain_text(kind: pa.DataType) -> bool:
    """Return whether values of a type have one plain text: texts, integers and booleans do."""
    return bool(
        pa.types.is_string(kind)
        or pa.types.is_large_string(kind)
        or pa.types.is_string_view(kind)
        or pa.types.is_integer(kind)
        or pa.types.is_boolean(kind)
    )
