"""Reads envelopes of CloudWatch Logs whose events are plain records: most of them, and many at a time."""

from __future__ import annotations

import msgspec

from ktrans.decoders.carriers.messages import Origin, Run, plain_lines
from ktrans.flow.columns import MICROS_FROM, MILLIS_FROM
from ktrans.kit.text.json_errors import UNREADABLE_JSON

MARK = b'"logEvents"'


class _Event(msgspec.Struct, gc=False):
    message: str
    timestamp: int
    id: str | None = None


class _Envelope(msgspec.Struct):
    logEvents: list[_Event]  # noqa: N815
    messageType: str | None = None  # noqa: N815
    owner: str | None = None
    logGroup: str | None = None  # noqa: N815
    logStream: str | None = None  # noqa: N815


_DECODER = msgspec.json.Decoder(_Envelope)


def plain_events(document: bytes, outer: Origin) -> Run | None:
    """Return the events of an envelope; None if a closer look is needed.

    Args:
        document: JSON.
        outer: where what carries the envelope was logged.
    """
    try:
        found = _DECODER.decode(document)
    except UNREADABLE_JSON:
        return None
    if found.messageType == "CONTROL_MESSAGE" or not found.logEvents:
        return None
    lines = plain_lines([event.message for event in found.logEvents])
    millis = [event.timestamp for event in found.logEvents]
    if lines is None or min(millis) < MILLIS_FROM or max(millis) >= MICROS_FROM:
        return None
    origin = Origin(found.owner, found.logGroup, found.logStream).within(outer)
    ids = [event.id for event in found.logEvents]
    return Run(lines, origin, ids, millis)
