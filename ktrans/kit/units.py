"""Sizes and durations of options: a text with a unit, or a bare number of bytes or seconds.

    class Config(ComponentConfig):
        batch_size: Size = Field(4 << 20, ge=1, description="...", examples=["4 MiB"])
        timeout: Duration = Field(30, gt=0, description="...", examples=["30s"])

`Size` is an `int` of bytes and `Duration` a `float` of seconds; users may write `4 MiB`, `500 kB`,
`90s`, `10m` or `1h30m`. `WholeSeconds` is for services that take no fractions of a second.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import Decimal
from fractions import Fraction
from typing import Annotated, Any, Literal

import msgspec
from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

SIZE_UNITS: Mapping[str, int] = {
    "TiB": 1 << 40,
    "GiB": 1 << 30,
    "MiB": 1 << 20,
    "KiB": 1 << 10,
    "TB": 10**12,
    "GB": 10**9,
    "MB": 10**6,
    "kB": 10**3,
    "B": 1,
}
DURATION_UNITS: Mapping[str, Fraction] = {
    "d": Fraction(86_400),
    "h": Fraction(3600),
    "m": Fraction(60),
    "s": Fraction(1),
    "ms": Fraction(1, 1000),
}
_NUMBER = r"\d+(?:\.\d+)?"
_SIZE = re.compile(rf"({_NUMBER})\s*([KMGT]i?B|B)?", re.IGNORECASE)
_DURATION = re.compile(rf"(?:{_NUMBER}\s*(?:ms|[smhd])\s*)+|{_NUMBER}")
_PART = re.compile(rf"({_NUMBER})\s*(ms|[smhd])?")
_BY_LOWER = {name.lower(): factor for name, factor in SIZE_UNITS.items()}


def parse_size(text: str) -> int:
    """Parse a size such as `128 MB` or `4 MiB` into bytes; a bare number is bytes.

    Raises:
        ValueError: the text is not a size, or not a whole number of bytes.
    """
    match = _SIZE.fullmatch(text.strip())
    if match is None:
        raise ValueError("not a size")
    size = Fraction(match[1]) * _BY_LOWER[(match[2] or "B").lower()]
    if size.denominator != 1:
        raise ValueError("not a whole number of bytes")
    return int(size)


def parse_duration(text: str) -> float:
    """Parse a duration such as `90s`, `10m` or `1h30m` into seconds; a bare number is seconds.

    Raises:
        ValueError: the text is not a duration.
    """
    text = text.strip()
    if not _DURATION.fullmatch(text):
        raise ValueError("not a duration")
    parts = _PART.findall(text)
    return float(sum(Fraction(number) * DURATION_UNITS[unit or "s"] for number, unit in parts))


def format_size(size: int) -> str:
    """Return a number of bytes with the largest unit that fits it exactly: `128 MiB`."""
    for name, factor in SIZE_UNITS.items():
        if size >= factor and size % factor == 0:
            return f"{size // factor} {name}"
        if factor % 10 == 0 and size > factor and size * 10 % factor == 0:
            return f"{size / factor:.1f} {name}"
    return f"{size} B"


def format_duration(seconds: float) -> str:
    """Return a number of seconds with the largest unit that fits it exactly: `10m`."""
    exact = Fraction(str(seconds))
    for name, factor in DURATION_UNITS.items():
        if exact >= factor and (exact / factor).denominator == 1:
            return f"{exact / factor}{name}"
    return f"{Decimal(str(seconds)):f}s"


class Unit(msgspec.Struct, frozen=True):
    """The annotation that lets a number be written as a text with a unit.

    Attributes:
        name: what the number measures; a size in bytes, or a duration in seconds.
    """

    name: Literal["size", "duration"]

    def parse(self, value: Any) -> Any:
        """Turn a text into a number, and leave numbers as they are."""
        if isinstance(value, bool) or not isinstance(value, int | float | str):
            raise PydanticCustomError(self.error_type, "not a {unit}", {"unit": self.name})
        if not isinstance(value, str):
            return value
        try:
            return parse_size(value) if self.name == "size" else parse_duration(value)
        except ValueError as error:
            raise PydanticCustomError(
                self.error_type, "not a {unit}", {"unit": self.name}
            ) from error

    def format(self, value: float) -> str:
        """Return the number as a text with a unit."""
        return format_size(int(value)) if self.name == "size" else format_duration(value)

    @property
    def error_type(self) -> str:
        """The type of the validation error for a text that cannot be parsed."""
        return f"{self.name}_parsing"

    def __get_pydantic_core_schema__(
        self, source: Any, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        """Parse before the number's own validation."""
        return core_schema.no_info_before_validator_function(self.parse, handler(source))

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        """Return a schema of both forms."""
        example = "128 MB" if self.name == "size" else "10m"
        unit = "bytes" if self.name == "size" else "seconds"
        text = {"type": "string", "pattern": JSON_PATTERNS[self.name], "examples": [example]}
        return {"anyOf": [{**handler(schema), "description": f"a number of {unit}"}, text]}


JSON_PATTERNS = {
    "size": rf"^\s*{_NUMBER}\s*([KkMmGgTt][Ii]?[Bb]|[Bb])?\s*$",
    "duration": rf"^\s*(({_NUMBER}\s*(ms|[smhd])\s*)+|{_NUMBER}\s*)$",
}

Size = Annotated[int, Unit("size")]
"""A number of bytes."""

Duration = Annotated[float, Unit("duration")]
"""A number of seconds."""

WholeSeconds = Annotated[int, Unit("duration")]
"""A whole number of seconds."""
