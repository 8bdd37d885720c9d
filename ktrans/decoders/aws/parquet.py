"""The columns of AWS flow logs in Parquet, as AWS writes them and as other tools rewrite them.

AWS writes flat, optional columns with underscores in their names; values that are not reported are `-`
in texts and null in numbers (AWS VPC User Guide, "Flow log files"). Tools that rewrite such files turn
integers into doubles or texts, and nulls into "None" or NaN.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, BinaryIO

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ktrans.decoders.aws.layout import Dialect, field_names
from ktrans.decoders.frames.block import Block
from ktrans.decoders.read.python_values import json_bytes, python_values
from ktrans.decoders.values import NUMBERS, Kind
from ktrans.flow.columns import as_text, recode

JSON_LAYOUT = "json"
"""The layout of rejected rows: their raw bytes are JSON objects."""

_NULL_TEXTS = pa.array(("-", "", "None", "none", "NaN", "nan", "null", "NULL", "<NA>"), pa.string())


def stored_rows(uri: str, stream: BinaryIO, dialect: Dialect) -> Iterator[Block]:
    """Yield a block of rejected rows, one JSON object a line."""
    rows = [json.loads(line) for line in stream if line.strip()]
    names = list(dict.fromkeys(name for row in rows for name in row))
    if names:
        texts = {
            name: pa.array([_as_text(row.get(name)) for row in rows], pa.string()) for name in names
        }
        table = pa.RecordBatch.from_pydict(texts)
        yield Block(uri, 1, len(rows), table=table, layout=field_names(names, dialect))


def _as_text(value: Any) -> str | None:
    return value if value is None or isinstance(value, str) else json.dumps(value)


def parquet_columns(
    table: pa.RecordBatch, names: Mapping[str, str], kinds: Mapping[str, Kind]
) -> dict[tuple[str, ...], pa.Array]:
    """Return the columns of fields as a reader of text would have found them.

    Args:
        table: rows of a file.
        names: the column of each field to read.
        kinds: the kind of each field.
    """
    return {
        (field,): _numbers(table.column(name))
        if kinds[field] in NUMBERS
        else _texts(table.column(name))
        for field, name in names.items()
    }


def _numbers(column: pa.Array) -> pa.Array:
    """Return numbers and times as they are, and other values as text without `.0` at the end."""
    kind = column.type
    if pa.types.is_floating(kind):
        values = column.cast(pa.float64())
        return pc.if_else(pc.is_nan(values), pa.scalar(None, pa.float64()), values)
    if pa.types.is_integer(kind) or pa.types.is_timestamp(kind):
        return column
    texts = _texts(column)
    words = pc.replace_substring_regex(texts.dictionary, r"^([0-9]+)\.0+$", r"\1")
    return recode(texts, words).cast(pa.string())


def _texts(column: pa.Array) -> pa.DictionaryArray:
    """Return a column as text: nested values as JSON, null for the texts that stand for it."""
    kind = column.type
    if pa.types.is_floating(kind):
        column = _float_texts(column)
    elif pa.types.is_nested(kind):
        column = _each(column, lambda value: json_bytes(value).decode())
    elif pa.types.is_binary(kind) or pa.types.is_large_binary(kind):
        column = _each(column, lambda value: value.decode("utf-8", "replace"))
    text = as_text(column)
    nothing = pc.is_in(text.dictionary, value_set=_NULL_TEXTS)
    if not pc.any(nothing).as_py():
        return text
    return recode(text, pc.if_else(nothing, pa.scalar(None, pa.string()), text.dictionary))


def _each(column: pa.Array, change: Any) -> pa.Array:
    words = [None if value is None else change(value) for value in python_values(column)]
    return pa.array(words, pa.string())


def _float_texts(column: pa.Array) -> pa.Array:
    """Return doubles as text; those without a fraction as integers."""
    values = _numbers(column)
    numbers = np.asarray(values.fill_null(0.5))
    whole = (np.floor(numbers) == numbers) & (np.abs(numbers) <= float(1 << 53))
    exact = pc.if_else(pa.array(whole), values, pa.scalar(None, pa.float64()))
    return pc.coalesce(exact.cast(pa.int64()).cast(pa.string()), values.cast(pa.string()))
