"""The one error of the expression language: it points at the place in the text."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

from ktrans.api.errors import ConfigError


class ExpressionError(ConfigError):
    """An expression does not parse, names what does not exist, or mixes types.

    Attributes:
        text: the expression.
        position: 0-based offset in the text of what is wrong.
        problem: the first line of the message, without the snippet.
    """

    default_code = "expression"

    def __init__(self, problem: str, text: str, position: int, *, hint: str | None = None) -> None:
        position = min(max(position, 0), len(text))
        super().__init__(f"{problem}\n{_snippet(text, position)}", hint=hint)
        self.problem = problem
        self.text = text
        self.position = position


def _snippet(text: str, position: int) -> str:
    """Show the line that holds the position, with a caret below it."""
    start = text.rfind("\n", 0, position) + 1
    end = text.find("\n", position)
    line = text[start : len(text) if end < 0 else end].replace("\t", " ")
    return f"  {line}\n  {' ' * (position - start)}^"


def did_you_mean(name: str, known: Iterable[str]) -> str | None:
    """Return a hint with the closest known name, or None if nothing is close."""
    close = difflib.get_close_matches(name.lower(), list(known), n=1, cutoff=0.6)
    return f"did you mean {close[0]!r}?" if close else None
