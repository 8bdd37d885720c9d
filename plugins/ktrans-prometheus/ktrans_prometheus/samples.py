"""Encodes totals as samples of Prometheus remote write 1.0, by columns.

Source: Prometheus, "Prometheus Remote-Write 1.0 specification", and its prompb/remote.proto and
prompb/types.proto: a WriteRequest has TimeSeries (field 1), each with Labels (1: name = 1, value = 2),
sorted by name, and Samples (2: value = 1 as double, timestamp = 2 in milliseconds). Each sample gets a
TimeSeries of its own here, so that the bytes of a row stand by themselves.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ktrans.api import RowsError

NAME_LABEL = "__name__"
_compute: Any = pc
_TIMESERIES, _LABEL, _SAMPLE, _FIRST, _SECOND = b"\x0a", b"\x0a", b"\x12", b"\x0a", b"\x12"
_SAMPLE_BYTES = 18
"""Tag and length, tag and double, tag and a time of six bytes."""
_TIME_BYTES = 6
_EARLIEST_MS, _LATEST_MS = 1 << 35, 1 << 42
"""Times between them, in milliseconds, are varints of six bytes: February 1971 to May 2109."""
_US_PER_MS = 1000
_PAYLOAD_BITS = 7
_ONE_BYTE = 1 << _PAYLOAD_BITS


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
        large_binary, shape (rows,), without nulls.
    """
    columns = {name: _label(name, batch.column(column)) for name, column in labels.items()}
    columns |= {name: _constant(name, value) for name, value in constant.items()}
    samples = []
    for metric, column in metrics.items():
        named = {**columns, NAME_LABEL: _constant(NAME_LABEL, metric)}
        parts = [named[name] for name in sorted(named, key=str.encode)]
        series = _joined([*parts, _samples(batch.column(column), times)], batch.num_rows)
        samples.append(_framed(series))
    found = _compute.fill_null(samples[0], b"")
    for more in samples[1:]:
        found = _joined([found, _compute.fill_null(more, b"")], batch.num_rows)
    return found


def _label(name: str, column: pa.Array) -> pa.Array:
    """Return the Label of each row; empty where it has none."""
    if not pa.types.is_dictionary(column.type):
        column = column.dictionary_encode()
    values = [_label_text(value) for value in column.dictionary.to_pylist()]
    coded = pa.array([_constant(name, value).as_py() for value in values], pa.large_binary())
    return _compute.fill_null(coded.take(column.indices), b"")


def _label_text(value: Any) -> str:
    """Return the text of a label's value."""
    if isinstance(value, bool):
        return str(value).lower()
    return "" if value is None else str(value)


def _constant(name: str, value: str) -> pa.Scalar:
    """Return a Label; empty if the value is."""
    text = value.encode()
    key = name.encode()
    inner = _FIRST + _varint(len(key)) + key + _SECOND + _varint(len(text)) + text
    return pa.scalar(_LABEL + _varint(len(inner)) + inner if text else b"", pa.large_binary())


def _samples(column: pa.Array, times: np.ndarray) -> pa.Array:
    """Return the Sample of each row; null where the column is.

    Times become seconds since 1970, as metrics have it; true is 1.
    """
    there = np.asarray(column.is_valid())
    if pa.types.is_timestamp(column.type):
        micros = column.cast(pa.timestamp("us", column.type.tz), safe=False).cast(pa.int64())
        values = np.asarray(micros.fill_null(0)).astype(np.float64) / (_US_PER_MS * 1000)
    else:
        values = np.asarray(column.cast(pa.float64(), safe=False).fill_null(0))
    data = np.empty((len(times), _SAMPLE_BYTES), np.uint8)
    data[:, 0], data[:, 1], data[:, 2] = _SAMPLE[0], _SAMPLE_BYTES - 2, 0x09
    data[:, 3:11] = values.astype("<f8").view(np.uint8).reshape(-1, 8)
    data[:, 11] = 0x10
    for place in range(_TIME_BYTES):
        byte = (times >> (_PAYLOAD_BITS * place)) & (_ONE_BYTE - 1)
        data[:, 12 + place] = byte | (_ONE_BYTE if place < _TIME_BYTES - 1 else 0)
    fixed = pa.FixedSizeBinaryArray.from_buffers(
        pa.binary(_SAMPLE_BYTES), len(times), [None, pa.py_buffer(data)]
    )
    encoded = fixed.cast(pa.large_binary())
    return encoded if there.all() else _compute.if_else(pa.array(there), encoded, None)


def _framed(series: pa.Array) -> pa.Array:
    """Put tag and length before each TimeSeries."""
    sizes = np.asarray(_compute.fill_null(_compute.binary_length(series), 0)).astype(np.int64)
    distinct, codes = np.unique(sizes, return_inverse=True)
    heads = pa.array([_TIMESERIES + _varint(int(size)) for size in distinct], pa.large_binary())
    return _joined([heads.take(pa.array(codes)), series], len(series))


def _joined(parts: Sequence[pa.Array | pa.Scalar], rows: int) -> pa.Array:
    """Join bytes element by element; null where one of them is."""
    if all(isinstance(part, pa.Scalar) for part in parts):
        parts = [pa.repeat(parts[0], rows), *parts[1:]]
    return _compute.binary_join_element_wise(*parts, pa.scalar(b"", pa.large_binary()))


def _varint(number: int) -> bytes:
    """Encode a length as protobuf does."""
    data = bytearray()
    while number >= _ONE_BYTE:
        data.append(number & (_ONE_BYTE - 1) | _ONE_BYTE)
        number >>= _PAYLOAD_BITS
    return bytes([*data, number])
