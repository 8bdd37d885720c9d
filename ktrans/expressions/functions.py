"""The functions and operators of expressions: what they take, what they give, how they compute."""

from __future__ import annotations

import sys
from collections.abc import Callable, Container
from dataclasses import dataclass
from functools import partial, reduce
from typing import Any, Literal

import pyarrow as pa
import pyarrow.compute as pc

from ktrans.expressions.epoch_time import now
from ktrans.expressions.errors import ExpressionError, did_you_mean
from ktrans.expressions.patterns import (
    check_regex,
    extract_regex,
    like_pattern,
    replace_regex,
)
from ktrans.expressions.prefixes import PrefixIndex, in_prefixes, parse_prefix, to_prefixes
from ktrans.expressions.values import Kind, Value, absolute, arithmetic, negative
from ktrans.flow.schema import TIME

Kinds = tuple[Kind, ...]
_MANY = sys.maxsize
_LAST = 2**63 - 1
_WHOLE = 2.0**53
_UNITS = ("second", "minute", "hour", "day", "week", "month", "quarter", "year")
HINTS: dict[Kind, str] = {"timestamp": "use epoch(...), which gives seconds"}
"""What to do where a kind is not taken."""
LISTS_ONLY = "file(...) can only be behind `in`, or a list of in_cidr"


@dataclass(frozen=True, slots=True)
class Function:
    """One function or operator.

    Attributes:
        usage: how it is written.
        args: the kinds that each argument takes, the last standing for all further ones; any kind
            if there are none.
        gives: the kind of the result; "same" is the first argument's.
        bind: takes the constant arguments, gives the function of the others. Raises ValueError.
        least, most: how many arguments.
        fixed: the positions of arguments that must be constants.
        alike: its arguments must be of one kind.
        never: kinds that it does not take.
        verb: what it does not do with these kinds.
    """

    usage: str
    args: tuple[Kinds, ...]
    gives: Kind | Literal["same"]
    bind: Callable[..., Callable[..., Value]]
    least: int = 1
    most: int = 1
    fixed: Container[int] = ()
    alike: bool = False
    never: Kinds = ()
    verb: str = "take"

    def kinds(self, position: int) -> Kinds:
        """Return the kinds that the argument at a position may have."""
        return self.args[min(position, len(self.args) - 1)]


def find_function(name: str, text: str, pos: int) -> Function:
    """Look a function up by its lower-case name, or an operator.

    Raises:
        ExpressionError: no function has that name.
    """
    found = OPERATORS.get(name) or FUNCTIONS.get(name)
    if found is None and name == "file":
        raise ExpressionError(LISTS_ONLY, text, pos)
    if found is None:
        hint = did_you_mean(name, FUNCTIONS) or f"there are: {', '.join(sorted(FUNCTIONS))}"
        raise ExpressionError(f"unknown function {name!r}", text, pos, hint=hint)
    return found


def function_names() -> dict[str, str]:
    """Return the usage of each function by name, for the reference page and messages."""
    return {name: function.usage for name, function in sorted(FUNCTIONS.items())}


def _length(value: Value) -> Value:
    return pc.utf8_length(value).cast(pa.int64())


def _round(digits: int = 0) -> Callable[[Value], Value]:
    if not 0 <= digits <= 15:  # noqa: PLR2004 - what a float64 has
        raise ValueError("the number of digits is 0 to 15")

    def compute(value: Value) -> Value:
        if pa.types.is_integer(value.type):
            return value
        # Larger ones have no digits behind the point, and Arrow would overflow.
        fine = pc.less(pc.abs(value), pa.scalar(_WHOLE))
        small = pc.if_else(fine, value, pa.scalar(None, pa.float64()))
        rounded = pc.round(small, ndigits=digits, round_mode="half_towards_infinity")
        return pc.if_else(fine, rounded, value)

    return compute


def _floor(value: Value) -> Value:
    return value if pa.types.is_integer(value.type) else pc.floor(value)


