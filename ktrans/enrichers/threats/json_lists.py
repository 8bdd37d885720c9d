"""Reads lists in JSON: STIX, MISP events and warning lists, OTX pulses, arrays and JSON lines.

Sources: MISP core format (draft-dulaunoy-misp-core-format), MISP warninglists' schema.json, AlienVault
OTX DirectConnect API ("pulses", "indicators"), Spamhaus DROP (drop_v4.json), abuse.ch (ipblocklist.json).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

from ktrans.enrichers.threats.dates import json_date
from ktrans.enrichers.threats.entries import FOREVER, Published, micros
from ktrans.enrichers.threats.options import ThreatList
from ktrans.enrichers.threats.stix import is_stix, read_stix
from ktrans.enrichers.threats.text_lists import Columns, rows_of
from ktrans.kit.text.json_errors import UNREADABLE_JSON

_MISP_TYPES = {
    *("ip-src", "ip-dst", "ip-src|port", "ip-dst|port"),
    *("domain", "hostname", "hostname|port", "domain|ip"),
}
_OTX_TYPES = {"IPv4", "IPv6", "CIDR", "domain", "hostname"}


def looks_like_json(text: str) -> bool:
    """Return whether a text begins as JSON does."""
    return text.lstrip()[:1] in {"{", "["}


def read_json(text: str, options: ThreatList) -> Published:
    """Read a list.

    Raises:
        ConfigError: a column does not exist.
        ValueError: it is not JSON, or of no known form.
    """
    document = _document(text)
    if is_stix(document):
        return read_stix(document, options.min_confidence)
    if isinstance(document, dict):
        events = _misp_events(document)
        if events or "response" in document:
            return _read_misp(events)
        if isinstance(document.get("list"), list):
            return _read_values(document["list"], document.get("name"))
        pulses = _pulses(document)
        if pulses or document.get("results") == []:
            return _read_pulses(pulses)
        document = _objects(document)
    if all(isinstance(one, str) for one in document):
        return _read_values(document, None)
    found = _read_rows([one for one in document if isinstance(one, dict)], options)
    for one in document:
        if not isinstance(one, dict):
            found.add(one, None)
    return found


def _document(text: str) -> Any:
    try:
        return msgspec.json.decode(text)
    except UNREADABLE_JSON:
        decoder = msgspec.json.Decoder()
        return decoder.decode_lines(text)


def _read_rows(objects: list[dict[str, Any]], options: ThreatList) -> Published:
    """Read objects as the rows of a table; a footer such as that of Spamhaus has the date."""
    found = Published([])
    footers = [one for one in objects if one.get("type") == "metadata"]
    found.dated(json_date(one.get("timestamp")) for one in footers)
    objects = [one for one in objects if one.get("type") != "metadata"]
    header, rows = rows_of(objects)
    if not objects:
        return found
    Columns(header, options).add(list(rows), found)
    return found


def _read_values(values: list[Any], label: Any) -> Published:
    found = Published([])
    for value in values:
        found.add(value, label if isinstance(label, str) else None)
    return found


def _objects(document: dict[str, Any]) -> list[Any]:
    """Return the objects of ThreatFox's API (`data`) or export (lists by id), or the document itself."""
    if isinstance(document.get("data"), list):
        return list(document["data"])
    if all(isinstance(some, list) for some in document.values()):
        return [one for some in document.values() for one in some]
    return [document]


def _misp_events(document: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the events, or what a search for attributes answers, which looks like one."""
    given = document.get("response", [document])
    found = []
    for one in given if isinstance(given, list) else [given]:
        event = one.get("Event", one if "response" in document else None)
        if isinstance(event, dict):
            found.append(event)
    return found


def _read_misp(events: list[dict[str, Any]]) -> Published:
    found = Published([])
    found.dated(json_date(event.get("timestamp") or event.get("date")) for event in events)
    for event in events:
        for attribute in _attributes(event):
            if attribute.get("type") not in _MISP_TYPES:
                continue
            if not attribute.get("to_ids") or attribute.get("deleted"):
                found.skip("not for detection")
                continue
            text = str(attribute.get("value"))
            values = text.split("|") if attribute["type"] == "domain|ip" else [text]
            info = event.get("info") or (attribute.get("Event") or {}).get("info")
            label = str(info or attribute.get("category") or "") or None
            for one in values:
                found.add(one.partition("|")[0], label)
    return found


def _attributes(event: dict[str, Any]) -> Iterator[dict[str, Any]]:
    holders = [event, *(one for one in event.get("Object") or () if not one.get("deleted"))]
    for holder in holders:
        yield from holder.get("Attribute") or ()


def _pulses(document: dict[str, Any]) -> list[dict[str, Any]]:
    pulses = document.get("results", [document])
    if not isinstance(pulses, list):
        return []
    return [
        one for one in pulses if isinstance(one, dict) and isinstance(one.get("indicators"), list)
    ]


def _read_pulses(pulses: list[dict[str, Any]]) -> Published:
    found = Published([])
    found.dated(json_date(pulse.get("modified")) for pulse in pulses)
    for pulse in pulses:
        for one in pulse["indicators"]:
            if one.get("type") not in _OTX_TYPES:
                continue
            if one.get("is_active") in (0, False):
                found.skip("not active")
                continue
            until = micros(json_date(one.get("expiration")), FOREVER)
            found.add(one.get("indicator"), pulse.get("name") or one.get("title"), until=until)
    return found
