"""Validates the sections of a pipeline, and collects the problems with their places."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import BaseModel

from ktrans.api import ComponentConfig, ConfigError, KtransError
from ktrans.config.remarks import remarks
from ktrans.config.yaml_document import Document, Path_
from ktrans.registry.validation import Problem, validate_component, validate_model
from ktrans.registry.values import SHORTEST_SECRET, secret_values
from ktrans.registry.wording import say

if TYPE_CHECKING:
    from ktrans.api.spec import Kind
    from ktrans.registry.catalogue import Catalogue

M = TypeVar("M", bound=BaseModel)


@dataclass(slots=True)
class SectionValidator:
    """Validates sections one by one.

    The tree has the data of the document with references filled in.
    """

    document: Document
    catalogue: Catalogue
    tree: dict[str, Any] = field(default_factory=dict, kw_only=True)
    problems: list[Problem] = field(default_factory=list, kw_only=True)
    remarks: list[Problem] = field(default_factory=list, kw_only=True)

    def component(
        self,
        kind: Kind,
        path: Path_,
        default: dict[str, Any] | None,
        also: Mapping[str, str] | None = None,
    ) -> ComponentConfig | None:
        """Validate the section of a component, without the engine's keys in `also`."""
        raw = self.at(path)
        raw = default if raw is None else raw
        if raw is None and len(path) == 1:
            return None  # the missing section was reported
        if isinstance(raw, dict) and also:
            raw = {key: value for key, value in raw.items() if key not in also}
        self._note_secrets(kind, raw)
        config, wrong = validate_component(self.catalogue, kind, raw, also=also)
        self.problems += [problem.below(path) for problem in wrong]
        if config is not None:
            own = [
                Problem((*path, *filter(None, [one.field])), one.code, one.message, one.hint)
                for one in config.remarks()
            ]
            found = [*remarks(type(config), raw, path), *own]
            self.remarks += [remark for remark in found if not self._escaped(remark.path)]
        return config

    def _escaped(self, path: Path_) -> bool:
        """Return whether a text of the document has an escaped dollar sign."""
        node = self.document.tree
        try:
            for part in path:
                node = node[part]
        except (KeyError, IndexError, TypeError):
            return False
        return isinstance(node, str) and "$$" in node

    def _note_secrets(self, kind: Kind, raw: Any) -> None:
        """Mask secrets that the file contains literally in all snippets."""
        if not isinstance(raw, dict):
            return
        try:
            model = self.catalogue.model(kind, str(raw.get("type")))
        except KtransError:
            return
        for secret in secret_values(model, raw):
            self.document.text.secrets.update(
                line for line in secret.split("\n") if len(line) >= SHORTEST_SECRET
            )

    def model(self, model: type[M], raw: Any, path: Path_) -> M | None:
        """Validate a section by a model."""
        owner = f"section {'.'.join(str(part) for part in path)}"
        if not isinstance(raw, dict):
            self.add(path, "wrong_type", f"{owner} must be a mapping, not {say(raw)}", None)
            return None
        value, wrong = validate_model(model, raw, owner)
        self.problems += [problem.below(path) for problem in wrong]
        return value

    def items(self, section: str) -> list[Any]:
        """Return the items of a list section; none if it is missing or not a list."""
        raw = self.tree.get(section)
        if raw is None or isinstance(raw, list):
            return raw or []
        hint = "begin each item with `- `" if isinstance(raw, dict) else None
        message = f"`{section}` must be a list, not {say(raw)}"
        self.add((section,), "wrong_type", message, hint)
        return []

    def at(self, path: Path_) -> Any:
        """Return the value at a path of the tree; None if only its last key is missing."""
        node: Any = self.tree
        for part in path:
            node = node.get(part) if isinstance(node, dict) else node[part]
        return node

    def add(
        self, path: Path_, code: str, message: str, hint: str | None, *, key: bool = False
    ) -> None:
        """Add a problem."""
        self.problems.append(Problem(path, code, message, hint, at="key" if key else "value"))

    def errors(self) -> list[ConfigError]:
        """Return all problems as errors, in the order of the file."""
        return self._placed(self.problems)

    def warnings(self) -> list[ConfigError]:
        """Return all remarks as errors, in the order of the file."""
        return self._placed(self.remarks)

    def _placed(self, problems: list[Problem]) -> list[ConfigError]:
        placed = []
        for problem in problems:
            where = self.document.where(
                *problem.path, key=problem.at == "key", secret=problem.secret
            )
            error = problem.error()
            error.where = where
            file = "" if where.file == self.document.text.file else where.file
            placed.append(((file, where.line or 0, where.column or 0), error))
        return [error for _, error in sorted(placed, key=lambda item: item[0])]
