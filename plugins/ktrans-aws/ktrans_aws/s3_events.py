"""Parses notifications of S3 about new objects.

Shapes: Amazon S3 User Guide, "Event message structure" (direct, and inside an SNS notification) and
"Mapping of event types to EventBridge"; Amazon SNS Developer Guide, "HTTP/HTTPS notification JSON".
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote_plus

import msgspec

from ktrans.kit.text.json_errors import UNREADABLE_JSON

_NOT_JSON: tuple[type[Exception], ...] = (*UNREADABLE_JSON, TypeError)


class NotAnEventError(Exception):
    """A message that is no notification of S3; the text says why."""


@dataclass(frozen=True, slots=True)
class CreatedObject:
    """An object that was created.

    Attributes:
        bucket: its bucket.
        key: as it is, not as URLs spell it.
        size: in bytes, if the event says so.
        etag: without quotes; may be empty.
        version: id in a versioned bucket; may be empty.
        sequencer: hexadecimal; larger for what happened later to the same key. May be empty.
    """

    bucket: str
    key: str
    size: int | None
    etag: str
    version: str
    sequencer: str

    @property
    def uri(self) -> str:
        return f"s3://{self.bucket}/{self.key}"

    @property
    def identity(self) -> str:
        """Return a text that is the same in all notifications of an event.

        Sequencers are compared as numbers: their length varies.
        """
        return (
            f"{self.uri}?version={self.version}&etag={self.etag}"
            f"&sequencer={self.sequencer.lower().lstrip('0')}"
        )


def created_objects(body: str) -> list[CreatedObject]:
    """Return the objects that a message announces as created; none if it announces something else.

    Raises:
        NotAnEventError: it is no notification of S3.
    """
    message = _mapping(body)
    if "Records" not in message and message.get("Type") == "Notification":
        message = _mapping(message.get("Message"))  # by way of SNS
    if isinstance(message.get("detail"), dict):
        return _of_eventbridge(message)
    if message.get("Event") == "s3:TestEvent":
        return []
    records = message.get("Records")
    if not isinstance(records, list):
        raise NotAnEventError("it has neither `Records` nor `detail`")
    return [found for record in records if (found := _of_record(record)) is not None]


def _of_record(record: Any) -> CreatedObject | None:
    name = _get(record, "eventName")
    if not isinstance(name, str):
        raise NotAnEventError("a record has no eventName")
    if not name.removeprefix("s3:").startswith("ObjectCreated:"):
        return None
    entity = _get(record, "s3", "object")
    return _made(_get(record, "s3", "bucket", "name"), entity, "eTag", "versionId", encoded=True)


def _of_eventbridge(message: dict[str, Any]) -> list[CreatedObject]:
    if message.get("source") != "aws.s3":
        raise NotAnEventError(f"it is an event of {message.get('source')}")
    if message.get("detail-type") != "Object Created":
        return []
    detail = message["detail"]
    bucket, entity = _get(detail, "bucket", "name"), _get(detail, "object")
    return [_made(bucket, entity, "etag", "version-id", encoded=False)]


def _made(bucket: Any, entity: Any, etag: str, version: str, *, encoded: bool) -> CreatedObject:
    key = _get(entity, "key")
    if not isinstance(bucket, str) or not isinstance(key, str) or not bucket or not key:
        raise NotAnEventError("it names no bucket or no key")
    size = entity.get("size")
    return CreatedObject(
        bucket,
        unquote_plus(key) if encoded else key,
        size if isinstance(size, int) and not isinstance(size, bool) else None,
        str(entity.get(etag) or "").strip('"'),
        str(entity.get(version) or ""),
        str(entity.get("sequencer") or ""),
    )


def _mapping(text: Any) -> dict[str, Any]:
    try:
        value = msgspec.json.decode(text)
    except _NOT_JSON as error:
        raise NotAnEventError(f"it is not JSON: {error}") from None
    if not isinstance(value, dict):
        raise NotAnEventError("it is no JSON object")
    return value


def _get(value: Any, *names: str) -> Any:
    for name in names:
        value = value.get(name) if isinstance(value, dict) else None
    return value
