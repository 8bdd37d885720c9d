"""The protocols of endpoints: what a body holds, and how a request is answered.

Sources: Amazon Data Firehose Developer Guide, "HTTP endpoint delivery request and response
specifications"; Google Cloud Pub/Sub documentation, "Push subscriptions"; Azure Event Grid documentation,
"Endpoint validation with Event Grid event schema" and "with CloudEvents schema"; CloudEvents, "HTTP 1.1 Web
Hooks for Event Delivery" 1.0; kentik/ktranslate, `pkg/formats/json`.
"""

from __future__ import annotations

import abc
import time
from collections.abc import Sequence
from typing import ClassVar, TypeVar

import msgspec

from ktrans.api import Limits
from ktrans.kit.text.json_errors import UNREADABLE_JSON
from ktrans.sources.receiver.intake import Part
from ktrans.sources.receiver.requests import (
    BAD_REQUEST,
    RefusedError,
    Request,
    inflate,
)

T = TypeVar("T")

OK = 200
_LOOKED_AT = 4096
_STORED = b'{"status": "stored"}'


class Answer(msgspec.Struct, frozen=True):
    """An answer to a request.

    Attributes:
        status: of the answer.
        body: JSON.
        headers: further headers.
    """

    status: int
    body: bytes = b""
    headers: tuple[tuple[str, str], ...] = ()


class Received(msgspec.Struct, frozen=True):
    """What a request brings.

    Attributes:
        parts: to be stored.
        answer: once they are.
    """

    parts: Sequence[Part] = ()
    answer: Answer = Answer(OK, _STORED)


class Protocol(abc.ABC):
    """A way in which a service sends records.

    Args:
        most: how many bytes a body may have, inflated.
        limits: on how far a few bytes may inflate.
    """

    methods: ClassVar[Sequence[str]] = ("POST",)

    def __init__(self, most: int, limits: Limits) -> None:
        self.most = most
        self.limits = limits

    def tokens(self, request: Request) -> Sequence[str]:
        """Return the tokens that a request shows."""
        return (request.bearer,)

    def check(self, request: Request) -> None:
        """Check the head of a request before its body is read.

        Raises:
            RefusedError: it is not one of this protocol.
        """

    @abc.abstractmethod
    def read(self, request: Request, body: bytes) -> Received:
        """Return what an inflated body holds.

        Raises:
            RefusedError: it is not one of this protocol.
        """

    def refusal(self, request: Request, error: RefusedError) -> Answer:
        """Return the answer to a request that is not stored."""
        del request
        return Answer(error.status, msgspec.json.encode({"error": error.message}))


class Ndjson(Protocol):
    """Lines of any text, or JSON documents one after the other, as they are."""

    def read(self, request: Request, body: bytes) -> Received:
        """Return the body; the header Idempotency-Key is its id."""
        return Received(_parts(request, body))


class Ktranslate(Protocol):
    """Arrays of JSON records, as KTranslate sends its formats `json` and `flat_json`."""

    def read(self, request: Request, body: bytes) -> Received:
        """Return the records, one a line; the header Idempotency-Key is their id."""
        records = [_line(raw) for raw in _array(body)]
        return Received(_parts(request, b"\n".join(records)))


class _FirehoseRecord(msgspec.Struct):
    data: bytes


class _FirehoseBody(msgspec.Struct):
    records: list[_FirehoseRecord]


