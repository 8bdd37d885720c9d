"""The syntax tree of an expression: what was written, before any type is known."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Literal:
    """A constant: int, float, text, bool, a time in UTC, or None for null."""

    pos: int
    value: int | float | str | bool | datetime | None


@dataclass(frozen=True, slots=True)
class Name:
    """A column."""

    pos: int
    name: str


@dataclass(frozen=True, slots=True)
class Call:
    """A function or an operator with its operands.

    `not`, `is null`, `in`, `like`, `case` (whens and results by turns, then the result otherwise),
    `cast` (with its target), `attrs['key']` (as `[]`) and signs are operators too.
    """

    pos: int
    name: str
    args: tuple[Node, ...]


Node = Literal | Name | Call
"""Any part of an expression; `pos` is its 0-based offset in the text."""


def children(node: Node) -> tuple[Node, ...]:
    """Return the nodes that a node is made of, in the order of the text."""
    return node.args if isinstance(node, Call) else ()
