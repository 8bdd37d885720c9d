"""Reads envelopes of CloudWatch Logs whose events are plain records: most of them, and many at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from itertools import repeat
from typing import Any, cast

import msgspec

from ktrans.decoders.carriers.messages import Message, Origin, all_plain, moment
from ktrans.flow.columns import MICROS_FROM, MILLIS_FROM
from ktrans.kit.text.json_errors import UNREADABLE_JSON

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


def plain_events(document: bytes, outer: Origin) -> list[Message] | None:
    """Return the messages of an envelope; None if a closer look is needed.

    Args:
        document: JSON.
        outer: where what carries the envelope was logged.
    """
    try:
        found = _DECODER.decode(document)
    except UNREADABLE_JSON:
        return None
    events = found.logEvents
    texts = [event.message for event in events]
    if found.messageType == "CONTROL_MESSAGE" or not all_plain(texts):
        return None
    origin = Origin(found.owner, found.logGroup, found.logStream).within(outer)
    lines = "\n".join(texts).encode("utf-8", "replace").split(b"\n") if texts else []
    ids = [event.id for event in events]
    times = [event.timestamp for event in events]
    # `tuple.__new__` makes the messages without a Python call for each.
    return list(map(_MESSAGE, zip(lines, repeat(origin), ids, _micros(times), strict=False)))


def _micros(times: list[int | None]) -> Iterable[int | None]:
    """Return times in microseconds."""
    try:
        millis = min(times) >= MILLIS_FROM and max(times) < MICROS_FROM  # type: ignore[type-var, operator]
    except (TypeError, ValueError):
        millis = False
    return [time * 1000 for time in times] if millis else map(moment, times)  # type: ignore[operator]


_MESSAGE = cast("Callable[[tuple[Any, ...]], Message]", partial(tuple.__new__, Message))
