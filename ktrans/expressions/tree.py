"""The syntax tree of an expression: what was written, before any type is known."""

from __future__ import annotations

from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any
from typing import Literal as Choice


@dataclass(frozen=True, slots=True)
class Node:
    """Any part of an expression; `pos` is its 0-based offset in the text."""

    pos: int


@dataclass(frozen=True, slots=True)
class Literal(Node):
    """A constant: int, float, text, bool, a time in UTC, or None for null."""

    value: int | float | str | bool | datetime | None


@dataclass(frozen=True, slots=True)
class Name(Node):
    """A column."""

    name: str


@dataclass(frozen=True, slots=True)
class Index(Node):
    """`attrs['name']`: an entry of a map column."""

    column: Name
    key: str


@dataclass(frozen=True, slots=True)
class Unary(Node):
    """`-x`, or `not x`."""

    op: Choice["-", "not"]
    operand: Node


@dataclass(frozen=True, slots=True)
class Binary(Node):
    """Arithmetic, comparison or `||`."""

    op: str
    left: Node
    right: Node


@dataclass(frozen=True, slots=True)
class Logic(Node):
    """A chain of `and`, or of `or`."""

    op: Choice["and", "or"]
    items: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class IsNull(Node):
    """`x is null`."""

    operand: Node


@dataclass(frozen=True, slots=True)
class In(Node):
    """`x in (a, b)`."""

    operand: Node
    items: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Between(Node):
    """`x between low and high`, bounds included."""

    operand: Node
    low: Node
    high: Node


@dataclass(frozen=True, slots=True)
class Like(Node):
    """`x like 'a%'`; `ilike` ignores case."""

    operand: Node
    pattern: str
    escape: str | None
    ignore_case: bool


@dataclass(frozen=True, slots=True)
class Case(Node):
    """`case when a then b else c end`; the form `case x when ...` becomes comparisons."""

    whens: tuple[tuple[Node, Node], ...]
    otherwise: Node


@dataclass(frozen=True, slots=True)
class Cast(Node):
    """`cast(x as int)`."""

    operand: Node
    target: str


@dataclass(frozen=True, slots=True)
class Call(Node):
    """A function with its arguments; the name in lower case."""

    name: str
    args: tuple[Node, ...]


def children(node: Node) -> list[Node]:
    """Return the nodes that a node is made of, in the order of the text."""
    return [part for each in fields(node) for part in _nodes(getattr(node, each.name))]


def _nodes(value: Any) -> list[Node]:
    if isinstance(value, tuple):
        return [part for item in value for part in _nodes(item)]
    return [value] if isinstance(value, Node) else []
