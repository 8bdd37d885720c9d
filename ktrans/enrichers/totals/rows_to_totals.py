"""Turns each row into a total of its own, and merges them if that makes them clearly fewer."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ktrans.enrichers.totals.merge import Totals, group, merge, texts, too_large
from ktrans.enrichers.totals.plan import Part, RollupPlan
from ktrans.kit.columns import distinct, is_text, spread

HEAD_ROWS = 16_384
WORTH_IT = 0.8
"""A batch is merged by itself, in the worker pool, if its head has at most this many totals a row."""


def rows_to_totals(plan: RollupPlan, batch: pa.RecordBatch, windows: np.ndarray) -> Totals:
    """Make a total of each row, and merge them if that makes them clearly fewer.

    `windows` are the starts of the rows' windows, in microseconds since 1970.
    """
    keys: list[pa.Array] = [pa.array(windows, pa.int64())]
    for name, kind in zip(plan.group_by, plan.key_types, strict=True):
        keys.append(_key(batch.column(name), kind))
    weight = None
    if plan.weight is not None:
        weight = pc.fill_null(batch.column(plan.weight).cast(pa.int64()), 1)
    ones = pa.array(np.ones(batch.num_rows, np.int64))
    parts = [_part_of(part, batch, ones, weight) for part in plan.parts]
    main = pa.Table.from_arrays([*keys, *parts], schema=plan.main_schema())
    members = []
    for member in plan.members:
        value = _key(batch.column(member.column), member.type, blank=False)
        schema = plan.member_schema(member, stored=False)
        table = pa.Table.from_arrays([*keys, value], schema=schema)
        members.append(table.filter(value.is_valid()) if value.null_count else table)
    totals = Totals(main, tuple(members))
    return merge(plan, [totals], stored=False) if _worth_it(plan, main) else totals


def _worth_it(plan: RollupPlan, main: pa.Table) -> bool:
    head = main.select(plan.keys).slice(0, HEAD_ROWS)
    return len(group(head, plan.keys, [])) <= WORTH_IT * len(head)


def _key(array: pa.Array, kind: pa.DataType, *, blank: bool = True) -> pa.Array:
    """Return a column in the form that totals are grouped by; an empty text counts as null."""
    if not is_text(array.type):
        return array.cast(kind)
    values, indices = distinct(array)
    words = values.dictionary_encode()
    codes = np.asarray(words.indices.fill_null(-1))
    if blank:
        empties = pc.fill_null(pc.equal(values, ""), False).to_numpy(zero_copy_only=False)
        codes = np.where(empties, -1, codes)
    return texts(spread(codes, indices), words.dictionary)


def _part_of(
    part: Part, batch: pa.RecordBatch, ones: pa.Array, weight: pa.Array | None
) -> pa.Array:
    times = weight if part.weighted else None
    if part.column is None:
        return ones if times is None else times
    column = batch.column(part.column)
    if part.how == "count":
        counted = column.is_valid() if not pa.types.is_dictionary(column.type) else _valid(column)
        numbers = counted.cast(pa.int64())
        return numbers if times is None else pc.multiply(numbers, times)
    column = column.cast(part.type)
    if times is None:
        return column
    try:
        return pc.multiply_checked(column, times.cast(part.type))
    except pa.ArrowInvalid as error:
        raise too_large(part.column) from error


def _valid(column: pa.DictionaryArray) -> pa.Array:
    return column.cast(column.type.value_type).is_valid()
