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

from ktrans.api import ConfigError, ConfigErrors, Where
from ktrans.registry.values import MASK

Path_ = tuple[str | int, ...]

MAX_BYTES = 4 << 20
SHOWN_WIDTH = 110
SHOWN_BEFORE = 60
"""How much of a line a snippet shows, and how much of that before the place."""

_SECRET_KEY = re.compile(
    r"""(?ix) (?P<key> [\w.-]* (?: secret | passw | token | credential | api_?key | access_?key
        | private_?key | sas_ | dsn | salt | connection_string ) [\w.-]* ["']? \s* : \s+ )
        (?P<value> "(?:[^"\\]|\\.)*" | '(?:[^']|'')*' | [^\s,}\]\#][^,}\]\#]* )"""
)
_URL_PASSWORD = re.compile(r"(?<=://)([^\s/:@]*):([^\s/@]+)@")


@dataclass(frozen=True, slots=True)
class Place:
    """Where something stands: 0-based lines and columns of its key, if it has one, and its value.

    `width` is how much of the value's first line it fills.
    """

    key: tuple[int, int, int] | None
    value: tuple[int, int, int]


@dataclass(slots=True)
class Document:
    """A YAML file's content.

    Attributes:
        file: its name, as the user gave it.
        tree: dicts, lists and scalars, as written (nothing is interpolated).
        lines: the text.
        places: where each path of the tree stands.
        secrets: texts that snippets must not show.
    """

    file: str
    tree: Any = field(default=None, repr=False)
    lines: list[str] = field(default_factory=list, repr=False)
    places: dict[Path_, Place] = field(default_factory=dict, repr=False)
    secrets: set[str] = field(default_factory=set, repr=False)

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
            return Where(self.file)
        line, column, width = place.value
        if known == full and (*full, "type") in self.places and not key:
            return self._component(full)
        if place.key and (key or secret or known != full or line != place.key[0]):
            line, column, width = place.key
        return self.at(line, column, width, secret=secret)

    def _component(self, path: Path_) -> Where:
        """Point at the `type: name` of a component, which says more than its first brace."""
        place = self.places[*path, "type"]
        assert place.key is not None
        line, column, width = place.key
        if line == place.value[0]:
            width = place.value[1] + place.value[2] - column
        return self.at(line, column, width)

    def at(self, line: int, column: int, width: int = 1, *, secret: bool = False) -> Where:
        """Give a place by 0-based line and column, with its snippet."""
        if not 0 <= line < len(self.lines):
            return Where(self.file, line + 1, column + 1)
        return Where(self.file, line + 1, column + 1, self._snippet(line, column, width, secret))

    def _snippet(self, line: int, column: int, width: int, secret: bool) -> str:
        text = self.lines[line].rstrip()
        head, tail = text[:column], text[column:]
        if secret and (colon := tail.find(":")) >= 0:
            tail = f"{tail[: colon + 1]} {MASK}"
        head, tail = self._masked(head), self._masked(tail)
        if len(head) > SHOWN_BEFORE:
            head = f"...{head[-SHOWN_BEFORE + 10 :]}"
        if len(tail) > (room := SHOWN_WIDTH - len(head)):
            tail = f"{tail[: room - 3]}..."
        number = str(line + 1)
        indent = "".join("\t" if char == "\t" else " " for char in head)
        caret = "^" * max(1, min(width, len(tail)))
        return f"{number} | {head}{tail}\n{' ' * len(number)} | {indent}{caret}"

    def _masked(self, text: str) -> str:
        for secret in self.secrets:
            text = text.replace(secret, MASK)
        text = _SECRET_KEY.sub(_mask_value, text)
        return _URL_PASSWORD.sub(rf"\1:{MASK}@", text)

    def _expand(self, path: tuple[str | int, ...]) -> Path_:
        full: Path_ = ()
        for part in path:
            if isinstance(part, str) and "." in part and (*full, part) not in self.places:
                full += tuple(int(p) if p.isdigit() else p for p in part.split("."))
            else:
                full += (part,)
        return full


def read_document(path: Path) -> Document:
    """Read and parse a file.

    Raises:
        ConfigError: it is not there, not text, or not YAML; with the place where it can be told.
    """
    document = Document(str(path))
    text = _read(path)
    document.lines = text.splitlines()
    from ktrans.config.nodes import NodeReader

    try:
        node = YAML(typ="safe", pure=True).compose(text)
    except MarkedYAMLError as error:
        raise _syntax_error(document, error) from None
    except YAMLError as error:
        raise ConfigError(
            f"not YAML: {str(error).splitlines()[0]}", code="yaml", where=Where(document.file)
        ) from None
    if node is None:
        raise ConfigError(
            "the file is empty",
            code="empty_config",
            where=Where(document.file),
            hint="a pipeline needs at least `source` and `sinks`",
        )
    errors = NodeReader(document).read(node)
    if errors:
        raise errors[0] if len(errors) == 1 else ConfigErrors(errors)
    return document


def _read(path: Path) -> str:
    where = Where(str(path))
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
            where=Where(str(path), line),
            hint="save the file as UTF-8",
        ) from None


def _syntax_error(document: Document, error: MarkedYAMLError) -> ConfigError:
    mark = error.problem_mark or error.context_mark
    problem = error.problem or "not YAML"
    if error.context:
        problem = f"{problem} ({error.context})"
    hint = None
    if "'\\t'" in problem:
        hint = "YAML is indented with spaces, never with tabs"
    elif "got '{'" in problem:
        hint = 'between { and } put references in quotes: "${env:NAME}"'
    elif "another document" in problem:
        hint = "a pipeline file holds one document; remove the line `---`"
    elif "mapping values are not allowed" in problem:
        hint = "put text that holds `: ` in quotes, and check the indentation"
    where = Where(document.file)
    if mark is not None:
        line = min(mark.line, max(len(document.lines) - 1, 0))
        where = document.at(line, mark.column if line == mark.line else 0)
    return ConfigError(f"not YAML: {problem}", code="yaml", where=where, hint=hint)


def _mask_value(match: re.Match[str]) -> str:
    value = match["value"]
    return match[0] if "${" in value else f"{match['key']}{MASK}"
