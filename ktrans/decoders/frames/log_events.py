"""Log events inside JSON: what CloudWatch Logs subscriptions, Lambda and Kinesis wrap records in.

Documents follow each other with or without a newline between them, so their borders are found
first. Within valid JSON a closing brace is followed by an opening one and a key only there.

Source: Amazon CloudWatch Logs User Guide, "Real-time processing of log data with subscriptions".
"""

from __future__ import annotations

import base64
import binascii
import io
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

import msgspec

from ktrans.api import Limits
from ktrans.kit.text.inflate import Inflater
from ktrans.kit.text.json_errors import UNREADABLE_JSON
from ktrans.kit.text.lines import SHOWN_BYTES, shortened

_BORDER = re.compile(rb'\}\s*(?=\{\s*"[A-Za-z])')
_DOCUMENT_LINES = 16
_DEPTH = 3


class _Event(msgspec.Struct):
    message: str
    id: str | None = None
    timestamp: int | None = None


class _Data(msgspec.Struct):
    data: str


class _Kinesis(msgspec.Struct):
    kinesis: _Data


class _Document(msgspec.Struct):
    messageType: str | None = None  # noqa: N815
    logEvents: list[_Event] | None = None  # noqa: N815
    message: str | None = None
    id: str | None = None
    timestamp: int | None = None
    awslogs: _Data | None = None
    Records: list[_Kinesis] | None = None
    data: str | None = None


class _Envelope(msgspec.Struct):
    logEvents: list[msgspec.Raw]  # noqa: N815
    messageType: str | None = None  # noqa: N815


_DECODER = msgspec.json.Decoder(_Document)
_ENVELOPE = msgspec.json.Decoder(_Envelope)
_EVENT = msgspec.json.Decoder(_Event)


@dataclass(slots=True)
class BadDocument:
    """A document that is none of the kinds known here."""

    raw: bytes
    reason: str
    detail: str
    complete: bool = True


@dataclass(slots=True)
class Messages:
    """Log events in a row.

    Attributes:
        texts: their messages, without newlines.
        ids: their event ids.
        millis: their times.
        control: control messages before them, which are not flows.
    """

    texts: list[bytes] = field(default_factory=list)
    ids: list[str | None] = field(default_factory=list)
    millis: list[int | None] = field(default_factory=list)
    control: int = 0

    def taken(self) -> Messages:
        """Return the messages so far, and clear them."""
        found = Messages(self.texts, self.ids, self.millis, self.control)
        self.texts, self.ids, self.millis, self.control = [], [], [], 0
        return found

    def add(self, event: _Event) -> None:
        """Add one event."""
        text = event.message.encode("utf-8", "replace")
        self.texts.append(b" ".join(text.splitlines()) if b"\n" in text or b"\r" in text else text)
        self.ids.append(event.id)
        self.millis.append(event.timestamp)


def is_json(start: bytes) -> bool:
    """Return whether an object holds JSON documents, by its first bytes."""
    return start.removeprefix(b"\xef\xbb\xbf").lstrip()[:1] == b"{"


def cut_documents(chunks: Iterable[bytes], limits: Limits) -> Iterator[bytes | BadDocument]:
    """Cut a stream into JSON documents.

    A document may be as long as some lines together (`max_line_bytes` times 16), which is far
    beyond what CloudWatch delivers; a longer one is given up, and the next one looked for.
    """
    longest = limits.max_line_bytes * _DOCUMENT_LINES
    rest = b""
    lost: BadDocument | None = None
    size = searched = 0
    for chunk in chunks:
        rest += chunk
        done = 0
        for border in _BORDER.finditer(rest, max(searched, 0)):
            document = rest[done : border.end()]
            done = border.end()
            if lost is not None:
                yield _too_long(lost, size + len(document))
                lost = None
            elif document.strip():
                yield document
        rest = rest[done:]
        searched = rest.rfind(b"}") if b"}" in rest else len(rest)
        if len(rest) > longest:
            lost = lost or BadDocument(rest[:SHOWN_BYTES], "line_too_long", "")
            keep = max(len(rest) - SHOWN_BYTES, 0)
            size += keep
            rest = rest[keep:]
            searched = 0
    if lost is not None:
        yield _too_long(lost, size + len(rest))
    elif rest.strip():
        yield rest


