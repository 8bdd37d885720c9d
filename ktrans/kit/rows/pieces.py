"""Rows as text, by columns: each column becomes a piece, the pieces are joined row by row.

An accelerator joins them as they are; this is what Python does without one. Joining costs about 10 ns
a row for every operand, constant ones included, while `take` costs half of that. So a column with few
distinct values stays in coded form as long as possible: text around it is attached to its distinct
values, and neighbours with few combinations become one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ktrans.api import Coded, Maps, Numbers, Plain, RowPart
from ktrans.kit.accelerate import accelerator
from ktrans.kit.rows.codes import coded

MAX_JOINED_BYTES = 1 << 30
"""Arrow's text arrays end at 2 GiB; a batch that might come near is encoded in halves."""

_compute: Any = pc
"""pyarrow.compute, untyped."""

TextOf = Callable[[pa.Array], pa.Array]
"""A function that returns the text of each value, null exactly where the value is null."""
Piece = RowPart

_FIRST_TIME, _LAST_TIME = -62_167_219_200_000_000, 253_402_300_799_999_999
"""Microseconds since 1970 of the years 0 to 9999: those of `Numbers`."""
_MAX_ESCAPE = 6
"""The most bytes that one byte of a JSON text takes; the four that a text or pair takes in memory count too."""
_MAX_NUMBER = 27
"""The most bytes of a number or time."""


def is_text(kind: pa.DataType) -> bool:
    """Return whether a type holds text, in any of Arrow's layouts."""
    return bool(
        pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind)
    )


def concat(*parts: pa.Array | str) -> pa.Array:
    """Join texts element by element; null where one of them is null."""
    return _compute.binary_join_element_wise(*(_typed(part) for part in parts), _typed(""))


def _typed(part: pa.Array | str) -> Any:
    """Return a constant as a typed scalar: letting Arrow infer the type costs far more."""
    return pa.scalar(part, pa.string()) if isinstance(part, str) else part


def piece(
    array: pa.Array,
    text_of: TextOf,
    before: str = "",
    after: str = "",
    absent: str = "",
    *,
    digits: bool = False,
) -> Piece:
    """Turn a column into a piece: its text between `before` and `after`, or `absent` where null.

    Args:
        array: the column.
        text_of: returns the text of the column's distinct values (or of all of them).
        before: what precedes a value.
        after: what follows a value.
        absent: replaces all three where the value is null.
        digits: whether `text_of` returns integers and times as `number_text` does.
    """
    numbers = plain_numbers(array) if digits and array.null_count < len(array) else None
    if numbers is not None:
        return Numbers(numbers, before=before, after=after, absent=absent)
    return _by_text(array, text_of, before, after, absent)


def joined(pieces: Iterable[Piece], rows: int) -> pa.Array:
    """Join pieces row by row into a text array without nulls, shape (rows,)."""
    pieces, native = list(pieces), accelerator()
    found = None if native is None else native.join(pieces, rows)
    if found is not None:
        return found
    merged = _merge((bare for part in pieces for bare in _bare(part)), rows)
    operands = [_operand(part) for part in merged]
    if all(isinstance(part, str) for part in merged):
        return pa.repeat(pa.scalar("".join(str(part) for part in merged), pa.string()), rows)
    return _compute.binary_join_element_wise(
        *operands, _typed(""), null_handling="replace", null_replacement=""
    )


def texts_of(
    batch: pa.RecordBatch, pieces_of: Callable[[pa.RecordBatch], list[Piece]]
) -> list[pa.Array]:
    """Return each row's text as consecutive arrays.

    More than one array only where a single one could exceed Arrow's 2 GiB.
    """
    if not batch.num_rows:
        return []
    pieces = pieces_of(batch)
    if batch.num_rows > 1 and max_bytes(pieces, batch.num_rows) > MAX_JOINED_BYTES:
        half = batch.num_rows // 2
        parts = [batch.slice(0, half), batch.slice(half)]
        return [text for part in parts for text in texts_of(part, pieces_of)]
    return [joined(pieces, batch.num_rows)]


def max_bytes(pieces: Iterable[Piece], rows: int) -> int:
    """Return an upper bound of the size of `joined`, without building it."""
    total = 0
    for part in pieces:
        if isinstance(part, str):
            total += len(part.encode()) * rows
            continue
        around = len(part.before.encode()) + len(part.after.encode())
        if isinstance(part, Plain):
            total += part.texts.nbytes + max(around, len(part.absent.encode())) * rows
            continue
        longest = _MAX_NUMBER
        if isinstance(part, Maps):
            total += _MAX_ESCAPE * part.values.nbytes + around * rows
            longest = len("{}")
        elif isinstance(part, Coded):
            longest = _compute.max(_compute.binary_length(part.values)).as_py() or 0
        total += max(around + longest, len(part.absent.encode())) * rows
    return total


