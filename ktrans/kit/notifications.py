"""Messages of queues that announce objects: what they announce, and what becomes of the others.

A source turns each message into `Announced`: objects to read, and the names of events that bring no
data. A message that it does not understand raises `UnknownMessageError` and is planned by
`message_split`: opening this split calls `refuse_message`, and the engine stores a reject with the
message's bytes. The message is deleted once that epoch is recorded, as those of objects are.

>>> from ktrans.kit.notifications import message_split, parse_json, refuse_message, seen
>>> try:
...     raise UnknownMessageError(f"it is {seen(parse_json('[1, 2]'))}")
... except UnknownMessageError as error:
...     split = message_split("acme://queue/7", "acme://queue/7", "[1, 2]", str(error))
>>> message_bytes(split)
(b'[1, 2]', True)
>>> refuse_message(split)
Traceback (most recent call last):
ktrans.api.errors.RejectError: the message announces nothing that is understood: it is a JSON array of 2 items
"""

from __future__ import annotations

import base64
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import msgspec

from ktrans.api import Context, RejectError, Split
from ktrans.kit.log_events import EVENTS_SKIPPED
from ktrans.kit.text.json_errors import UNREADABLE_JSON

T = TypeVar("T")

NOT_A_NOTIFICATION = "not_a_notification"
"""The reason of rejects that are messages."""

KEPT_BYTES = 256 << 10
"""How much of a message a reject keeps, at most."""

_MESSAGE = "unknown_message"
_SHOWN_CHARS = 200
_SHOWN_KEYS = 12
_KEY_CHARS = 40


class UnknownMessageError(ValueError):
    """A message that is not understood; the text says what was seen, and begins with "it"."""


class SkippedEvent(str):
    """The name of an event that brings no data, such as `s3:TestEvent`."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class Announced(Generic[T]):
    """What a message says. One of the two is not empty.

    Attributes:
        objects: what was created.
        skipped: its other events.
    """

    objects: tuple[T, ...] = ()
    skipped: tuple[SkippedEvent, ...] = ()

    @classmethod
    def of(cls, events: Iterable[T | SkippedEvent]) -> Announced[T]:
        """Return what some events say, each an object or skipped.

        Raises:
            UnknownMessageError: there are none.
        """
        objects: list[T] = []
        skipped: list[SkippedEvent] = []
        for event in events:
            if isinstance(event, SkippedEvent):
                skipped.append(event)
            else:
                objects.append(event)
        if not objects and not skipped:
            raise UnknownMessageError("it holds no event")
        return cls(tuple(objects), tuple(skipped))


class SkippedEvents:
    """Counts events that bring no data, by name."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()

    def add(self, names: Iterable[str]) -> None:
        """Count events."""
        self._counts.update(names)

    def notes(self) -> list[str]:
        """Return a note for the receipt: the names, without counts, so that it is the same again."""
        if not self._counts:
            return []
        return [
            f"skipped, because they announce nothing to read: {', '.join(sorted(self._counts))}"
        ]

    def log(self, context: Context) -> None:
        """Log the counts, and begin again."""
        if self._counts:
            listed = ", ".join(f"{name} ({count})" for name, count in self._counts.most_common())
            context.log.info(
                "skipped, because they announce nothing to read: %s",
                listed,
                extra={"event": EVENTS_SKIPPED, "messages": self._counts.total()},
            )
            self._counts.clear()


def parse_json(text: Any) -> Any:
    """Parse a text as JSON.

    Raises:
        UnknownMessageError: it is none.
    """
    if not isinstance(text, str | bytes):
        raise UnknownMessageError(f"it holds {seen(text)} in place of an event")
    try:
        return msgspec.json.decode(text.removeprefix("\ufeff") if isinstance(text, str) else text)
    except UNREADABLE_JSON:
        raise UnknownMessageError(f"it is {seen(text)}") from None


def seen(value: Any) -> str:
    """Describe a value for the reason of a reject: its type, and the keys of a JSON object."""
    if isinstance(value, dict):
        keys = [f"`{_short(str(key), _KEY_CHARS)}`" for key in list(value)[:_SHOWN_KEYS]]
        more = ", ..." if len(value) > _SHOWN_KEYS else ""
        return f"a JSON object with the keys {', '.join(keys)}{more}" if keys else "an empty object"
    if isinstance(value, list):
        return f"a JSON array of {len(value)} items"
    if isinstance(value, bytes):
        value = value.decode("utf-8", "backslashreplace")
    if isinstance(value, str):
        return f"text that is not JSON: {_short(value, _SHOWN_CHARS)}" if value.strip() else "empty"
    return f"the JSON value {_short(str(value), _KEY_CHARS)}"


def message_split(key: str, uri: str, body: str | bytes, why: str, **data: Any) -> Split:
    """Return a split that stands for a message which is not understood.

    Args:
        key: of the split; a message that is delivered again has the same.
        uri: of the split.
        body: the message.
        why: what was seen: the text of the UnknownMessageError.
        data: what else the source needs.
    """
    raw = body.encode("utf-8", "surrogatepass") if isinstance(body, str) else body
    kept = raw[:KEPT_BYTES]
    message = {
        "why": why,
        "base64": base64.b64encode(kept).decode("ascii"),
        "complete": len(kept) == len(raw),
    }
    return Split(key, uri, len(kept), {**data, _MESSAGE: message})


def message_bytes(split: Split) -> tuple[bytes | None, bool]:
    """Return the bytes of the message that a split stands for, and whether they are all of it."""
    message = split.data.get(_MESSAGE)
    if message is None:
        return None, False
    return base64.b64decode(message["base64"]), message["complete"]


def refuse_message(split: Split) -> None:
    """Raise an error if a split stands for a message which is not understood.

    Raises:
        RejectError: it does.
    """
    message = split.data.get(_MESSAGE)
    if message is not None:
        raise RejectError(
            f"the message announces nothing that is understood: {message['why']}",
            code=NOT_A_NOTIFICATION,
            hint="the reject has the message; find out who sends it",
        )


def _short(text: str, limit: int) -> str:
    return text if len(text) <= limit else f"{text[:limit]}..."
