"""The output of a rollup: totals as rows, and the largest totals of each window."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ktrans.enrichers.totals import sketch
from ktrans.enrichers.totals.config import REVISION, Top
from ktrans.enrichers.totals.merge import Totals, combined, identify, merge, slim, texts
from ktrans.enrichers.totals.plan import WINDOW, Aggregate, RollupPlan
from ktrans.flow.schema import TEXT, TIME
from ktrans.kit.columns import spread

BATCH_ROWS = 65_536
SERIES = b"ktrans.series"
"""Schema metadata: JSON with `time`, `tags` and `fields`, for formats that write time series."""


def out_schema(plan: RollupPlan, schema: pa.Schema, *, revisions: bool) -> pa.Schema:
    """Return the schema of the output, given that of the input."""
    fields = [
        pa.field("window_start", TIME, metadata={"description": "Begin of the window, inclusive"}),
        pa.field("window_end", TIME, metadata={"description": "End of the window, exclusive"}),
    ]
    for name, kind in zip(plan.group_by, plan.key_types, strict=True):
        fields.append(schema.field(name).with_type(kind))
    fields += [pa.field(one.name, _type(plan, one)) for one in plan.aggregates]
    tags = list(plan.group_by)
    if revisions:
        about = "Null for the total of a window, else the epoch that added late rows"
        fields.append(pa.field(REVISION, pa.int64(), metadata={"description": about}))
        tags.append(REVISION)
    series = {
        "time": ["window_start"],
        "tags": tags,
        "fields": [one.name for one in plan.aggregates],
    }
    return pa.schema(fields, metadata={SERIES: json.dumps(series).encode()})


def _type(plan: RollupPlan, aggregate: Aggregate) -> pa.DataType:
    if aggregate.over is not None:
        return pa.float64()
    return pa.int64() if aggregate.part is None else plan.part(aggregate.part).type


def rows(
    plan: RollupPlan,
    schema: pa.Schema,
    totals: Totals,
    *,
    revision: int | None,
    only: pa.Array | None = None,
) -> Iterator[pa.RecordBatch]:
    """Yield totals, or those that the mask `only` has, as rows of `schema`, ordered by window."""
    values = [(one.name, _values(plan, totals, one)) for one in plan.aggregates]
    table = totals.main.select(plan.keys)
    for name, column in values:
        table = table.append_column(f"out {name}", column)
    if only is not None:
        table = table.filter(only)
    if not table.num_rows:
        return
    table = slim(table.take(pa.array(_order_of(table, plan.keys))))
    starts = table.column(WINDOW)
    columns: list[pa.ChunkedArray] = [
        starts.cast(pa.timestamp("us")).cast(TIME),
        pc.add(starts, plan.width).cast(pa.timestamp("us")).cast(TIME),
        *(table.column(name) for name in plan.keys[1:]),
        *(table.column(f"out {one.name}") for one in plan.aggregates),
    ]
    if REVISION in schema.names:
        columns.append(pa.chunked_array([pa.array([revision], pa.int64()).take(_zeros(table))]))
    whole = pa.Table.from_arrays(columns, schema=schema).combine_chunks()
    yield from whole.to_batches(max_chunksize=BATCH_ROWS)


def _order_of(table: pa.Table, keys: Sequence[str]) -> np.ndarray:
    """Return the order of a table's rows by some columns: text by code points, nulls last.

    Only `value` is in descending order.
    """
    plain = combined(table.select(keys))
    for index, column in enumerate(plain.columns):
        if pa.types.is_dictionary(column.type) and len(column):
            words, codes = column.chunk(0).dictionary, column.chunk(0).indices
            ranks = pc.rank(words, tiebreaker="dense").take(codes)
            plain = plain.set_column(index, keys[index], ranks)
    orders = [(name, "descending" if name == "value" else "ascending") for name in keys]
    order = pc.sort_indices(plain, sort_keys=orders)
    return np.asarray(order).astype(np.int64)


def _zeros(table: pa.Table) -> pa.Array:
    return pa.array(np.zeros(table.num_rows, np.int64))


def _values(plan: RollupPlan, totals: Totals, one: Aggregate) -> pa.ChunkedArray | pa.Array:
    if one.part is not None:
        part = totals.main.column(one.part)
        if one.over is None:
            return part
        over = totals.main.column(one.over).cast(pa.float64(), safe=False)
        return pc.divide(
            part.cast(pa.float64(), safe=False), pc.if_else(pc.equal(over, 0), None, over)
        )
    index = next(i for i, member in enumerate(plan.members) if member.name == one.members)
    table = totals.members[index]
    own, theirs = identify([totals.main, table], plan.keys)
    if plan.members[index].sketch:
        counts = np.zeros(len(own), np.int64)
        counts[theirs] = sketch.estimates(table.column("value"))
    else:
        counts = np.bincount(theirs, minlength=len(own))
    return pa.array(counts[own].astype(np.int64), pa.int64())


def top(plan: RollupPlan, totals: Totals, choice: Top) -> Totals:
    """Keep the largest totals of each window, and merge the others; ties are broken by group."""
    if not totals.main.num_rows:
        return totals
    aggregate = next(one for one in plan.aggregates if one.name == choice.by)
    value = _values(plan, totals, aggregate)
    names = dict(zip(plan.group_by, plan.keys[1:], strict=True))
    inside = [WINDOW, *(names[name] for name in choice.within)]
    rest = [key for key in plan.keys if key not in inside]
    order = _order_of(totals.main.append_column("value", value), [*inside, "value", *rest])
    places = identify([totals.main], inside)[0][order]
    first = np.flatnonzero(np.diff(places, prepend=-1))
    position = np.arange(len(order)) - np.repeat(first, np.diff(np.append(first, len(order))))
    small = np.zeros(len(order), bool)
    small[order] = position >= choice.limit
    if not small.any():
        return totals
    given = [totals.main, *totals.members]
    numbers = identify(given, plan.keys)
    numbered = np.zeros(len(small), bool)
    numbered[numbers[0]] = small  # nothing says in which order Arrow numbers groups
    relabelled = [names[name] for name in plan.group_by if name not in choice.within]
    tables = [
        _relabel(table, relabelled, numbered[number], choice.other)
        for table, number in zip(given, numbers, strict=True)
    ]
    return merge(plan, [Totals(tables[0], tuple(tables[1:]))])


def _relabel(table: pa.Table, names: Sequence[str], rows_: np.ndarray, other: str) -> pa.Table:
    """Set key columns of some rows to `other`, or to null if they are not text."""
    table = combined(table)
    for name in names:
        index = table.schema.get_field_index(name)
        field, column = table.schema.field(index), table.column(name).combine_chunks()
        if field.type == TEXT:
            words = pa.concat_arrays([column.dictionary, pa.array([other], pa.string())])
            codes = np.where(rows_, len(words) - 1, column.indices.fill_null(-1))
            # The label may be in the dictionary already: encoding again makes it unique.
            again = words.dictionary_encode()
            column = texts(spread(np.asarray(again.indices), codes), again.dictionary)
        else:
            column = pc.if_else(pa.array(rows_), pa.scalar(None, field.type), column)
        table = table.set_column(index, field, column)
    return table
