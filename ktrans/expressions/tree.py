"""The syntax tree of an expression: what was written, before any type is known."""

from __future__ import annotations

from collections.abc import Iterator
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


def walk(root: Node) -> Iterator[Node]:
    """Yield a node and all nodes that it is made of."""
    stack = [root]
    while stack:
        node = stack.pop()
        yield node
        stack.extend(children(node))


def is_file(node: Node) -> bool:
    """Return whether a node is `file(...)`, which stands for a list in a file."""
    return isinstance(node, Call) and node.name == "file"


def path_of(node: Node) -> str | None:
    """Return the path in `file('path')`; None for anything else."""
    match node:
        case Call(name="file", args=(Literal(value=str(path)),)):
            return path
    return None
