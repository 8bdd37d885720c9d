"""Cuts the text of an expression into tokens."""

from __future__ import annotations

import re
from dataclasses import dataclass

from ktrans.expressions.errors import ExpressionError

KEYWORDS = frozenset(
    {"and", "or", "not", "is", "null", "in", "between", "like", "ilike", "escape"}
    | {"case", "when", "then", "else", "end", "cast", "as", "true", "false"}
)

_TOKEN = re.compile(
    r"""(?P<space>\s+)
      | (?P<number>(?:\d+\.\d*|\.\d+|\d+)(?:[eE][+-]?\d+)?)
      | (?P<text>'(?:[^']|'')*')
      | (?P<quoted>"(?:[^"]|"")*")
      | (?P<word>[A-Za-z_][A-Za-z0-9_]*)
      | (?P<op><>|!=|==|<=|>=|\|\||[-+*/%=<>(),\[\]])
    """,
    re.VERBOSE,
)


@dataclass(frozen=True, slots=True)
class Token:
    """One token.

    Attributes:
        kind: number, text, name (a column or function), keyword, op or end.
        value: the unquoted text; keywords in lower case.
        pos: 0-based offset in the expression.
        quoted: it was written in double quotes, so it is never a function.
    """

    kind: str
    value: str
    pos: int
    quoted: bool = False


def tokens(text: str) -> list[Token]:
    """Cut an expression into tokens, with an `end` token last.

    Raises:
        ExpressionError: a character that begins no token, or a quote that is never closed.
    """
    found: list[Token] = []
    pos = 0
    while pos < len(text):
        match = _TOKEN.match(text, pos)
        if match is None:
            raise _unexpected(text, pos)
        kind, value = str(match.lastgroup), match.group()
        if kind == "number" and text[match.end() : match.end() + 1].isidentifier():
            raise ExpressionError("a number must end before a letter", text, match.end())
        if value == "==":
            raise ExpressionError("unexpected '=='", text, pos, hint="a single = compares")
        if kind != "space":
            found.append(_token(kind, value, pos))
        pos = match.end()
    found.append(Token("end", "", len(text)))
    return found


def _token(kind: str, value: str, pos: int) -> Token:
    if kind == "text":
        return Token("text", value[1:-1].replace("''", "'"), pos)
    if kind == "quoted":
        return Token("name", value[1:-1].replace('""', '"'), pos, quoted=True)
    if kind == "word":
        lower = value.lower()
        return Token("keyword", lower, pos) if lower in KEYWORDS else Token("name", value, pos)
    return Token(kind, value, pos)


def _unexpected(text: str, pos: int) -> ExpressionError:
    char = text[pos]
    if char in "'\"":
        return ExpressionError("this quote is never closed", text, pos)
    hints = {"&": "write `and`", "|": "write `or`, or || to join texts", "!": "write `not` or !="}
    return ExpressionError(f"unexpected character {char!r}", text, pos, hint=hints.get(char))
