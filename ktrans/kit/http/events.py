"""What sinks of logs and events share: the time of a row, and rows as JSON objects."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field

from ktrans.api import ComponentConfig, ConfigError, RowsError
from ktrans.kit.rows.json import quoted_name

_compute: Any = pc
_US = {"s": 1_000_000, "ms": 1_000, "us": 1}
_INTEGERS = {"time": "ms", "timeUnixNano": "ns"}
"""Integer columns of OCSF and OpenTelemetry that are times, and their units."""

TIMES = ("end_time", "start_time", "@timestamp", "window_start", "time", "timeUnixNano")


class EventConfig(ComponentConfig):
    """The option for the time of a row."""

    time: tuple[str, ...] = Field(
        (),
        description="The columns that may have the time of a row; the first one with a value counts."
        f" By default those of {', '.join(TIMES)} that there are.",
        examples=[["start_time"]],
    )


class EventTimes:
    """Finds the time of each row."""

    def __init__(self, config: EventConfig, schema: pa.Schema) -> None:
        """Find the columns.

        Raises:
            ConfigError: a column is missing, or has no times; or there is none.
        """
        for name in config.time:
            if name not in schema.names or not _is_time(schema.field(name)):
                raise ConfigError(
                    f"time: there is no column {name!r} with times",
                    field="time",
                    code="column_missing",
                )
        found = config.time or [
            name for name in TIMES if name in schema.names and _is_time(schema.field(name))
        ]
        if not found:
            raise ConfigError(
                "no column has the time of a row",
                field="time",
                code="column_missing",
                hint="name one in `time`",
            )
        self.columns = tuple(found)

    def unix(self, batch: pa.RecordBatch | pa.Table, unit: Literal["s", "ms", "ns"]) -> pa.Array:
        """Return Unix times: seconds as float64, others as int64; null where a row has none.

        Raises:
            RowsError: a time has no form in this unit.
        """
        micros = self._micros(batch)
        if unit == "s":
            return _compute.divide(micros.cast(pa.float64(), safe=False), float(_US["s"]))
        if unit == "ms":
            return _compute.divide(micros, pa.scalar(_US["ms"], pa.int64()))
        limit = np.iinfo(np.int64).max // 1000
        outside = _compute.greater(_compute.abs(micros), limit).fill_null(False)
        if _compute.any(outside).as_py():
            raise RowsError(
                "the row's time is outside of 1677 to 2262", rows=outside, code="time_out_of_range"
            )
        return _compute.multiply(micros, pa.scalar(1000, pa.int64()))

    def timestamps(self, batch: pa.RecordBatch) -> pa.Array:
        """Return times in UTC with microseconds; null where a row has none."""
        return self._micros(batch).cast(pa.timestamp("us", "UTC"))

    def _micros(self, batch: pa.RecordBatch | pa.Table) -> pa.Array:
        micros = _micros(batch.column(self.columns[0]), self.columns[0])
        for name in self.columns[1:]:
            if not micros.null_count:
                break
            micros = _compute.coalesce(micros, _micros(batch.column(name), name))
        return micros

    def needed(self, batch: pa.RecordBatch, unit: Literal["s", "ms", "ns"]) -> pa.Array:
        """Return Unix times of rows that all have one.

        Raises:
            RowsError: rows have none.
        """
        times = self.unix(batch, unit)
        if times.null_count:
            raise RowsError(
                "the row has no time",
                rows=times.is_null(),
                code="time_missing",
                hint="filter such rows out, or name more columns in `time`",
            )
        return times


def _is_time(field: pa.Field) -> bool:
    integer = field.name in _INTEGERS and pa.types.is_integer(field.type)
    return bool(pa.types.is_timestamp(field.type) or integer)


def _micros(column: pa.Array | pa.ChunkedArray, name: str) -> pa.Array:
    if isinstance(column, pa.ChunkedArray):
        column = column.combine_chunks()
    if pa.types.is_timestamp(column.type):
        return column.cast(pa.timestamp("us", column.type.tz), safe=False).cast(pa.int64())
    numbers = column.cast(pa.int64())
    if _INTEGERS[name] == "ns":
        return _compute.divide(numbers, pa.scalar(1000, pa.int64()))
    return _compute.multiply_checked(numbers, pa.scalar(1000, pa.int64()))


def members(**values: str | None) -> str:
    """Return constant members of a JSON object, a comma after each; those that are None are left out."""
    return "".join(
        f"{quoted_name(name)}:{quoted_name(value)},"
        for name, value in values.items()
        if value is not None
    )
