"""Parses notifications of S3 about new objects, in each of the forms that reach a queue.

Shapes: Amazon S3 User Guide, "Event message structure", "Supported event types", "EventBridge event
message structure" and "Mapping of event types to EventBridge"; Amazon SNS Developer Guide, "HTTP/HTTPS
notification JSON" and "Raw message delivery"; Amazon EventBridge User Guide, "AWS service events
delivered via CloudTrail" and "Input transformation"; AWS CloudTrail User Guide, "Record contents".
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote_plus

from ktrans.kit.notifications import (
    Announced,
    SkippedEvent,
    UnknownMessageError,
    parse_json,
    seen,
)

_LAYERS = 6
_CREATED = "Object Created"
_CALL = "AWS API Call via CloudTrail"
_OTHER_EVENTS = re.compile(
    r"(s3:)?(TestEvent|((ObjectRemoved|ObjectRestore|ObjectTagging|ObjectAcl|ObjectAccessed"
    r"|ObjectAnnotation|LifecycleExpiration|LifecycleTransition|IntelligentTiering|Replication"
    r"|ReducedRedundancyLostObject)(:\w+)*))"
)
_OTHER_DETAIL_TYPES = re.compile(
    r"Object (Deleted|ACL Updated|Storage Class Changed|Access Tier Changed"
    r"|Restore (Initiated|Completed|Expired)|Tags (Added|Deleted)|Annotation \w+)"
)
_CREATING_CALLS = {
    "PutObject",
    "PostObject",
    "POST Object",
    "CopyObject",
    "CompleteMultipartUpload",
}
_OTHER_CALLS = re.compile(
    r"(Get|Head|List|Delete|Abort|Select|Restore|UploadPart|PutObject|PutBucket|CreateMultipart"
    r"|CreateBucket|CreateSession)\w*"
)
_DELETING_REASONS = {"DeleteObject", "DeleteObjects", "Lifecycle Expiration"}
_NOT_OF_NEW_OBJECTS = {
    "deletion-type",
    "restore-expiry-time",
    "source-storage-class",
    "destination-storage-class",
    "destination-access-tier",
}


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
        event: id or time of the event; for events that say nothing else of the version.
    """

    bucket: str
    key: str
    size: int | None
    etag: str
    version: str
    sequencer: str
    event: str = ""

    @property
    def uri(self) -> str:
        return f"s3://{self.bucket}/{self.key}"

    @property
    def identity(self) -> str:
        """Return a text that is the same in all notifications of an event.

        Sequencers are compared as numbers: their length varies.
        """
        told = (
            f"{self.uri}?version={self.version}&etag={self.etag}"
            f"&sequencer={self.sequencer.lower().lstrip('0')}"
        )
        return told if self.version or self.etag or self.sequencer else f"{told}&event={self.event}"


def announced(body: str) -> Announced[CreatedObject]:
    """Return the objects that a message announces, and the names of its other events.

    Raises:
        UnknownMessageError: it is no notification of S3.
    """
    return Announced.of(_read(body, 0))


def _read(message: Any, layers: int) -> Iterator[CreatedObject | SkippedEvent]:
    if layers > _LAYERS:
        raise UnknownMessageError(f"it is wrapped in more than {_LAYERS} layers")
    if isinstance(message, str):
        message = parse_json(message)
    if isinstance(message, str):  # JSON in a JSON text, as some input transformers make it
        yield from _read(message, layers + 1)
    elif isinstance(message, list):
        for one in message:
            yield from _read(one, layers + 1)
    elif isinstance(message, dict):
        yield from _read_object(message, layers)
    else:
        raise UnknownMessageError(f"it holds {seen(message)}")


def _read_object(message: dict[str, Any], layers: int) -> Iterator[CreatedObject | SkippedEvent]:
    if isinstance(message.get("Records"), list):
        yield from _read(message["Records"], layers + 1)
    elif message.get("Event") == "s3:TestEvent":
        yield SkippedEvent("s3:TestEvent")
    elif (inner := _wrapped(message)) is not None:
        yield from _read(inner, layers + 1)
    elif "s3" in message:
        yield _of_record(message)
    else:
        yield _of_event(message)


def _wrapped(message: dict[str, Any]) -> Any:
    """Return the message inside that of SNS, or inside a record of SNS or SQS as functions get it."""
    if message.get("Type") == "Notification":
        return message.get("Message", "")
    if isinstance(message.get("Sns"), dict):
        return message["Sns"].get("Message", "")
    return message.get("body") if "messageId" in message else None


