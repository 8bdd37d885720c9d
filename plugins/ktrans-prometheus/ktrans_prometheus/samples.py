"""Encodes totals as samples of Prometheus remote write 1.0, by columns.

Source: Prometheus, "Prometheus Remote-Write 1.0 specification", and its prompb/remote.proto and
prompb/types.proto: a WriteRequest has TimeSeries (field 1), each with Labels (1: name = 1, value = 2),
sorted by name, and Samples (2: value = 1 as double, timestamp = 2 in milliseconds). Each sample gets a
TimeSeries of its own here, so that the bytes of a row stand by themselves.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ktrans.api import RowsError
from ktrans.kit.rows import binary, protobuf

NAME_LABEL = "__name__"
_EARLIEST_MS, _LATEST_MS = 1 << 35, 1 << 42
"""Times that are taken, in milliseconds: February 1971 to May 2109."""
_US_PER_MS, _US_PER_SEC = 1000, 1_000_000


def times_in_ms(column: pa.Array) -> np.ndarray:
    """Return the times of rows.

    Args:
        column: timestamps of any unit.

    Returns:
        int64, shape (rows,), milliseconds since 1970, rounded down.

    Raises:
        RowsError: rows have no time, or one that is not between 1971 and 2109.
    """
    if column.null_count:
        raise RowsError(
            "the row has no time, and a sample needs one",
            rows=column.is_null(),
            code="time_missing",
            hint="filter such rows out before this sink",
        )
    micros = column.cast(pa.timestamp("us", column.type.tz), safe=False).cast(pa.int64())
    times: np.ndarray = np.floor_divide(np.asarray(micros), _US_PER_MS)
    outside = (times < _EARLIEST_MS) | (times >= _LATEST_MS)
    if outside.any():
        raise RowsError(
            "the row's time is outside of 1971 to 2109",
            rows=outside,
            code="time_out_of_range",
            hint="filter such rows out before this sink",
        )
    return times


def encode_rows(
    batch: pa.RecordBatch,
    times: np.ndarray,
    labels: Mapping[str, str],
    metrics: Mapping[str, str],
    constant: Mapping[str, str],
) -> pa.Array:
    """Return the TimeSeries of each row, one for each metric that has a value.

    Args:
        batch: the rows.
        times: int64, shape (rows,), milliseconds since 1970.
        labels: the columns by the names of their labels; a null or empty value is no label.
        metrics: the columns by the names of their metrics.
        constant: labels that all samples have.

    Returns:
        binary, shape (rows,), without nulls.
    """
    stamps = protobuf.varint(2, pa.array(times))
    parts: dict[str, pa.Array | bytes] = {
        name: _labels(name, batch.column(column)) for name, column in labels.items()
    }
    parts |= {name: _label(name, value) for name, value in constant.items()}
    series = []
    for metric, column in metrics.items():
        named = {**parts, NAME_LABEL: _label(NAME_LABEL, metric)}
        ordered = [named[name] for name in sorted(named, key=str.encode)]
        sample = _samples(batch.column(column), stamps)
        joined = binary.joined([*ordered, sample], batch.num_rows)
        series.append(protobuf.delimited(1, joined))
    return protobuf.message(series, batch.num_rows)


def _labels(name: str, column: pa.Array) -> pa.Array:
    """Return the Label of each row; empty where it has none."""
    if not pa.types.is_dictionary(column.type):
        column = column.dictionary_encode()
    values = [_label(name, _label_text(value)) for value in column.dictionary.to_pylist()]
    return pa.array(values, pa.binary()).take(column.indices).fill_null(b"")


def _label_text(value: Any) -> str:
    """Return the text of a label's value."""
    if isinstance(value, bool):
        return str(value).lower()
    return "" if value is None else str(value)


def _label(name: str, value: str) -> bytes:
    """Return a Label; empty if the value is."""
    pair = ((1, name.encode()), (2, value.encode()))
    inner = b"".join(protobuf.field_bytes(field, text) for field, text in pair)
    return protobuf.field_bytes(1, inner) if value else b""


def _samples(column: pa.Array, stamps: pa.Array) -> pa.Array:
    """Return the Sample of each row, with its encoded time; null where the column is.

    Times become seconds since 1970, as metrics have it; true is 1.
    """
    if pa.types.is_timestamp(column.type):
        micros = column.cast(pa.timestamp("us", column.type.tz), safe=False).cast(pa.int64())
        values = pc.divide(micros.cast(pa.float64(), safe=False), _US_PER_SEC)
    else:
        values = column.cast(pa.float64(), safe=False)
    return protobuf.delimited(2, binary.concat(protobuf.fixed64(1, values), stamps))
