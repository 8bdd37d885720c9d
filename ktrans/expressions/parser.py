"""Turns the text of an expression into a syntax tree.

Precedence, loosest first: or; and; not; comparison, in, like, between, is null; ||; + -; * / %;
unary minus. That is SQL's.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

from ktrans.expressions.errors import ExpressionError
from ktrans.expressions.lexer import Token, tokens
from ktrans.expressions.tree import Call, Literal, Name, Node, children, path_of, walk

MAX_BRACKETS = 32
"""How deep brackets may nest: far beyond what people write, and safe for Python's stack."""

MAX_DEPTH = 100
"""How deep the tree may be; a chain such as `a || b || c` is as deep as it is long."""

COMPARISONS = ("=", "!=", "<>", "<", "<=", ">", ">=")
CAST_TARGETS = ("int", "float", "text", "bool")
_BINARY = (("||",), ("+", "-"), ("*", "/", "%"))
_INT64_MAX = 2**63 - 1


def parse(text: str) -> Node:
    """Parse an expression; columns and types are not checked.

    Raises:
        ExpressionError: it is not an expression.
    """
    parser = _Parser(text)
    root = parser.expression()
    parser.expect_end()
    parser.check_depth(root)
    return root


def columns_of(text: str) -> frozenset[str]:
    """Name the columns that an expression reads.

    Raises:
        ExpressionError: it is not an expression.
    """
    return frozenset(node.name for node in walk(parse(text)) if isinstance(node, Name))


def files_of(text: str) -> frozenset[str]:
    """Name the files that an expression reads lists from.

    Raises:
        ExpressionError: it is not an expression.
    """
    return frozenset(path for node in walk(parse(text)) if (path := path_of(node)) is not None)


