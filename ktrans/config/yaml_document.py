"""A YAML file as plain data, with the line and column of everything in it.

YAML 1.2: `no` and `on` are text, and `0755` is the number 755. Dates stay text. The file is read as
a tree of nodes, which know where they stand, and turned into dicts and lists here.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.nodes import Node, ScalarNode

from ktrans.api import ConfigError, ConfigErrors, Where
from ktrans.config.yaml_text import Text

Path_ = tuple[str | int, ...]

MAX_BYTES = 4 << 20

_LINE_END = re.compile(r"\r\n|\r|\n")
"""As YAML 1.2 counts lines; `splitlines` knows more ends of lines than that."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where something stands: 0-based lines and columns of its key, if it has one, and its value.

    The third number of each is how much of that line it fills; `text` is the file's.
    """

    key: tuple[int, int, int] | None
    value: tuple[int, int, int]
    text: Text


@dataclass(slots=True)
class Document:
    """One document of a YAML file; of several files, once includes are filled in.

    Attributes:
        text: the text of the file itself.
        tree: dicts, lists and scalars, as written (nothing is interpolated).
        places: where each path of the tree stands.
    """

    text: Text
    tree: Any = field(default=None, repr=False)
    places: dict[Path_, Place] = field(default_factory=dict, repr=False)

    def where(self, *path: str | int, key: bool = False, secret: bool = False) -> Where:
        """Give the place of a path; of the nearest thing above it if it is not in the file.

        Args:
            path: keys and list indexes; a dotted text stands for several.
            key: point at the key rather than at its value.
            secret: leave the value out of the snippet.
        """
        full = self._expand(path)
        known = full
        while known not in self.places and known:
            known = known[:-1]
        place = self.places.get(known)
        if place is None:
            return self.text.whole()
        line, column, width = place.value
        if known == full and (*full, "type") in self.places and not key:
            return self._component(full)
        if place.key and (key or secret or known != full or line != place.key[0]):
            line, column, width = place.key
        return place.text.at(line, column, width, secret=secret)

    def _component(self, path: Path_) -> Where:
        """Point at the `type: name` of a component, which says more than its first brace."""
        place = self.places[*path, "type"]
        assert place.key is not None
        line, column, width = place.key
        if line == place.value[0]:
            width = place.value[1] + place.value[2] - column
        return place.text.at(line, column, width)

    def _expand(self, path: tuple[str | int, ...]) -> Path_:
        full: Path_ = ()
        for part in path:
            if isinstance(part, str) and "." in part and (*full, part) not in self.places:
                full += tuple(int(p) if p.isdigit() else p for p in part.split("."))
            else:
                full += (part,)
        return full


def read_document(path: Path) -> Document:
    """Read and parse a file that holds one document.

    Raises:
        ConfigError: it is not there, not text, or not YAML; with the place where it can be told.
    """
    return only(read_documents(path))


def only(documents: list[Document]) -> Document:
    """Give the only document of a file.

    Raises:
        ConfigError: there are several.
    """
    if len(documents) > 1:
        raise ConfigError(
            "this file may hold one document only",
            code="yaml_documents",
            where=documents[1].where(),
            hint="remove the line `---`, or put what follows it into a file of its own",
        )
    return documents[0]


def read_documents(
    path: Path, *, secrets: set[str] | None = None, included: str | None = None
) -> list[Document]:
    """Read and parse a file; `---` stands between its documents.

    Args:
        path: the file.
        secrets: what snippets must not show; the documents add to it.
        included: the place of the `include` that names the file.

    Raises:
        ConfigError: as for `read_document`.
    """
    text = Text(str(path), secrets=set() if secrets is None else secrets, included=included)
    content = _read(path, text)
    text.lines = _LINE_END.split(content)
    from ktrans.config.yaml_nodes import NodeReader

    try:
        nodes = [*YAML(typ="safe", pure=True).compose_all(content)]
    except MarkedYAMLError as error:
        raise _syntax_error(text, error) from None
    except RecursionError:
        raise ConfigError(
            "values within values, too deep to be read", code="yaml_too_large", where=text.whole()
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
    """Tell whether a document has nothing in it, as after a last `---`."""
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
        found = sorted(str(p) for p in path.iterdir() if p.suffix in {".yaml", ".yml"})[:3]
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
    problem = error.problem or "not YAML"
    if error.context:
        problem = f"{problem} ({error.context})"
    hint = None
    if "'\\t'" in problem:
        hint = "YAML is indented with spaces, never with tabs"
    elif "got '{'" in problem:
        hint = 'between { and } put references in quotes: "${env:NAME}"'
    elif "mapping values are not allowed" in problem:
        hint = "put text that holds `: ` in quotes, and check the indentation"
    where = text.whole()
    if mark is not None:
        line = min(mark.line, max(len(text.lines) - 1, 0))
        where = text.at(line, mark.column if line == mark.line else 0)
    return ConfigError(f"not YAML: {problem}", code="yaml", where=where, hint=hint)
