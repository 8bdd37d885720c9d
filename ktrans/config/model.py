"""The sections of a pipeline file, the models of its settings, and the validated pipeline."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Final, Literal, Self

import msgspec
from pydantic import BaseModel, ConfigDict, Field, model_validator

from ktrans.api import ComponentConfig, ConfigError, Where
from ktrans.api.spec import Kind
from ktrans.kit.units import Duration, Size
from ktrans.state.sqlite import SqliteStateConfig

VERSION = 1
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,99}")
NAME_WORDS = "letters, digits, `_`, `.` and `-`, at most 100, starting with a letter or digit"

SECTIONS: dict[str, str] = {
    "version": "The version of this file format: 1.",
    "name": "The pipeline's name, unique in its state store; the file's name by default.",
    "include": "Files whose sections are merged into this one; this one wins. See several-pipelines.md.",
    "source": "Where the bytes come from.",
    "decoder": "How the bytes become rows; by default it is recognized for each object (`auto`).",
    "enrichers": "The steps that change rows, in this order.",
    "sinks": "Where the rows go: each sink gets all of them, unless it has a `where`.",
    "rejects": "Where records go that cannot be decoded; files in `.ktrans/rejects/` by default.",
    "state": "Where the pipeline keeps its progress; a SQLite file if it has no `type`.",
    "limits": "Limits for hostile or broken input.",
    "engine": "Sizes of epochs and tasks, workers, retries.",
    "tests": "Inputs and their expected rows, for `ktrans test`; may also be in a file beside.",
    "profiles": "Differences of environments by name; `--profile NAME` merges one into the pipeline.",
    "default_profile": "The profile that is used if none is chosen.",
}
SINK_KEYS: dict[str, str] = {
    "id": "The sink's name in receipts and ledgers; its type by default.",
    "where": "An expression; only rows for which it is true go to this sink.",
    "columns": "Only these columns go to this sink, in this order; all by default.",
}
REJECTS_KEYS: dict[str, str] = {"limit": "How many rejects stop the run."}

DEFAULT_STATE = "sqlite"
"""The type of the section `state` if it has no `type`."""


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
    if_locked: Literal["fail", "skip"] = Field(
        default="fail",
        description="When another run holds the lock: fail (exit 75) or skip (exit 0).",
        examples=["skip"],
    )


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
        if self.rows is None and self.count is None and self.rejects is None:
            raise ValueError("a test expects something: `rows`, `count` or `rejects`")
        return self


class SinkEntry(msgspec.Struct, frozen=True):
    """An item of `sinks`: the options of the sink, and those that the engine applies.

    Attributes:
        id: the name in receipts and ledgers; unique in the pipeline.
        config: the sink's own options.
        where: an expression; only rows for which it is true go to this sink.
        columns: only these columns, in this order; None means all.
    """

    id: str
    config: ComponentConfig
    where: str | None = None
    columns: tuple[str, ...] | None = None


class RejectsEntry(msgspec.Struct, frozen=True):
    """The `rejects` section: a sink for records that cannot be decoded, and a limit."""

    config: ComponentConfig
    limit: RejectLimit = msgspec.field(default_factory=RejectLimit)


class PartialPipeline(msgspec.Struct, frozen=True):
    """The parts of a pipeline file with errors that rows pass through; None is what has errors."""

    name: str
    base_dir: Path
    decoder: ComponentConfig | None
    enrichers: tuple[ComponentConfig | None, ...]
    sinks: tuple[SinkEntry | None, ...]
    where: Callable[..., Where | None]


def _nowhere(*_path: str | int, **_within: str | int) -> Where | None:
    return None


@dataclass(frozen=True, slots=True)
class Pipeline:
    """A validated pipeline file; no component is built yet. Equal ones do the same when they run.

    Attributes:
        name: unique in its state store.
        path: the pipeline file.
        base_dir: the folder of relative paths.
        tests: the tests of `ktrans test`.
        alone: whether the file holds no other pipeline.
        profile: the profile of the file that was used.
        fingerprint: changes when the decoder, the enrichers, the sinks, the rejects or the limits do.
        text: the file after merging and before references are filled in, as JSON.
        warnings: what is valid, but probably not meant so.
        where: returns the place in the file of a path such as `("sinks", 0, "format")`.
    """

    name: str
    path: Path = field(compare=False)
    base_dir: Path
    source: ComponentConfig
    decoder: ComponentConfig
    enrichers: tuple[ComponentConfig, ...]
    sinks: tuple[SinkEntry, ...]
    rejects: RejectsEntry
    state: ComponentConfig = field(default_factory=SqliteStateConfig)
    limits: LimitSettings = field(default_factory=LimitSettings)
    engine: EngineSettings = field(default_factory=EngineSettings)
    tests: tuple[Case, ...] = field(default=(), compare=False)
    profile: str | None = field(default=None, compare=False)
    fingerprint: str = field(default="", compare=False)
    alone: bool = field(default=True, compare=False)
    text: str = field(default="", compare=False)
    where: Callable[..., Where | None] = field(default=_nowhere, compare=False)
    warnings: tuple[ConfigError, ...] = field(default=(), compare=False)
