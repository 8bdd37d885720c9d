"""Finds the points that InfluxDB refuses, by what its answers say.

A request that the server refuses wholly or partly because of its lines is split: by the line numbers
in the answer; by the field in the answer if as many rows have it as the server dropped; otherwise in
halves. The dropped count may be that of one shard, so rows found by a field are sent again separately
and refused only if the server drops them all. Sending points again changes nothing, so the remaining
lines are sent once more.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from ktrans.kit.http.answers import Fault, Refusal
from ktrans.kit.http.batches import halves
from ktrans.kit.http.sender import Sender
from ktrans_influxdb.errors import PointsRefusal, reason_of


class PointSender(Sender):
    """Sends lines of one attempt of a task.

    Attributes:
        count_field: the field that each point has, with the number of its rows.
    """

    count_field: str | None = None

    def split(self, batch: pa.Table, refusal: Refusal) -> list[pa.Table]:
        """Refuse the lines that are known to be refused, and return what to send again."""
        count = batch.num_rows
        if refusal.too_large and count > 1:
            return halves(batch)
        if count in {1, refusal.dropped} or not isinstance(refusal, PointsRefusal):
            return super().split(batch, refusal)
        if refusal.lines and set(refusal.lines) <= set(range(1, count + 1)):
            return self._without(batch, refusal)
        named = self._conflicting(batch, refusal)
        if named.sum() != refusal.dropped or named.all():
            return halves(batch)
        return [batch.filter(pa.array(~named)), batch.filter(pa.array(named))]

    def _without(self, batch: pa.Table, refusal: PointsRefusal) -> list[pa.Table]:
        """Refuse the lines that the answer names, each with its message."""
        named = np.zeros(batch.num_rows, bool)
        for number, text in sorted(refusal.lines.items()):
            message = text or refusal.fault.detail
            fault = Fault(reason_of(message, refusal.fault.reason), message)
            self.refuse(batch.slice(number - 1, 1), fault)
            named[number - 1] = True
        rest = batch.filter(pa.array(~named))
        return [rest] if rest.num_rows else []

    def _conflicting(self, batch: pa.Table, refusal: PointsRefusal) -> np.ndarray:
        """Return which lines have the field with the conflicting type."""
        if refusal.column is not None and refusal.column == self.count_field:
            return np.ones(batch.num_rows, bool)
        if refusal.column in batch.column_names:
            return np.asarray(batch.column(refusal.column).is_valid())
        return np.zeros(batch.num_rows, bool)
