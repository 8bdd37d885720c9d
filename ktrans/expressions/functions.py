"""The functions of the expression language: what they take, what they give, how they compute."""

from __future__ import annotations

from collections.abc import Callable, Container
from dataclasses import dataclass
from typing import Literal

import pyarrow as pa
import pyarrow.compute as pc

from ktrans.expressions.errors import ExpressionError, did_you_mean
from ktrans.expressions.patterns import check_regex
from ktrans.expressions.prefixes import PrefixIndex, in_prefixes, parse_prefix
from ktrans.expressions.values import TIME, Kind, Value, absolute

Kinds = tuple[Kind, ...]
_MANY = 1000
_NUMBER: Kinds = ("int", "float")
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
    least: int = 1
    most: int = 1
    fixed: Container[int] = ()
    never: Kinds = ("attrs",)

    def kinds(self, position: int) -> Kinds:
        """Give the kinds that the argument at a position takes."""
        assert self.args != "alike"
        return self.args[min(position, len(self.args) - 1)]


def find_function(name: str, text: str, pos: int) -> Function:
    """Look a function up by its lower-case name.

    Raises:
        ExpressionError: there is none of that name.
    """
    found = FUNCTIONS.get(name)
    if found is None:
        hint = did_you_mean(name, FUNCTIONS) or f"there are: {', '.join(sorted(FUNCTIONS))}"
        raise ExpressionError(f"unknown function {name!r}", text, pos, hint=hint)
    return found


def function_names() -> dict[str, str]:
    """Give every function's name and how it is written, for the reference page and messages."""
    return {name: function.usage for name, function in sorted(FUNCTIONS.items())}


def _plain(function: Callable[..., Value]) -> Callable[[], Callable[..., Value]]:
    return lambda: function


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


def _about_text(
    usage: str, gives: Kind, bind: Callable[[str], Callable[[Value], Value]]
) -> Function:
    """Make a function of a text and one constant text."""
    return Function(usage, (("text",),), gives, bind, least=2, most=2, fixed=(1,))


FUNCTIONS: dict[str, Function] = {
    "lower": Function("lower(text)", (("text",),), "text", _plain(pc.utf8_lower)),
    "upper": Function("upper(text)", (("text",),), "text", _plain(pc.utf8_upper)),
    "length": Function("length(text)", (("text",),), "int", _plain(_length)),
    "substr": Function(
        "substr(text, start[, length])",
        (("text",), ("int",)),
        "text",
        _substr,
        least=2,
        most=3,
        fixed=(1, 2),
    ),
    "replace": Function(
        "replace(text, 'old', 'new')",
        (("text",),),
        "text",
        _replace,
        least=3,
        most=3,
        fixed=(1, 2),
    ),
    "starts_with": _about_text(
        "starts_with(text, 'prefix')", "bool", lambda part: lambda v: pc.starts_with(v, part)
    ),
    "ends_with": _about_text(
        "ends_with(text, 'suffix')", "bool", lambda part: lambda v: pc.ends_with(v, part)
    ),
    "contains": _about_text(
        "contains(text, 'part')", "bool", lambda part: lambda v: pc.match_substring(v, part)
    ),
    "regexp_matches": _about_text("regexp_matches(text, 'pattern')", "bool", _matches),
    "abs": Function("abs(number)", (_NUMBER,), "same", _plain(absolute)),
    "floor": Function("floor(number)", (_NUMBER,), "same", _plain(_floor)),
    "round": Function(
        "round(number[, digits])", (_NUMBER, ("int",)), "same", _round, most=2, fixed=(1,)
    ),
    "coalesce": Function("coalesce(value, ...)", "alike", "same", _plain(pc.coalesce), most=_MANY),
    "least": Function(
        "least(value, ...)",
        "alike",
        "same",
        _plain(pc.min_element_wise),
        most=_MANY,
        never=("attrs", "bool"),
    ),
    "greatest": Function(
        "greatest(value, ...)",
        "alike",
        "same",
        _plain(pc.max_element_wise),
        most=_MANY,
        never=("attrs", "bool"),
    ),
    "date_trunc": Function(
        "date_trunc('unit', time)",
        (("text",), ("timestamp",)),
        "timestamp",
        _date_trunc,
        least=2,
        most=2,
        fixed=(0,),
    ),
    "epoch": Function("epoch(time)", (("timestamp",),), "float", _plain(_epoch)),
    "in_cidr": Function(
        "in_cidr(address, '10.0.0.0/8', ...)",
        (("text",),),
        "bool",
        _in_cidr,
        least=2,
        most=_MANY,
        fixed=range(1, _MANY),
    ),
}
