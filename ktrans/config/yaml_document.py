"""A document of a YAML file: plain data, and the line and column of everything in it.

Errors show snippets of the file; secrets are masked in them.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

import msgspec

from ktrans.api import Where
from ktrans.registry.values import MASK

Path_ = tuple[str | int, ...]

SHOWN_WIDTH = 110
SHOWN_BEFORE = 60
"""The width of a snippet, and its part before the place."""

_SECRET_KEY = re.compile(
    r"""(?ix) (?<![\w.-])  # at the beginning of a word only, or long words take quadratic time
        (?P<key> (?= [\w.-]* (?: secret | passw | token | credential | api_?key | access_?key
        | private_?key | sas_ | dsn | salt | connection_string )) [\w.-]++ ["']? \s*+ : \s++ )
        (?P<value> "(?:[^"\\]|\\.)*" | '(?:[^']|'')*' | [^\s,}\]\#][^,}\]\#]* )"""
)
_URL_PASSWORD = re.compile(r"(?<=://)([^\s/:@]*):([^\s/@]+)@")


@dataclass(slots=True)
class Text:
    """The text of a file.

    Attributes:
        file: its name, as the user gave it.
        lines: the text.
        secrets: texts to mask in snippets; shared by all files of a pipeline.
        included: the place of the `include` of the file, if any.
    """

    file: str
    lines: list[str] = field(default_factory=list, repr=False)
    secrets: set[str] = field(default_factory=set, repr=False)
    included: str | None = None

    def whole(self, line: int | None = None) -> Where:
        """Return the file as a place, or one of its lines, from 1."""
        return Where(self.file, line, included=self.included)

    def at(self, line: int, column: int, width: int = 1, *, secret: bool = False) -> Where:
        """Return a place by line and column, from 0, with its snippet."""
        if not 0 <= line < len(self.lines):
            return Where(self.file, line + 1, column + 1, included=self.included)
        snippet = self._snippet(line, column, width, secret)
        return Where(self.file, line + 1, column + 1, snippet, self.included)

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


def _mask_value(match: re.Match[str]) -> str:
    value = match["value"]
    return match[0] if "${" in value else f"{match['key']}{MASK}"


class Place(msgspec.Struct, frozen=True):
    """The places of a key, if there is one, and of its value: line, column (from 0), and width.

    `text` is the file.
    """

    key: tuple[int, int, int] | None
    value: tuple[int, int, int]
    text: Text


@dataclass(slots=True)
class Document:
    """A document of a YAML file, or of several files after merging.

    Attributes:
        text: the text of the file itself.
        tree: dicts, lists and scalars, as written (nothing is interpolated).
        places: the place of each path of the tree.
    """

    text: Text
    tree: Any = field(default=None, repr=False)
    places: dict[Path_, Place] = field(default_factory=dict, repr=False)

    def where(
        self,
        *path: str | int,
        key: bool = False,
        secret: bool = False,
        text: str | None = None,
        offset: int = 0,
    ) -> Where:
        """Return the place of a path, or of its nearest parent in the file.

        Args:
            path: keys and list indexes; a dotted text is split.
            key: return the place of the key instead of the value.
            secret: mask the value in the snippet.
            text: the value; if the file has it so on one line, the place is at `offset` in it.
            offset: from 0.
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
        if text is not None and known == full:
            written = "".join(place.text.lines[line : line + 1])[column : column + width]
            quoted = written[:1] in {"'", '"'}
            if (written[1:-1] if quoted else written) == text:
                return place.text.at(line, column + quoted + offset)
        if place.key and (key or secret or known != full or line != place.key[0]):
            line, column, width = place.key
        return place.text.at(line, column, width, secret=secret)

    def _component(self, path: Path_) -> Where:
        """Return the place of the `type` of a component."""
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