def _substr(start: int, length: int | None = None) -> Callable[[Value], Value]:
    if start < 1:
        raise ValueError("the first character has position 1")
    if length is not None and length < 0:
        raise ValueError("the length cannot be negative")
    stop = None if length is None else min(start - 1 + length, _LAST)
    return lambda value: pc.utf8_slice_codeunits(value, start - 1, stop)


def _replace(old: str, new: str) -> Callable[[Value], Value]:
    if not old:
        raise ValueError("the text to replace cannot be empty")
    return lambda value: pc.replace_substring(value, old, new)


def _matches(pattern: str) -> Callable[[Value], Value]:
    check_regex(pattern)
    return lambda value: pc.match_substring_regex(value, pattern)


def _date_trunc(unit: str) -> Callable[[Value], Value]:
    if unit.lower() not in _UNITS:
        raise ValueError(f"the unit {unit!r} is not one of {', '.join(_UNITS)}")

    def compute(value: Value) -> Value:
        # Without the zone: UTC needs no time zone database.
        return pc.floor_temporal(value.cast(pa.timestamp("us")), unit=unit.lower()).cast(TIME)

    return compute


def _now() -> Value:
    return pa.scalar(now(), TIME)


def _extreme(function: Callable[..., Value]) -> Callable[..., Value]:
    def compute(*values: Value) -> Value:
        if pa.types.is_null(values[0].type):
            return values[0]
        if not pa.types.is_timestamp(values[0].type):
            return function(*values)
        # Arrow compares times without a zone only; all of them are in UTC.
        return function(*(value.cast(pa.timestamp("us")) for value in values)).cast(TIME)

    return compute


def _epoch(value: Value) -> Value:
    micros = value.cast(pa.int64()).cast(pa.float64(), safe=False)
    return pc.divide(micros, pa.scalar(1e6))


def _in_cidr(*prefixes: str | list[str]) -> Callable[[Value], Value]:
    texts = [text for one in prefixes for text in ([one] if isinstance(one, str) else one)]
    index = PrefixIndex([parse_prefix(text) for text in texts])
    return lambda value: in_prefixes(value, index)


def _ip_prefix(bits4: int, bits6: int = 64) -> Callable[[Value], Value]:
    for bits, most in ((bits4, 32), (bits6, 128)):
        if not 0 <= bits <= most:
            raise ValueError(f"a length is 0 to 32 for IPv4, then 0 to 128 for IPv6, not {bits}")
    return lambda value: to_prefixes(value, bits4, bits6)


def _entry(key: str) -> Callable[[Value], Value]:
    return lambda value: pc.map_lookup(value, key, "first").cast(pa.string())


def _chain(function: Callable[..., Value]) -> Callable[..., Value]:
    return lambda *values: reduce(function, values)


def _like(pattern: str, escape: str | None = None, *, ignore_case: bool = False) -> Any:
    regex = like_pattern(pattern, escape)
    return lambda value: pc.match_substring_regex(value, regex, ignore_case=ignore_case)


def _join(left: Value, right: Value) -> Value:
    return pc.binary_join_element_wise(left.cast(pa.string()), right.cast(pa.string()), "")


def _calculate(op: str) -> Callable[..., Value]:
    return lambda *values: arithmetic(op, *values) if len(values) > 1 else negative(*values)


def _search(usage: str, function: Callable[[Value, str], Value]) -> Function:
    def bind(part: str) -> Callable[[Value], Value]:
        return lambda value: function(value, part)

    return Function(usage, (_TEXT,), "bool", bind, 2, 2, (1,))


_BOOL: Kinds = ("bool",)
_TEXT: Kinds = ("text",)
_INT: Kinds = ("int",)
_NUMBER: Kinds = ("int", "float")
_TIME: Kinds = ("timestamp",)
_COMPARE: dict[str, Callable[..., Value]] = {
    "=": pc.equal,
    "!=": pc.not_equal,
    "<": pc.less,
    "<=": pc.less_equal,
    ">": pc.greater,
    ">=": pc.greater_equal,
}

