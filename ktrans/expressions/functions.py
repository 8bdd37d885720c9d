"""The functions of the expression language: what they take, what they give, how they compute."""

from __future__ import annotations

from collections.abc import Callable, Container
from dataclasses import dataclass
from typing import Any, Literal

import pyarrow as pa
import pyarrow.compute as pc

from ktrans.expressions.errors import ExpressionError, did_you_mean
from ktrans.expressions.patterns import check_regex
from ktrans.expressions.prefixes import PrefixIndex, in_prefixes, parse_prefix
from ktrans.expressions.values import Kind, Value, absolute
from ktrans.flow.schema import TIME

Kinds = tuple[Kind, ...]
_MANY = 1000
_UNITS = ("second", "minute", "hour", "day", "week", "month", "quarter", "year")


@dataclass(frozen=True, slots=True)
class Function:
    """One function.

    Attributes:
        usage: how it is written.
        args: the kinds that each argument takes, the last standing for all further ones; or
            "alike" if they must be of one kind, whichever.
        gives: the kind of the result; "same" is the first argument's.
        bind: takes the constant arguments, gives the function of the others. Raises ValueError.
        least, most: how many arguments.
        fixed: the positions of arguments that must be constants.
        never: kinds that "alike" does not extend to.
    """

    usage: str
    args: tuple[Kinds, ...] | Literal["alike"]
    gives: Kind | Literal["same"]
    bind: Callable[..., Callable[..., Value]]
    least: int
    most: int
    fixed: Container[int]
    never: Kinds

    def kinds(self, position: int) -> Kinds:
        """Return the kinds that the argument at a position may have."""
        assert self.args != "alike"
        return self.args[min(position, len(self.args) - 1)]


def find_function(name: str, text: str, pos: int) -> Function:
    """Look a function up by its lower-case name.

    Raises:
        ExpressionError: no function has that name.
    """
    found = FUNCTIONS.get(name)
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
        return pc.round(value, ndigits=digits, round_mode="half_towards_infinity")

    return compute


def _floor(value: Value) -> Value:
    return value if pa.types.is_integer(value.type) else pc.floor(value)


def _substr(start: int, length: int | None = None) -> Callable[[Value], Value]:
    if start < 1:
        raise ValueError("the first character has position 1")
    if length is not None and length < 0:
        raise ValueError("the length cannot be negative")
    stop = None if length is None else start - 1 + length
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


def _epoch(value: Value) -> Value:
    micros = value.cast(pa.int64()).cast(pa.float64(), safe=False)
    return pc.divide(micros, pa.scalar(1e6))


def _in_cidr(*prefixes: str) -> Callable[[Value], Value]:
    index = PrefixIndex([parse_prefix(prefix) for prefix in prefixes])
    return lambda value: in_prefixes(value, index)


def _function(
    usage: str,
    args: str,
    gives: Kind | Literal["same"],
    bind: Callable[..., Callable[..., Value]],
    *,
    count: tuple[int, int] = (1, 1),
    fixed: Container[int] = (),
    never: Kinds = ("attrs",),
) -> tuple[str, Function]:
    kinds: tuple[Kinds, ...] | Literal["alike"] = "alike"
    if args != "alike":
        kinds = tuple(_KINDS[arg] for arg in args.split())
    return usage.partition("(")[0], Function(usage, kinds, gives, bind, *count, fixed, never)


_KINDS: dict[str, Kinds] = {
    "text": ("text",),
    "int": ("int",),
    "number": ("int", "float"),
    "time": ("timestamp",),
}
_SECOND: Any = {"count": (2, 2), "fixed": (1,)}

FUNCTIONS: dict[str, Function] = dict([
    _function("lower(text)", "text", "text", lambda: pc.utf8_lower),
    _function("upper(text)", "text", "text", lambda: pc.utf8_upper),
    _function("length(text)", "text", "int", lambda: _length),
    _function("substr(text, start[, length])", "text int", "text", _substr, count=(2, 3),
        fixed=(1, 2)),
    _function("replace(text, 'old', 'new')", "text", "text", _replace, count=(3, 3), fixed=(1, 2)),
    _function("starts_with(text, 'prefix')", "text", "bool",
        lambda part: lambda v: pc.starts_with(v, part), **_SECOND),
    _function("ends_with(text, 'suffix')", "text", "bool",
        lambda part: lambda v: pc.ends_with(v, part), **_SECOND),
    _function("contains(text, 'part')", "text", "bool",
        lambda part: lambda v: pc.match_substring(v, part), **_SECOND),
    _function("regexp_matches(text, 'pattern')", "text", "bool", _matches, **_SECOND),
    _function("abs(number)", "number", "same", lambda: absolute),
    _function("floor(number)", "number", "same", lambda: _floor),
    _function("round(number[, digits])", "number int", "same", _round, count=(1, 2), fixed=(1,)),
    _function("coalesce(value, ...)", "alike", "same", lambda: pc.coalesce, count=(1, _MANY)),
    _function("least(value, ...)", "alike", "same", lambda: pc.min_element_wise, count=(1, _MANY),
        never=("attrs", "bool")),
    _function("greatest(value, ...)", "alike", "same", lambda: pc.max_element_wise,
        count=(1, _MANY), never=("attrs", "bool")),
    _function("date_trunc('unit', time)", "text time", "timestamp", _date_trunc, count=(2, 2),
        fixed=(0,)),
    _function("epoch(time)", "time", "float", lambda: _epoch),
    _function("in_cidr(address, '10.0.0.0/8', ...)", "text", "bool", _in_cidr, count=(2, _MANY),
        fixed=range(1, _MANY)),
])  # fmt: skip
