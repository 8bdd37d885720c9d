"""Tells whether a column can have a value, by the values that its field names."""

from __future__ import annotations

import pyarrow as pa

from ktrans.expressions.errors import did_you_mean
from ktrans.flow.protocols import protocol_number
from ktrans.flow.schema import KNOWN_VALUES, VALUES

MOST_LISTED = 20
"""How many values a message lists at most."""


def problem_of(field: pa.Field, text: str) -> tuple[str, str | None] | None:
    """Return why a column never equals this text, and a hint; None if it may."""
    if field.name == "protocol" and pa.types.is_integer(field.type):
        number = protocol_number(text)
        hint = f"write protocol = {number}" if number else "6 is TCP, 17 is UDP"
        return "protocol is a number, not a name", hint
    metadata = field.metadata or {}
    only = metadata.get(VALUES.encode(), b"").decode().split()
    known = only or metadata.get(KNOWN_VALUES.encode(), b"").decode().split()
    if text in known:
        return None
    meant = {value.casefold(): value for value in known}.get(text.casefold())
    if meant is not None:
        return f"{field.name} is never {text!r}", f"write '{meant}'"
    if only:
        listed = f"it is one of {', '.join(only)}" if len(only) <= MOST_LISTED else None
        return f"{field.name} is never {text!r}", listed or did_you_mean(text, only)
    return None
