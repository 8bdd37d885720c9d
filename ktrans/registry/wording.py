"""Describes expected and actual values in the words of a YAML author."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ktrans.kit.units import Unit
from ktrans.registry.values import Resolved

SHOWN_CHARS = 40

_WHOLE, _NUMBER, _TEXT = "a whole number", "a number", "text"
_BOOL, _LIST, _MAP = "true or false", "a list", "a mapping"
_DATE, _TIME = "a date", "a date and time (ISO 8601)"

_FIXED: dict[str, str] = {
    "string_type": _TEXT,
    "string_sub_type": _TEXT,
    "string_unicode": _TEXT,
    "secret_type": _TEXT,
    "path_type": "a path",
    "int_type": _WHOLE,
    "int_parsing": _WHOLE,
    "int_parsing_size": _WHOLE,
    "int_from_float": _WHOLE,
    "float_type": _NUMBER,
    "float_parsing": _NUMBER,
    "finite_number": "a finite number",
    "decimal_type": _NUMBER,
    "decimal_parsing": _NUMBER,
    "bool_type": _BOOL,
    "bool_parsing": _BOOL,
    "list_type": _LIST,
    "tuple_type": _LIST,
    "set_type": _LIST,
    "frozen_set_type": _LIST,
    "iterable_type": _LIST,
    "dict_type": _MAP,
    "mapping_type": _MAP,
    "model_type": _MAP,
    "model_attributes_type": _MAP,
    "dataclass_type": _MAP,
    "is_instance_of": "a mapping with `type`",
    "none_required": "empty",
    "bytes_type": _TEXT,
    "date_type": _DATE,
    "date_parsing": _DATE,
    "date_from_datetime_parsing": _DATE,
    "datetime_type": _TIME,
    "datetime_parsing": _TIME,
    "datetime_from_date_parsing": _TIME,
    "timezone_aware": "a time with its offset from UTC",
    "size_parsing": "a size such as 128 MB, or a number of bytes",
    "duration_parsing": "a duration such as 90s or 10m, or a number of seconds",
    "url_type": "a URL",
    "url_parsing": "a URL",
    "url_syntax_violation": "a URL",
    "ip_any_address": "an IP address",
    "ip_any_network": "a network such as 10.0.0.0/8",
    "ip_v4_address": "an IPv4 address",
    "ip_v6_address": "an IPv6 address",
    "uuid_parsing": "a UUID",
}

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


def expectation(detail: Mapping[str, Any], unit: Unit | None = None) -> str:
    """Complete the sentence "must be ..." for one detail of a pydantic ValidationError.

    Args:
        detail: of the error.
        unit: of the option's number, if it has one.
    """
    code = detail["type"]
    if code in _FIXED:
        return _FIXED[code]
    if code in _LIMITS:
        context = detail.get("ctx", {})
        if unit:
            context = {name: unit.format(limit) for name, limit in context.items()}
        text = _LIMITS[code].format_map(context)
        return text.replace("'", "") if code in {"literal_error", "enum"} else text
    return f"something else ({code.replace('_', ' ')})"


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
