"""Lets only such bytes reach Arrow's JSON parser as it reads rightly, and survives.

pyarrow's JSON reader (26.0) reads memory before its own for a record that is `null`, which ends the
process if it is the first one. It takes values that follow each other for records, whatever lines they
are on, and stops at a NUL as if the text ended there. Values nested very deeply exhaust its stack.
"""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pyarrow as pa

from ktrans.kit.text.lines import line_bounds

MANY_BRACKETS = 1000
"""Brackets in a record that may be nested so deeply that Arrow's parser runs out of stack."""

_NULL_RECORD = re.compile(rb"\}[ \t\r]*null")
_NOT_JSON = re.compile(rb"[:,\[]\s*-?(?:NaN|Inf)")
_OPEN, _CLOSE = b"{}"


def brackets(data: bytes, start: int, end: int) -> int:
    """Count the opening brackets in a part of a text, those within strings included."""
    return data.count(b"[", start, end) + data.count(b"{", start, end)


def may_be_deep(data: bytes, starts: np.ndarray, ends: np.ndarray) -> bool:
    """Return whether a line has very many brackets; they need two bytes each.

    Args:
        data: the lines.
        starts: where each begins.
        ends: where each ends.
    """
    long = np.flatnonzero(ends - starts >= 2 * MANY_BRACKETS)
    return any(
        brackets(data, start, end) > MANY_BRACKETS
        for start, end in zip(starts[long].tolist(), ends[long].tolist(), strict=True)
    )


def suits_arrow(data: bytes, records: int) -> bool:
    """Return whether lines of JSON have nothing that Arrow's parser would misread or crash on.

    Where each line begins and ends with a brace, Arrow finds as many records as there are lines only if
    each line is one record. A record that is `null` can then only follow a brace within a line.

    Args:
        data: the lines.
        records: how many records there should be, one a line.
    """
    starts, ends = line_bounds(data)
    content = np.frombuffer(data, np.uint8)
    if not records or len(starts) != records:
        return False
    if not ((content[starts] == _OPEN).all() and (content[ends - 1] == _CLOSE).all()):
        return False
    if b"\0" in data or _NULL_RECORD.search(data):
        return False
    if not data.isascii():
        try:
            data.decode("utf-8")
        except UnicodeDecodeError:
            return False
    if (b"NaN" in data or b"Inf" in data) and _NOT_JSON.search(data):
        return False
    return not may_be_deep(data, starts, ends)


def read_json(data: bytes, schema: pa.Schema | None, *, infer: bool) -> pa.Table | None:
    """Read JSON lines by Arrow's parser; None if it refuses them.

    Args:
        data: lines for which `suits_arrow` holds.
        schema: the types of some values.
        infer: whether values that it does not name are read too.
    """
    from pyarrow import json as arrow_json

    options: dict[str, Any] = {} if schema is None else {"explicit_schema": schema}
    try:
        return arrow_json.read_json(
            pa.BufferReader(data),
            read_options=arrow_json.ReadOptions(use_threads=False, block_size=len(data) + 16),
            parse_options=arrow_json.ParseOptions(
                unexpected_field_behavior="infer" if infer else "ignore", **options
            ),
        )
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, UnicodeDecodeError):
        return None
