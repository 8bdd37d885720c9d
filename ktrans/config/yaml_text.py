"""The text of a YAML file, for the snippets that errors show; secrets are masked in them."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from ktrans.api import Where
from ktrans.registry.values import MASK

SHOWN_WIDTH = 110
SHOWN_BEFORE = 60
"""How much of a line a snippet shows, and how much of that before the place."""

_SECRET_KEY = re.compile(
    r"""(?ix) (?P<key> [\w.-]* (?: secret | passw | token | credential | api_?key | access_?key
        | private_?key | sas_ | dsn | salt | connection_string ) [\w.-]* ["']? \s* : \s+ )
        (?P<value> "(?:[^"\\]|\\.)*" | '(?:[^']|'')*' | [^\s,}\]\#][^,}\]\#]* )"""
)
_URL_PASSWORD = re.compile(r"(?<=://)([^\s/:@]*):([^\s/@]+)@")


@dataclass(slots=True)
class Text:
    """The text of one file.

    Attributes:
        file: its name, as the user gave it.
        lines: the text.
        secrets: what snippets must not show; one set for all files that make up a pipeline.
        included: the place of the `include` that brought it in.
    """

    file: str
    lines: list[str] = field(default_factory=list, repr=False)
    secrets: set[str] = field(default_factory=set, repr=False)
    included: str | None = None

    def whole(self, line: int | None = None) -> Where:
        """Give the file itself as a place, or a 1-based line of it."""
        return Where(self.file, line, included=self.included)

    def at(self, line: int, column: int, width: int = 1, *, secret: bool = False) -> Where:
        """Give a place by 0-based line and column, with its snippet."""
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
