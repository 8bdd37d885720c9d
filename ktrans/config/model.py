"""The sections of a pipeline file, and the validated pipeline."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from ktrans.api import ComponentConfig, ConfigError, Where
from ktrans.config.settings import Case, EngineSettings, LimitSettings, RejectLimit, Rule
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
    "expect": "Rules that the rows after the last enricher have to meet. See compliance.md.",
    "violations": "Where rows go that break a rule; files in `.ktrans/violations/` by default.",
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
VIOLATIONS_KEYS: dict[str, str] = {
    "columns": "Only these columns go to this sink, and `violation`, the name of the rule; all by default.",
}
REJECTS_KEYS: dict[str, str] = {"limit": "How many rejects stop the run."}

DEFAULT_STATE = "sqlite"
"""The type of the section `state` if it has no `type`."""


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
        expect: the rules that rows have to meet.
        violations: the sink of rows that break rules; None without rules.
        fingerprint: changes when the decoder, the enrichers, the sinks, the rejects, the rules or the
            limits do.
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
    expect: tuple[Rule, ...] = ()
    violations: SinkEntry | None = None
    tests: tuple[Case, ...] = field(default=(), compare=False)
    profile: str | None = field(default=None, compare=False)
    fingerprint: str = field(default="", compare=False)
    alone: bool = field(default=True, compare=False)
    text: str = field(default="", compare=False)
    where: Callable[..., Where | None] = field(default=_nowhere, compare=False)
    warnings: tuple[ConfigError, ...] = field(default=(), compare=False)
