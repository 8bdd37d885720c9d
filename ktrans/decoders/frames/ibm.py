"""Cut IBM Cloud flow log documents: the flows in them, and what is said about all of these.

A document is one JSON object: members that describe the collector and the network interface, and an
array of flows. Of a damaged one the flows that are whole are read, if what describes them is.

Source: IBM Cloud documentation, VPC, "Analyzing flow logs" (format of objects, header and flows).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from urllib.parse import unquote

import msgspec
import numpy as np

from ktrans.api import Limits, Payload, RejectError
from ktrans.decoders.frames.block import Block, Refused
from ktrans.decoders.frames.json import cut_json
from ktrans.decoders.frames.json_borders import Borders
from ktrans.decoders.frames.json_scan import Place, Wrapper, one_line, reads, scan
from ktrans.decoders.mapped.frames import Frame
from ktrans.decoders.read.json_values import decode_json, json_text
from ktrans.kit.text.inflate import Inflater, Problem, wait_for_more
from ktrans.kit.text.json_errors import UNREADABLE_JSON
from ktrans.kit.text.lines import shortened

ROWS = "flow_logs"
COLLECTOR = "collector_crn"
KEY = "key:"
"""Prefix of the values that come from the object's key."""
KEY_FACTS = ("account", "region", "vpc-id", "subnet-id", "instance-id", "vnic-id")
"""Parts of an object's key, such as `region=eu-de/`, that describe its flows."""

_KEY_PART = re.compile(r"(?:^|/)([a-z-]+)=([^/]*)")
_STARTS = re.compile(rb'"flow_logs"\s*:\s*\[')
_DOCUMENT = msgspec.json.Decoder(dict[str, msgspec.Raw])
_LIST = msgspec.json.Decoder(list[msgspec.Raw] | None)
_BETWEEN = b" \t\r\n,"
_DOCUMENT_LINES = 64
"""A document may be as long as so many records."""
_MAX_UNENDED = 100
"""So many flows that do not end are passed over; each costs another look at the text behind it."""
_SKIPPED = "skip data"
_WINDOW = {"start_time": "capture_start_time", "end_time": "capture_end_time"}


class IbmDocument(Frame):
    """Flows in one JSON document an object, with a header that goes with each of them.

    A document whose flows were skipped, and that holds none, has one record with the times of the
    capture.
    """

    json = True
    lines = False

    def accepts(self, head: bytes) -> bool:
        """Return whether an object's first bytes look like a document."""
        return head.lstrip()[:1] == b"{"

    def blocks(self, payload: Payload, limits: Limits) -> Iterator[Block]:
        """Cut a document into blocks of one flow a line; its header goes with each block."""
        data, problem = _read(payload, limits)
        if not data.strip() and problem is None:
            return
        uri, first = payload.uri, payload.first_line
        try:
            document = read_document(data, problem)
        except Unreadable as error:
            yield _refuse(uri, first, (error.reason, data, error.detail), limits)
            return
        header = {**key_facts(uri), **document.header}
        rows: Sequence[msgspec.Raw | bytes] = document.rows
        if not rows and header.get("state", "").lower() == _SKIPPED:
            window = {name: header.get(place) for name, place in _WINDOW.items()}
            rows = [msgspec.json.encode(window)]
        layout = msgspec.json.encode(header).decode()
        broken = b"\n" in data or b"\r" in data
        sizes = np.cumsum(np.fromiter(map(len, rows), np.int64, len(rows)) + len("\n"))
        start = 0
        while start < len(rows):
            done = sizes[start - 1] if start else 0
            end = int(np.searchsorted(sizes, done + limits.block_bytes)) + 1
            some = list(map(one_line, map(bytes, rows[start:end]))) if broken else rows[start:end]
            lines = b"\n".join((*some, b""))
            yield Block(uri, first + start, len(some), lines, layout=layout, added=header)
            start = end
        if document.torn is not None:
            yield _refuse(uri, first + len(rows), document.torn, limits)

    def replay(self, payload: Payload, limits: Limits, layout: str) -> Iterator[Block]:
        """Cut rejected flows, one a line, into blocks; their layout is the document's header."""
        header = msgspec.json.decode(layout, type=dict[str, str])
        for block in cut_json(payload, limits):
            yield replace(block, layout=layout, added=header)


