"""Reads JSON records one by one into columns by path: exact whatever they hold, and slower."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ktrans.decoders.read.faults import Faults
from ktrans.decoders.read.json_values import (
    Spelled,
    decode_json,
    decode_json_lines,
    encode_json,
    json_text,
)
from ktrans.decoders.read.raw_columns import Path, RawColumns, Shape
from ktrans.kit.text.arrow_json import MANY_BRACKETS, brackets, may_be_deep
from ktrans.kit.text.json_errors import UNREADABLE_JSON
from ktrans.kit.text.lines import line_bounds

EXACT = float(1 << 53)
"""From here on doubles do not hold every integer."""

_INT64_MAX = (1 << 63) - 1
_INT64_MIN = -(1 << 63)


def joined(parts: Sequence[RawColumns], lines: int) -> RawColumns:
    """Join the parts of a block.

    Args:
        parts: in order.
        lines: how many lines each part but the last has.
    """
    faults = Faults()
    kept: list[np.ndarray] = []
    for number, part in enumerate(parts):
        first = number * lines
        own = np.arange(part.rows) if part.lines is None else part.lines
        kept.append(own + first)
        for line, reason, detail in zip(*part.faults.ordered(), strict=True):
            faults.add(line + first, reason, detail)
    columns: dict[Path, pa.Array] = {}
    for path in dict.fromkeys(path for part in parts for path in part.columns):
        pieces = [part.columns.get(path) for part in parts]
        kind = _common([piece for piece in pieces if piece is not None])
        columns[path] = pa.concat_arrays(
            [
                pa.nulls(part.rows, kind) if piece is None else piece.cast(kind)
                for part, piece in zip(parts, pieces, strict=True)
            ]
        )
    every = None if not faults.lines else np.concatenate(kept)
    return RawColumns(sum(part.rows for part in parts), every, columns, faults)


def _common(pieces: Sequence[pa.Array]) -> pa.DataType:
    """Return the type of a whole column whose parts have several types."""
    kinds = {piece.type for piece in pieces}
    if len(kinds) == 1:
        return kinds.pop()
    if kinds == {pa.int64(), pa.float64()}:
        integers = [piece for piece in pieces if piece.type == pa.int64()]
        if all(is_exact(piece) for piece in integers):
            return pa.float64()
    return pa.string()


def is_exact(numbers: pa.Array) -> bool:
    """Return whether doubles hold each of some numbers exactly."""
    bounds = pc.min_max(numbers).as_py()
    return bounds["min"] is None or -EXACT < bounds["min"] <= bounds["max"] < EXACT


def read_carefully(data: bytes, shape: Shape) -> RawColumns:
    """Read records one by one; lines that are no JSON objects become faults."""
    faults = Faults()
    try:
        decoded: list[Any] = decode_json_lines(data)
        lines = list(range(len(decoded)))
        lines_there = data.count(b"\n") + (not data.endswith(b"\n"))
        whole = len(decoded) == lines_there and not may_be_deep(data, *line_bounds(data))
    except UNREADABLE_JSON:
        whole = False
    if not whole:
        decoded, lines = _one_by_one(data, faults)
    if not all(type(record) is dict for record in decoded):
        for line, record in zip(lines, decoded, strict=True):
            if type(record) is not dict:
                faults.add(line, "wrong_type", f"a JSON {_name(record)} where an object belongs")
        kept = [place for place, record in enumerate(decoded) if type(record) is dict]
        decoded = [decoded[place] for place in kept]
        lines = [lines[place] for place in kept]
    columns: dict[Path, pa.Array] = {}
    gather_objects(decoded, (), shape, columns)
    kept_lines = np.array(lines, dtype=np.int64) if faults.lines else None
    return RawColumns(len(decoded), kept_lines, columns, faults)


def _one_by_one(data: bytes, faults: Faults) -> tuple[list[Any], list[int]]:
    decoded, lines = [], []
    texts = data.split(b"\n")
    if not texts[-1]:
        texts.pop()
    for line, text in enumerate(texts):
        try:
            record = decode_json(text)
            if brackets(text, 0, len(text)) > MANY_BRACKETS:
                encode_json(record)  # what is nested too deeply shows here at the latest
            decoded.append(record)
            lines.append(line)
        except UNREADABLE_JSON as error:
            faults.add(line, "bad_json", str(error))
    return decoded, lines


def _name(value: object) -> str:
    names = {list: "array", str: "string", bool: "boolean", type(None): "null"}
    return names.get(type(value), "number")


def gather_objects(
    records: Sequence[dict[str, Any] | None], above: Path, shape: Shape, into: dict[Path, pa.Array]
) -> None:
    """Collect the values of each key, and look into the objects that are parents."""
    names = dict.fromkeys(name for record in records if record for name in record)
    for name in names:
        path = (*above, name)
        values = [record.get(name) if record else None for record in records]
        if path in shape.parents:
            objects = [value if type(value) is dict else None for value in values]
            gather_objects(objects, path, shape, into)
            values = [None if type(value) is dict else value for value in values]
        if shape.paths is not None and path not in shape.paths:
            continue
        column = json_column(values, number=path in shape.numbers)
        if column.null_count < len(column):
            into[path] = column


def json_column(values: Sequence[Any], *, number: bool = True) -> pa.Array:
    """Make a column of JSON values: of their own type if they share one, else of text.

    Args:
        values: as `decode_json` gives them.
        number: whether they are to be read as numbers; others keep their spelling.
    """
    kinds = {type(value) for value in values} - {type(None)}
    if kinds == {str}:
        return pa.array(values, pa.string())
    if kinds == {bool}:
        return pa.array(values, pa.bool_())
    if kinds == {int} and all(v is None or _INT64_MIN <= v <= _INT64_MAX for v in values):
        return pa.array(values, pa.int64())
    if not number:
        return pa.array([None if v is None else json_text(v) for v in values], pa.string())
    if kinds and kinds <= {int, Spelled} and all(v is None or abs(v) < EXACT for v in values):
        return pa.array([None if v is None else float(v) for v in values], pa.float64())
    return pa.array([None if v is None else _text(v) for v in values], pa.string())


def _text(value: Any) -> str:
    if type(value) is Spelled and abs(value) < EXACT:
        return str(pa.scalar(float(value)).cast(pa.string()))  # as in a column of only numbers
    return json_text(value)