def _of_record(record: dict[str, Any]) -> CreatedObject | SkippedEvent:
    name = record.get("eventName")
    if not isinstance(name, str):
        raise UnknownMessageError(f"it holds a record without eventName: {seen(record)}")
    if not name.removeprefix("s3:").startswith("ObjectCreated:"):
        return _other(name, _OTHER_EVENTS, "its eventName is")
    event = _get(record, "responseElements", "x-amz-request-id") or record.get("eventTime")
    bucket, entity = _get(record, "s3", "bucket", "name"), _get(record, "s3", "object")
    return _made(bucket, entity, "eTag", "versionId", event, encoded=True)


def _of_event(message: dict[str, Any]) -> CreatedObject | SkippedEvent:
    """Return what an event of EventBridge says, or its `detail` alone.

    An input transformer may have left out anything but the detail.
    """
    whole = "detail" in message
    detail, kind = message.get("detail") if whole else message, message.get("detail-type")
    if isinstance(detail, str):
        detail = parse_json(detail)
    if whole and message.get("source", "aws.s3") != "aws.s3":
        source = str(message["source"])[:100]
        raise UnknownMessageError(f"it is an event of {source}, not of aws.s3")
    if not isinstance(detail, dict):
        raise UnknownMessageError(f"its detail is {seen(detail)}")
    if kind == _CALL or (kind is None and "eventSource" in detail):
        return _of_call(detail)
    if kind is not None and kind != _CREATED:
        return _other(kind, _OTHER_DETAIL_TYPES, "its detail-type is")
    event = detail.get("request-id") or message.get("id") or message.get("time")
    bucket, entity = _get(detail, "bucket", "name"), _get(detail, "object")
    if kind is None:
        if not isinstance(bucket, str) or not isinstance(entity, dict):
            raise UnknownMessageError(f"it is {seen(detail if whole else message)}")
        if str(detail.get("reason")) in _DELETING_REASONS:
            return SkippedEvent("Object Deleted")
        if not _tells_of_new_object(detail, entity):
            raise UnknownMessageError(
                f"it has no detail-type, and its detail does not say what happened: {seen(detail)}"
            )
    return _made(bucket, entity, "etag", "version-id", event, encoded=False)


def _tells_of_new_object(detail: dict[str, Any], entity: dict[str, Any]) -> bool:
    if "reason" in detail:
        return str(detail["reason"]) in _CREATING_CALLS
    return "size" in entity and not _NOT_OF_NEW_OBJECTS & detail.keys()


def _of_call(detail: dict[str, Any]) -> CreatedObject | SkippedEvent:
    """Return what a record of CloudTrail says; its keys are not encoded."""
    name, service = detail.get("eventName"), detail.get("eventSource")
    if service != "s3.amazonaws.com" or not isinstance(name, str):
        raise UnknownMessageError(f"it is a call of {str(service)[:100]}, not of s3.amazonaws.com")
    if name not in _CREATING_CALLS:
        return _other(name, _OTHER_CALLS, "it is the call", "CloudTrail ")
    if detail.get("errorCode"):
        return SkippedEvent(f"CloudTrail {name} that failed")
    asked = detail.get("requestParameters")
    version = _get(detail, "responseElements", "x-amz-version-id")
    event = detail.get("requestID") or detail.get("eventID") or detail.get("eventTime")
    entity = {"key": _get(asked, "key"), "version": version}
    return _made(_get(asked, "bucketName"), entity, "", "version", event, encoded=False)


def _other(name: Any, known: re.Pattern[str], what: str, prefix: str = "") -> SkippedEvent:
    """Return the name of an event that brings no data.

    Raises:
        UnknownMessageError: it is none that is known.
    """
    if isinstance(name, str) and known.fullmatch(name) and len(name) <= 100:  # noqa: PLR2004
        return SkippedEvent(prefix + name)
    raise UnknownMessageError(f"{what} {str(name)[:100]}, which is not known")


def _made(
    bucket: Any, entity: Any, etag: str, version: str, event: Any, *, encoded: bool
) -> CreatedObject:
    key = _get(entity, "key")
    if not isinstance(bucket, str) or not isinstance(key, str) or not bucket or not key:
        raise UnknownMessageError("it names no bucket or no key")
    size = entity.get("size")
    return CreatedObject(
        bucket,
        unquote_plus(key) if encoded else key,
        size if isinstance(size, int) and not isinstance(size, bool) and size >= 0 else None,
        str(entity.get(etag) or "").strip('"'),
        str(entity.get(version) or ""),
        str(entity.get("sequencer") or ""),
        str(event or ""),
    )


def _get(value: Any, *names: str) -> Any:
    for name in names:
        value = value.get(name) if isinstance(value, dict) else None
    return value
