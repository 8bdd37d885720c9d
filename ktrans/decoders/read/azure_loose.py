"""Read Azure flow-log records of any shape: keys in any case, nested records, odd tuples."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ktrans.decoders.azure.records import CATEGORIES, Fault, Kind, Records
from ktrans.decoders.flow_rule import record_name
from ktrans.decoders.read.json_values import decode_json, json_text
from ktrans.kit.text.json_errors import UNREADABLE_JSON

_BODIES = ("properties", "flowrecords")
_PROTOCOL_FIELD = 5


def read_loosely(value: Any, default: Kind) -> tuple[list[Records], dict[str, int]]:
    """Read a decoded JSON value: a record, or a list of records.

    Returns:
        The records, and the number of records of other logs, by their category.

    Raises:
        Fault: part of it is neither.
    """
    parts: list[Records] = []
    foreign: dict[str, int] = {}
    for fields, body in _bodies(value):
        if body is None:
            name = record_name("category", _category(fields))
            foreign[name] = foreign.get(name, 0) + 1
            continue
        groups = list(_groups(body, {}))
        kind = _kind_of(fields, groups) or default
        if not parts or parts[-1].kind != kind:
            parts.append(Records(kind))
        texts = [(name, json_text(value)) for name, value in fields.items()]
        times = [text for name, text in texts if name.lower() == "time"]
        others = tuple(pair for pair in texts if pair[0].lower() != "time")
        parts[-1].fields.append(others)
        parts[-1].times.append(times[-1] if times else None)
        for rule, acl, mac, tuples in groups:
            parts[-1].groups.append((len(parts[-1].fields) - 1, rule, acl, mac))
            parts[-1].lists.append(tuples)
            parts[-1].tuples += len(tuples)
    return parts, foreign


def _bodies(value: Any) -> Iterator[tuple[dict[str, Any], Mapping[str, Any] | None]]:
    """Yield the fields and the flows of each record, nested ones included."""
    if isinstance(value, list):
        for item in value:
            yield from _bodies(item)
        return
    if not isinstance(value, dict):
        raise Fault("bad_record", "a record has to be a JSON object")
    lower = {name.lower(): name for name in value}
    inner = value[lower["records"]] if "records" in lower else None
    if isinstance(inner, list):
        yield from _bodies(inner)
        if not any(name in lower for name in _BODIES):
            return
    bodies = [lower[name] for name in _BODIES if name in lower]
    place = next((name for name in bodies if _has_flows(value[name])), None)
    fields = {n: v for n, v in value.items() if n != place and v is not None and v is not inner}
    if place is None:
        _require_other_category(value)
        yield fields, None
        return
    body = value[place]
    for name, content in body.items():
        if name.lower() != "flows" and content is not None:
            fields.setdefault(name, content)
    yield fields, body


def _require_other_category(record: Mapping[str, Any]) -> None:
    """Raise a fault if a record without flows does not say that it is of another log."""
    category = _category(record)
    if category.lower() in CATEGORIES:
        raise Fault("no_flows", f"a record of category {category} without a list of flows")
    if not category:
        raise Fault("no_flows", "a record with neither a category nor a list of flows")


def _category(record: Mapping[str, Any]) -> str:
    """Return the category of a record, which says of what log it is; "" if it has none."""
    found = (value for name, value in record.items() if name.lower() == "category")
    return next((value for value in found if isinstance(value, str)), "")


def _has_flows(body: Any) -> bool:
    return isinstance(body, dict) and any(
        name.lower() == "flows" and isinstance(flows, list) for name, flows in body.items()
    )


def _groups(
    node: Any, known: Mapping[str, str]
) -> Iterator[tuple[str | None, str | None, str | None, list[Any]]]:
    """Yield the lists of tuples in a body, with the rule, the access list and the MAC address.

    A value that is neither a list nor null becomes one tuple that fails, so that the other groups
    are not lost with it.
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
    """Return the layout of a record's tuples: by category, version, or the protocol field."""
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


def decode_or_fault(text: bytes) -> object:
    """Decode JSON.

    Raises:
        Fault: it is not valid.
    """
    try:
        return decode_json(text)
    except UnicodeDecodeError as error:
        byte = error.object[error.start]
        raise Fault("invalid_utf8", f"byte {byte:#04x} of a text is not UTF-8") from error
    except UNREADABLE_JSON as error:
        raise Fault("bad_json", str(error)) from error
