"""From YAML's nodes to dicts, lists and scalars, with the place of each."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from ktrans.api import ConfigError
from ktrans.config.yaml_document import Document, Path_, Place

MAX_NODES = 100_000
MAX_DEPTH = 100

_TAG = "tag:yaml.org,2002:"


class NodeReader:
    """Turns nodes into data, noting places in the document."""

    def __init__(self, document: Document) -> None:
        self.document = document
        self.errors: list[ConfigError] = []
        self.count = 0
        self.open: list[Node] = []

    def read(self, node: Node) -> list[ConfigError]:
        """Fill the document's tree and places; give all that is wrong."""
        self.document.places[()] = Place(None, _span(node), self.document.text)
        self.document.tree = self._value(node, ())
        return self.errors

    def _value(self, node: Node, path: Path_) -> Any:
        self.count += 1
        if self.count > MAX_NODES or any(node is parent for parent in self.open):
            raise ConfigError(
                "too many values; anchors that refer to each other multiply",
                code="yaml_too_large",
                where=self.document.text.at(*_span(node)),
            )
        if isinstance(node, ScalarNode):
            return self._scalar(node)
        if len(self.open) >= MAX_DEPTH:
            raise ConfigError(
                f"more than {MAX_DEPTH} values within each other",
                code="yaml_too_large",
                where=self.document.text.at(*_span(node)),
            )
        self.open.append(node)
        try:
            if isinstance(node, SequenceNode):
                return [self._item(item, (*path, at)) for at, item in enumerate(node.value)]
            return self._mapping(node, path)
        finally:
            self.open.pop()

    def _item(self, node: Node, path: Path_) -> Any:
        self.document.places[path] = Place(None, _span(node), self.document.text)
        return self._value(node, path)

    def _mapping(self, node: Node, path: Path_) -> dict[str, Any]:
        result: dict[str, Any] = {}
        own: dict[str, Node] = {}
        for key, value in node.value:
            if key.tag == f"{_TAG}merge":
                for name, inherited in self._merged(value, path).items():
                    result.setdefault(name, inherited)
                continue
            if not isinstance(key, ScalarNode):
                self._complain(key, "a key must be text", "yaml_key")
                continue
            name = str(key.value)
            if name in own:
                first = own[name].start_mark.line + 1
                self._complain(
                    key, f"`{name}` stands here twice, first on line {first}", "duplicate_key"
                )
                continue
            own[name] = key
            self.document.places[(*path, name)] = Place(
                _span(key), _span(value), self.document.text
            )
            result[name] = self._value(value, (*path, name))
        return result

    def _merged(self, node: Node, path: Path_) -> dict[str, Any]:
        parts = node.value if isinstance(node, SequenceNode) else [node]
        result: dict[str, Any] = {}
        for part in parts:
            if not isinstance(part, MappingNode):
                self._complain(part, "`<<` takes a mapping or a list of them", "yaml_merge")
                continue
            for name, value in self._value(part, path).items():
                result.setdefault(name, value)
        return result

    def _scalar(self, node: ScalarNode) -> Any:
        tag = node.tag.removeprefix(_TAG) if node.tag else "str"
        try:
            read = _SCALARS.get(tag)
            if read is not None:
                return read(str(node.value))
        except ValueError:
            self._complain(node, f"this is not a {tag}", "yaml_scalar")
            return None
        self._complain(node, f"the tag {node.tag} means nothing here", "yaml_tag")
        return None

    def _complain(self, node: Node, message: str, code: str) -> None:
        where = self.document.text.at(*_span(node))
        self.errors.append(ConfigError(message, code=code, where=where))


_BASES = {"0x": 16, "0o": 8, "0b": 2}


def _int(text: str) -> int:
    digits = text.replace("_", "")
    sign, digits = (-1, digits[1:]) if digits[0] == "-" else (1, digits.lstrip("+"))
    base = _BASES.get(digits[:2].lower(), 10)
    return sign * int(digits[2:] if digits[:2].lower() in _BASES else digits, base)


def _float(text: str) -> float:
    return float(text.replace("_", "").replace(".inf", "inf").replace(".nan", "nan").lower())


_SCALARS: dict[str, Callable[[str], Any]] = {
    "str": str,
    "timestamp": str,
    "value": str,
    "int": _int,
    "float": _float,
    "bool": lambda text: text.lower() == "true",
    "null": lambda _text: None,
}


def _span(node: Node) -> tuple[int, int, int]:
    start, end = node.start_mark, node.end_mark
    width = end.column - start.column if end.line == start.line else 1
    return start.line, start.column, max(width, 1)
