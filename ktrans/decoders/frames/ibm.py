"""IBM Cloud flow log documents: the flows in them and what is said about all of these.

A document is one JSON object: members that describe the collector and the network interface, and an
array of flows. Of a damaged one the flows that are whole are read, if what describes them is.

Source: IBM Cloud documentation, VPC, "Analyzing flow logs" (format of objects, header and flows).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

import msgspec

from ktrans.decoders.frames.json_scan import Borders, Place, reads, scan, wrapper_pattern
from ktrans.decoders.read.json_values import decode_json, json_text
from ktrans.kit.text.inflate import Problem

ROWS = "flow_logs"
COLLECTOR = "collector_crn"
_STARTS = re.compile(rb'"flow_logs"\s*:\s*\[')
_DOCUMENT = msgspec.json.Decoder(dict[str, msgspec.Raw])
_LIST = msgspec.json.Decoder(list[msgspec.Raw] | None)
_BETWEEN = b" \t\r\n,"
_MAX_UNENDED = 100
"""So many flows that do not end are passed over; each costs another look at the text behind it."""

_UNREADABLE = (msgspec.DecodeError, UnicodeError, RecursionError)


@dataclass(frozen=True, slots=True)
class Document:
    """What a document holds.

    Attributes:
        header: its members but for the flows, as text.
        rows: the flows, as they are; of a damaged document perhaps what is none.
        torn: what follows the last flow where the document is damaged, with reason and detail.
    """

    header: Mapping[str, str]
    rows: list[bytes]
    torn: tuple[str, bytes, str] | None = None


class Unreadable(Exception):
    """A document of which nothing can be read: reason code and detail."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason
        self.detail = detail


def read_document(data: bytes, problem: Problem | None) -> Document:
    """Read a document.

    Args:
        data: its bytes.
        problem: why they end early, if they do.

    Raises:
        Unreadable: it is no flow log, or what describes its flows is damaged.
    """
    try:
        members = _DOCUMENT.decode(data)
        strange = ROWS not in members and COLLECTOR not in members
        rows = _LIST.decode(members.pop(ROWS, msgspec.Raw(b"null")))
        header = _texts(members)
    except _UNREADABLE as error:
        if problem is None:
            return _salvage(data, "bad_json", str(error))
        return _salvage(data, problem.reason, problem.message)
    if strange:
        detail = f"a JSON object with neither {ROWS} nor {COLLECTOR}: no flow log"
        raise Unreadable("no_flow_fields", detail)
    torn = None if problem is None else (problem.reason, b"", problem.message)
    return Document(header, [bytes(row) for row in rows or ()], torn)


def _salvage(data: bytes, reason: str, detail: str) -> Document:
    """Read what is whole of a damaged document."""
    start = _STARTS.search(data)
    if start is None:
        raise Unreadable(reason, detail)
    rows, rest, ended = _flows(data[start.end() :])
    header = _members(data[: start.start()].rstrip(_BETWEEN) + b"}")
    behind = _members(b"{" + rest.lstrip(_BETWEEN)) if ended else {}
    both = {**(header or {}), **(behind or {})}
    if header is None or not both:
        raise Unreadable(reason, detail)
    whole = ended and behind is not None
    return Document(both, rows, None if whole else (reason, rest, detail))


def _flows(text: bytes) -> tuple[list[bytes], bytes, bool]:
    """Find the flows in text that begins in their array.

    Returns:
        The flows, and pieces that are none; what follows them; whether it is behind the array.
    """
    borders = Borders()
    rows: list[bytes] = []
    for _ in range(_MAX_UNENDED):
        found = scan(text, Place.WRAPPED, wrapper_pattern((ROWS,)))
        for begin, end in found.spans:
            row = text[begin:end]
            if reads(row):
                borders.learn(row)
                rows.append(row)
                continue
            *pieces, last = borders.split(row)
            rows += pieces
            flow = last.removesuffix(b"]").rstrip(_BETWEEN)
            if flow != last and reads(flow):  # the array's end was taken for that of a flow
                return [*rows, flow], text[end:], True
            rows.append(last)
        if found.place is not Place.WRAPPED:
            done = found.spans[-1][1] if found.spans else 0
            close = text.find(b"]", done)
            return rows, text[close + 1 if close >= 0 else done :], close >= 0
        text = text[found.rest :]
        border = borders.find(text, 1) if found.opened else -1
        if border < 0:
            break
        # A flow that does not end seems to go on over those behind it.
        rows.append(text[:border].rstrip(_BETWEEN))
        text = text[border:]
    return rows, text, False


def _members(text: bytes) -> dict[str, str] | None:
    """Read the members at one side of the flows; None if they are damaged."""
    try:
        return _texts(_DOCUMENT.decode(text))
    except _UNREADABLE:
        return None


def _texts(members: Mapping[str, msgspec.Raw]) -> dict[str, str]:
    """Give members as text; nested ones as JSON."""
    values = {name: decode_json(raw) for name, raw in members.items()}
    return {name: json_text(value) for name, value in values.items() if value is not None}
