"""The models of the settings of a pipeline file: sections that are not components."""

from __future__ import annotations

import datetime as dt
from typing import Any, ClassVar, Final, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from ktrans.api import ComponentConfig
from ktrans.api.spec import Kind
from ktrans.kit.units import Duration, Size

AUTO: Final = "auto"
"""The executor that is chosen for each epoch."""


class Settings(BaseModel):
    """The base of the sections that are not components."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, hide_input_in_errors=True, defer_build=True
    )


class RejectLimit(Settings):
    """How many rejects stop a run, because something is probably misconfigured."""

    ratio: float = Field(
        default=0.25,
        ge=0,
        le=1,
        description="Stop when more than this share of an epoch's records is rejected.",
        examples=[0.05],
    )
    min_records: int = Field(
        default=1000,
        ge=1,
        description="The ratio applies once an epoch has seen this many records.",
    )
    count: int | None = Field(
        default=None,
        ge=0,
        description="Stop when an epoch has more rejects than this, whatever the ratio.",
        examples=[100_000],
    )


class LimitSettings(Settings):
    """Limits that protect the machine from hostile or broken input."""

    max_line_size: Size = Field(
        default=1 << 20,
        ge=1024,
        description="A longer line is a reject (line_too_long).",
    )
    max_inflate_ratio: int = Field(
        default=200,
        ge=2,
        description="An object that inflates to more than this many times its size is a reject "
        "(inflate_ratio); checked after 64 MiB of output.",
    )
    block_size: Size = Field(
        default=4 << 20,
        ge=64 << 10,
        description="How much text a decoder processes at a time.",
    )
    earliest_time: dt.date = Field(
        default=dt.date(1970, 1, 1),
        description="A day (UTC). A record that starts before it is a reject (time_out_of_range); "
        "other times before it are null.",
        examples=["2015-01-01"],
    )
    latest_time: dt.date = Field(
        default=dt.date(2100, 1, 1),
        description="A day (UTC). A record that starts on it or later is a reject "
        "(time_out_of_range); other such times are null.",
        examples=["2040-01-01"],
    )

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.earliest_time >= self.latest_time:
            raise ValueError("earliest_time has to be before latest_time")
        return self


class EngineSettings(Settings):
    """Sizes of epochs and tasks, workers, retries."""

    nested: ClassVar[dict[str, Kind]] = {"executor": "executor"}

    workers: int | None = Field(
        default=None,
        ge=1,
        le=256,
        description="Tasks that run at once, and threads that decode, enrich and encode; the default "
        "is one a core that the process may use: affinity and the CPU quota of a container count.",
        examples=[2],
    )
    executor: ComponentConfig | Literal["auto"] = Field(
        default=AUTO,
        description="What runs the tasks: `auto`, the type of an executor, or a mapping with its "
        "`type` and options. `auto` takes `processes` where one process cannot feed all workers.",
        examples=["processes"],
    )
    epoch_size: Size = Field(
        default=512 << 20,
        ge=1,
        description="An epoch takes no more splits once its input has this size.",
        examples=[1_073_741_824],
    )
    epoch_splits: int = Field(
        default=10_000,
        ge=1,
        description="An epoch takes at most this many splits.",
        examples=[1000],
    )
    task_size: Size = Field(
        default=64 << 20,
        ge=1,
        description="Splits are grouped into tasks of about this input size; each task writes its own "
        "files.",
    )
    attempts: int = Field(
        default=4,
        ge=1,
        le=100,
        description="How often a task is tried before its split is quarantined or the run stops.",
    )
    retry_wait: Duration = Field(
        default=0.5,
        ge=0,
        description="The first wait between attempts; it doubles, with jitter.",
    )
    retry_max_wait: Duration = Field(
        default=30.0,
        ge=0,
        description="The longest wait between attempts.",
    )
    max_quarantined: int = Field(
        default=100,
        ge=0,
        description="Stop when more splits than this cannot be read in one epoch.",
    )
    grace_period: Duration = Field(
        default=25.0,
        ge=0,
        description="How long the current epoch may take after SIGTERM before it is abandoned.",
    )
    poll_interval: Duration = Field(
        default=10.0,
        gt=0,
        description="How often to look for new input with --follow.",
    )
    expect_window: Duration = Field(
        default=3600.0,
        gt=0,
        description="With --follow the rules of `expect` are judged over so long at a time.",
        examples=["1d"],
    )
    if_locked: Literal["fail", "skip"] = Field(
        default="fail",
        description="When another run holds the lock: fail (exit 75) or skip (exit 0).",
        examples=["skip"],
    )


class Rule(Settings):
    """A rule of `expect`: a condition, and for how many rows it may or has to be true."""

    name: str = Field(
        min_length=1,
        description="What is expected, in words; unique in the pipeline.",
        examples=["no flow from dev to prod"],
    )
    where: str = Field(
        min_length=1,
        description="An expression; the rows for which it is true count.",
        examples=["src_zone = 'dev' and dst_zone = 'prod' and action = 'accept'"],
    )
    none: Literal[True] | None = Field(
        default=None, description="There is no such row. Each one is a violation."
    )
    at_most: int | None = Field(
        default=None,
        ge=1,
        description="There are at most so many of them in a run.",
        examples=[100],
    )
    some: Literal[True] | None = Field(
        default=None, description="There is at least one such row in a run."
    )
    at_least: int | None = Field(
        default=None,
        ge=1,
        description="There are at least so many of them in a run.",
        examples=[10],
    )

    @model_validator(mode="after")
    def _one(self) -> Self:
        said = [self.none, self.at_most, self.some, self.at_least]
        if sum(one is not None for one in said) != 1:
            raise ValueError(
                "a rule has one of `none: true`, `at_most`, `some: true` and `at_least`"
            )
        return self

    @property
    def least(self) -> int:
        """The smallest number of rows."""
        return 1 if self.some else self.at_least or 0

    @property
    def most(self) -> int | None:
        """The largest number of rows; None if there is no limit."""
        return 0 if self.none else self.at_most


class Case(Settings):
    """One test of a pipeline."""

    name: str = Field(description="What is tested, in words.", examples=["ICMP has no ports"])
    input: str | None = Field(
        default=None,
        description="The object that the decoder reads, written out.",
        examples=["2 111122223333 eni-1 10.0.0.1 10.0.0.2 443 40000 6 1 52 1767225600 1767225660"],
    )
    file: str | None = Field(
        default=None,
        description="Or a file that holds it, relative to the pipeline file's folder.",
        examples=["samples/flows.log.gz"],
    )
    after: str | None = Field(
        default=None,
        description="The stage to look after: `decoder`, an enricher by type or number, or a "
        "sink's id; after the last enricher by default.",
        examples=["cidr", "lake"],
    )
    rows: list[dict[str, Any]] | None = Field(
        default=None,
        description="The rows expected, in order. Only the columns that are named are compared; "
        "null means no value.",
        examples=[[{"src_addr": "10.0.0.1", "bytes": 52}]],
    )
    count: int | None = Field(
        default=None, ge=0, description="How many rows are expected.", examples=[3]
    )
    expect: dict[str, int] | None = Field(
        default=None,
        description="How many rows each rule of `expect` finds, by its name; others are not compared.",
        examples=[{"no flow from dev to prod": 1}],
    )
    rejects: list[dict[str, Any]] | None = Field(
        default=None,
        description="The rejects expected, in order: any of reason, source_pos, detail, raw. None "
        "at all are expected if this is not given.",
        examples=[[{"reason": "bad_integer", "source_pos": 2}]],
    )

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if (self.input is None) == (self.file is None):
            raise ValueError("a test has either `input` or `file`")
        if (self.rows, self.count, self.rejects, self.expect) == (None, None, None, None):
            raise ValueError("a test expects something: `rows`, `count`, `expect` or `rejects`")
        if self.expect is not None and self.after is not None:
            raise ValueError(
                "`expect` is about the rows after the last enricher: leave out `after`"
            )
        return self
