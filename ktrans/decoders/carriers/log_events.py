"""Reads envelopes of CloudWatch Logs whose events are plain records: most of them, and many at a time."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from ktrans.decoders.carriers.messages import Message, Origin, moment

MARK = b'"logEvents"'


class _Event(msgspec.Struct):
    message: str
    id: str | None = None
    timestamp: int | None = None


class _Envelope(msgspec.Struct):
    logEvents: list[_Event]  # noqa: N815
    messageType: str | None = None  # noqa: N815
    owner: str | None = None
    logGroup: str | None = None  # noqa: N815
    logStream: str | None = None  # noqa: N815


_DECODER = msgspec.json.Decoder(_Envelope)


def plain_events(
    document: bytes, outer: Origin, is_plain: Callable[[str], bool]
) -> list[Message] | None:
    """Return the messages of an envelope; None if a closer look is needed.

    Args:
        document: JSON.
        outer: where what carries the envelope was logged.
        is_plain: whether a text is surely a record on one line.
    """
    try:
        found = _DECODER.decode(document)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return None
    events = found.logEvents
    if found.messageType == "CONTROL_MESSAGE" or not all(is_plain(e.message) for e in events):
        return None
    origin = Origin(found.owner, found.logGroup, found.logStream).within(outer)
    return [
        Message(e.message.encode("utf-8", "replace"), origin, e.id, moment(e.timestamp))
        for e in events
    ]
