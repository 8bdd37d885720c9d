"""Sorts the rows of a batch: those that count, in which window, and those that come too late."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ktrans.api import Refused
from ktrans.enrichers.totals.merge import Totals
from ktrans.enrichers.totals.plan import RollupPlan
from ktrans.enrichers.totals.rows_to_totals import rows_to_totals
from ktrans.flow.schema import COUNTERS
from ktrans.kit.flow_rules import NO_FLOW_STATUSES

NO_FLOWS = pa.array(NO_FLOW_STATUSES, pa.string())
_EARLIEST = np.iinfo(np.int64).min


@dataclass(frozen=True, slots=True)
class Rules:
    """The limits that decide about a row.

    Attributes:
        closed_until: windows that end by then are closed; None: none is. Microseconds since 1970.
        latest: a row after that is from the future; None: no row is.
        reject_late: rows of closed windows are rejects.
    """

    closed_until: int | None
    latest: int | None
    reject_late: bool


@dataclass(slots=True)
class Prepared:
    """The totals of a batch, and what else the epoch has to know about it.

    Attributes:
        totals: of windows that are open, None if there are none.
        late: of windows that are closed.
        newest: the latest time of a row; None if no row counts.
        filtered: rows, bytes and packets of rows that are not flows.
        late_rows: how many rows came too late.
        refused: rows that no total can take.
    """

    totals: Totals | None = None
    late: Totals | None = None
    newest: int | None = None
    filtered: tuple[int, int, int] = (0, 0, 0)
    late_rows: int = 0
    refused: list[Refused] = field(default_factory=list)


def prepare(plan: RollupPlan, batch: pa.RecordBatch, rules: Rules) -> Prepared:
    """Sort a batch's rows into totals."""
    made = Prepared()
    batch = _without_no_flows(batch, made)
    if not batch.num_rows:
        return made
    times, missing = _times(plan, batch)
    ahead = times > rules.latest if rules.latest is not None else np.zeros(len(times), bool)
    _refuse(made, batch, missing, "time_missing", f"none of {', '.join(plan.times)} is set")
    _refuse(made, batch, ahead, "time_in_future", "its time is in the future, see max_ahead")
    windows = times - times % plan.width
    late = np.zeros(len(times), bool)
    if rules.closed_until is not None:
        late = (windows + plan.width <= rules.closed_until) & ~missing & ~ahead
    if late.any():
        made.late_rows = int(late.sum())
        if rules.reject_late:
            _refuse(made, batch, late, "late", "its window is closed")
        else:
            made.late = rows_to_totals(plan, batch.filter(pa.array(late)), windows[late])
    good = ~(missing | ahead | late)
    if good.all():
        made.totals = rows_to_totals(plan, batch, windows)
    elif good.any():
        made.totals = rows_to_totals(plan, batch.filter(pa.array(good)), windows[good])
    counted = times[~(missing | ahead)]
    made.newest = int(counted.max()) if len(counted) else None
    return made


def _times(plan: RollupPlan, batch: pa.RecordBatch) -> tuple[np.ndarray, np.ndarray]:
    """Return each row's time, microseconds since 1970, and whether it is missing."""
    found: pa.Array | None = None
    for name in plan.times:
        column = batch.column(name)
        column = column.cast(pa.timestamp("us", column.type.tz), safe=False).cast(pa.int64())
        found = column if found is None else pc.coalesce(found, column)
        if not found.null_count:
            break
    assert found is not None
    missing = np.asarray(found.is_null())
    return np.asarray(found.fill_null(_EARLIEST + 2 * plan.width)), missing


def _without_no_flows(batch: pa.RecordBatch, made: Prepared) -> pa.RecordBatch:
    """Drop rows that are not flows: the log had no traffic, or lost records."""
    if "log_status" not in batch.schema.names:
        return batch
    status = batch.column("log_status")
    words = status.dictionary if pa.types.is_dictionary(status.type) else status
    if not pc.any(pc.is_in(words.cast(pa.string()), NO_FLOWS)).as_py():
        return batch
    idle = pc.is_in(status.cast(pa.string()), NO_FLOWS)
    for name in COUNTERS:
        if name in batch.schema.names:
            idle = pc.and_(idle, batch.column(name).is_null())
    count = pc.sum(idle).as_py() or 0
    made.filtered = (int(count), 0, 0)
    return batch.filter(pc.invert(idle)) if count else batch


def _refuse(
    made: Prepared, batch: pa.RecordBatch, rows: np.ndarray, reason: str, detail: str
) -> None:
    if rows.any():
        made.refused.append(Refused(batch.filter(pa.array(rows)), reason, detail))
