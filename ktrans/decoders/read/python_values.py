"""Arrow values as Python has them, and as JSON, whatever they are: for rejects and rare types."""

from __future__ import annotations

import json
import math
from typing import Any

import pyarrow as pa


def rows_as_json(batch: pa.RecordBatch) -> list[bytes]:
    """Return each row as JSON, also one with values that Python cannot have, such as late dates."""
    columns = [python_values(column) for column in batch.columns]
    names = batch.schema.names
    return [json_bytes(dict(zip(names, row, strict=True))) for row in zip(*columns, strict=True)]


def json_bytes(value: Any) -> bytes:
    """Return a row as JSON, whatever its values are."""
    text = json.dumps(plain(value), ensure_ascii=False, default=str)
    return text.encode("utf-8", "replace")


def python_values(column: pa.Array) -> list[Any]:
    """Return the values of a column; what Python cannot have is given as a number or as bytes."""
    try:
        found: list[Any] = column.to_pylist()
    except (ValueError, OverflowError):
        return [_value(each) for each in column]
    return found


def _value(scalar: Any) -> Any:
    try:
        return scalar.as_py()
    except (ValueError, OverflowError):
        pass
    if isinstance(scalar, pa.DictionaryScalar):
        return _value(scalar.value)
    if isinstance(scalar, pa.StructScalar):
        return {name: _value(scalar[name]) for name in scalar.type.names}
    if isinstance(scalar, pa.ListScalar):
        return None if scalar.values is None else [_value(each) for each in scalar.values]
    buffer = getattr(scalar, "as_buffer", None)
    return getattr(scalar, "value", str(scalar.type)) if buffer is None else buffer().to_pybytes()


def plain(value: Any) -> Any:
    """Return a value with nothing in it that JSON does not have, but for what `str` can show."""
    if isinstance(value, float) and not math.isfinite(value):
        return None if math.isnan(value) else str(value)
    if isinstance(value, dict):
        return {str(plain(key)): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    return value
