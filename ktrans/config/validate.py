"""Validates the data of a pipeline file; no component is built."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ktrans.api import ComponentConfig, ConfigErrors, KtransError
from ktrans.config.find_files import folder_of
from ktrans.config.interpolate import Interpolator
from ktrans.config.model import (
    DEFAULT_STATE,
    NAME,
    NAME_WORDS,
    REJECTS_KEYS,
    SECTIONS,
    SINK_KEYS,
    VERSION,
    VIOLATIONS_KEYS,
    PartialPipeline,
    Pipeline,
    RejectsEntry,
    SinkEntry,
)
from ktrans.config.settings import AUTO, Case, EngineSettings, LimitSettings, RejectLimit, Rule
from ktrans.config.validate_parts import M, SectionValidator
from ktrans.registry.suggest import near
from ktrans.registry.wording import say

Path_ = tuple[str | int, ...]


@dataclass(slots=True)
class PipelineValidator(SectionValidator):
    """Validates a merged document; reports all problems at once.

    It needs no `name` if it is `nameless`, because its file holds no other pipeline.
    """

    path: Path
    environ: Mapping[str, str]
    nameless: bool = True
    folder: Path | None = None
    """The folder of relative paths, if it is not that of the file."""
    files: set[Path] = field(default_factory=set)
    partial: PartialPipeline | None = None
    """What is valid of a pipeline with errors."""

    def load(self) -> Pipeline:
        """Return the validated pipeline.

        Raises:
            ConfigError, ConfigErrors: all errors, in the order of the file.
        """
        base_dir = self.folder or folder_of(self.path)
        raw = self.document.tree
        if not isinstance(raw, dict):
            hint = "a pipeline file is a mapping with `source`, `sinks` and so on"
            message = f"the file holds {say(raw)} instead of a pipeline"
            self.add((), "wrong_type", message, hint)
            raise self.errors()[0]
        filler = Interpolator(self.environ, base_dir, self.catalogue.resolve_secret)
        self.tree = filler.fill({k: v for k, v in raw.items() if not k.startswith("x-")})
        self.files = filler.files
        unfilled = {problem.path for problem in filler.problems}
        self._check_keys()
        name = self._name()
        source = self.component("source", ("source",), None)
        decoder = self.component("decoder", ("decoder",), {"type": "auto"})
        enrichers = [
            self.component("enricher", ("enrichers", at), None)
            for at in range(len(self.items("enrichers")))
        ]
        sinks = self._sinks()
        rejects = self._rejects(name)
        rules = self._rules()
        violations = self._violations(name) if "expect" in self.tree else None
        state = self._state()
        limits = self._settings(LimitSettings, "limits")
        engine = self._engine()
        tests = [self.model(Case, raw, ("tests", at)) for at, raw in enumerate(self.items("tests"))]
        self.problems = [p for p in self.problems if p.path not in unfilled] + filler.problems
        if self.problems:
            self.partial = self._partial(name, base_dir, decoder, enrichers, sinks)
            errors = self.errors()
            raise errors[0] if len(errors) == 1 else ConfigErrors(errors)
        assert source
        assert decoder
        assert rejects
        assert state
        return Pipeline(
            name=name,
            path=self.path,
            base_dir=base_dir,
            source=source,
            decoder=decoder,
            enrichers=tuple(e for e in enrichers if e),
            sinks=tuple(s for s in sinks if s),
            rejects=rejects,
            expect=rules,
            violations=violations if rules else None,
            state=state,
            limits=limits or LimitSettings(),
            engine=engine or EngineSettings(),
            tests=tuple(test for test in tests if test),
            fingerprint=_fingerprint(raw),
            text=json.dumps(raw, default=str),
            alone=self.nameless,
            where=self.document.where,
            warnings=tuple(self.warnings()),
        )

    def _partial(
        self,
        name: str,
        base_dir: Path,
        decoder: ComponentConfig | None,
        enrichers: list[ComponentConfig | None],
        sinks: list[SinkEntry | None],
    ) -> PartialPipeline | None:
        """Return the parts without errors; None if it is not known which stages there are."""
        wrong = {problem.path[:2] for problem in self.problems}
        beside = set(SECTIONS) - {"decoder", "enrichers", "sinks"}
        if any(len(path) <= 1 and not beside.issuperset(path) for path in wrong) or () in wrong:
            return None
        return PartialPipeline(
            name,
            base_dir,
            None if any(path[0] == "decoder" for path in wrong) else decoder,
            tuple(None if ("enrichers", at) in wrong else e for at, e in enumerate(enrichers)),
            tuple(None if ("sinks", at) in wrong else s for at, s in enumerate(sinks)),
            self.document.where,
        )

    def _check_keys(self) -> None:
        for key in self.tree:
            if key not in SECTIONS:
                meant = near(key, [s for s in SECTIONS if s not in self.tree])
                hint = f"did you mean `{meant}`? " if meant else ""
                hint += f"the sections are: {', '.join(SECTIONS)}; `x-...` is free for your own use"
                self.add((key,), "unknown_option", f"there is no section `{key}`", hint, key=True)
        for key in ("source", "sinks"):
            if self.tree.get(key) is None:
                self.add((key,), "missing_option", f"the pipeline needs `{key}`", SECTIONS[key])
        version = self.tree.get("version", VERSION)
        if str(version) != str(VERSION):
            message = f"`version` must be {VERSION}, not {say(version)}"
            self.add(("version",), "config_version", message, "a later ktrans may support it")

    def _name(self) -> str:
        name = self.tree.get("name")
        if name is None:
            name = name_of_file(self.path)
            if not self.nameless:
                message = "each pipeline needs a `name` if a file holds several"
                self.add(("name",), "missing_option", message, None)
        if not isinstance(name, str) or not NAME.fullmatch(name):
            message = f"`name` must consist of {NAME_WORDS}, not {say(name)}"
            self.add(("name",), "bad_name", message, None)
            return name_of_file(self.path)  # the default place of rejects has the name in it
        return name

    def _sinks(self) -> list[SinkEntry | None]:
        raws = self.items("sinks")
        if "sinks" in self.tree and self.tree["sinks"] == []:
            self.add(("sinks",), "missing_option", "`sinks` needs at least one sink", None)
        given = {str(raw["id"]) for raw in raws if isinstance(raw, dict) and "id" in raw}
        rules = self.tree.get("expect")
        numbers = range(1, len(rules) + 1) if isinstance(rules, list) else ()
        taken = {"rejects", "violations", *(f"violations-{number}" for number in numbers)}
        entries: list[SinkEntry | None] = []
        for at, raw in enumerate(raws):
            config = self.component("sink", ("sinks", at), None, SINK_KEYS)
            if not isinstance(raw, dict):
                continue
            name = raw.get("id")
            if name is None:
                name = _free(str(raw.get("type")), taken | given)
            elif not isinstance(name, str) or not NAME.fullmatch(name):
                message = f"the `id` of a sink must consist of {NAME_WORDS}"
                self.add(("sinks", at, "id"), "bad_name", message, None)
            elif name in taken:
                message = f"the `id` {say(name)} is used twice"
                hint = "ids are unique; `rejects` and `violations`, also with the number of a rule, are reserved"
                self.add(("sinks", at, "id"), "duplicate_id", message, hint)
            taken.add(str(name))
            where, columns = self._where(raw, at), self._columns(raw, ("sinks", at))
            entries.append(SinkEntry(str(name), config, where, columns) if config else None)
        return entries

    def _where(self, raw: dict[str, Any], at: int) -> str | None:
        where = raw.get("where")
        if where is None or (isinstance(where, str) and where.strip()):
            return None if where is None else str(where)
        message = f"`where` must be an expression, not {say(where)}"
        hint = "for example `where: \"action = 'reject'\"`"
        self.add(("sinks", at, "where"), "wrong_value", message, hint)
        return None

    def _columns(self, raw: dict[str, Any], path: Path_) -> tuple[str, ...] | None:
        columns = raw.get("columns")
        if columns is None:
            return None
        good = isinstance(columns, list) and columns and all(isinstance(c, str) for c in columns)
        if not good or len(set(columns)) != len(columns):
            message = "`columns` must be a list of column names, each once"
            self.add((*path, "columns"), "wrong_value", message, None)
            return None
        return tuple(str(column) for column in columns)

    def _rejects(self, name: str) -> RejectsEntry | None:
        path: Path_ = ("rejects",)
        raw = self._beside("rejects", name)
        config = self.component("sink", path, None, REJECTS_KEYS)
        limit = RejectLimit()
        if isinstance(raw, dict) and raw.get("limit") is not None:
            limit = self.model(RejectLimit, raw["limit"], (*path, "limit")) or limit
        return RejectsEntry(config, limit) if config else None

    def _rules(self) -> tuple[Rule, ...]:
        """Validate the rules of `expect`, whose names are unique."""
        rules: list[Rule] = []
        for at, raw in enumerate(self.items("expect")):
            rule = self.model(Rule, raw, ("expect", at))
            if rule is not None and rule.name in {other.name for other in rules}:
                message = f"the `name` {say(rule.name)} is used twice"
                self.add(("expect", at, "name"), "duplicate_id", message, None)
            elif rule is not None:
                rules.append(rule)
        if not self.tree.get("expect") and self.tree.get("violations") is not None:
            message = (
                "`violations` is where rows go that break the rules of `expect`: there are none"
            )
            self.add(("violations",), "wrong_value", message, None, key=True)
        return tuple(rules)

    def _violations(self, name: str) -> SinkEntry | None:
        path: Path_ = ("violations",)
        raw = self._beside("violations", name)
        config = self.component("sink", path, None, VIOLATIONS_KEYS)
        columns = self._columns(raw, path) if isinstance(raw, dict) else None
        return SinkEntry("violations", config, None, columns) if config else None

    def _beside(self, section: str, name: str) -> Any:
        """Return a section with a sink beside the sinks, by default JSON lines in a folder of `.ktrans`."""
        raw = self.at((section,))
        if raw is None:
            raw = {"type": "file", "path": f".ktrans/{section}/{name}/"}
        if isinstance(raw, dict) and "format" not in raw and self._has_format(raw.get("type")):
            raw = {**raw, "format": {"type": "jsonl"}}
        self.tree[section] = raw
        return raw

    def _state(self) -> ComponentConfig | None:
        raw = self.at(("state",))
        if raw is None or (isinstance(raw, dict) and "type" not in raw):
            raw = {"type": DEFAULT_STATE, **(raw or {})}
            self.tree["state"] = raw
        return self.component("state", ("state",), None)

    def _engine(self) -> EngineSettings | None:
        """Validate the section `engine`, and first the executor that it may name."""
        raw = self.tree.get("engine")
        if not isinstance(raw, dict) or raw.get("executor") in (None, AUTO):
            return self._settings(EngineSettings, "engine")
        if isinstance(raw["executor"], str):
            raw["executor"] = {"type": raw["executor"]}
        config = self.component("executor", ("engine", "executor"), None)
        return self.model(EngineSettings, {**raw, "executor": config or AUTO}, ("engine",))

    def _has_format(self, name: Any) -> bool:
        try:
            return "format" in self.catalogue.model("sink", str(name)).nested
        except KtransError:
            return False

    def _settings(self, model: type[M], section: str) -> M | None:
        raw = self.tree.get(section)
        return None if raw is None else self.model(model, raw, (section,))


def name_of_file(path: Path) -> str:
    """Return the name of a pipeline without `name`, made from its file name."""
    stem = path.name.split(".")[0]
    return re.sub(r"[^A-Za-z0-9_.-]+", "-", stem).strip("-.")[:100] or "pipeline"


def _free(name: str, taken: set[str]) -> str:
    """Return an unused id: `name`, or `name-2`, `name-3` and so on."""
    name = re.sub(r"[^A-Za-z0-9_.-]+", "-", name).strip("-.") or "sink"
    number = 1
    while (candidate := name if number == 1 else f"{name}-{number}") in taken:
        number += 1
    return candidate


_PASSED = ("decoder", "enrichers", "sinks", "rejects", "limits")
_IF_GIVEN = ("expect", "violations")


def _fingerprint(raw: dict[str, Any]) -> str:
    """Hash the sections that rows pass through, as written; references are not resolved."""
    parts = {key: raw.get(key) for key in _PASSED}
    parts |= {key: raw[key] for key in _IF_GIVEN if key in raw}
    text = json.dumps(parts, sort_keys=True, separators=(",", ":"), ensure_ascii=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()
