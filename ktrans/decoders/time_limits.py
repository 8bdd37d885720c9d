"""Times far outside reason: those that are not between two days are not times of flows."""

from __future__ import annotations

import datetime as dt

import msgspec
import numpy as np
import pyarrow as pa

from ktrans.api import Limits
from ktrans.decoders.flow_rule import TIMES
from ktrans.decoders.partial_rows import PartialRows, Unread
from ktrans.decoders.values import Wrong
from ktrans.flow.columns import raw_values

_DAY_MICROS = 86_400_000_000
_EPOCH = dt.date(1970, 1, 1)


def _micros(day: dt.date) -> int:
    return (day - _EPOCH).days * _DAY_MICROS


class TimeLimits(msgspec.Struct, frozen=True):
    """The first time that can be right, and the first one after it that cannot, in microseconds."""

    first: int
    end: int

    @classmethod
    def of(cls, limits: Limits) -> TimeLimits:
        """Return the limits that are set."""
        return cls(_micros(limits.earliest_time), _micros(limits.latest_time))

    def wrong(self, times: pa.TimestampArray) -> Wrong | None:
        """Return the rows whose times are outside; None if there are none."""
        if not len(times) or times.null_count == len(times):
            return None
        values = raw_values(times)
        outside: np.ndarray = (values < self.first) | (values >= self.end)
        if times.null_count:
            outside &= np.asarray(times.is_valid())
        return Wrong.of(outside, "time_out_of_range")

    def without_wrong(self, times: pa.TimestampArray, wrong: Wrong) -> pa.TimestampArray:
        """Return times without those that are outside."""
        mask = np.asarray(times.is_null()).copy()
        mask[wrong.rows] = True
        return pa.array(raw_values(times), pa.int64(), mask=mask).view(times.type)

    def check(self, rows: PartialRows, names: dict[str, str]) -> None:
        """Note the times of rows that are outside, and null them.

        Args:
            rows: the rows.
            names: the name of the field of each flow column.
        """
        for column in TIMES:
            times = rows.columns.get(column)
            wrong = None if times is None else self.wrong(times)
            if times is not None and wrong is not None:
                rows.columns[column] = self.without_wrong(times, wrong)
                values = times.cast(pa.string())
                rows.unread.append(Unread(names.get(column, column), column, wrong, values))
