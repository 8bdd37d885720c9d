"""Checks the types of a syntax tree against a schema and picks the operations to run."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from functools import reduce
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from ktrans.expressions import tree
from ktrans.expressions.errors import ExpressionError, did_you_mean
from ktrans.expressions.functions import Function, find_function
from ktrans.expressions.known_values import problem_of
from ktrans.expressions.ops import Op
from ktrans.expressions.parser import parse_time
from ktrans.expressions.patterns import like_pattern
from ktrans.expressions.tree import Node
from ktrans.expressions.values import (
    ARROW,
    Kind,
    Value,
    arithmetic,
    cast,
    is_in,
    kind_of,
    negative,
    to_text,
)

_COMPARE: dict[str, Any] = {
    "=": pc.equal,
    "!=": pc.not_equal,
    "<": pc.less,
    "<=": pc.less_equal,
    ">": pc.greater,
    ">=": pc.greater_equal,
}


def an(kind: Kind) -> str:
    """Return a kind with its article, for messages."""
    return f"{'an' if kind in ('int', 'attrs') else 'a'} {kind}"


class Compiler:
    """Turns a syntax tree into typed operations; `kinds` collects the columns met."""

    def __init__(self, text: str, schema: pa.Schema) -> None:
        self.text = text
        self.schema = schema
        self.kinds: dict[str, Kind] = {}

    def error(self, problem: str, pos: int, hint: str | None = None) -> ExpressionError:
        return ExpressionError(problem, self.text, pos, hint=hint)

    def visit(self, node: Node) -> Op:  # noqa: C901, PLR0911, PLR0912 - one case a node type
        match node:
            case tree.Literal():
                return self.literal(node)
            case tree.Name():
                return self.column(node)
            case tree.Index():
                return self.index(node)
            case tree.Unary(op="-"):
                operand = self.of_kind(self.visit(node.operand), ("int", "float"), "-")
                return self.op(operand.kind, negative, [operand], node)
            case tree.Unary():
                return self.op("bool", pc.invert, [self.boolean(node.operand, "not")], node)
            case tree.Logic():
                return self.logic(node)
            case tree.Binary(op="||"):
                return self.concatenation(node)
            case tree.Binary() if node.op in _COMPARE:
                return self.comparison(node, node.op, node.left, node.right)
            case tree.Binary():
                return self.arithmetic(node)
            case tree.IsNull():
                return self.op("bool", pc.is_null, [self.visit(node.operand)], node)
            case tree.In():
                return self.membership(node)
            case tree.Between():
                low = self.comparison(node, ">=", node.operand, node.low)
                high = self.comparison(node, "<=", node.operand, node.high)
                return self.op("bool", pc.and_kleene, [low, high], node)
            case tree.Like():
                return self.like(node)
            case tree.Case():
                return self.case(node)
            case tree.Cast():
                return self.cast(node)
            case tree.Call():
                return self.call(node)
        raise AssertionError(node)

    def op(self, kind: Kind, function: Any, args: Sequence[Op], node: Node) -> Op:
        """Make an operation; one whose arguments are all constant is computed here and now."""
        if args and all(arg.is_constant for arg in args):
            value = function(*(arg.value for arg in args))
            return Op(kind, value=value, pos=node.pos)
        return Op(kind, function, tuple(args), pos=node.pos)

    def literal(self, node: tree.Literal) -> Op:
        kind = _LITERAL_KINDS[type(node.value)]
        return Op(kind, value=pa.scalar(node.value, ARROW[kind]), pos=node.pos)

    def column(self, node: tree.Name) -> Op:
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

    def index(self, node: tree.Index) -> Op:
        column = self.column(node.column)
        if column.kind != "attrs":
            raise self.error(
                f"column {node.column.name!r} is {an(column.kind)}, not a map", node.pos
            )

        def entry(value: Value) -> Value:
            found = pc.map_lookup(value, query_key=pa.scalar(node.key), occurrence="first")
            return found.cast(pa.string())

        return self.op("text", entry, [column], node)

    def boolean(self, node: Node, what: str) -> Op:
        return self.as_kind(self.of_kind(self.visit(node), ("bool",), what), "bool")

    def of_kind(self, op: Op, kinds: Sequence[Kind], what: str) -> Op:
        """Check that an operation has one of these kinds; a bare null becomes the first of them."""
        if op.kind == "null":
            return self.as_kind(op, kinds[0])
        if op.kind not in kinds:
            wanted = " or ".join(kinds)
            raise self.error(f"{what} takes {wanted}, not {op.kind}", op.pos)
        return op

    def as_kind(self, op: Op, kind: Kind) -> Op:
        if op.kind == kind:
            return op
        target, pos = ARROW[kind], op.pos
        return self.op(kind, lambda value: value.cast(target, safe=False), [op], Node(pos))

    def compared(self, nodes: Sequence[Node], what: str) -> list[Op]:
        """Visit what is compared for equality, and check that each column can have the values."""
        ops = [self.visit(node) for node in nodes]
        for column in (op.column for op in ops if op.column is not None):
            for other in ops:
                if other.kind == "text" and other.is_constant and other.value.is_valid:
                    problem = problem_of(self.schema.field(column), other.value.as_py())
                    if problem is not None:
                        raise self.error(problem[0], other.pos, problem[1])
        return self.alike(ops, what)

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

    def logic(self, node: tree.Logic) -> Op:
        function = pc.and_kleene if node.op == "and" else pc.or_kleene
        items = [self.boolean(item, node.op) for item in node.items]
        return self.op("bool", lambda *values: reduce(function, values), items, node)

    def comparison(self, node: Node, op: str, left: Node, right: Node) -> Op:
        if op in ("=", "!="):
            sides = self.compared([left, right], op)
        else:
            sides = self.alike([self.visit(left), self.visit(right)], op)
        kind = sides[0].kind
        if kind == "attrs" or (kind == "bool" and op not in ("=", "!=")):
            raise self.error(f"{op} does not compare {kind}", node.pos)
        if kind == "null":
            sides = [self.as_kind(side, "bool") for side in sides]
        return self.op("bool", _COMPARE[op], sides, node)

    def arithmetic(self, node: tree.Binary) -> Op:
        sides = [self.visit(node.left), self.visit(node.right)]
        for side in sides:
            if side.kind == "timestamp":
                raise self.error(
                    f"{node.op} does not compute with timestamp",
                    node.pos,
                    "use epoch(...), which gives seconds",
                )
        sides = [self.of_kind(side, ("int", "float"), node.op) for side in sides]
        sides = self.alike(sides, node.op)
        if node.op == "/":
            sides = [self.as_kind(side, "float") for side in sides]
        return self.op(sides[0].kind, lambda a, b: arithmetic(node.op, a, b), sides, node)

    def concatenation(self, node: tree.Binary) -> Op:
        sides = [
            self.of_kind(self.visit(side), ("text", "int", "bool"), "||")
            for side in (node.left, node.right)
        ]

        def join(left: Value, right: Value) -> Value:
            return pc.binary_join_element_wise(to_text(left), to_text(right), "")

        return self.op("text", join, sides, node)

    def membership(self, node: tree.In) -> Op:
        value, *items = self.compared([node.operand, *node.items], "in")
        if value.kind == "attrs":
            raise self.error("in does not compare attrs", node.pos)
        if value.kind == "null":
            return Op("bool", value=pa.scalar(None, pa.bool_()), pos=node.pos)
        if all(item.is_constant for item in items):
            known = pa.array([item.value.as_py() for item in items], ARROW[value.kind])
            return self.op("bool", lambda v: is_in(v, known), [value], node)

        def any_equal(first: Value, *others: Value) -> Value:
            return reduce(pc.or_kleene, (pc.equal(first, other) for other in others))

        return self.op("bool", any_equal, [value, *items], node)

    def like(self, node: tree.Like) -> Op:
        value = self.of_kind(self.visit(node.operand), ("text",), "like")
        pattern = like_pattern(node.pattern, node.escape)
        return self.op(
            "bool",
            lambda v: pc.match_substring_regex(v, pattern, ignore_case=node.ignore_case),
            [value],
            node,
        )

    def case(self, node: tree.Case) -> Op:
        conditions = [self.boolean(when, "when") for when, _ in node.whens]
        results = [self.visit(result) for _, result in node.whens]
        results = self.alike([*results, self.visit(node.otherwise)], "case")
        count = len(conditions)

        def choose(*values: Value) -> Value:
            chosen = values[-1]
            for i in range(count - 1, -1, -1):
                holds = pc.coalesce(values[i], pa.scalar(False))
                chosen = pc.if_else(holds, values[count + i], chosen)
            return chosen

        if results[0].kind == "attrs":
            raise self.error("case cannot give a map", node.pos)
        return self.op(results[0].kind, choose, [*conditions, *results], node)

    def cast(self, node: tree.Cast) -> Op:
        value = self.visit(node.operand)
        target: Kind = node.target  # type: ignore[assignment]
        kind = value.kind
        if kind == "attrs" or (kind == "timestamp" and target != "text"):
            hint = "use epoch(...), which gives seconds" if kind == "timestamp" else None
            raise self.error(f"cannot cast {kind} to {target}", node.pos, hint)
        return self.op(target, lambda v: cast(v, kind, target), [value], node)

    def call(self, node: tree.Call) -> Op:
        function: Function = find_function(node.name, self.text, node.pos)
        args = [self.visit(arg) for arg in node.args]
        if not function.least <= len(args) <= function.most:
            raise self.error(f"{node.name} is written {function.usage}", node.pos)
        if function.args == "alike":
            args = self.alike(args, node.name)
            if args[0].kind in function.never:
                raise self.error(f"{node.name} does not take {args[0].kind}", args[0].pos)
        else:
            args = [self.of_kind(arg, function.kinds(i), node.name) for i, arg in enumerate(args)]
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
        return self.op(kind, bound, free, node)


_LITERAL_KINDS: dict[type, Kind] = {
    bool: "bool",
    int: "int",
    float: "float",
    str: "text",
    datetime: "timestamp",
    type(None): "null",
}
