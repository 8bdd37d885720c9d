"""Integers as logs write them: as numbers, as doubles without a fraction, as decimal digits."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ktrans.flow.columns import raw_values

INTEGER_REGEX = r"^[+-]?[0-9]+(?:\.0*)?$"
_MAX_PLAIN_DIGITS = 18
"""So many digits fit into int64 whatever they are; of one more, some do."""
_LARGEST = str((1 << 63) - 1)
_EXACT = float(1 << 53)


def to_integers(
    column: pa.Array, multiply: float | None = None
) -> tuple[pa.Array, np.ndarray | None]:
    """Read integers: of integers, of doubles without a fraction, of decimal digits.

    Args:
        column: int64, double, bool or string.
        multiply: factor; with one, fractions are allowed and the product is rounded.

    Returns:
        int64, null where it could not be, and a mask of those rows (None if there are none).
    """
    if pa.types.is_null(column.type):
        return column.cast(pa.int64()), None
    if pa.types.is_string(column.type) and multiply is None:
        return _digits(column)
    if pa.types.is_integer(column.type) and (multiply is None or multiply == 1):
        return column.cast(pa.int64()), None
    if pa.types.is_string(column.type):
        shaped = pc.match_substring_regex(column, r"^[+-]?[0-9]+(?:\.[0-9]+)?$")
        numbers = pc.if_else(shaped, column, pa.scalar(None, pa.string())).cast(pa.float64())
    elif pa.types.is_boolean(column.type):
        numbers = pa.nulls(len(column), pa.float64())
    else:
        numbers = column.cast(pa.float64())
    values = raw_values(numbers) * (1.0 if multiply is None else multiply)
    if multiply is not None:
        values = np.rint(values)
    with np.errstate(invalid="ignore"):
        whole = (np.floor(values) == values) & (np.abs(values) <= _EXACT)
    whole &= np.asarray(numbers.is_valid())
    bad = ~whole & np.asarray(column.is_valid())
    integers = np.where(whole, values, 0).astype(np.int64)
    return pa.array(integers, mask=~whole), (bad if bad.any() else None)


def _digits(column: pa.StringArray) -> tuple[pa.Array, np.ndarray | None]:
    """Read decimal digits; nothing else is a number here (no 0x, no exponent)."""
    if _all_digits(column):
        return column.cast(pa.int64()), None
    column = pc.ascii_trim_whitespace(column)
    shaped = pc.match_substring_regex(column, INTEGER_REGEX)
    plain = pc.replace_substring_regex(column, r"^\+|\.0*$", "")
    bad = ~np.asarray(shaped.fill_null(True)) | _too_large(plain)
    if bad.any():
        plain = pc.if_else(pa.array(bad), pa.scalar(None, pa.string()), plain)
        return plain.cast(pa.int64()), bad
    return plain.cast(pa.int64()), None


def _too_large(column: pa.StringArray) -> np.ndarray:
    """Mark decimal digits that are beyond int64, by their number and their order as texts."""
    digits = pc.replace_substring_regex(column, r"^-?0*", "")
    lengths = pc.binary_length(digits).fill_null(0)
    beyond = pc.greater(lengths, len(_LARGEST))
    if pc.any(pc.equal(lengths, len(_LARGEST))).as_py():
        same = pc.equal(lengths, len(_LARGEST))
        beyond = pc.or_(beyond, pc.and_(same, pc.greater(digits, _LARGEST).fill_null(False)))
    marked: np.ndarray = np.asarray(beyond)
    return marked


def _all_digits(column: pa.StringArray) -> bool:
    """Tell whether there is nothing but digits in a whole column, by its bytes."""
    lengths = raw_values(pc.binary_length(column))
    if column.null_count:
        lengths = lengths[np.asarray(column.is_valid())]
    if not len(lengths) or lengths.min() == 0 or lengths.max() > _MAX_PLAIN_DIGITS:
        return False
    _, offsets_buffer, data = column.buffers()
    offsets = np.frombuffer(offsets_buffer, np.int32)[
        column.offset : column.offset + len(column) + 1
    ]
    content = np.frombuffer(data, np.uint8)[offsets[0] : offsets[-1]]
    return bool(((content - np.uint8(ord("0"))) <= np.uint8(9)).all())
