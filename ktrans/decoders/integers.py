"""Reads integers as logs write them: numbers, doubles without a fraction, decimal digits."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ktrans.flow.columns import raw_values

INTEGER_REGEX = r"^[+-]?[0-9]+(?:\.0*)?$"
DIGITS_REGEX = r"^[0-9]+$"
SIGNED_REGEX = r"^-?[0-9]+$"
_MAX_PLAIN_DIGITS = 18
"""Any number of so many digits fits into int64; of those with one digit more, some do."""
_LARGEST = str((1 << 63) - 1)
_EXACT = float(1 << 53)


def to_integers(
    column: pa.Array, multiply: float | None = None, *, strict: bool = False
) -> tuple[pa.Array, np.ndarray | None]:
    """Convert a column to integers.

    Args:
        column: integers, doubles, booleans or text, also by distinct value.
        multiply: factor; with one, fractions are allowed and the product is rounded.
        strict: whether a text may hold nothing but digits: no sign, blank or point.

    Returns:
        int64, null where a value is not an integer, and a mask of those rows (None if there are none).
    """
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    if pa.types.is_null(column.type):
        return column.cast(pa.int64()), None
    if pa.types.is_string(column.type) and multiply is None:
        return _digits(column, strict=strict)
    if pa.types.is_integer(column.type) and (multiply is None or multiply == 1):
        return column.cast(pa.int64()), None
    if pa.types.is_string(column.type):
        shaped = pc.match_substring_regex(column, r"^[+-]?[0-9]+(?:\.[0-9]+)?$")
        numbers = pc.if_else(shaped, column, pa.scalar(None, pa.string())).cast(pa.float64())
    elif pa.types.is_boolean(column.type):
        numbers = pa.nulls(len(column), pa.float64())
    else:
        numbers = column.cast(pa.float64(), safe=False)  # what it rounds is refused below
    with np.errstate(over="ignore", invalid="ignore"):
        values = raw_values(numbers) * (1.0 if multiply is None else multiply)
        if multiply is not None:
            values = np.rint(values)
        whole = (np.floor(values) == values) & (np.abs(values) <= _EXACT)
    whole &= np.asarray(numbers.is_valid())
    bad = ~whole & np.asarray(column.is_valid())
    integers = np.where(whole, values, 0).astype(np.int64)
    return pa.array(integers, mask=~whole), (bad if bad.any() else None)


def _digits(column: pa.StringArray, *, strict: bool) -> tuple[pa.Array, np.ndarray | None]:
    """Convert decimal digits; hexadecimal numbers and exponents are not accepted."""
    odd = _odd_rows(column)
    if odd is None:
        return column.cast(pa.int64()), None
    mask = pa.array(odd)
    numbers, bad = _odd_digits(column.filter(mask), strict=strict)
    plain = pc.if_else(mask, pa.scalar(None, pa.string()), column).cast(pa.int64())
    if bad.all():
        return plain, odd
    numbers = pc.replace_with_mask(plain, mask, numbers)
    odd[odd] = bad
    return numbers, (odd if bad.any() else None)


def _odd_digits(column: pa.StringArray, *, strict: bool) -> tuple[pa.Array, np.ndarray]:
    """Convert numbers with more than digits in them, or very many of these."""
    if strict:
        shaped, plain = pc.match_substring_regex(column, DIGITS_REGEX), column
    else:
        column = pc.ascii_trim_whitespace(column)
        shaped = pc.match_substring_regex(column, INTEGER_REGEX)
        plain = pc.replace_substring_regex(column, r"^\+|\.0*$", "")
    bad = ~np.asarray(shaped) | _too_large(plain)
    if bad.any():
        plain = pc.if_else(pa.array(bad), pa.scalar(None, pa.string()), plain)
    return plain.cast(pa.int64()), bad


def _too_large(column: pa.StringArray) -> np.ndarray:
    """Mark decimal digits that do not fit into int64, by their number and their order as text."""
    digits = pc.replace_substring_regex(column, r"^-?0*", "")
    lengths = pc.binary_length(digits).fill_null(0)
    beyond = pc.greater(lengths, len(_LARGEST))
    if pc.any(pc.equal(lengths, len(_LARGEST))).as_py():
        same = pc.equal(lengths, len(_LARGEST))
        beyond = pc.or_(beyond, pc.and_(same, pc.greater(digits, _LARGEST).fill_null(False)))
    marked: np.ndarray = np.asarray(beyond)
    return marked


def whole_texts(column: pa.Array, *, strict: bool) -> np.ndarray:
    """Mark integers and texts that are integers, however large."""
    if not pa.types.is_string(column.type):
        return np.full(len(column), pa.types.is_integer(column.type))
    texts = column if strict else pc.ascii_trim_whitespace(column)
    shaped = pc.match_substring_regex(texts, SIGNED_REGEX if strict else INTEGER_REGEX)
    whole: np.ndarray = np.asarray(shaped.fill_null(False))
    return whole


def _odd_rows(column: pa.StringArray) -> np.ndarray | None:
    """Mark the texts that are not a few digits, by the bytes of the whole column; None if all are."""
    lengths = raw_values(pc.binary_length(column))
    odd: np.ndarray = (lengths == 0) | (lengths > _MAX_PLAIN_DIGITS)
    _, offsets_buffer, data = column.buffers()
    if data is not None:
        offsets = np.frombuffer(offsets_buffer, np.int32)
        offsets = offsets[column.offset : column.offset + len(column) + 1]
        content = np.frombuffer(data, np.uint8)[offsets[0] : offsets[-1]]
        places = np.flatnonzero((content - np.uint8(ord("0"))) > np.uint8(9)) + offsets[0]
        odd[np.searchsorted(offsets, places, side="right") - 1] = True
    if column.null_count:
        odd &= np.asarray(column.is_valid())
    return odd if odd.any() else None