OPERATORS: dict[str, Function] = {
    "not": Function("not a", (_BOOL,), "bool", lambda: pc.invert),
    "and": Function("a and b", (_BOOL,), "bool", lambda: _chain(pc.and_kleene), 2, _MANY),
    "or": Function("a or b", (_BOOL,), "bool", lambda: _chain(pc.or_kleene), 2, _MANY),
    "is null": Function("a is null", (), "bool", lambda: pc.is_null),
    "like": Function("a like 'b'", (_TEXT,), "bool", _like, 2, 3, (1, 2)),
    "ilike": Function("a ilike 'b'", (_TEXT,), "bool", partial(_like, ignore_case=True), 2, 3, (1, 2)),
    "[]": Function("a['b']", (("attrs",), _TEXT), "text", _entry, 2, 2, (1,)),
    "||": Function("a || b", (("text", "int", "bool"),), "text", lambda: _join, 2, 2),
    **{
        op: Function(f"a {op} b", (), "bool", partial(lambda function: function, function), 2, 2,
            alike=True, never=("attrs",) if op in {"=", "!="} else ("attrs", "bool"), verb="compare")
        for op, function in _COMPARE.items()
    },
    **{
        op: Function(f"a {op} b", (_NUMBER,), "float" if op == "/" else "same",
            partial(_calculate, op), 1, 2, alike=True, never=_TIME, verb="compute with")
        for op in "+-*/%"
    },
}  # fmt: skip
"""All operators but `in`, `case` and `cast`. Nobody can call them: their names are not names."""

FUNCTIONS: dict[str, Function] = {
    function.usage.partition("(")[0]: function
    for function in (
        Function("lower(text)", (_TEXT,), "text", lambda: pc.utf8_lower),
        Function("upper(text)", (_TEXT,), "text", lambda: pc.utf8_upper),
        Function("length(text)", (_TEXT,), "int", lambda: _length),
        Function("substr(text, start[, length])", (_TEXT, _INT), "text", _substr, 2, 3, (1, 2)),
        Function("replace(text, 'old', 'new')", (_TEXT,), "text", _replace, 3, 3, (1, 2)),
        _search("starts_with(text, 'prefix')", pc.starts_with),
        _search("ends_with(text, 'suffix')", pc.ends_with),
        _search("contains(text, 'part')", pc.match_substring),
        Function("regexp_matches(text, 'pattern')", (_TEXT,), "bool", _matches, 2, 2, (1,)),
        Function("regexp_extract(text, 'pattern'[, group])", (_TEXT, _TEXT, _INT), "text",
            extract_regex, 2, 3, (1, 2)),
        Function("regexp_replace(text, 'pattern', 'replacement')", (_TEXT,), "text", replace_regex,
            3, 3, (1, 2)),
        Function("abs(number)", (_NUMBER,), "same", lambda: absolute),
        Function("floor(number)", (_NUMBER,), "same", lambda: _floor),
        Function("round(number[, digits])", (_NUMBER, _INT), "same", _round, 1, 2, (1,)),
        Function("coalesce(value, ...)", (), "same", lambda: pc.coalesce, 1, _MANY, alike=True,
            never=("attrs",)),
        Function("least(value, ...)", (), "same", lambda: _extreme(pc.min_element_wise), 1, _MANY,
            alike=True, never=("attrs", "bool")),
        Function("greatest(value, ...)", (), "same", lambda: _extreme(pc.max_element_wise), 1,
            _MANY, alike=True, never=("attrs", "bool")),
        Function("date_trunc('unit', time)", (_TEXT, _TIME), "timestamp", _date_trunc, 2, 2, (0,)),
        Function("epoch(time)", (_TIME,), "float", lambda: _epoch),
        Function("now()", (), "timestamp", lambda: _now, 0, 0),
        Function("in_cidr(address, '10.0.0.0/8', ...)", (_TEXT,), "bool", _in_cidr, 2, _MANY,
            range(1, _MANY)),
        Function("ip_prefix(address, bits[, bits of IPv6])", (_TEXT, _INT), "text", _ip_prefix, 2, 3,
            (1, 2)),
    )
}  # fmt: skip
