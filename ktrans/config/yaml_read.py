"""Reads YAML files into documents.

YAML 1.2: `no` and `on` are text, and `0755` is the number 755. Dates stay text. A file is parsed
into a tree of nodes, which know their places, and turned into dicts and lists here.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from ktrans.api import ConfigError, ConfigErrors
from ktrans.config.find_files import is_pipeline
from ktrans.config.yaml_document import Document, Path_, Place, Text
from ktrans.config.yaml_syntax import describe

MAX_BYTES = 4 << 20
MAX_NODES = 100_000
MAX_DEPTH = 100
MAX_DIGITS = 1000

_TAG = "tag:yaml.org,2002:"

_LINE_END = re.compile(r"\r\n|\r|\n")
"""The ends of lines of YAML 1.2; `splitlines` knows more than these."""


def read_document(path: Path) -> Document:
    """Read and parse a file that holds one document.

    Raises:
        ConfigError: the file does not exist, is not UTF-8, or is not YAML.
    """
    return only(read_documents(path))


def only(documents: list[Document]) -> Document:
    """Return the only document of a file.

    Raises:
        ConfigError: the file has several.
    """
    if len(documents) > 1:
        raise ConfigError(
            "this file may hold one document only",
            code="yaml_documents",
            where=documents[1].where(),
            hint="remove the line `---`, or move the second document to another file",
        )
    return documents[0]


def read_documents(
    path: Path, *, secrets: set[str] | None = None, included: str | None = None
) -> list[Document]:
    """Read and parse a file, whose documents are separated by `---`.

    `secrets` are masked in snippets, and shared with the documents; `included` is the place of
    the `include` of the file.

    Raises:
        ConfigError: as for `read_document`.
    """
    text = Text(str(path), secrets=set() if secrets is None else secrets, included=included)
    content = _read(path, text)
    text.lines = _LINE_END.split(content)
    try:
        nodes = [*YAML(typ="safe", pure=True).compose_all(content)]
    except MarkedYAMLError as error:
        raise _syntax_error(text, error) from None
    except RecursionError:
        raise ConfigError(
            "values are nested too deeply", code="yaml_too_large", where=text.whole()
        ) from None
    except YAMLError as error:
        raise ConfigError(
            f"not YAML: {str(error).splitlines()[0]}", code="yaml", where=text.whole()
        ) from None
    nodes = [node for node in nodes if not _nothing(node)]
    if not nodes:
        raise ConfigError(
            "the file is empty",
            code="empty_config",
            where=text.whole(),
            hint=None if included else "a pipeline needs at least `source` and `sinks`",
        )
    documents = [Document(text) for _ in nodes]
    errors: list[ConfigError] = []
    for document, node in zip(documents, nodes, strict=True):
        errors += NodeReader(document).read(node)
    if errors:
        raise errors[0] if len(errors) == 1 else ConfigErrors(errors)
    return documents


def _nothing(node: Node | None) -> bool:
    """Return whether a document is empty, as after a last `---`."""
    return node is None or (isinstance(node, ScalarNode) and not node.value)


def _read(path: Path, text: Text) -> str:
    where = text.whole()
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        near = [str(path) + end for end in (".yaml", ".yml") if Path(str(path) + end).is_file()]
        hint = f"did you mean {near[0]}?" if near else None
        raise ConfigError("no such file", code="config_not_found", where=where, hint=hint) from None
    except IsADirectoryError:
        found = sorted(str(file) for file in path.iterdir() if is_pipeline(file))[:3]
        hint = f"give a pipeline file, for example {', '.join(found)}" if found else None
        raise ConfigError(
            "this is a folder, not a pipeline file", code="config_is_folder", where=where, hint=hint
        ) from None
    except OSError as error:
        reason = error.strerror or str(error)
        raise ConfigError(f"cannot be read: {reason}", code="config_io", where=where) from error
    if len(data) > MAX_BYTES:
        raise ConfigError("too large for a pipeline file", code="config_too_large", where=where)
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise ConfigError(
            f"not UTF-8 text: byte 0x{data[error.start]:02x} on line {line}",
            code="config_not_utf8",
            where=text.whole(line),
            hint="save the file as UTF-8",
        ) from None


def _syntax_error(text: Text, error: MarkedYAMLError) -> ConfigError:
    mark = error.problem_mark or error.context_mark
    where, before = text.whole(), ""
    if mark is not None:
        line = min(mark.line, max(len(text.lines) - 1, 0))
        column = mark.column if line == mark.line else 0
        where, before = text.at(line, column), "".join(text.lines[line : line + 1])[:column]
    problem, hint = describe(error.problem or "not YAML", error.context, before)
    return ConfigError(f"not YAML: {problem}", code="yaml", where=where, hint=hint)


class NodeReader(msgspec.Struct):
    """Converts nodes to data, and records their places in the document."""

    document: Document
    errors: list[ConfigError] = msgspec.field(default_factory=list)
    count: int = 0
    open: list[Node] = msgspec.field(default_factory=list)

    def read(self, node: Node) -> list[ConfigError]:
        """Fill the tree and the places of the document; return the errors."""
        self.document.places[()] = Place(None, _span(node), self.document.text)
        self.document.tree = self._value(node, ())
        return self.errors

    def _value(self, node: Node, path: Path_) -> Any:
        self.count += 1
        if self.count > MAX_NODES or any(node is parent for parent in self.open):
            raise ConfigError(
                "too many values, for example by anchors that refer to each other",
                code="yaml_too_large",
                where=self.document.text.at(*_span(node)),
            )
        if isinstance(node, ScalarNode):
            return self._scalar(node)
        if len(self.open) >= MAX_DEPTH:
            raise ConfigError(
                f"more than {MAX_DEPTH} levels of nesting",
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
                    key, f"`{name}` is here twice, first on line {first}", "duplicate_key"
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
            long = (
                f"; numbers have at most {MAX_DIGITS} digits"
                if len(node.value) > MAX_DIGITS
                else ""
            )
            self._complain(node, f"this is not a valid {tag}{long}", "yaml_scalar")
            return None
        self._complain(node, f"the tag {node.tag} is not supported", "yaml_tag")
        return None

    def _complain(self, node: Node, message: str, code: str) -> None:
        where = self.document.text.at(*_span(node))
        self.errors.append(ConfigError(message, code=code, where=where))


_BASES = {"0x": 16, "0o": 8, "0b": 2}


def _int(text: str) -> int:
    digits = text.replace("_", "")
    if len(digits) > MAX_DIGITS:
        raise ValueError
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
