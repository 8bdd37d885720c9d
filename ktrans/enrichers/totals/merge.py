"""Totals as tables, and how they are merged and grouped by columns.

Totals are Arrow tables: the keys (window and group columns), then the parts. Text keys are
dictionaries; they are unified first, and grouped by their codes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ktrans.api import RunError
from ktrans.enrichers.totals import sketch
from ktrans.enrichers.totals.plan import ROWS, WINDOW, RollupPlan
from ktrans.flow.schema import COUNTERS
from ktrans.kit.columns import coded

LARGEST = 9.0e18
"""Sums of int64 must stay below 2**63, where they would overflow."""


@dataclass(slots=True)
class Totals:
    """Totals, one per row, and the members that they count.

    Attributes:
        main: RollupPlan.main_schema.
        members: for each Members of the plan, RollupPlan.member_schema.
        merged: no two of them have the same keys.
    """

    main: pa.Table
    members: tuple[pa.Table, ...]
    merged: bool = False

    @property
    def rows(self) -> int:
        """The rows of all tables, by which memory is limited."""
        return int(self.main.num_rows + sum(table.num_rows for table in self.members))

    def where(self, since: int | None, before: int | None = None) -> Totals:
        """Return the totals of windows that begin at `since` or later, and before `before`."""
        return Totals(
            _windows(self.main, since, before),
            tuple(_windows(table, since, before) for table in self.members),
            self.merged,
        )


def _windows(table: pa.Table, since: int | None, before: int | None) -> pa.Table:
    if not table.num_rows:
        return table
    for edge, compare in ((since, pc.greater_equal), (before, pc.less)):
        if edge is not None:
            mask = compare(table.column(WINDOW), pa.scalar(edge, pa.int64()))
            if not pc.all(mask).as_py():
                table = table.filter(mask)
    return slim(table)


def empty(plan: RollupPlan, *, stored: bool = True) -> Totals:
    """Return empty tables of totals."""
    members = (plan.member_schema(m, stored=stored).empty_table() for m in plan.members)
    return Totals(plan.main_schema().empty_table(), tuple(members), merged=True)


def sums(table: pa.Table) -> tuple[int, int, int]:
    """Return rows, bytes and packets of the totals in a main table."""
    rows, *counters = (
        int(pc.sum(table.column(name)).as_py() or 0) if name in table.schema.names else 0
        for name in (ROWS, *COUNTERS)
    )
    by_name = dict(zip(COUNTERS, counters, strict=True))
    return rows, by_name["bytes"], by_name["packets"]


def _check_sums(plan: RollupPlan, table: pa.Table) -> None:
    for part in plan.parts:
        if part.merge == "sum" and len(table):
            column = table.column(part.name).cast(pa.float64(), safe=False)
            if (pc.sum(pc.abs(column)).as_py() or 0.0) > LARGEST:
                raise too_large(part.name)


def too_large(name: str) -> RunError:
    """Make the error for a sum that would overflow."""
    return RunError(
        f"rollup: the sum of {name} does not fit 64 bits",
        code="sum_too_large",
        hint="filter rows with impossible counters out before the rollup",
    )


def merge(plan: RollupPlan, many: Sequence[Totals], *, stored: bool = True) -> Totals:
    """Merge totals of the same keys; members to be sketched are so already, if `stored`."""
    many = [totals for totals in many if totals.main.num_rows] or [many[0]]
    if len(many) == 1 and many[0].merged:
        return many[0]
    main = pa.concat_tables([totals.main for totals in many])
    _check_sums(plan, main)
    main = group(main, plan.keys, [(part.name, part.merge) for part in plan.parts])
    members = []
    for index, member in enumerate(plan.members):
        table = pa.concat_tables([totals.members[index] for totals in many])
        if member.sketch and stored:
            members.append(sketch.merge(table, identify([table], plan.keys)[0]))
        else:
            members.append(group(table, [*plan.keys, "value"], []))
    return Totals(main, tuple(members), merged=True)


def sketched(plan: RollupPlan, totals: Totals) -> Totals:
    """Turn the values of members that are sketches into sketches."""
    members = [
        sketch.build(table, identify([table], plan.keys)[0]) if member.sketch else table
        for member, table in zip(plan.members, totals.members, strict=True)
    ]
    return Totals(totals.main, tuple(members), totals.merged)


def group(table: pa.Table, keys: list[str], how: list[tuple[str, str]]) -> pa.Table:
    """Group by keys; the order is undefined."""
    grouped = unified(table).group_by(keys, use_threads=False).aggregate(how)
    columns = [grouped.column(name) for name in (*keys, *("_".join(one) for one in how))]
    kept = [table.schema.field(name) for name in (*keys, *(name for name, _ in how))]
    return combined(pa.Table.from_arrays(columns, schema=pa.schema(kept)))


def unified(table: pa.Table) -> pa.Table:
    """Unify the dictionaries of all chunks of a column, unless they are the same.

    Arrow fails if a column has no chunks, or if the code of a null is not in the dictionary.
    """
    if not table.num_rows:
        return table
    for index, field in enumerate(table.schema):
        if not pa.types.is_dictionary(field.type):
            continue
        column = table.column(index)
        if column.null_count:
            safe = [
                texts(np.asarray(chunk.indices.fill_null(-1)), chunk.dictionary)
                for chunk in column.chunks
            ]
            column = pa.chunked_array(safe, field.type)
        if len({_words_of(chunk) for chunk in column.chunks}) > 1:
            column = column.unify_dictionaries()
        table = table.set_column(index, field, column)
    return table


def _words_of(chunk: pa.DictionaryArray) -> tuple[int, ...]:
    """Identify the memory of the dictionary of a chunk."""
    words = chunk.dictionary
    addresses = (0 if buffer is None else buffer.address for buffer in words.buffers())
    return (words.offset, len(words), *addresses)


def combined(table: pa.Table) -> pa.Table:
    """Unify dictionaries and put each column into one chunk."""
    if not table.num_rows:
        return table.combine_chunks()
    table = unified(table)
    for index, field in enumerate(table.schema):
        column = table.column(index)
        # Arrow would compare the dictionaries of all chunks, which are the same by now.
        if pa.types.is_dictionary(field.type) and column.num_chunks > 1:
            codes = pa.chunked_array([chunk.indices for chunk in column.chunks]).combine_chunks()
            words = column.chunk(0).dictionary
            joined = pa.DictionaryArray.from_arrays(codes, words, safe=False)
            table = table.set_column(index, field, joined)
    return table.combine_chunks()


def texts(codes: np.ndarray, words: pa.Array) -> pa.DictionaryArray:
    """Make a text column of codes, negative ones for null, and words.

    Arrow looks up the codes of nulls too when it unifies dictionaries (`unified`), so these must be
    valid codes, and the dictionary must not be empty.
    """
    return coded(codes, words if len(words) else pa.array([""], pa.string()))


def identify(tables: Sequence[pa.Table], keys: list[str]) -> list[np.ndarray]:
    """Number the rows of some tables by their keys, from 0, in any order of the keys."""
    together = unified(pa.concat_tables([table.select(keys) for table in tables]))
    together = together.append_column("row", pa.array(np.arange(len(together))))
    lists = together.group_by(keys, use_threads=False).aggregate([("row", "list")])
    found = lists.column("row_list").combine_chunks()
    lengths = np.asarray(found.value_lengths())
    numbers = np.empty(len(together), np.int64)
    numbers[np.asarray(found.flatten())] = np.repeat(np.arange(len(found)), lengths)
    ends = np.cumsum([len(table) for table in tables])
    return np.split(numbers, ends[:-1])


def slim(table: pa.Table) -> pa.Table:
    """Drop the words that no row uses if they are most of a dictionary."""
    if not any(pa.types.is_dictionary(field.type) for field in table.schema):
        return table
    table = combined(table)
    for index, field in enumerate(table.schema):
        if not pa.types.is_dictionary(field.type) or not table.num_rows:
            continue
        column = table.column(index).chunk(0)
        if len(column.dictionary) > 2 * len(column) + 1024:
            words = column.dictionary.take(column.indices).dictionary_encode()
            table = table.set_column(index, field, words)
    return table