def text_bytes(texts: pa.Array) -> memoryview:
    """Return the bytes of a text array (int32 offsets) without copying them."""
    if not len(texts):
        return memoryview(b"")
    _, ends, data = texts.buffers()
    offsets = np.frombuffer(ends, dtype=np.int32)
    first, last = offsets[texts.offset], offsets[texts.offset + len(texts)]
    return memoryview(data)[first:last] if data is not None else memoryview(b"")


def replace_chars(texts: pa.Array, replacements: Sequence[tuple[str, str]]) -> pa.Array:
    """Replace single ASCII characters, in the order given, touching only those that occur."""
    data = text_bytes(texts)
    if not len(data):
        return texts
    octets = np.frombuffer(data, dtype=np.uint8)
    lowest = octets.min()
    for char, replacement in replacements:
        if ord(char) >= lowest and (octets == ord(char)).any():
            texts = _compute.replace_substring(texts, char, replacement)
    return texts


def as_text(array: pa.Array) -> pa.Array:
    """Cast a text array of any layout to plain `string`."""
    return array if array.type == pa.string() else array.cast(pa.string())


def plain_numbers(array: pa.Array) -> pa.Array | None:
    """Return integers and times as `Numbers` has them; None for values that it cannot have."""
    kind = array.type
    if pa.types.is_integer(kind):
        return array
    if not pa.types.is_timestamp(kind) or kind.unit == "ns":
        return None
    values = array.cast(pa.timestamp("us", None if kind.tz is None else "UTC"))
    bounds = _compute.min_max(values.cast(pa.int64()))
    low, high = bounds["min"].as_py(), bounds["max"].as_py()
    inside = low is not None and low >= _FIRST_TIME and high <= _LAST_TIME
    return values if inside else None


def number_text(values: pa.Array) -> pa.Array:
    """Return integers as their digits, and times as RFC 3339 texts with the fraction of their unit."""
    texts = values.cast(pa.string())
    if pa.types.is_timestamp(values.type):
        texts = _compute.replace_substring(texts, " ", "T")
    return texts


def _by_text(
    array: pa.Array, text_of: TextOf, before: str, after: str, absent: str
) -> Coded | Plain | str:
    if array.null_count == len(array):
        return absent
    found = coded(array)
    if found is None:
        return Plain(text_of(array), before=before, after=after, absent=absent)
    codes, distinct = found
    texts = text_of(distinct)
    if len(texts) > 1:
        return Coded(codes, texts, before=before, after=after, absent=absent)
    return absent if texts.null_count else f"{before}{texts[0]}{after}"


def _bare(part: Piece) -> list[Piece]:
    """Return pieces without texts around them, and without numbers and nulls."""
    if isinstance(part, Numbers):
        part = _by_text(part.values, number_text, part.before, part.after, part.absent)
    elif isinstance(part, Maps):
        part = _by_text(part.values, part.text_of, part.before, part.after, part.absent)
    if isinstance(part, str):
        return [part]
    texts = part.values if isinstance(part, Coded) else part.texts
    if isinstance(part, Plain) and not texts.null_count:
        return [part.before, Plain(texts), part.after]
    if part.before or part.after:
        texts = concat(part.before, texts, part.after)
    if texts.null_count and (part.absent or isinstance(part, Coded)):
        texts = texts.fill_null(part.absent)
    return [Coded(part.codes, texts) if isinstance(part, Coded) else Plain(texts)]


def _operand(part: Piece) -> Any:
    if isinstance(part, Coded):
        return _compute.take(part.values, pa.array(part.codes), boundscheck=False)
    return part.texts if isinstance(part, Plain) else _typed(part)


def _merge(pieces: Iterable[Piece], rows: int) -> list[Piece]:
    merged: list[Piece] = []
    for part in pieces:
        last = merged[-1] if merged else None
        pair = None if last is None else _pair(last, part, rows)
        if pair is not None:
            merged[-1] = pair
        elif part != "":
            merged.append(part)
    return merged or [""]


def _pair(left: Piece, right: Piece, rows: int) -> Piece | None:
    """Make one piece of two neighbours, or None if that would cost more than it saves."""
    match left, right:
        case str(), str():
            return left + right
        case str(), Coded():
            return Coded(right.codes, concat(left, right.values)) if left else right
        case Coded(), str():
            return Coded(left.codes, concat(left.values, right)) if right else left
        case Coded(), Coded():
            return _product(left, right, rows)
    return None


def _product(left: Coded, right: Coded, rows: int) -> Coded | None:
    size = len(left.values) * len(right.values)
    if size > 8 * rows + 1024:
        return None
    codes = left.codes * np.int32(len(right.values)) + right.codes
    present = np.arange(size)
    if size > rows // 8 + 64:
        used = np.zeros(size, dtype=bool)
        used[codes] = True
        present = np.flatnonzero(used)
        if len(present) > rows // 4:
            return None
        codes = (np.cumsum(used) - 1).astype(np.int32)[codes]
    first, second = np.divmod(present, len(right.values))
    values = concat(left.values.take(pa.array(first)), right.values.take(pa.array(second)))
    return Coded(codes, values)
