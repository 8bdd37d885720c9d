"""Values of any scalar type as text, by columns."""

from __future__ import annotations

from base64 import b64encode

import pyarrow as pa

from ktrans.kit.rows.pieces import as_text, is_text, number_text


def is_binary(kind: pa.DataType) -> bool:
    """Return whether a type holds bytes."""
    return bool(
        pa.types.is_binary(kind)
        or pa.types.is_large_binary(kind)
        or pa.types.is_fixed_size_binary(kind)
        or pa.types.is_binary_view(kind)
    )


def is_number(kind: pa.DataType) -> bool:
    """Return whether a type's text is a number: integers, floats, decimals, durations."""
    return bool(
        pa.types.is_integer(kind)
        or pa.types.is_floating(kind)
        or pa.types.is_decimal(kind)
        or pa.types.is_duration(kind)
    )


def is_scalar(kind: pa.DataType) -> bool:
    """Return whether `scalar_text` knows the type (or, for a dictionary, that of its values)."""
    if pa.types.is_dictionary(kind):
        return is_scalar(kind.value_type)
    return bool(
        is_text(kind)
        or is_binary(kind)
        or is_number(kind)
        or pa.types.is_boolean(kind)
        or pa.types.is_null(kind)
        or pa.types.is_timestamp(kind)
        or pa.types.is_date(kind)
        or pa.types.is_time(kind)
    )


def scalar_text(array: pa.Array) -> pa.Array:
    """Return each value's text, null where the value is null.

    Timestamps are RFC 3339 in UTC with microseconds (nanoseconds if the column has them); those
    without a zone get no `Z`. Durations are integers in the column's own unit, bytes are base64,
    floats are the shortest text that reads back as the same number (`nan`, `inf` for what has no
    digits).

    Args:
        array: of a type that `is_scalar` knows.

    Returns:
        A `string` array of the same length.
    """
    kind = array.type
    if is_text(kind):
        return as_text(array)
    if pa.types.is_timestamp(kind):
        return _timestamp_text(array)
    if is_binary(kind):
        return base64_text(array)
    if pa.types.is_duration(kind):
        array = array.cast(pa.int64())
    elif pa.types.is_float16(kind):
        array = array.cast(pa.float32())
    elif pa.types.is_dictionary(kind):
        return scalar_text(array.dictionary).take(array.indices)
    elif pa.types.is_null(kind):
        return pa.nulls(len(array), pa.string())
    return array.cast(pa.string())


def _timestamp_text(array: pa.Array) -> pa.Array:
    kind = array.type
    unit = "ns" if kind.unit == "ns" else "us"
    zone = None if kind.tz is None else "UTC"
    return number_text(array.cast(pa.timestamp(unit, zone)))


def base64_text(array: pa.Array) -> pa.Array:
    """Return the base64 text (RFC 4648, padded) of each value.

    Value by value: only the bytes of rejects are binary, no column of flows is.
    """
    values = array.to_pylist()
    texts = [None if value is None else b64encode(value).decode("ascii") for value in values]
    return pa.array(texts, pa.string())
