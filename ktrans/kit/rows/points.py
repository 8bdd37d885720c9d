"""Times and tags that make each point of a time series unique.

InfluxDB keeps one point per series and time: a second one replaces the first. Flow logs have many
rows in one second of one series, so each row needs a unique time or tag that depends on the row
alone, so that a rerun writes the same points again.
"""

from __future__ import annotations

import json
from hashlib import blake2b
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ktrans.api import RowsError
from ktrans.kit.rows.codes import compact

_compute: Any = pc

SERIES = b"ktrans.series"
"""Schema metadata, as `rollup` sets it: JSON with the names of `time`, `tags` and `fields`."""

PER_SECOND = {"ns": 1_000_000_000, "us": 1_000_000, "ms": 1_000, "s": 1}
_NS = PER_SECOND["ns"]
_MAX_MICROS = np.iinfo(np.int64).max // 1000 - 2_000_000
"""Nanoseconds in 64 bits, with room for the number that takes the place of a second's fraction."""
_HEX = np.frombuffer(b"0123456789abcdef", dtype=np.uint8)


def point_times(columns: list[pa.Array], precision: str) -> np.ndarray:
    """Return each row's time: the first of the columns that has one.

    Args:
        columns: timestamp columns in order of preference, of any unit.
        precision: the unit of the result.

    Returns:
        int64, shape (rows,), units of `precision` since 1970, rounded down.

    Raises:
        RowsError: rows have no time, or one that InfluxDB cannot hold.
    """
    times = _micros(columns[0])
    for column in columns[1:]:
        if not times.null_count:
            break
        times = _compute.coalesce(times, _micros(column))
    if times.null_count:
        raise RowsError(
            "the row has no time, and InfluxDB would give it the time of its own clock",
            rows=times.is_null(),
            code="time_missing",
            hint="filter such rows out (where: start_time is not null), or name more columns in"
            " `time`",
        )
    micros: np.ndarray = np.asarray(times)
    outside = (micros <= -_MAX_MICROS) | (micros >= _MAX_MICROS)
    if outside.any():
        raise RowsError(
            "the row's time is outside of 1677 to 2262, which InfluxDB cannot store",
            rows=outside,
            code="time_out_of_range",
            hint="filter such rows out before this sink",
        )
    scale = PER_SECOND[precision]
    if scale >= PER_SECOND["us"]:
        micros = micros * np.int64(scale // PER_SECOND["us"])
    else:
        micros = np.floor_divide(micros, PER_SECOND["us"] // scale)
    return micros


def sequenced(times: np.ndarray, batch: pa.RecordBatch, *, spread: bool) -> np.ndarray:
    """Replace the sub-second part of nanosecond times by a number derived from the row's origin.

    The number is the row's position in its object, modulo one second, so that rows of one object
    never share it. With `spread`, it starts at a hash of the object's name, so that a pair of rows
    of different objects shares it with a probability of 1e-9.
    """
    uris, positions = _origin(batch)
    numbers = positions % _NS
    if spread:
        codes, starts = uris
        numbers = (numbers + (starts % np.uint64(_NS)).astype(np.int64)[codes]) % _NS
    return np.asarray(times - times % _NS + numbers)


def object_tags(batch: pa.RecordBatch) -> tuple[np.ndarray, pa.Array]:
    """Return a tag for each row's object: codes, and hexadecimal 64-bit hashes of the names."""
    (codes, hashes), _ = _origin(batch)
    return codes, _hexadecimal(hashes)


def row_tags(batch: pa.RecordBatch) -> pa.Array:
    """Return a tag for each row: the 64-bit hash of its object's name and its position there."""
    (codes, hashes), positions = _origin(batch)
    mixed = hashes[codes] + positions.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    # The finaliser of splitmix64: one to one, so rows of one object cannot collide.
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        mixed = (mixed ^ (mixed >> np.uint64(shift))) * np.uint64(factor)
    return _hexadecimal(mixed ^ (mixed >> np.uint64(31)))


def series_of(schema: pa.Schema) -> dict[str, list[str]] | None:
    """Return the columns that SERIES names, if the rows still have its time and tags."""
    known = (schema.metadata or {}).get(SERIES)
    if known is None:
        return None
    series: dict[str, list[str]] = json.loads(known)
    present = set(schema.names)
    if not present.issuperset([*series["time"], *series["tags"]]):
        return None
    series["fields"] = [name for name in series["fields"] if name in present]
    return series


def _micros(column: pa.Array) -> pa.Array:
    return column.cast(pa.timestamp("us", column.type.tz), safe=False).cast(pa.int64())


def _origin(batch: pa.RecordBatch) -> tuple[tuple[np.ndarray, np.ndarray], np.ndarray]:
    """Return each row's object as code and hashes, and its position in the object."""
    uris, positions = batch.column("source_uri"), batch.column("source_pos")
    if not pa.types.is_dictionary(uris.type):
        uris = uris.dictionary_encode()
    uris = compact(uris)
    absent = _compute.or_(uris.cast(uris.type.value_type).is_null(), positions.is_null())
    if _compute.any(absent).as_py():
        raise RowsError(
            "the row has no origin (source_uri, source_pos), so its point would not be unique",
            rows=absent,
            code="origin_missing",
            hint="set uniqueness: none if each row has a series and time of its own",
        )
    names = uris.dictionary.to_pylist()
    hashes = [blake2b((name or "").encode(), digest_size=8).digest() for name in names]
    table = np.frombuffer(b"".join(hashes), dtype="<u8").astype(np.uint64)
    codes = np.asarray(uris.indices).astype(np.int32, copy=False)
    return (codes, table), np.asarray(positions.cast(pa.int64()))


def _hexadecimal(numbers: np.ndarray) -> pa.Array:
    octets = numbers.astype(">u8").view(np.uint8).reshape(-1, 8)
    text = np.empty((len(octets), 16), dtype=np.uint8)
    text[:, 0::2] = _HEX[octets >> 4]
    text[:, 1::2] = _HEX[octets & 15]
    ends = np.arange(len(octets) + 1, dtype=np.int32) * 16
    return pa.StringArray.from_buffers(len(octets), pa.py_buffer(ends), pa.py_buffer(text))
