"""Checks the types of a syntax tree against a schema and picks the operations to run."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from datetime import datetime
from functools import reduce
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from ktrans.expressions.errors import ExpressionError, did_you_mean
from ktrans.expressions.functions import HINTS, LISTS_ONLY, find_function
from ktrans.expressions.known_values import problem_of
from ktrans.expressions.lists import read_prefixes, read_values
from ktrans.expressions.ops import Op
from ktrans.expressions.parser import parse_time
from ktrans.expressions.tree import Call, Literal, Name, Node, is_file, path_of
from ktrans.expressions.values import ARROW, Kind, Value, cast, is_in, kind_of


def an(kind: Kind) -> str:
    """Return a kind with its article, for messages."""
    return f"{'an' if kind in ('int', 'attrs') else 'a'} {kind}"


class Compiler:
    """Turns a syntax tree into typed operations; `kinds` collects the columns met.

    Relative paths of files start at `folder`.
    """

    def __init__(self, text: str, schema: pa.Schema, folder: Path) -> None:
        self.text = text
        self.schema = schema
        self.folder = folder
        self.kinds: dict[str, Kind] = {}

    def error(self, problem: str, pos: int, hint: str | None = None) -> ExpressionError:
        return ExpressionError(problem, self.text, pos, hint=hint)

    def visit(self, node: Node) -> Op:
        if isinstance(node, Literal):
            return self.literal(node)
        if isinstance(node, Name):
            return self.column(node)
        special = {"in": self.membership, "case": self.case, "cast": self.cast}
        return special.get(node.name, self.call)(node)

    def op(self, kind: Kind, function: Any, args: Sequence[Op], pos: int) -> Op:
        """Make an operation; one whose arguments are all constant is computed here and now."""
        if args and all(arg.is_constant for arg in args):
            return Op(kind, value=function(*(arg.value for arg in args)), pos=pos)
        return Op(kind, function, tuple(args), pos=pos)

    def literal(self, node: Literal) -> Op:
        kind = _LITERAL_KINDS[type(node.value)]
        return Op(kind, value=pa.scalar(node.value, ARROW[kind]), pos=node.pos)

    def column(self, node: Name) -> Op:
        if node.name not in self.schema.names:
            raise self.error(
                f"unknown column {node.name!r}",
                node.pos,
                did_you_mean(node.name, self.schema.names)
                or f"there are: {', '.join(self.schema.names)}",
            )
        dtype = self.schema.field(node.name).type
        kind = kind_of(dtype)
        if kind is None:
            raise self.error(
                f"column {node.name!r} has type {dtype}, which expressions cannot read", node.pos
            )
        self.kinds[node.name] = kind
        return Op(kind, column=node.name, pos=node.pos)

    def of_kind(self, op: Op, kinds: Sequence[Kind], what: str) -> Op:
        """Check that an operation has one of these kinds; a bare null becomes the first of them."""
        if op.kind == "null" and kinds[0] in ARROW:
            return self.as_kind(op, kinds[0])
        if op.kind not in kinds:
            wanted = " or ".join(kinds)
            raise self.error(f"{what} takes {wanted}, not {op.kind}", op.pos)
        return op

    def as_kind(self, op: Op, kind: Kind) -> Op:
        if op.kind == kind:
            return op
        target = ARROW[kind]
        return self.op(kind, lambda value: value.cast(target, safe=False), [op], op.pos)

    def check_values(self, ops: Sequence[Op]) -> None:
        """Raise an error if a column is compared with a text that it never has."""
        for column in (op.column for op in ops if op.column is not None):
            for other in ops:
                if other.kind == "text" and other.is_constant and other.value.is_valid:
                    problem = problem_of(self.schema.field(column), other.value.as_py())
                    if problem is not None:
                        raise self.error(problem[0], other.pos, problem[1])

    def alike(self, ops: Sequence[Op], what: str) -> list[Op]:
        """Cast operations to one kind: null to any, int to float, a time in quotes to a time."""
        kinds = {op.kind for op in ops} - {"null"}
        if "timestamp" in kinds and kinds <= {"timestamp", "text"}:
            ops = [self.as_time(op, what) for op in ops]
            kinds = {"timestamp"}
        if kinds == {"int", "float"}:
            kinds = {"float"}
        if len(kinds) > 1:
            first = next(op for op in ops if op.kind != "null")
            other = next(op for op in ops if op.kind not in ("null", first.kind))
            hint = None
            if "text" in kinds:
                hint = "use cast(... as int), or put the number in 'quotes'"
            raise self.error(f"{what} cannot mix {first.kind} and {other.kind}", other.pos, hint)
        kind = kinds.pop() if kinds else "null"
        return [self.as_kind(op, kind) for op in ops]

    def as_time(self, op: Op, what: str) -> Op:
        if op.kind != "text":
            return op
        if not op.is_constant:
            raise self.error(f"{what} cannot mix timestamp and text", op.pos)
        time = parse_time(op.value.as_py(), self.text, op.pos)
        return Op("timestamp", value=pa.scalar(time, ARROW["timestamp"]), pos=op.pos)

    def membership(self, node: Call) -> Op:
        if is_file(node.args[1]) and len(node.args) == 2:  # noqa: PLR2004
            return self.in_file(node)
        args = [self.visit(arg) for arg in node.args]
        if any(arg.kind == "attrs" for arg in args):
            raise self.error("in does not compare attrs", node.pos)
        self.check_values(args)
        value, *items = self.alike(args, "in")
        if value.kind == "null":
            return Op("bool", value=pa.scalar(None, pa.bool_()), pos=node.pos)
        if all(item.is_constant for item in items):
            known = pa.array([item.value.as_py() for item in items], ARROW[value.kind])
            return self.op("bool", lambda v: is_in(v, known), [value], node.pos)

        def any_equal(first: Value, *others: Value) -> Value:
            return reduce(pc.or_kleene, (pc.equal(first, other) for other in others))

        return self.op("bool", any_equal, [value, *items], node.pos)

    def in_file(self, node: Call) -> Op:
        """Compare a text or an int with the values in a file."""
        value = self.of_kind(self.visit(node.args[0]), ("text", "int"), "in file(...)")
        listed = self.read(node.args[1], read_values, "in")
        known = pa.array(listed, pa.string())
        if value.kind == "int":
            wrong = next((text for text in listed if not _INTEGER.fullmatch(text)), None)
            if wrong is not None:
                problem = f"in: {wrong!r} in the file is not an int"
                hint = "one value a line; comments have lines of their own, which begin with #"
                raise self.error(problem, node.args[1].pos, hint)
            known = known.cast(pa.int64())
        return self.op("bool", lambda v: is_in(v, known), [value], node.pos)

    def case(self, node: Call) -> Op:
        whens, results = node.args[:-1:2], [*node.args[1::2], node.args[-1]]
        conditions = [self.of_kind(self.visit(when), ("bool",), "when") for when in whens]
        values = [self.visit(result) for result in results]
        if any(value.kind == "attrs" for value in values):
            raise self.error("case cannot give a map", node.pos)
        values = self.alike(values, "case")
        count = len(conditions)

        def choose(*values: Value) -> Value:
            chosen = values[-1]
            for i in range(count - 1, -1, -1):
                holds = pc.coalesce(values[i], pa.scalar(False))
                chosen = pc.if_else(holds, values[count + i], chosen)
            return chosen

        return self.op(values[0].kind, choose, [*conditions, *values], node.pos)

    def cast(self, node: Call) -> Op:
        value, target = (self.visit(arg) for arg in node.args)
        kind, wanted = value.kind, target.value.as_py()
        if kind == "attrs" or (kind == "timestamp" and wanted != "text"):
            raise self.error(f"cannot cast {kind} to {wanted}", node.pos, HINTS.get(kind))
        return self.op(wanted, lambda v: cast(v, kind, wanted), [value], node.pos)

    def read(self, node: Node, read: Callable[[Path], list[str]], what: str) -> list[str]:
        """Read the list that `file(...)` names."""
        path = path_of(node)
        if path is None:
            raise self.error("file takes one 'text' literal, as in file('list.txt')", node.pos)
        try:
            return read(self.folder / Path(path).expanduser())
        except (ValueError, RuntimeError) as error:
            hint = "a relative path starts from the pipeline file's folder"
            raise self.error(f"{what}: {error}", node.pos, hint) from None

    def arguments(self, node: Call) -> list[Op]:
        """Visit the arguments of a call; those of `in_cidr` but the first may be lists in files."""
        args = []
        for i, arg in enumerate(node.args):
            if not is_file(arg):
                args.append(self.visit(arg))
            elif node.name == "in_cidr" and i > 0:
                prefixes = self.read(arg, read_prefixes, "in_cidr")
                value = pa.scalar(prefixes, pa.list_(pa.string()))
                args.append(Op("text", value=value, pos=arg.pos))
            else:
                raise self.error(LISTS_ONLY, arg.pos)
        return args

    def call(self, node: Call) -> Op:
        function = find_function(node.name, self.text, node.pos)
        args = self.arguments(node)
        if not function.least <= len(args) <= function.most:
            raise self.error(f"{node.name} is written {function.usage}", node.pos)
        for arg in args:
            if arg.kind in function.never:
                problem = f"{node.name} does not {function.verb} {arg.kind}"
                raise self.error(problem, node.pos, HINTS.get(arg.kind))
        self.check_values(args if node.name in {"=", "!="} else ())
        if function.args:
            args = [self.of_kind(arg, function.kinds(i), node.name) for i, arg in enumerate(args)]
        if function.alike:
            args = self.alike(args, node.name)
            if args[0].kind == "null" and function.gives == "bool":
                args = [self.as_kind(arg, "bool") for arg in args]
        fixed = [arg for i, arg in enumerate(args) if i in function.fixed]
        free = [arg for i, arg in enumerate(args) if i not in function.fixed]
        for arg in fixed:
            if not arg.is_constant or not arg.value.is_valid:
                raise self.error(
                    f"this argument of {node.name} must be a constant",
                    arg.pos,
                    f"it is written {function.usage}",
                )
        try:
            bound = function.bind(*(arg.value.as_py() for arg in fixed))
        except ValueError as error:
            pos = fixed[0].pos if fixed else node.pos
            raise self.error(f"{node.name}: {error}", pos) from None
        kind = free[0].kind if function.gives == "same" else function.gives
        return self.op(kind, bound, free, node.pos)


_INTEGER = re.compile(r"-?[0-9]{1,18}")
_LITERAL_KINDS: dict[type, Kind] = {
    bool: "bool",
    int: "int",
    float: "float",
    str: "text",
    datetime: "timestamp",
    type(None): "null",
}
