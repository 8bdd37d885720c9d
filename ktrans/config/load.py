"""From a pipeline file to a validated Pipeline; nothing is built, nothing but the file is read."""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import BaseModel

from ktrans.api import ComponentConfig, ConfigError, ConfigErrors, KtransError
from ktrans.config.cases import Case
from ktrans.config.document import Document, read_document
from ktrans.config.interpolation import Interpolator
from ktrans.config.pipeline import (
    EngineSettings,
    LimitSettings,
    Pipeline,
    RejectLimit,
    RejectsEntry,
    SinkEntry,
    StateSettings,
)
from ktrans.config.sections import NAME, NAME_WORDS, REJECTS_KEYS, SECTIONS, SINK_KEYS, VERSION
from ktrans.registry.suggest import near
from ktrans.registry.validation import Problem, validate_component, validate_model
from ktrans.registry.values import SHORTEST_SECRET, secret_values
from ktrans.registry.wording import say

if TYPE_CHECKING:
    from ktrans.api.spec import Kind
    from ktrans.registry.catalogue import Catalogue

Path_ = tuple[str | int, ...]
M = TypeVar("M", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class LoadedFile:
    """A pipeline with what it was made from.

    Attributes:
        pipeline: the validated pipeline.
        document: the file as written.
        tree: the file's data after interpolation.
    """

    pipeline: Pipeline
    document: Document
    tree: dict[str, Any]


def load_pipeline(
    path: str | Path, catalogue: Catalogue, *, environ: Mapping[str, str] | None = None
) -> Pipeline:
    """Read, interpolate and validate a pipeline file.

    Args:
        path: the file.
        catalogue: the components that there are; only those named in the file are imported.
        environ: for `${env:...}`; the process's own by default.

    Raises:
        ConfigError: one thing is wrong; `where` says where.
        ConfigErrors: several things are.
    """
    return load_file(path, catalogue, environ=environ).pipeline


def load_file(
    path: str | Path, catalogue: Catalogue, *, environ: Mapping[str, str] | None = None
) -> LoadedFile:
    """Do what `load_pipeline` does, and keep the file's tree too; same errors."""
    path = Path(path)
    document = read_document(path)
    loader = _Loader(path, document, catalogue, os.environ if environ is None else environ)
    return loader.load()


@dataclass(slots=True)
class _Loader:
    path: Path
    document: Document
    catalogue: Catalogue
    environ: Mapping[str, str]
    problems: list[Problem] = field(default_factory=list)
    tree: dict[str, Any] = field(default_factory=dict)

    def load(self) -> LoadedFile:
        base_dir = self.path.resolve().parent
        raw = self.document.tree
        if not isinstance(raw, dict):
            hint = "a pipeline file is a mapping with `source`, `sinks` and so on"
            message = f"this holds {say(raw)}, not a pipeline"
            self._add((), "wrong_type", message, hint)
            raise self._errors()[0]
        filler = Interpolator(self.environ, base_dir, self.catalogue.resolve_secret)
        self.tree = filler.fill({k: v for k, v in raw.items() if not k.startswith("x-")})
        unfilled = {problem.path for problem in filler.problems}
        self._check_keys()
        name = self._name()
        source = self._component("source", ("source",), None)
        decoder = self._component("decoder", ("decoder",), {"type": "auto"})
        enrichers = [
            self._component("enricher", ("enrichers", at), None)
            for at in range(len(self._list("enrichers")))
        ]
        sinks = self._sinks()
        rejects = self._rejects(name)
        state = self._settings(StateSettings, "state")
        limits = self._settings(LimitSettings, "limits")
        engine = self._settings(EngineSettings, "engine")
        tests = [
            self._model(Case, raw, ("tests", at)) for at, raw in enumerate(self._list("tests"))
        ]
        self.problems = [p for p in self.problems if p.path not in unfilled] + filler.problems
        if self.problems:
            errors = self._errors()
            raise errors[0] if len(errors) == 1 else ConfigErrors(errors)
        assert source
        assert decoder
        assert rejects
        pipeline = Pipeline(
            name=name,
            path=self.path,
            base_dir=base_dir,
            source=source,
            decoder=decoder,
            enrichers=tuple(e for e in enrichers if e),
            sinks=tuple(s for s in sinks if s),
            rejects=rejects,
            state=state or StateSettings(),
            limits=limits or LimitSettings(),
            engine=engine or EngineSettings(),
            tests=tuple(test for test in tests if test),
            fingerprint=_fingerprint(raw),
            where=self.document.where,
        )
        return LoadedFile(pipeline, self.document, self.tree)

    def _check_keys(self) -> None:
        for key in self.tree:
            if key not in SECTIONS:
                meant = near(key, [s for s in SECTIONS if s not in self.tree])
                hint = f"did you mean `{meant}`? " if meant else ""
                hint += f"the sections are: {', '.join(SECTIONS)}; `x-...` is free for your own use"
                self._add((key,), "unknown_option", f"there is no section `{key}`", hint, key=True)
        for key in ("source", "sinks"):
            if self.tree.get(key) is None:
                self._add((key,), "missing_option", f"the pipeline needs `{key}`", SECTIONS[key])
        version = self.tree.get("version", VERSION)
        if str(version) != str(VERSION):
            message = f"`version` must be {VERSION}, not {say(version)}"
            self._add(("version",), "config_version", message, "a later ktrans may know it")

    def _name(self) -> str:
        name = self.tree.get("name")
        if name is None:
            stem = self.path.name.split(".")[0]
            name = re.sub(r"[^A-Za-z0-9_.-]+", "-", stem).strip("-.")[:100] or "pipeline"
        if not isinstance(name, str) or not NAME.fullmatch(name):
            message = f"`name` may have {NAME_WORDS}; this is {say(name)}"
            self._add(("name",), "bad_name", message, None)
        return str(name)

    def _component(
        self,
        kind: Kind,
        path: Path_,
        default: dict[str, Any] | None,
        also: Mapping[str, str] | None = None,
    ) -> ComponentConfig | None:
        """Validate a component's section, without the engine's own keys in `also`."""
        raw = self._at(path)
        raw = default if raw is None else raw
        if raw is None and len(path) == 1:
            return None  # the missing section was reported
        if isinstance(raw, dict) and also:
            raw = {key: value for key, value in raw.items() if key not in also}
        self._note_secrets(kind, raw)
        config, wrong = validate_component(self.catalogue, kind, raw, also=also)
        self.problems += [problem.below(path) for problem in wrong]
        return config

    def _note_secrets(self, kind: Kind, raw: Any) -> None:
        """Keep secrets that are written out in the file out of snippets, whatever the error."""
        if not isinstance(raw, dict):
            return
        try:
            model = self.catalogue.model(kind, str(raw.get("type")))
        except KtransError:
            return
        for secret in secret_values(model, raw):
            self.document.secrets.update(
                line for line in secret.split("\n") if len(line) >= SHORTEST_SECRET
            )

    def _sinks(self) -> list[SinkEntry | None]:
        raws = self._list("sinks")
        if "sinks" in self.tree and self.tree["sinks"] == []:
            self._add(("sinks",), "missing_option", "`sinks` needs at least one sink", None)
        given = {str(raw["id"]) for raw in raws if isinstance(raw, dict) and "id" in raw}
        taken: set[str] = {"rejects"}
        entries: list[SinkEntry | None] = []
        for at, raw in enumerate(raws):
            config = self._component("sink", ("sinks", at), None, SINK_KEYS)
            if not isinstance(raw, dict):
                continue
            name = raw.get("id")
            if name is None:
                name = _free(str(raw.get("type")), taken | given)
            elif not isinstance(name, str) or not NAME.fullmatch(name):
                message = f"the `id` of a sink may have {NAME_WORDS}"
                self._add(("sinks", at, "id"), "bad_name", message, None)
            elif name in taken:
                message = f"the `id` {say(name)} is taken"
                hint = "each sink has an id of its own; `rejects` is the rejects' own"
                self._add(("sinks", at, "id"), "duplicate_id", message, hint)
            taken.add(str(name))
            when, columns = self._when(raw, at), self._columns(raw, at)
            entries.append(SinkEntry(str(name), config, when, columns) if config else None)
        return entries

    def _when(self, raw: dict[str, Any], at: int) -> str | None:
        when = raw.get("when")
        if when is None or (isinstance(when, str) and when.strip()):
            return None if when is None else str(when)
        message = f"`when` must be an expression, not {say(when)}"
        hint = "for example `when: \"action = 'reject'\"`"
        self._add(("sinks", at, "when"), "wrong_value", message, hint)
        return None

    def _columns(self, raw: dict[str, Any], at: int) -> tuple[str, ...] | None:
        columns = raw.get("columns")
        if columns is None:
            return None
        good = isinstance(columns, list) and columns and all(isinstance(c, str) for c in columns)
        if not good or len(set(columns)) != len(columns):
            message = "`columns` must be a list of column names, each once"
            self._add(("sinks", at, "columns"), "wrong_value", message, None)
            return None
        return tuple(str(column) for column in columns)

    def _rejects(self, name: str) -> RejectsEntry | None:
        path: Path_ = ("rejects",)
        raw = self._at(path)
        if raw is None:
            raw = {"type": "file", "path": f".ktrans/rejects/{name}/"}
        if isinstance(raw, dict) and "format" not in raw and self._has_format(raw.get("type")):
            raw = {**raw, "format": {"type": "jsonl"}}
        self.tree["rejects"] = raw
        config = self._component("sink", path, None, REJECTS_KEYS)
        limit = RejectLimit()
        if isinstance(raw, dict) and raw.get("limit") is not None:
            limit = self._model(RejectLimit, raw["limit"], (*path, "limit")) or limit
        return RejectsEntry(config, limit) if config else None

    def _has_format(self, name: Any) -> bool:
        try:
            return "format" in self.catalogue.model("sink", str(name)).nested
        except KtransError:
            return False

    def _settings(self, model: type[M], section: str) -> M | None:
        raw = self.tree.get(section)
        return None if raw is None else self._model(model, raw, (section,))

    def _model(self, model: type[M], raw: Any, path: Path_) -> M | None:
        owner = f"section {'.'.join(str(part) for part in path)}"
        if not isinstance(raw, dict):
            self._add(path, "wrong_type", f"{owner} must be a mapping, not {say(raw)}", None)
            return None
        value, wrong = validate_model(model, raw, owner)
        self.problems += [problem.below(path) for problem in wrong]
        return value

    def _list(self, section: str) -> list[Any]:
        raw = self.tree.get(section)
        if raw is None or isinstance(raw, list):
            return raw or []
        hint = "begin each item with `- `" if isinstance(raw, dict) else None
        message = f"`{section}` must be a list, not {say(raw)}"
        self._add((section,), "wrong_type", message, hint)
        return []

    def _at(self, path: Path_) -> Any:
        node: Any = self.tree
        for part in path:
            node = node.get(part) if isinstance(node, dict) else node[part]
        return node

    def _add(
        self, path: Path_, code: str, message: str, hint: str | None, *, key: bool = False
    ) -> None:
        self.problems.append(Problem(path, code, message, hint, at="key" if key else "value"))

    def _errors(self) -> list[ConfigError]:
        """Give all problems as errors, in the order of the file."""
        placed = []
        for problem in self.problems:
            where = self.document.where(
                *problem.path, key=problem.at == "key", secret=problem.secret
            )
            error = problem.error()
            error.where = where
            placed.append(((where.line or 0, where.column or 0), error))
        return [error for _, error in sorted(placed, key=lambda item: item[0])]


def _free(name: str, taken: set[str]) -> str:
    """Give `name`, or `name-2`, `name-3`, ... if it is taken; fit for an id."""
    name = re.sub(r"[^A-Za-z0-9_.-]+", "-", name).strip("-.") or "sink"
    number = 1
    while (candidate := name if number == 1 else f"{name}-{number}") in taken:
        number += 1
    return candidate


def _fingerprint(raw: dict[str, Any]) -> str:
    """Hash what rows go through, as it is written: no secret goes into it."""
    parts = {key: raw.get(key) for key in ("decoder", "enrichers", "sinks", "rejects")}
    text = json.dumps(parts, sort_keys=True, separators=(",", ":"), ensure_ascii=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()
