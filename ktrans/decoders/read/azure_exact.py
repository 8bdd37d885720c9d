"""Read Azure flow-log records of the exact shape that Azure writes, and count their tuples.

The tuples, which are nearly all of the bytes, are left as the JSON text that they are: so the thread
that reads an object can count them, and leave the rest to those that decode.
"""

from __future__ import annotations

import operator
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import msgspec
import numpy as np

from ktrans.decoders.azure.records import CATEGORIES, Fields, Records
from ktrans.kit.text.json_errors import UNREADABLE_JSON

_QUOTE, _ZERO, _OPEN, _CLOSE = b'"0[]'
_TOGETHER = 64
"""Arrays that are counted at a time: so many usually fit into the processor's cache."""


class _Exact(msgspec.Struct, frozen=True, gc=False, forbid_unknown_fields=True):
    """A part of a record in which nothing is unknown."""


class _Group(_Exact, frozen=True):
    tuples: msgspec.Raw = msgspec.field(name="flowTuples")
    rule: str | None = None


class _VnetFlow(_Exact, frozen=True):
    groups: list[_Group] = msgspec.field(name="flowGroups")
    acl: str | None = msgspec.field(name="aclID", default=None)


class _VnetBody(_Exact, frozen=True):
    flows: list[_VnetFlow]


class _NsgGroup(_Exact, frozen=True):
    tuples: msgspec.Raw = msgspec.field(name="flowTuples")
    mac: str | None = None


class _NsgFlow(_Exact, frozen=True):
    groups: list[_NsgGroup] = msgspec.field(name="flows")
    rule: str | None = None


class _NsgBody(_Exact, frozen=True):
    flows: list[_NsgFlow]
    version: int | None = msgspec.field(name="Version", default=None)


class _Record(_Exact, frozen=True, rename="camel"):
    category: str
    time: str | None = None
    system_id: str | None = None
    mac_address: str | None = None
    resource_id: str | None = None
    operation_name: str | None = None
    flow_log_version: int | None = None
    flow_log_guid: str | None = msgspec.field(name="flowLogGUID", default=None)
    flow_log_resource_id: str | None = msgspec.field(name="flowLogResourceID", default=None)
    target_resource_id: str | None = msgspec.field(name="targetResourceID", default=None)
    properties: _NsgBody | None = None
    flow_records: _VnetBody | None = None


_NAMES = {
    spec.name: spec.encode_name
    for spec in msgspec.structs.fields(_Record)
    if spec.name not in ("time", "properties", "flow_records")
}
_VALUES = operator.attrgetter(*_NAMES)
_DECODER = msgspec.json.Decoder(list[_Record])


def read_exactly(text: bytes) -> list[Records] | None:
    """Read a JSON array of records of the shape that Azure writes.

    Returns:
        The records in order, in new `Records` where the kind changes; None if anything is not as
        expected.
    """
    try:
        found = _DECODER.decode(text)
    except UNREADABLE_JSON:
        return None
    parts: list[Records] = []
    for record in found:
        kind = CATEGORIES.get(record.category.lower())
        body = record.properties if kind == "nsg" else record.flow_records
        other = record.flow_records if kind == "nsg" else record.properties
        if kind is None or body is None or other is not None:
            return None
        if not parts or parts[-1].kind != kind:
            parts.append(Records(kind))
        _add(parts[-1], record, body)
    for part in parts:
        count = count_tuples(part.lists)
        if count is None:
            return None
        part.tuples = count
    return parts


def _add(records: Records, record: _Record, body: _NsgBody | _VnetBody) -> None:
    """Add a record and its groups."""
    owner = len(records.fields)
    version = body.version if isinstance(body, _NsgBody) else None
    records.fields.append(_fields(_VALUES(record), version))
    records.times.append(record.time)
    if isinstance(body, _NsgBody):
        for rule in body.flows:
            records.groups += [(owner, rule.rule, None, group.mac) for group in rule.groups]
            records.lists += [group.tuples for group in rule.groups]
    else:
        for acl in body.flows:
            records.groups += [(owner, group.rule, acl.acl, None) for group in acl.groups]
            records.lists += [group.tuples for group in acl.groups]


@lru_cache(maxsize=4096)
def _fields(values: tuple[Any, ...], version: int | None) -> Fields:
    """Return the values of a record that are not null, with their names."""
    named = zip(_NAMES.values(), values, strict=True)
    fields = [(name, str(value)) for name, value in named if value is not None]
    return (*fields, *(() if version is None else [("Version", str(version))]))


def count_tuples(lists: Sequence[msgspec.Raw]) -> int | None:
    """Count the strings in JSON arrays without parsing them.

    Each array must be written as `["...","..."]`: strings without escapes, of which each but the
    first begins with a digit, one comma between them, and nothing else. In valid JSON without
    escapes, two quotes with one byte between them and a digit behind them are the end of one string
    and the begin of the next. So if there are as many of these places as there must be between the
    strings of the arrays, there is nothing else between the strings.

    Args:
        lists: the arrays; they must be valid JSON.

    Returns:
        The number of strings; None if an array is written differently.
    """
    total = 0
    for start in range(0, len(lists), _TOGETHER):
        count = _count_some(lists[start : start + _TOGETHER])
        if count is None:
            return None
        total += count
    return total


def _count_some(lists: Sequence[msgspec.Raw]) -> int | None:
    joined = b"".join(lists)
    if b"\\" in joined:
        return None
    content = np.frombuffer(joined, np.uint8)
    sizes = np.fromiter(map(len, lists), np.int64, len(lists))
    ends = np.cumsum(sizes)
    full = sizes > len("[]")
    first, last = (ends - sizes)[full], ends[full] - 1
    quoted = content == _QUOTE
    if not (
        (content[ends - sizes] == _OPEN).all()
        and (content[ends - 1] == _CLOSE).all()
        and quoted[first + 1].all()
        and quoted[last - 1].all()
    ):
        return None
    digits = (content[3:] - np.uint8(_ZERO)) < 10  # noqa: PLR2004
    borders = int(np.count_nonzero(quoted[:-3] & quoted[2:-1] & digits))
    strings = int(np.count_nonzero(quoted)) // 2
    return strings if borders == strings - len(first) else None
