"""The `one_report` enricher: keeps one report of each flow that several capture points saw.

Google Cloud logs a flow at its source and at its destination, and once more for each flow log
configuration that covers it; while a network moves from NSG to VNet flow logs, Azure logs it in
both; in AWS both interfaces of a connection log it. Sums over all reports count such traffic twice.

The rule, exactly:

- Reports are *of one flow* if `provider`, `src_addr`, `dst_addr`, `src_port`, `dst_port`,
  `protocol` and `action` are the same. The direction counts: the way back is another flow. So does
  the verdict: a rejection at the destination is unknown at the source.
- A *capture point* is a combination of the columns `log_type`, `reporter`, `account_id`,
  `interface_id`, `instance_id` and the name of the configuration (an attribute).
- Capture points are ordered by: log type (`log_types` first, in that order, then the others by
  name); side (`sides`, in that order, then the others); configuration, interface, instance and
  account by name, the lowest first. Null comes last in each.
- A window is [`start_time`, `end_time`]; two overlap if the gap between them is `slack` at most.
- Of each flow, in the order of its capture points: a report is dropped if its window overlaps that
  of a report of the same flow which was kept for another, earlier capture point.

So all reports of the first capture point stay, and of the others those for times in which no
preferred one saw the flow. Rows without both addresses or a start (NODATA, SKIPDATA) always stay. Copies from
the same capture point stay too: `dedupe` drops what was delivered twice.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field

from ktrans.api import Context
from ktrans.enrichers.hashes.combinations import combined, first_rows
from ktrans.enrichers.hashes.hash_sets import Hashes, new_seeds
from ktrans.enrichers.held_rows.base import HeldConfig, HeldEnricher, present, windows
from ktrans.enrichers.held_rows.second_reports import second_reports
from ktrans.enrichers.held_rows.spill import Hold, without_rows
from ktrans.kit.columns import distinct, require_flow
from ktrans.kit.flow_rules import PREFERRED_LOG_TYPES, PREFERRED_REPORTERS
from ktrans.kit.units import Duration

FLOW = ("provider", "src_addr", "dst_addr", "src_port", "dst_port", "protocol", "action")
POINT = ("log_type", "reporter", "interface_id", "instance_id", "account_id")

Point = tuple[str | None, ...]


class OneReportEnricherConfig(HeldConfig, type="one_report"):
    """Keeps one report of each flow where several capture points logged it.

    For Google Cloud's two sides and overlapping configurations, for Azure's NSG and VNet flow logs
    side by side, and for both interfaces of a connection in AWS. Of reports of the same flow in
    overlapping windows those of the first capture point stay: by log type, by side, then by the
    name of the configuration and of the interface. The receipt counts the dropped rows as filtered.
    It works within an epoch.
    """

    slack: Duration = Field(
        60,
        ge=0,
        le=86_400,
        description=(
            "Windows overlap if they are no further apart than this: capture points do not see a "
            "packet at the same moment, and AWS may be up to a minute late."
        ),
        examples=[5],
    )
    log_types: list[str] = Field(
        default=list(PREFERRED_LOG_TYPES),
        description="Whose report to keep, by log type, the best first.",
        examples=[["aws.tgw", "aws.vpc"]],
    )
    sides: list[str] = Field(
        default=list(PREFERRED_REPORTERS),
        description="Whose report to keep among equal log types, by reporter, the best first.",
        examples=[["destination", "source"]],
    )
    config_attr: str | None = Field(
        "resource.labels.name",
        min_length=1,
        description=(
            "The attribute that tells overlapping configurations apart, looked for in "
            "Google Cloud's rows; null to do without attributes."
        ),
        examples=["resource.labels.name"],
    )


class OneReportEnricher(HeldEnricher[OneReportEnricherConfig]):
    """Keeps one report of each flow."""

    def __init__(self, config: OneReportEnricherConfig, context: Context | None = None) -> None:
        super().__init__(config, context)
        self._seeds = new_seeds()
        self._points: dict[Point, int] = {}
        self._collected: list[tuple[np.ndarray, ...]] = []

    def needs(self) -> Sequence[str]:
        """Name what makes a flow, its capture point and its window."""
        attrs = ("attrs",) if self.config.config_attr else ()
        return [*FLOW, *POINT, "start_time", "end_time", *attrs]

    def bind(self, schema: pa.Schema) -> pa.Schema:
        """Check the columns; the schema stays as it is."""
        require_flow(schema, [*FLOW, *POINT, "start_time", "end_time"], "one_report")
        self._schema = schema
        return schema

    def _collect(self, batch: pa.RecordBatch, first: int) -> None:
        start, end, valid = windows(batch)
        for name in ("src_addr", "dst_addr"):
            valid &= present(batch.column(name))
        flows = Hashes.of_columns((batch.column(name) for name in FLOW), self._seeds)
        rows = np.flatnonzero(valid)
        arrays = (*flows.halves, start, end, self._capture_points(batch))
        self._collected.append((rows + first, *(array[rows] for array in arrays)))

    def _capture_points(self, batch: pa.RecordBatch) -> np.ndarray:
        """Number each row's capture point, over all batches."""
        columns = [batch.column(name) for name in POINT]
        columns.insert(2, self._config_names(batch))
        taken = [distinct(column) for column in columns]
        codes = combined([(indices, len(values) + 1) for values, indices in taken])
        samples = first_rows(codes)
        texts = (
            np.array([*values.to_pylist(), None], object)[indices[samples]]  # null comes last
            for values, indices in taken
        )
        points = self._points
        numbers = [points.setdefault(point, len(points)) for point in zip(*texts, strict=True)]
        return np.asarray(np.array(numbers, np.int32)[codes])

    def _config_names(self, batch: pa.RecordBatch) -> pa.Array:
        name = self.config.config_attr
        at = batch.schema.get_field_index("attrs")
        if name is None or at < 0 or batch.column(at).null_count == batch.num_rows:
            return pa.nulls(batch.num_rows, pa.string())
        if "gcp" not in distinct(batch.column("provider"))[0].to_pylist():
            return pa.nulls(batch.num_rows, pa.string())
        return pc.map_lookup(batch.column(at), name, "first")

    def _ranks(self) -> np.ndarray:
        """Return the position of each capture point in the order of preference."""
        others: list[list[str]] = [[]] * (len(POINT) - 1)
        orders = [self.config.log_types, self.config.sides, *others]

        def preference(point: Point) -> tuple[tuple[bool, int, str], ...]:
            return tuple(
                (text is None, order.index(text) if text in order else len(order), text or "")
                for text, order in zip(point, orders, strict=True)
            )

        ranks = np.empty(len(self._points), np.int64)
        best_first = sorted(self._points, key=preference)
        ranks[[self._points[point] for point in best_first]] = np.arange(len(ranks))
        return ranks

    def _resolve(self, hold: Hold) -> Iterator[pa.RecordBatch]:
        rows, high, low, start, end, point = (
            np.concatenate(parts) for parts in zip(*self._collected, strict=True)
        )
        self._collected.clear()
        slack = round(self.config.slack * 1e6)
        again = second_reports(Hashes(high, low), start, end, self._ranks()[point], slack)
        return without_rows(hold.drain(), np.sort(rows[again]))
