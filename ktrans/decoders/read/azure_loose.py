"""Azure flow-log records of any shape: keys in any case, records within records, odd tuples."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from ktrans.decoders.azure.model import CATEGORIES, Fault, Kind, Sheet
from ktrans.decoders.read.json_values import decode_json, json_text

_BODIES = ("properties", "flowrecords")
_PROTOCOL_FIELD = 5
_CONTROL = tuple(map(chr, range(0x20)))


def read_loosely(value: Any, default: Kind) -> tuple[list[Sheet], int]:
    """Read a decoded JSON value: a record, or a list of records.

    Returns:
        Sheets, and how many records there were that are no flow logs.

    Raises:
        Fault: part of it makes no sense.
    """
    sheets: list[Sheet] = []
    skipped = 0
    for fields, body in _bodies(value):
        if body is None:
            skipped += 1
            continue
        groups = list(_groups(body, {}))
        kind = _kind_of(fields, groups) or default
        if not sheets or sheets[-1].kind != kind:
            sheets.append(Sheet(kind))
        times = [json_text(value) for name, value in fields.items() if name.lower() == "time"]
        sheets[-1].times.append(times[-1] if times else None)
        kept = ((n, json_text(value)) for n, value in fields.items() if n.lower() != "time")
        sheets[-1].records.append(tuple(kept))
        for rule, acl, mac, tuples in groups:
            sheets[-1].group(rule, acl, mac, tuples)
    for sheet in sheets:
        _frame_loosely(sheet)
    return sheets, skipped


def _bodies(value: Any) -> Iterator[tuple[dict[str, Any], Mapping[str, Any] | None]]:
    """Give the fields and the flows of each record, those inside others too."""
    if isinstance(value, list):
        for item in value:
            yield from _bodies(item)
        return
    if not isinstance(value, dict):
        raise Fault("bad_record", "a record has to be a JSON object")
    lower = {name.lower(): name for name in value}
    inner = value.get(lower.get("records", ""))
    if isinstance(inner, list):
        yield from _bodies(inner)
        if not any(name in lower for name in _BODIES):
            return
    place = next(
        (lower[name] for name in _BODIES if _has_flows(value.get(lower.get(name, "")))), ""
    )
    fields = {n: v for n, v in value.items() if n != place and v is not None and v is not inner}
    if not place:
        category = str(value.get(lower.get("category", ""), "")).lower()
        if category in CATEGORIES:
            raise Fault("no_flows", f"a record of category {category} without a list of flows")
        yield fields, None
        return
    body = value[place]
    for name, content in body.items():
        if name.lower() != "flows" and content is not None:
            fields.setdefault(name, content)
    yield fields, body


def _has_flows(body: Any) -> bool:
    return isinstance(body, dict) and any(
        name.lower() == "flows" and isinstance(flows, list) for name, flows in body.items()
    )


def _groups(
    node: Any, known: Mapping[str, str]
) -> Iterator[tuple[str | None, str | None, str | None, list[Any]]]:
    """Walk down from a body to the lists of tuples, taking along rule, list and MAC.

    Tuples that are neither a list nor null stand as one tuple that fails, so that the other groups
    are not lost with them.
    """
    if not isinstance(node, dict):
        raise Fault("bad_record", "a group of flows has to be a JSON object")
    known = dict(known)
    inner: list[Any] = []
    tuples = None
    for name, value in node.items():
        key = name.lower()
        if key in ("flows", "flowgroups", "flowtuples"):
            if value is None:
                continue
            if key == "flowtuples":
                tuples = value if isinstance(value, list) else [{name: value}]
            elif not isinstance(value, list):
                raise Fault("bad_record", f"{name} has to be a list")
            else:
                inner += value
        elif key in ("rule", "aclid", "mac", "macaddress") and isinstance(value, str):
            known[key] = value
    for child in inner:
        yield from _groups(child, known)
    if tuples is not None:
        mac = known.get("mac") or known.get("macaddress")
        yield known.get("rule"), known.get("aclid"), mac, tuples


def _kind_of(fields: Mapping[str, Any], groups: list[Any]) -> Kind | None:
    """Tell the layout of a record's tuples: by category, else version, else the protocol field."""
    lower = {name.lower(): value for name, value in fields.items()}
    kind = CATEGORIES.get(str(lower.get("category", "")).lower())
    if kind is not None:
        return kind
    if lower.get("flowlogversion") is not None:
        return "vnet"
    for _rule, _acl, _mac, tuples in groups:
        for text in tuples:
            parts = text.split(",", _PROTOCOL_FIELD + 1) if isinstance(text, str) else []
            if len(parts) > _PROTOCOL_FIELD and parts[_PROTOCOL_FIELD]:
                return "nsg" if parts[_PROTOCOL_FIELD].isalpha() else "vnet"
    return None


def _frame_loosely(sheet: Sheet) -> None:
    """Make lines of tuples that were decoded; what is no tuple becomes a line that fails."""
    texts: list[Any] = []
    for part in sheet.parts:
        sheet.counts.append(len(part))
        texts += part
    sheet.parts = []
    texts = [_spelled(text) for text in texts] if _others(texts) else texts
    joined = "\n, ".join(texts)
    if joined.count("\n") != max(len(texts) - 1, 0):
        texts = [msgspec.json.encode(text).decode() if "\n" in text else text for text in texts]
        joined = "\n, ".join(texts)
    if not texts:
        return
    sheet.data = f", {joined}\n".encode()
    sheet.tidy = joined.count(" ") == len(texts) - 1 and not any(
        char in joined for char in _CONTROL if char != "\n"
    )


def _others(values: list[Any]) -> bool:
    """Tell whether there is anything but texts."""
    return any(type(value) is not str for value in values)


def _spelled(value: Any) -> str:
    """Give a text as it is, and of anything else its JSON: no tuple begins like that."""
    if isinstance(value, str):
        return value
    text = json_text(value)
    return text if text[:1] in "[{" else f"[{text}]"


def decoded(text: bytes) -> object:
    """Decode JSON.

    Raises:
        Fault: it is none.
    """
    try:
        return decode_json(text)
    except UnicodeDecodeError as error:
        byte = error.object[error.start]
        raise Fault("invalid_utf8", f"byte {byte:#04x} of a text is not UTF-8") from error
    except (msgspec.DecodeError, RecursionError, UnicodeError) as error:
        raise Fault("bad_json", str(error)) from error
