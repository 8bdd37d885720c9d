"""Describes expected and actual values in the words of a YAML author."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ktrans.kit.units import Unit
from ktrans.registry.values import Resolved

SHOWN_CHARS = 40

_FIXED: dict[str, str] = {
    "string": "text",
    "secret": "text",
    "bytes": "text",
    "path": "a path",
    "int": "a whole number",
    "float": "a number",
    "decimal": "a number",
    "finite": "a finite number",
    "bool": "true or false",
    "list": "a list",
    "tuple": "a list",
    "set": "a list",
    "frozen": "a list",
    "iterable": "a list",
    "dict": "a mapping",
    "mapping": "a mapping",
    "model": "a mapping",
    "dataclass": "a mapping",
    "is": "a mapping with `type`",
    "none": "empty",
    "date": "a date",
    "datetime": "a date and time (ISO 8601)",
    "timezone": "a time with its offset from UTC",
    "size": "a size such as 128 MB, or a number of bytes",
    "duration": "a duration such as 90s or 10m, or a number of seconds",
    "url": "a URL",
    "ip_any_address": "an IP address",
    "ip_any_network": "a network such as 10.0.0.0/8",
    "ip_v4_address": "an IPv4 address",
    "ip_v6_address": "an IPv6 address",
    "uuid": "a UUID",
}
"""By the type of the error, or its first word."""

_LIMITS: dict[str, str] = {
    "greater_than": "more than {gt}",
    "greater_than_equal": "at least {ge}",
    "less_than": "less than {lt}",
    "less_than_equal": "at most {le}",
    "multiple_of": "a multiple of {multiple_of}",
    "string_too_short": "at least {min_length} characters long",
    "string_too_long": "at most {max_length} characters long",
    "string_pattern_mismatch": "text that matches {pattern}",
    "too_short": "a list of at least {min_length}",
    "too_long": "a list of at most {max_length}",
    "literal_error": "{expected}",
    "enum": "{expected}",
    "url_scheme": "a URL with the scheme {expected_schemes}",
    "union_tag_invalid": "of the type {expected_tags}",
}


def an(noun: str) -> str:
    """Return a noun with its article."""
    return f"{'an' if noun[0] in 'aeiou' else 'a'} {noun}"


def expectation(detail: Mapping[str, Any], unit: Unit | None = None) -> str:
    """Complete the sentence "must be ..." for one detail of a pydantic ValidationError."""
    code = detail["type"]
    if code in {"too_short", "too_long"} and detail["ctx"].get("field_type") == "Value":
        code = f"string_{code}"  # a secret
    if code in _LIMITS:
        context = detail.get("ctx", {})
        if unit:
            context = {name: unit.format(limit) for name, limit in context.items()}
        text = _LIMITS[code].format_map(context)
        if context.get("field_type") == "Dictionary":
            text = text.replace("a list of", "a mapping of")
        return text.replace("'", "") if code in {"literal_error", "enum"} else text
    other = f"something else ({code.replace('_', ' ')})"
    return _FIXED.get(code) or _FIXED.get(code.partition("_")[0], other)


def say(value: Any) -> str:  # noqa: PLR0911 - one return a case reads best
    """Describe the value that was found, shortened."""
    if value is None:
        return "empty"
    if isinstance(value, Resolved):
        return f"the value of {value.reference}"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float):
        return str(value)
    if isinstance(value, str):
        return repr(value) if len(value) <= SHOWN_CHARS else f"{value[:SHOWN_CHARS]!r}..."
    if isinstance(value, list | tuple):
        return "a list"
    return "a mapping"