@lru_cache(maxsize=1024)
def key_facts(uri: str) -> dict[str, str]:
    """Return the facts in an object's key: account=/region=/vpc-id=/subnet-id=/..., URL-encoded."""
    found = {name: unquote(value) for name, value in _KEY_PART.findall(uri)}
    return {KEY + name: found[name] for name in KEY_FACTS if found.get(name)}


def _read(payload: Payload, limits: Limits) -> tuple[bytes, Problem | None]:
    """Inflate the whole object, within bounds.

    Returns:
        Its bytes, and why they end early, if they do.

    Raises:
        RejectError: it is larger than any that IBM writes.
        TruncatedError: it ends early and may still grow.
    """
    inflater = Inflater(payload.open, limits, payload.uri)
    longest = max(limits.max_line_bytes, limits.block_bytes) * _DOCUMENT_LINES
    pieces: list[bytes] = []
    size = 0
    for piece in inflater.chunks():
        pieces.append(piece)
        size += len(piece)
        if size > longest:
            raise RejectError(
                f"{payload.uri}: a document of more than {longest} bytes",
                code="document_too_long",
                hint="raise limits.max_line_size if the document is a flow log",
            )
    if inflater.problem is not None:
        wait_for_more(payload, inflater.problem)
    return b"".join(pieces).removeprefix(b"\xef\xbb\xbf"), inflater.problem


def _refuse(uri: str, position: int, part: tuple[str, bytes, str], limits: Limits) -> Block:
    """Return a block for a part of a document that is not a flow: reason, bytes and detail."""
    reason, raw, detail = part
    raw, detail, complete = shortened(raw, detail, limits.max_line_bytes)
    return Block(uri, position, refused=(Refused(position, reason, raw, detail, complete),))


@dataclass(frozen=True, slots=True)
class Document:
    """The parts of a document.

    Attributes:
        header: its members without the flows, as text.
        rows: the flows, as written; in a damaged document some may not be valid.
        torn: what follows the last flow of a damaged document: reason, bytes and detail.
    """

    header: Mapping[str, str]
    rows: Sequence[msgspec.Raw | bytes]
    torn: tuple[str, bytes, str] | None = None


class Unreadable(Exception):
    """No part of a document can be read: reason code and detail."""

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
        Unreadable: it is not a flow log, or its header is damaged.
    """
    try:
        members = _DOCUMENT.decode(data)
        strange = ROWS not in members and COLLECTOR not in members
        rows = _LIST.decode(members.pop(ROWS, msgspec.Raw(b"null")))
        header = _texts(members)
    except UNREADABLE_JSON as error:
        if problem is None:
            return _salvage(data, "bad_json", str(error))
        return _salvage(data, problem.reason, problem.message)
    if strange:
        detail = f"a JSON object with neither {ROWS} nor {COLLECTOR}: not a flow log"
        raise Unreadable("no_flow_fields", detail)
    torn = None if problem is None else (problem.reason, b"", problem.message)
    return Document(header, rows or [], torn)


def _salvage(data: bytes, reason: str, detail: str) -> Document:
    """Read the undamaged parts of a document."""
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
    """Find the flows in text that begins inside their array.

    Returns:
        The flows, and pieces that are not flows; the text behind them; whether the array ended.
    """
    borders = Borders()
    rows: list[bytes] = []
    for _ in range(_MAX_UNENDED):
        found = scan(text, Place.WRAPPED, Wrapper((ROWS,)))
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
    """Read the members before or behind the flows; None if they are damaged."""
    try:
        return _texts(_DOCUMENT.decode(text))
    except UNREADABLE_JSON:
        return None


def _texts(members: Mapping[str, msgspec.Raw]) -> dict[str, str]:
    """Return members as text; nested ones as JSON."""
    values = {name: decode_json(raw) for name, raw in members.items()}
    return {name: json_text(value) for name, value in values.items() if value is not None}
