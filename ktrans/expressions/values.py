"""How the types of an expression compute: total functions over Arrow arrays and scalars.

Total means that no value makes them fail. What has no answer (division by zero, an integer that
does not fit 64 bits, text that is not a number) is null.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ktrans.flow.schema import TIME

Kind = Literal["bool", "int", "float", "text", "timestamp", "attrs", "null"]
Value = Any
"""A pa.Array, or a pa.Scalar for what is the same in every row."""

ARROW: dict[str, pa.DataType] = {
    "bool": pa.bool_(),
    "int": pa.int64(),
    "float": pa.float64(),
    "text": pa.string(),
    "timestamp": TIME,
    "null": pa.null(),
}
"""What each kind is while it is computed; text leaves as a dictionary."""

_INT64 = np.iinfo(np.int64)
_WIDE = pa.decimal256(19)


def kind_of(dtype: pa.DataType) -> Kind | None:
    """Return the kind of values of an Arrow type; None if expressions cannot read it."""
    if pa.types.is_dictionary(dtype):
        dtype = dtype.value_type
    if pa.types.is_map(dtype):
        return "attrs" if kind_of(dtype.key_type) == kind_of(dtype.item_type) == "text" else None
    return next((kind for kind, is_kind in _TYPES.items() if is_kind(dtype)), None)


_TYPES: dict[Kind, Callable[[pa.DataType], bool]] = {
    "text": lambda t: pa.types.is_string(t) or pa.types.is_large_string(t) or t == pa.string_view(),
    "int": pa.types.is_integer,
    "float": pa.types.is_floating,
    "bool": pa.types.is_boolean,
    "timestamp": pa.types.is_timestamp,
    "null": pa.types.is_null,
}


def normal(array: pa.Array, kind: Kind) -> pa.Array:
    """Cast a column to the Arrow type in which its kind is computed."""
    if pa.types.is_dictionary(array.type):
        array = array.dictionary_decode()
    if kind == "attrs":
        return array
    target = ARROW[kind]
    if array.type == target:
        return array
    if array.type == pa.uint64():
        fits = pc.less_equal(array, pa.scalar(_INT64.max, pa.uint64()))
        array = pc.if_else(fits, array, pa.scalar(None, pa.uint64()))
    return array.cast(target, safe=False)


def arithmetic(op: str, left: Value, right: Value) -> Value:
    """Compute `+ - * %` on two ints or two floats, and `/` as floats."""
    if op == "/":
        left, right = (value.cast(pa.float64(), safe=False) for value in (left, right))
    if op in "/%":
        zero = pa.scalar(0, right.type)
        right = pc.if_else(pc.equal(right, zero), pa.scalar(None, right.type), right)
    if op == "/":
        return pc.divide(left, right)
    if op == "%":
        return _remainder(left, right)
    checked, plain = _CHECKED[op]
    if pa.types.is_floating(left.type):
        return plain(left, right)
    try:
        return checked(left, right)
    except pa.ArrowInvalid:
        return _exactly(plain, left, right)


_CHECKED: dict[str, tuple[Callable[..., Value], Callable[..., Value]]] = {
    "+": (pc.add_checked, pc.add),
    "-": (pc.subtract_checked, pc.subtract),
    "*": (pc.multiply_checked, pc.multiply),
}


def negative(value: Value) -> Value:
    """Negate; the lowest int64 has no negative and becomes null."""
    if pa.types.is_floating(value.type):
        return pc.negate(value)
    return arithmetic("-", pa.scalar(0, pa.int64()), value)


def absolute(value: Value) -> Value:
    """Drop the sign; the lowest int64 becomes null."""
    if pa.types.is_floating(value.type):
        return pc.abs(value)
    return pc.if_else(pc.less(value, pa.scalar(0, pa.int64())), negative(value), value)


def _remainder(left: Value, right: Value) -> Value:
    """Compute the remainder with the sign of the dividend, as SQL does."""
    scalar = isinstance(left, pa.Scalar) and isinstance(right, pa.Scalar)
    size = 1 if scalar else len(right if isinstance(left, pa.Scalar) else left)
    first, second = (_spread(value, size) for value in (left, right))
    gone = pc.or_(first.is_null(), second.is_null()).to_numpy(zero_copy_only=False)
    dividend, divisor = _filled(first), _filled(second)
    if dividend.dtype == np.int64:
        divisor = np.where(divisor == -1, 1, divisor)  # the same remainder, and no overflow
    with np.errstate(all="ignore"):
        array = pa.array(np.fmod(dividend, divisor), left.type, mask=gone)
    return array[0] if scalar else array


def _spread(value: Value, size: int) -> pa.Array:
    return pa.repeat(value, size) if isinstance(value, pa.Scalar) else value


def _filled(array: pa.Array) -> np.ndarray:
    """Return the values with 1 for null, which neither divides by zero nor overflows."""
    filled = array.fill_null(pa.scalar(1, array.type))
    return np.asarray(filled.to_numpy(zero_copy_only=False))


def _exactly(plain: Callable[..., Value], left: Value, right: Value) -> Value:
    """Compute integers with more digits than overflow; null where the result does not fit int64."""
    return _int64_or_null(plain(left.cast(_WIDE), right.cast(_WIDE)))


def _int64_or_null(decimals: Value) -> Value:
    low, high = (
        pa.scalar(Decimal(int(bound))).cast(decimals.type) for bound in (_INT64.min, _INT64.max)
    )
    fits = pc.and_(pc.greater_equal(decimals, low), pc.less_equal(decimals, high))
    return pc.if_else(fits, decimals, pa.scalar(None, decimals.type)).cast(pa.int64())


_INT_TEXT = r"^\s*[+-]?[0-9]+\s*$"
_FLOAT_TEXT = r"^\s*[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?\s*$"


def cast(value: Value, kind: Kind, target: str) -> Value:
    """Convert between kinds; what has no counterpart becomes null."""
    if kind == target:
        return value
    if kind == "null":
        return value.cast(ARROW[target], safe=False)
    if kind == "text":
        return _from_text(value, target)
    if kind == "timestamp":
        return pc.strftime(value.cast(pa.timestamp("us")), format="%Y-%m-%dT%H:%M:%SZ")
    if kind == "float" and target == "int":
        return float_to_int(value)
    return value.cast(ARROW[target], safe=False)


def float_to_int(value: Value) -> Value:
    """Round to the nearest integer, ties to even; null where int64 has none."""
    rounded = pc.round(value, round_mode="half_to_even")
    # 2**63 is the first float that is too large; -2**63 is itself an int64.
    fits = pc.and_(
        pc.greater_equal(rounded, float(_INT64.min)), pc.less(rounded, -float(_INT64.min))
    )
    return pc.if_else(fits, rounded, pa.scalar(None, pa.float64())).cast(pa.int64())


def _from_text(value: Value, target: str) -> Value:
    if target == "bool":
        lower = pc.utf8_lower(pc.utf8_trim_whitespace(value))
        known = pc.is_in(lower, value_set=pa.array(["true", "false"]))
        flag = pc.equal(lower, pa.scalar("true"))
        return pc.if_else(known, flag, pa.scalar(None, pa.bool_()))
    pattern = _INT_TEXT if target == "int" else _FLOAT_TEXT
    number = pc.match_substring_regex(value, pattern)
    text = pc.utf8_trim_whitespace(pc.if_else(number, value, pa.scalar(None, pa.string())))
    text = pc.utf8_ltrim(text, characters="+")
    if target == "float":
        return text.cast(pa.float64())
    try:
        return text.cast(pa.int64())
    except pa.ArrowInvalid:  # more digits than 64 bits hold
        return _int64_or_null(pc.utf8_slice_codeunits(text, 0, 40).cast(pa.decimal256(40)))


def is_in(value: Value, items: pa.Array) -> Value:
    """Return whether a value is among constants, with SQL's nulls."""
    known = items.drop_null()
    found = pc.is_in(value, value_set=known)
    unknown = pc.is_null(value)
    if len(known) < len(items):
        unknown = pc.or_(unknown, pc.invert(found))
    return pc.if_else(unknown, pa.scalar(None, pa.bool_()), found)