def _too_long(lost: BadDocument, size: int) -> BadDocument:
    detail = f"a JSON document of {size} bytes; its first {len(lost.raw)} bytes are kept"
    return BadDocument(lost.raw, lost.reason, detail)


def read_document(
    document: bytes, messages: Messages, limits: Limits, depth: int = 0
) -> Iterator[BadDocument]:
    """Add the log events of a document to `messages`; yield what cannot be read."""
    text = document.strip().removeprefix(b"\xef\xbb\xbf")
    try:
        found = _DECODER.decode(text)
    except msgspec.ValidationError as error:
        yield from _read_events(text, str(error), messages, limits, depth)
        return
    except UNREADABLE_JSON as error:
        yield from _read_mixed(text, str(error), messages, limits, depth)
        return
    wrapped = [found.awslogs.data] if found.awslogs else []
    wrapped += [record.kinesis.data for record in found.Records or ()]
    if found.data is not None:
        wrapped.append(found.data)
    if found.messageType == "CONTROL_MESSAGE":
        messages.control += 1
    elif found.logEvents is not None:
        for event in found.logEvents:
            messages.add(event)
    elif found.message is not None:
        messages.add(_Event(found.message, found.id, found.timestamp))
    elif wrapped and depth < _DEPTH:
        for data in wrapped:
            yield from _read_wrapped(data, messages, limits, depth)
    else:
        detail = "a JSON object with neither logEvents nor message"
        yield _bad(text, "bad_json", detail, limits)


def _bad(raw: bytes, reason: str, detail: str, limits: Limits) -> BadDocument:
    raw, detail, complete = shortened(raw, detail, limits.max_line_bytes)
    return BadDocument(raw, reason, detail, complete)


def _read_events(
    text: bytes, error: str, messages: Messages, limits: Limits, depth: int
) -> Iterator[BadDocument]:
    """Read an envelope's events one by one, since something in it has the wrong type."""
    try:
        envelope = _ENVELOPE.decode(text)
    except UNREADABLE_JSON:
        yield from _read_mixed(text, error, messages, limits, depth)
        return
    if envelope.messageType == "CONTROL_MESSAGE":
        messages.control += 1
        return
    for raw in envelope.logEvents:
        try:
            messages.add(_EVENT.decode(raw))
        except UNREADABLE_JSON as wrong:
            yield _bad(bytes(raw), "bad_json", str(wrong), limits)


def _read_mixed(
    text: bytes, error: str, messages: Messages, limits: Limits, depth: int
) -> Iterator[BadDocument]:
    """Read a piece that is no document: perhaps JSON lines with plain records between them."""
    lines = text.split(b"\n")
    if len(lines) > 1 and _reads(lines[0]):
        for line in lines:
            yield from _read_line(line, messages, limits, depth)
    else:
        reason = "truncated" if "truncated" in error else "bad_json"
        yield _bad(text, reason, error, limits)


def _reads(line: bytes) -> bool:
    try:
        _DECODER.decode(line)
    except UNREADABLE_JSON:
        return False
    return True


def _read_line(
    line: bytes, messages: Messages, limits: Limits, depth: int
) -> Iterator[BadDocument]:
    """Read one line of a piece that holds JSON and plain records."""
    if line.lstrip().startswith(b"{"):
        yield from read_document(line, messages, limits, depth)
    elif line.strip():
        messages.texts.append(line.rstrip(b"\r"))
        messages.ids.append(None)
        messages.millis.append(None)


def _read_wrapped(
    data: str, messages: Messages, limits: Limits, depth: int
) -> Iterator[BadDocument]:
    try:
        raw = base64.b64decode(data, validate=True)
    except (binascii.Error, ValueError) as error:
        yield _bad(data.encode(), "bad_json", f"base64: {error}", limits)
        return
    inflater = Inflater(lambda: io.BytesIO(raw), limits, "the wrapped data")
    for document in cut_documents(inflater.chunks(), limits):
        if isinstance(document, BadDocument):
            yield document
        else:
            yield from read_document(document, messages, limits, depth + 1)
    if inflater.problem is not None:
        yield _bad(raw, inflater.problem.reason, inflater.problem.message, limits)
