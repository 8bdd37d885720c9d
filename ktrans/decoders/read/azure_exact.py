"""Azure flow-log records of the exact shape that Azure writes: tuples stay the bytes that they are."""

from __future__ import annotations

import operator
from functools import lru_cache
from typing import Any

import msgspec
import numpy as np

from ktrans.decoders.azure.model import CATEGORIES, Fields, Sheet

_BODIES = ("properties", "flow_records")
_QUOTE, _NEWLINE, _BLANK = ord('"'), ord("\n"), ord(" ")


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


def read_exactly(text: bytes) -> list[Sheet] | None:
    """Read a JSON array of records of the shape that Azure writes.

    Returns:
        Sheets in the order of the records, a new one where the kind changes; None if anything is
        not as expected.
    """
    try:
        records = _DECODER.decode(text)
    except (msgspec.DecodeError, UnicodeError):
        return None
    sheets: list[Sheet] = []
    for record in records:
        kind = CATEGORIES.get(record.category.lower())
        body = record.properties if kind == "nsg" else record.flow_records
        other = record.flow_records if kind == "nsg" else record.properties
        if kind is None or body is None or other is not None:
            return None
        if not sheets or sheets[-1].kind != kind:
            sheets.append(Sheet(kind))
        _add_exact(sheets[-1], record, body)
    if all(_frame_exact(sheet) for sheet in sheets):
        return sheets
    return None


@lru_cache(maxsize=4096)
def _fields(values: tuple[Any, ...], version: int | None) -> Fields:
    """Name the values of a record that are there; the records of an interface share them."""
    named = zip(_NAMES.values(), values, strict=True)
    fields = [(name, str(value)) for name, value in named if value is not None]
    return (*fields, *(() if version is None else [("Version", str(version))]))


def _add_exact(sheet: Sheet, record: _Record, body: _NsgBody | _VnetBody) -> None:
    version = body.version if isinstance(body, _NsgBody) else None
    sheet.records.append(_fields(_VALUES(record), version))
    sheet.times.append(record.time)
    before = len(sheet.parts)
    if isinstance(body, _NsgBody):
        for flow in body.flows:
            for found in flow.groups:
                sheet.rules.append(flow.rule)
                sheet.macs.append(found.mac)
                sheet.parts.append(found.tuples)
        count = len(sheet.parts) - before
        sheet.acls += [None] * count
    else:
        for acl in body.flows:
            for group in acl.groups:
                sheet.rules.append(group.rule)
                sheet.acls.append(acl.acl)
                sheet.parts.append(group.tuples)
        count = len(sheet.parts) - before
        sheet.macs += [None] * count
    sheet.owner += [len(sheet.records) - 1] * count


def _frame_exact(sheet: Sheet) -> bool:
    """Turn JSON arrays of texts into lines, in place: only their quotes have to change."""
    views = [memoryview(part) for part in sheet.parts]
    sizes = np.array([len(view) for view in views], dtype=np.int64)
    full = sizes > len(b"[]")
    inner = [view[1:-1] for view in views if len(view) > len(b"[]")]
    strange = any(view.tobytes() != b"[]" for view in views if len(view) <= len(b"[]"))
    data = bytearray(b",").join([b"", *inner])
    sheet.parts = []
    if strange or b"\\" in data or b" " in data:
        return False
    content = np.frombuffer(data, np.uint8)
    quotes = np.flatnonzero(content == _QUOTE)
    opening, closing = quotes[::2], quotes[1::2]
    if len(opening) != len(closing):
        return False
    if len(quotes) and (quotes[0] != 1 or quotes[-1] != len(data) - 1):
        return False
    if not len(quotes) and len(data):
        return False
    if (opening[1:] - closing[:-1] != len('",')).any():
        return False
    content[opening] = _BLANK
    content[closing] = _NEWLINE
    ends = np.cumsum(np.where(full, sizes - 1, 0))
    before = np.searchsorted(opening, ends)
    sheet.counts = np.diff(before, prepend=0).tolist()
    sheet.data = data
    return True
