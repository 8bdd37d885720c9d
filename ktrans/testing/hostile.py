"""Rows as someone who wants to stop a pipeline would make them; see the contracts of formats and sinks."""

from __future__ import annotations

from typing import Any

import pyarrow as pa

LONG = 300_000
"""Characters of the longest text."""

TEXTS: tuple[str | None, ...] = (
    *(None, "", " ", ".", "..", "../../etc/passwd", "/", "a/b", "~", "-rf", "{task}", "%00"),
    *(
        "\0",
        "a\0b",
        "\n",
        "a\r\nb",
        "\t",
        "\x7f",
        "\x1b[31m",
        "\\",
        "end\\",
        '"',
        "'",
        ",",
        "=",
        "a b",
    ),
    *("\ufeff", "\u202e", "\u2028", "\ud7ff", "\U0010ffff", "e\u0301", "é", "NaN", "null", "true"),
    *("__HIVE_DEFAULT_PARTITION__", "=1+1", "a" * 300, "ä" * 200, "x" * LONG),
)
"""Texts that break paths, lines, quotes, keys and names of topics."""

_ATTRS: tuple[Any, ...] = (
    *(None, [], [("", "")], [("", None)], [("a", "1"), ("a", "2")], [("\0", "\0")]),
    *(
        [("a\nb", "c\nd")],
        [('"', '"')],
        [("k" * 70_000, "v")],
        [(str(i), "v") for i in range(2000)],
    ),
)
_TIMES = (None, -(2**63), 2**63 - 1, -1, 0, 1 - 2**62, 253_402_300_800_000_000)
_POSITION = ("source_uri", "source_pos")


def hostile_rows(schema: pa.Schema, good: dict[str, Any]) -> pa.RecordBatch:
    """Return rows of a schema: for each column and each hostile value of its type one row.

    Args:
        schema: what the rows have.
        good: the values of the other columns of each row; columns that are not named are null.
    """
    rows: list[dict[str, Any]] = [good]
    for field in schema:
        if field.name not in _POSITION:
            rows += [{**good, field.name: value} for value in _values(field.type)]
    rows.append(dict.fromkeys(schema.names))
    for number, row in enumerate(rows, 1):
        if "source_pos" in schema.names:
            row["source_pos"] = number
    columns = [_column([row.get(field.name) for row in rows], field.type) for field in schema]
    return pa.RecordBatch.from_arrays(columns, schema=schema)


def _values(kind: pa.DataType) -> tuple[Any, ...]:
    if pa.types.is_dictionary(kind):
        return _values(kind.value_type)
    if pa.types.is_integer(kind):
        low = -(2 ** (kind.bit_width - 1))
        return (None, low, -1 - low, -1, 0)
    known: tuple[tuple[Any, tuple[Any, ...]], ...] = (
        (pa.types.is_string, TEXTS),
        (pa.types.is_map, _ATTRS),
        (pa.types.is_timestamp, _TIMES),
        (pa.types.is_floating, (None, float("nan"), float("inf"), -0.0)),
    )
    return next((values for fits, values in known if fits(kind)), (None,))


def _column(values: list[Any], kind: pa.DataType) -> pa.Array:
    if pa.types.is_timestamp(kind):
        return pa.array(values, pa.int64()).cast(kind)
    return pa.array(values, kind)
