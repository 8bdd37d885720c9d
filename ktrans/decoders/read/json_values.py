"""JSON values whose numbers keep their spelling: 1.0 stays 1.0 where a number goes to attrs."""

from __future__ import annotations

import math
import re
from typing import Any

import msgspec

REMEMBERED = 1 << 13
"""So many parsed texts are remembered from block to block."""
REMEMBERED_BYTES = 4096
"""Longer ones are parsed in each block, or remembering them would take much memory."""
NO_FIELD_NAME = re.compile(r'[\x00-\x1f"\\]')
"""Characters that the name of a member of a parser's object cannot have."""


class Spelled(float):
    """A number with a fraction or an exponent, and how it was written."""

    __slots__ = ("text",)

    text: str


def _spelled(text: str) -> Spelled:
    number = Spelled(text)
    if math.isinf(number):
        raise ValueError("number out of range")
    number.text = text
    return number


def _raw(value: Any) -> msgspec.Raw:
    if type(value) is not Spelled:
        raise NotImplementedError(type(value).__name__)
    return msgspec.Raw(value.text.encode())


_DECODER = msgspec.json.Decoder(float_hook=_spelled)
decode_json = _DECODER.decode
decode_json_lines = _DECODER.decode_lines
encode_json = msgspec.json.Encoder(enc_hook=_raw).encode


def attribute(name: str) -> str:
    """Return a Python name that no other key has."""
    return "k" + name.encode("utf-8", "surrogatepass").hex()


def json_text(value: Any) -> str:
    """Return a value as text: a text as it is, anything else as compact JSON."""
    return value if type(value) is str else encode_json(value).decode()


def compact_text(raw: bytes | str | None) -> str | None:
    """Return a value that is JSON as text: a text as it is, null as None, all else as compact JSON."""
    value = None if raw is None else decode_json(raw)
    return None if value is None else json_text(value)