class _Parser:
    def __init__(self, text: str) -> None:
        self.text = text
        self.tokens = tokens(text)
        self.at = 0
        self.depth = 0

    @property
    def token(self) -> Token:
        return self.tokens[self.at]

    def error(self, problem: str, pos: int, hint: str | None = None) -> ExpressionError:
        return ExpressionError(problem, self.text, pos, hint=hint)

    def advance(self) -> Token:
        token = self.token
        if token.kind != "end":
            self.at += 1
        return token

    def take(self, kind: str, *values: str) -> Token | None:
        """Consume the next token if it is of this kind and one of these values."""
        token = self.token
        return self.advance() if token.kind == kind and token.value in values else None

    def keyword(self, *words: str) -> Token | None:
        return self.take("keyword", *words)

    def expect(self, kind: str, value: str) -> Token:
        if token := self.take(kind, value):
            return token
        raise self.error(f"expected {value!r}, found {self.found()}", self.token.pos)

    def found(self) -> str:
        return "the end" if self.token.kind == "end" else repr(self.token.value)

    def expect_end(self) -> None:
        chained = self.token.kind == "op" and self.token.value in COMPARISONS
        if self.token.kind != "end":
            hint = "comparisons do not chain: join them with `and`" if chained else None
            raise self.error(f"unexpected {self.found()}", self.token.pos, hint)

    def check_depth(self, root: Node) -> None:
        """Refuse left-leaning chains too: `1 + 1 + 1 ...` nests without any bracket."""
        stack = [(root, 1)]
        while stack:
            node, depth = stack.pop()
            if depth > MAX_DEPTH:
                raise self.error(f"nested more than {MAX_DEPTH} deep", node.pos)
            stack.extend((child, depth + 1) for child in children(node))

    def expression(self) -> Node:
        self.depth += 1
        if self.depth > MAX_BRACKETS:
            raise self.error(f"nested more than {MAX_BRACKETS} deep", self.token.pos)
        node = self.chain("or", lambda: self.chain("and", self.negation))
        self.depth -= 1
        return node

    def chain(self, op: str, part: Callable[[], Node]) -> Node:
        items = [part()]
        while self.keyword(op):
            items.append(part())
        return items[0] if len(items) == 1 else Call(items[0].pos, op, tuple(items))

    def negation(self) -> Node:
        nots = []
        while token := self.keyword("not"):
            nots.append(token.pos)
        node = self.predicate()
        for pos in reversed(nots):
            node = Call(pos, "not", (node,))
        return node

    def predicate(self) -> Node:
        node = self.comparison(self.concatenation())
        while token := self.keyword("is"):
            negated = self.keyword("not") is not None
            self.expect("keyword", "null")
            node = self.negated(Call(node.pos, "is null", (node,)), negated, token.pos)
        return node

    def comparison(self, left: Node) -> Node:
        if token := self.take("op", *COMPARISONS):
            op = "!=" if token.value == "<>" else token.value
            return Call(token.pos, op, (left, self.concatenation()))
        start = self.token.pos
        negated = self.keyword("not") is not None
        if self.keyword("in"):
            items = self.listed()
            return self.negated(Call(left.pos, "in", (left, *items)), negated, start)
        if self.keyword("between"):
            low = Call(left.pos, ">=", (left, self.concatenation()))
            self.expect("keyword", "and")
            high = Call(left.pos, "<=", (left, self.concatenation()))
            return self.negated(Call(left.pos, "and", (low, high)), negated, start)
        if token := self.keyword("like", "ilike"):
            return self.negated(self.like(left, token), negated, start)
        if negated:
            raise self.error(
                f"expected in, between or like after not, found {self.found()}", self.token.pos
            )
        return left

    def listed(self) -> tuple[Node, ...]:
        """Parse what is behind `in`: a list in brackets, or one in a file."""
        if self.take("op", "("):
            return self.items("in")
        name = self.token
        if name.kind == "name" and not name.quoted and name.value.lower() == "file":
            return (self.primary(),)
        raise self.error(f"expected '(' or file(...) after in, found {self.found()}", name.pos)

    def negated(self, node: Node, negated: bool, pos: int) -> Node:
        return Call(pos, "not", (node,)) if negated else node

    def like(self, left: Node, token: Token) -> Call:
        args = [left, self.literal_text("a pattern must be a 'text' literal")]
        if self.keyword("escape"):
            escape = self.literal_text("the escape character must be a 'text' literal")
            if len(str(escape.value)) != 1:
                raise self.error("the escape must be one character", escape.pos)
            args.append(escape)
        return Call(left.pos, token.value, tuple(args))

    def literal_text(self, problem: str) -> Literal:
        if self.token.kind != "text":
            raise self.error(problem, self.token.pos)
        token = self.advance()
        return Literal(token.pos, token.value)

    def items(self, what: str) -> tuple[Node, ...]:
        """Parse `a, b, ...)` with at least one item."""
        found = [self.expression()]
        while self.take("op", ","):
            found.append(self.expression())
        if not self.take("op", ")"):
            raise self.error(
                f"expected ',' or ')' in the list after {what}, found {self.found()}",
                self.token.pos,
            )
        return tuple(found)

    def concatenation(self, level: int = 0) -> Node:
        """Parse binary operators from left to right, of this level and those that bind tighter."""
        if level == len(_BINARY):
            return self.signed()
        node = self.concatenation(level + 1)
        while token := self.take("op", *_BINARY[level]):
            node = Call(token.pos, token.value, (node, self.concatenation(level + 1)))
        return node

    def signed(self) -> Node:
        sign = self.take("op", "-", "+")
        if sign is None:
            return self.primary()
        if sign.value == "-" and self.token.kind == "number":
            return self.number(self.advance(), sign)
        self.depth += 1
        if self.depth > MAX_BRACKETS:
            raise self.error(f"nested more than {MAX_BRACKETS} deep", sign.pos)
        operand = self.signed()
        self.depth -= 1
        return Call(sign.pos, "-", (operand,)) if sign.value == "-" else operand

    def primary(self) -> Node:  # noqa: PLR0911 - one return a form
        token = self.advance()
        if token.kind == "number":
            return self.number(token)
        if token.kind == "text":
            return Literal(token.pos, token.value)
        if token.kind == "keyword" and token.value in _CONSTANTS:
            return Literal(token.pos, _CONSTANTS[token.value])
        if token.kind == "keyword" and token.value == "case":
            return self.case(token)
        if token.kind == "keyword" and token.value == "cast":
            return self.cast(token)
        if token.kind == "op" and token.value == "(":
            node = self.expression()
            self.expect("op", ")")
            return node
        if token.kind == "name":
            return self.named(token)
        problem = "the end" if token.kind == "end" else repr(token.value)
        raise self.error(f"expected a value, found {problem}", token.pos)

    def number(self, token: Token, sign: Token | None = None) -> Literal:
        pos = sign.pos if sign else token.pos
        factor = -1 if sign else 1
        if not token.value.isdigit():
            return Literal(pos, factor * float(token.value))
        value = factor * int(token.value)
        if not -_INT64_MAX - 1 <= value <= _INT64_MAX:
            raise self.error("this number does not fit 64 bits", pos)
        return Literal(pos, value)

    def named(self, token: Token) -> Node:
        if not token.quoted:
            if token.value.lower() == "timestamp" and self.token.kind == "text":
                time = self.advance()
                return Literal(token.pos, parse_time(time.value, self.text, time.pos))
            if self.take("op", "("):
                return self.call(token)
        if self.take("op", "["):
            key = self.literal_text("a key must be a 'text' literal, as in attrs['name']")
            self.expect("op", "]")
            return Call(token.pos, "[]", (Name(token.pos, token.value), key))
        return Name(token.pos, token.value)

    def call(self, token: Token) -> Node:
        name = token.value.lower()
        args: tuple[Node, ...] = ()
        if not self.take("op", ")"):
            args = self.items(name)
        if name != "attr":
            return Call(token.pos, name, args)
        match args:
            case (Literal(value=str()) as key,):
                return Call(token.pos, "[]", (Name(token.pos, "attrs"), key))
        raise self.error("attr takes one 'text' literal, as in attr('name')", token.pos)

    def cast(self, token: Token) -> Call:
        self.expect("op", "(")
        operand = self.expression()
        self.expect("keyword", "as")
        target = self.advance()
        if target.value.lower() not in CAST_TARGETS:
            raise self.error(
                f"cannot cast to {target.value!r}",
                target.pos,
                hint=f"the types are {', '.join(CAST_TARGETS)}",
            )
        self.expect("op", ")")
        return Call(token.pos, "cast", (operand, Literal(target.pos, target.value.lower())))

    def case(self, token: Token) -> Call:
        subject = None
        if not (self.token.kind == "keyword" and self.token.value == "when"):
            subject = self.expression()
        parts: list[Node] = []
        while when := self.keyword("when"):
            condition = self.expression()
            if subject is not None:
                condition = Call(when.pos, "=", (subject, condition))
            self.expect("keyword", "then")
            parts += [condition, self.expression()]
        if not parts:
            raise self.error(f"expected 'when' in case, found {self.found()}", self.token.pos)
        parts.append(self.expression() if self.keyword("else") else Literal(token.pos, None))
        self.expect("keyword", "end")
        return Call(token.pos, "case", tuple(parts))


_CONSTANTS: dict[str, bool | None] = {"true": True, "false": False, "null": None}


def parse_time(value: str, text: str, pos: int) -> datetime:
    """Read an ISO 8601 time, at `pos` in `text`; without an offset it is UTC.

    Raises:
        ExpressionError: it is not a time.
    """
    try:
        time = datetime.fromisoformat(value.strip())
        return (time if time.tzinfo else time.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):
        raise ExpressionError(
            f"{value!r} is not a time", text, pos, hint="write it as 2026-01-31T12:00:00Z"
        ) from None
