"""The options of the `rollup` enricher."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from ktrans.api import ComponentConfig
from ktrans.kit.units import WholeSeconds

REVISION = "revision"
CENTURY = 100 * 366 * 86_400
Function = Literal["sum", "count", "min", "max", "mean", "distinct", "approx_distinct"]
Name = Annotated[str, StringConstraints(min_length=1)]


def micros(seconds: int) -> int:
    """Return a duration in microseconds."""
    return seconds * 1_000_000


class Top(BaseModel):
    """Keeps the largest totals of each window, and one more for all the others."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    limit: int = Field(
        ge=1, le=1_000_000, description="How many totals to keep a window.", examples=[100]
    )
    by: Name = Field(
        description="The aggregate that decides which are largest.", examples=["bytes"]
    )
    within: tuple[str, ...] = Field(
        (),
        description="Columns of group_by for each combination of which `limit` totals are kept.",
        examples=[["vpc_id"]],
    )
    other: Name = Field(
        "other",
        description="What text columns say of the rest; other columns are null there.",
        examples=["other"],
    )


class RollupEnricherConfig(ComponentConfig, type="rollup"):
    """Sums rows up by window of event time and by columns; totals come out in place of the rows.

    What is in windows that are still open is kept in the state store, as part of each epoch.
    """

    window: WholeSeconds = Field(
        ge=1,
        le=CENTURY,
        description="Length of a window, in whole seconds. Windows begin at multiples of it since "
        "1970, UTC.",
        examples=["60s", "5m", "1h"],
    )
    group_by: tuple[Name, ...] = Field(
        (),
        description="Columns whose combinations get totals of their own. None: one a window.",
        examples=[["vpc_id", "action", "protocol"]],
    )
    aggregates: dict[Name, Function | dict[Function, Name]] = Field(
        default={"bytes": "sum", "packets": "sum", "flows": "count"},
        min_length=1,
        description="Name of each total, and what it is: a function of the column of that name "
        "(`count`: of rows), or a function and a column. approx_distinct needs the package "
        "datasketches.",
        examples=[{"bytes": "sum", "flows": "count", "peers": {"distinct": "dst_addr"}}],
    )
    time: tuple[Name, ...] = Field(
        ("start_time", "end_time", "logged_at"),
        min_length=1,
        description="Columns to take a row's time from: the first one that is not null. Of the "
        "default ones those that the rows have are used.",
        examples=[["start_time"]],
    )
    lateness: WholeSeconds = Field(
        600,
        ge=0,
        le=CENTURY,
        description="A window closes once a row has been seen that is this much later than its "
        "end. Longer: fewer late rows, more open windows.",
        examples=["10m", "1h"],
    )
    late: Literal["correct", "reject"] = Field(
        "correct",
        description="What to do with rows of closed windows. correct: their sums come out as rows "
        "of their own, with the epoch as `revision`, to be added to the window's total. reject: "
        "they go to the rejects.",
        examples=["reject"],
    )
    emit: Literal["closed", "running"] = Field(
        "closed",
        description="closed: a total comes out once, when its window closes. running: it comes "
        "out after each epoch that changed it, for sinks that replace the earlier one.",
        examples=["running"],
    )
    flush: Literal["never", "at_end"] = Field(
        "never",
        description="never: at the end of a run, open windows wait for the next one. at_end: a run "
        "without --follow closes them; what comes later for them is late.",
        examples=["at_end"],
    )
    top: Top | None = Field(
        None,
        description="Keep only the largest totals of each window, and put the others together.",
        examples=[{"limit": 100, "by": "bytes"}],
    )
    weight: str | None = Field(
        "sample_weight",
        description="A column that says how many rows a row stands for, as `sample` makes it; sum, "
        "count and mean go by it. The default one is used if the rows have it. None: no weights.",
        examples=["sample_weight"],
    )
    max_ahead: WholeSeconds = Field(
        86_400,
        ge=0,
        le=CENTURY,
        description="A row whose time is later than this after its epoch was planned is rejected: "
        "one wrong clock would close all windows.",
        examples=["1h"],
    )
    max_groups: int = Field(
        2_000_000,
        ge=1,
        description="Totals, and distinct values of totals, in memory at once; with more the run "
        "stops. A million take about 0.4 GB.",
        examples=[5_000_000],
    )
    id: Name = Field(
        "rollup",
        description="The name that open windows are kept under. Several rollups need several.",
        examples=["by_minute"],
    )

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        taken = ["window_start", "window_end", REVISION, *self.group_by, *self.aggregates]
        twins = sorted({name for name in taken if taken.count(name) > 1})
        if twins:
            raise ValueError(f"two columns would be named {twins[0]!r}")
        for name, what in self.aggregates.items():
            if isinstance(what, dict) and len(what) != 1:
                raise ValueError(f"aggregates.{name}: give one function and its column")
        if self.top is not None:
            self._check_top(self.top)
        return self

    def _check_top(self, top: Top) -> None:
        if self.emit == "running":
            raise ValueError(
                "top needs emit: closed: until a window closes, what is among its largest changes"
            )
        if top.by not in self.aggregates:
            raise ValueError(f"top.by names no aggregate: {top.by!r}")
        unknown = sorted(set(top.within) - set(self.group_by))
        if unknown:
            raise ValueError(f"top.within names a column that is not in group_by: {unknown[0]!r}")

    def functions(self) -> dict[str, tuple[str, str | None]]:
        """Return each aggregate's function and column; None stands for rows."""
        found: dict[str, tuple[str, str | None]] = {}
        for name, what in self.aggregates.items():
            if isinstance(what, str):
                found[name] = (what, None if what == "count" else name)
            else:
                ((function, column),) = what.items()
                found[name] = (function, column)
        return found
