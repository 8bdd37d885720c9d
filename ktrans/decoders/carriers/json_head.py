"""Tells by the first document of an object whether JSON carries records, or is the records."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from ktrans.api import Decoder
from ktrans.decoders.carriers import envelopes
from ktrans.decoders.frames.json_scan import Place, scan
from ktrans.kit.text.json_errors import UNREADABLE_JSON

_KEY = re.compile(rb'"([^"\\]{1,100})"\s*:')


def json_carrier(
    text: bytes,
    decoder: Decoder[Any],
    is_record: Callable[[Mapping[str, Any]], bool],
    *,
    chooses: bool,
) -> str | None:
    """Look at the first document.

    Args:
        text: the first bytes of the object.
        decoder: whose records are looked for.
        is_record: whether an object is a record of the log itself.
        chooses: whether the decoder chooses another one; its word counts if nothing else is clear.

    Returns:
        The key of the array whose elements carry records, empty if the document itself does; None
        if it is no carrier.
    """
    first = _first_document(text)
    names = first if isinstance(first, dict) else _names(text)
    if decoder.json_records and is_record(names):
        return None
    for pattern, key in envelopes.ARRAYS:
        if pattern.search(text):
            return key
    if envelopes.ENVELOPES.search(text) or not decoder.json_records:
        return ""
    if envelopes.open_envelope(first, is_record) is None:
        return None
    return None if chooses and decoder.is_record(names) else ""


def _first_document(text: bytes) -> Any:
    """Return the first document or, of an array, its first element; None if it is not whole."""
    line = text.partition(b"\n")[0]
    try:
        found = msgspec.json.decode(line)
    except UNREADABLE_JSON:
        found = _first_by_brackets(text)
    return found[0] if isinstance(found, list) and found and isinstance(found[0], dict) else found


def _first_by_brackets(text: bytes) -> Any:
    spans = scan(text, Place.TOP, None).spans
    if not spans:
        return None
    start, end = spans[0]
    try:
        return msgspec.json.decode(text[start:end])
    except UNREADABLE_JSON:
        return None


def _names(text: bytes) -> dict[str, Any]:
    """Return the names of all members in the beginning of a document, without values."""
    return {name.decode("utf-8", "replace"): None for name in _KEY.findall(text)}
