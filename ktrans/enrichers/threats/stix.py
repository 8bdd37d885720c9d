"""Reads the indicators of a STIX bundle, or of a TAXII envelope.

Source: OASIS STIX Version 2.1, section 4.7 "Indicator". Of several versions of an object the last one
counts. Indicators that are revoked, benign or of another pattern language do not count.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ktrans.enrichers.threats.dates import json_date
from ktrans.enrichers.threats.entries import ALWAYS, FOREVER, Published, is_value, micros
from ktrans.enrichers.threats.stix_pattern import PatternError, values_of

NOT_ALONE = "indicator that no single address or domain matches"


_ENVELOPE = {"objects", "more", "next"}


def is_stix(document: Any) -> bool:
    """Return whether a JSON document has objects of STIX, or is a bundle or envelope without any."""
    if not isinstance(document, dict):
        return False
    empty = document.get("type") == "bundle" or document.keys() <= _ENVELOPE
    return isinstance(document.get("objects"), list) or ("objects" not in document and empty)


def read_stix(document: dict[str, Any], min_confidence: int | None) -> Published:
    """Read the indicators."""
    found = Published([])
    latest: dict[Any, dict[str, Any]] = {}
    for at, one in enumerate(document.get("objects", ())):
        if isinstance(one, dict) and one.get("type") == "indicator":
            key = str(one["id"]) if "id" in one else at
            known = latest.get(key)
            if known is None or _modified(known) <= _modified(one):
                latest[key] = one
    for one in latest.values():
        _add(one, min_confidence, found)
    found.dated(json_date(one.get("modified")) for one in latest.values())
    return found


def _modified(one: dict[str, Any]) -> int:
    return micros(json_date(one.get("modified")), ALWAYS)


def _add(one: dict[str, Any], min_confidence: int | None, found: Published) -> None:
    if reason := _no_use(one, min_confidence):
        return found.skip(reason)
    try:
        values = [value for value in values_of(str(one.get("pattern"))) if is_value(value)]
    except PatternError:
        return found.skip("unreadable pattern")
    if not values:
        return found.skip(NOT_ALONE)
    label = one.get("name") or ",".join(
        _texts(one.get("indicator_types")) or _texts(one.get("labels"))
    )
    since = micros(json_date(one.get("valid_from")), ALWAYS)
    until = micros(json_date(one.get("valid_until")), FOREVER)
    for value in values:
        found.add(value, str(label) or None, since, until)
    return None


def _no_use(one: dict[str, Any], min_confidence: int | None) -> str | None:
    """Return why an indicator does not count, whatever its pattern."""
    confidence = one.get("confidence")
    if one.get("revoked") is True:
        return "revoked"
    if "benign" in (*_texts(one.get("indicator_types")), *_texts(one.get("labels"))):
        return "benign"
    if min_confidence is not None and isinstance(confidence, int) and confidence < min_confidence:
        return "low confidence"
    if one.get("pattern_type", "stix") != "stix":
        return "other pattern language"
    return None


def _texts(value: Any) -> Sequence[str]:
    return [str(one) for one in value] if isinstance(value, list) else []
