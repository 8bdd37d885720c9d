"""Assertions on Arrow data that show which rows and cells differ."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from difflib import SequenceMatcher
from itertools import zip_longest
from typing import Any, TypeAlias

import pyarrow as pa

Batches: TypeAlias = "pa.RecordBatch | pa.Table | Iterable[pa.RecordBatch | pa.Table]"
"""One batch or table, or several that make one."""

_SHOWN_ROWS = 10
_SHOWN_COLUMNS = 8
_SHOWN_TEXT = 36
_ALIGNED_ROWS = 5000
"""With more rows than this, rows are compared by their numbers only."""


def assert_batches_equal(
    expected: Batches,
    actual: Batches,
    *,
    ignore_order: bool = False,
    columns: Sequence[str] | None = None,
) -> None:
    """Compare two sets of rows.

    Values are compared, not how they are stored: dictionaries equal plain values, and it does not
    matter how rows are cut into batches. NaN equals NaN; null, empty and zero are three things.

    >>> right = pa.table({"n": [1, 2], "text": ["", None]})
    >>> assert_batches_equal(right, right.to_batches())
    >>> assert_batches_equal(right, pa.table({"n": [1, 2], "text": ["", ""]}))
    Traceback (most recent call last):
      ...
    AssertionError: 1 row differs: expected 2 rows, got 2
    columns that differ: text (1)
    <BLANKLINE>
        row  text    n
      -   1  [null]  2
      +   1  [''  ]  2

    Args:
        expected: what it should be.
        actual: what it is.
        ignore_order: compare them as multisets of rows.
        columns: compare only these.

    Raises:
        AssertionError: they differ; missing columns and other types are reported first.
    """
    difference = describe_difference(expected, actual, ignore_order=ignore_order, columns=columns)
    if difference is not None:
        raise AssertionError(difference)


def describe_difference(
    expected: Batches,
    actual: Batches,
    *,
    ignore_order: bool = False,
    columns: Sequence[str] | None = None,
) -> str | None:
    """Return how two sets of rows differ; None if they do not. See `assert_batches_equal`."""
    one, other = _table(expected), _table(actual)
    if columns is not None:
        one, other = _chosen(one, columns), _chosen(other, columns)
    told = _schemas(one.schema, other.schema)
    if told:
        return "the columns differ:\n" + "\n".join(f"  {line}" for line in told)
    rows, found = _rows(one), _rows(other)
    pairs = _unordered(rows, found) if ignore_order else _ordered(rows, found)
    if not pairs:
        return None
    return _told(one.column_names, pairs, len(rows), len(found))


Row = tuple[int, tuple[Any, ...]]
"""A row's number and its cells."""

Pair = tuple[Row | None, Row | None]
"""A row that was expected and what is there instead; None where there is no such row."""


def _table(data: Batches) -> pa.Table:
    if isinstance(data, pa.Table):
        return data
    parts = [data] if isinstance(data, pa.RecordBatch) else list(data)
    tables = [p if isinstance(p, pa.Table) else pa.Table.from_batches([p]) for p in parts]
    # Of several batches each may have dictionaries of its own.
    return pa.concat_tables([_plain(table) for table in tables]) if tables else pa.table({})


def _plain(table: pa.Table) -> pa.Table:
    fields = [pa.field(field.name, _value_type(field.type)) for field in table.schema]
    return table.cast(pa.schema(fields)) if fields else table


def _value_type(kind: pa.DataType) -> pa.DataType:
    return kind.value_type if pa.types.is_dictionary(kind) else kind


def _chosen(table: pa.Table, columns: Sequence[str]) -> pa.Table:
    return table.select([name for name in columns if name in table.column_names])


def _schemas(expected: pa.Schema, actual: pa.Schema) -> list[str]:
    told = []
    for name in expected.names:
        kind = _value_type(expected.field(name).type)
        if name not in actual.names:
            told.append(f"- {name}: {kind} is missing")
        elif _value_type(actual.field(name).type) != kind:
            told.append(f"! {name}: {kind} expected, got {_value_type(actual.field(name).type)}")
    told += [
        f"+ {name}: {_value_type(actual.field(name).type)} was not expected"
        for name in actual.names
        if name not in expected.names
    ]
    if not told and expected.names != actual.names:
        told.append(f"they come in another order: {', '.join(actual.names)}")
    return told


def _rows(table: pa.Table) -> list[Row]:
    cells = [column.to_pylist() for column in table.columns]
    rows = zip(*cells, strict=True) if cells else [()] * table.num_rows
    return list(enumerate(rows))


def _key(value: Any) -> Any:
    """Return a hashable form of a value, in which NaN equals NaN."""
    if isinstance(value, float) and math.isnan(value):
        return "NaN", float
    if isinstance(value, list | tuple):
        return tuple(map(_key, value))
    if isinstance(value, dict):
        return tuple((name, _key(inner)) for name, inner in value.items())
    return value