class Firehose(Protocol):
    """Amazon Data Firehose: records as base64 in JSON, under an id that stays the same in retries."""

    def tokens(self, request: Request) -> Sequence[str]:
        """Return the access key."""
        return (request.header("x-amz-firehose-access-key"), request.bearer)

    def check(self, request: Request) -> None:
        """Check whether the request has an id.

        Raises:
            RefusedError: it has none.
        """
        if not request.header("x-amz-firehose-request-id"):
            raise RefusedError(BAD_REQUEST, "there is no header X-Amz-Firehose-Request-Id")

    def read(self, request: Request, body: bytes) -> Received:
        """Return the records; each becomes one line, or as many as it has itself."""
        found = _decode(body, _FirehoseBody)
        left = self.most
        lines: list[bytes] = []
        for record in found.records:
            data = inflate(record.data, left, self.limits)
            left -= len(data)
            if not _blank(data):
                lines.append(data.removesuffix(b"\n"))
        one = request.header("x-amz-firehose-request-id")
        parts = (Part(b"\n".join(lines), one),) if lines else ()
        return Received(parts, self._answer(OK, request))

    def refusal(self, request: Request, error: RefusedError) -> Answer:
        """Return an answer with what is wrong, which Firehose writes to its own log."""
        return self._answer(error.status, request, errorMessage=error.message)

    def _answer(self, status: int, request: Request, **more: str) -> Answer:
        one = request.header("x-amz-firehose-request-id")
        # A Unix time in milliseconds: when the request was processed.
        said = {"requestId": one, "timestamp": time.time_ns() // 1_000_000, **more}
        return Answer(status, msgspec.json.encode(said))


class _PushMessage(msgspec.Struct, rename="camel"):
    data: bytes = b""
    message_id: str = ""
    attributes: dict[str, str] | None = None


class _Push(msgspec.Struct):
    message: _PushMessage
    subscription: str = ""


class PubsubPush(Protocol):
    """A push subscription of Google Cloud Pub/Sub: one message a request."""

    def tokens(self, request: Request) -> Sequence[str]:
        """Return the parameter `token` and the token of the header Authorization."""
        return (request.query.get("token", ""), request.bearer)

    def read(self, request: Request, body: bytes) -> Received:
        """Return the message's data; of one without data its attributes, which become a reject."""
        del request
        push = _decode(body, _Push)
        message = push.message
        data = inflate(message.data, self.most, self.limits)
        if _blank(data):
            data = msgspec.json.encode({"attributes": message.attributes or {}})
        one = f"{push.subscription} {message.message_id}" if message.message_id else None
        return Received((Part(data, one),))


class _Validation(msgspec.Struct, rename="camel"):
    validation_code: str = ""


class _Event(msgspec.Struct, rename="camel"):
    id: str = ""
    source: str = ""
    topic: str = ""
    event_type: str = ""


class _ValidationEvent(msgspec.Struct):
    data: _Validation


class EventGrid(Protocol):
    """Webhooks of Azure Event Grid, in its own schema and as CloudEvents, with both handshakes."""

    methods = ("POST", "OPTIONS")

    def tokens(self, request: Request) -> Sequence[str]:
        """Return the parameter `token` and the token of the header Authorization."""
        return (request.query.get("token", ""), request.bearer)

    def read(self, request: Request, body: bytes) -> Received:
        """Return the events, one a line; a handshake brings none."""
        if request.method == "OPTIONS":
            return Received((), self._allowed(request))
        kind = request.header("aeg-event-type").lower()
        if kind == "subscriptiondeletion":
            return Received()
        parts: list[Part] = []
        for raw in _array(body):
            event = _decode(raw, _Event)
            if event.event_type == "Microsoft.EventGrid.SubscriptionValidationEvent":
                code = _decode(raw, _ValidationEvent).data.validation_code
                said = msgspec.json.encode({"validationResponse": code})
                return Received((), Answer(OK, said))
            one = f"{event.source or event.topic} {event.id}" if event.id else None
            parts.append(Part(_line(raw), one))
        return Received(parts)

    def _allowed(self, request: Request) -> Answer:
        """Answer the question of a sender of CloudEvents whether it may send."""
        origin = request.header("webhook-request-origin")
        if not origin or not origin.isascii():
            raise RefusedError(BAD_REQUEST, "the header WebHook-Request-Origin has no host name")
        headers = [("Allow", "POST, OPTIONS"), ("WebHook-Allowed-Origin", origin)]
        if request.header("webhook-request-rate"):
            headers.append(("WebHook-Allowed-Rate", "*"))
        return Answer(OK, b"", tuple(headers))


PROTOCOLS: dict[str, type[Protocol]] = {
    "ndjson": Ndjson,
    "firehose": Firehose,
    "pubsub_push": PubsubPush,
    "event_grid": EventGrid,
    "ktranslate": Ktranslate,
}


class Endpoint(msgspec.Struct, frozen=True):
    """A path, the protocol spoken there, and the tokens that open it; without tokens it is open."""

    path: str
    protocol: Protocol
    tokens: tuple[str, ...] = ()


def _blank(data: bytes) -> bool:
    return not data or data.isspace()


def _parts(request: Request, data: bytes) -> tuple[Part, ...]:
    if _blank(data):
        return ()
    return (Part(data, request.header("idempotency-key") or None),)


def _array(body: bytes) -> list[msgspec.Raw]:
    """Return the items of an array, or one document."""
    if body[:_LOOKED_AT].lstrip(b" \t\r\n\xef\xbb\xbf")[:1] != b"[":
        return [] if _blank(body) else [_decode(body, msgspec.Raw)]
    return _decode(body, list[msgspec.Raw])


def _line(raw: msgspec.Raw) -> bytes:
    """Return a JSON value on one line."""
    data = bytes(raw)
    return msgspec.json.format(data, indent=-1) if b"\n" in data else data


def _decode(body: bytes | msgspec.Raw, kind: type[T]) -> T:
    """Decode JSON.

    Raises:
        RefusedError: it is not JSON of this kind.
    """
    try:
        return msgspec.json.decode(body, type=kind)
    except UNREADABLE_JSON as error:
        raise RefusedError(
            BAD_REQUEST, f"the body is not what this endpoint takes: {error}"
        ) from None