def _ordered(expected: list[Row], actual: list[Row]) -> list[Pair]:
    one, other = [_key(row) for _, row in expected], [_key(row) for _, row in actual]
    if one == other:
        return []
    if max(len(one), len(other)) > _ALIGNED_ROWS:
        return _side_by_side(expected, actual)
    pairs: list[Pair] = []
    matcher = SequenceMatcher(None, one, other, autojunk=False)
    for what, begin, end, from_, to in matcher.get_opcodes():
        if what != "equal":
            pairs += _side_by_side(expected[begin:end], actual[from_:to])
    return pairs


def _side_by_side(expected: list[Row], actual: list[Row]) -> list[Pair]:
    return [
        (a, b)
        for a, b in zip_longest(expected, actual)
        if a is None or b is None or _key(a[1]) != _key(b[1])
    ]


def _unordered(expected: list[Row], actual: list[Row]) -> list[Pair]:
    missing = Counter(_key(row) for _, row in expected)
    extra = Counter(_key(row) for _, row in actual)
    missing, extra = missing - extra, extra - missing
    # Rows that are almost the same are neighbours once sorted, and are shown as a pair.
    left, right = (
        sorted(_take(rows, counts), key=lambda row: repr(_key(row[1])))
        for rows, counts in ((expected, missing), (actual, extra))
    )
    return _ordered(left, right)


def _take(rows: list[Row], counts: Counter[Any]) -> list[Row]:
    taken = []
    for row in rows:
        key = _key(row[1])
        if counts[key] > 0:
            counts[key] -= 1
            taken.append(row)
    return taken


def _told(names: Sequence[str], pairs: list[Pair], expected: int, actual: int) -> str:
    count = len(pairs)
    differing = Counter(
        place for one, other in pairs if one and other for place in _differing(one, other)
    )
    differ = "1 row differs" if count == 1 else f"{count} rows differ"
    lines = [f"{differ}: expected {expected} row{'' if expected == 1 else 's'}, got {actual}"]
    if differing:
        told = ", ".join(f"{names[place]} ({n})" for place, n in sorted(differing.items()))
        lines.append(f"columns that differ: {told}")
    rows = [row[1] for pair in pairs[:_SHOWN_ROWS] for row in pair if row is not None]
    # Last what is null everywhere: it tells no row from another.
    shown = sorted(
        range(len(names)),
        key=lambda place: (place not in differing, all(row[place] is None for row in rows)),
    )
    lines += ["", *_drawn(names, shown[:_SHOWN_COLUMNS], pairs[:_SHOWN_ROWS])]
    if count > _SHOWN_ROWS:
        lines.append(f"  and {count - _SHOWN_ROWS} more")
    return "\n".join(lines)


def _differing(one: Row, other: Row) -> set[int]:
    """Return the places of the cells that differ."""
    cells = enumerate(zip(one[1], other[1], strict=True))
    return {place for place, (a, b) in cells if _key(a) != _key(b)}


def _drawn(names: Sequence[str], shown: Sequence[int], pairs: list[Pair]) -> list[str]:
    """Draw the rows as a table; cells that differ stand in brackets."""
    table: list[tuple[str, str, list[tuple[str, bool]]]] = []
    for one, other in pairs:
        for sign, row, against in (("-", one, other), ("+", other, one)):
            if row is None:
                continue
            other_cells = set() if against is None else _differing(row, against)
            cells = [(_text(row[1][place]), place in other_cells) for place in shown]
            table.append((sign, str(row[0]), cells))
    numbers = max(3, *(len(number) for _, number, _ in table))
    marked = [any(cells[i][1] for _, _, cells in table) for i in range(len(shown))]
    widths = [max(len(cells[i][0]) for _, _, cells in table) for i in range(len(shown))]
    full = [max(widths[i] + 2 * marked[i], len(names[place])) for i, place in enumerate(shown)]
    head = "  ".join(names[place].ljust(full[i]) for i, place in enumerate(shown))
    lines = [f"    {'row':>{numbers}}  {head}".rstrip()]
    for sign, number, cells in table:
        drawn = []
        for i, (text, is_other) in enumerate(cells):
            padded = text.ljust(widths[i])
            if marked[i]:
                padded = f"[{padded}]" if is_other else f" {padded} "
            drawn.append(padded.ljust(full[i]))
        lines.append(f"  {sign} {number:>{numbers}}  {'  '.join(drawn)}".rstrip())
    return lines


def _text(value: Any) -> str:
    """Show a value so that null, an empty text and the word null look different."""
    if value is None:
        return "null"
    if isinstance(value, str | bytes):
        text = repr(value)
    elif hasattr(value, "isoformat"):
        text = value.isoformat()
    else:
        text = str(value)
    return text if len(text) <= _SHOWN_TEXT else f"{text[: _SHOWN_TEXT - 3]}..."
