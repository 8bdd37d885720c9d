"""Parses Event Grid's messages about blobs that are new or have grown.

Sources: Microsoft Learn, "Azure Blob Storage as an Event Grid source" (both schemas, and the events of
Data Lake Storage Gen2), "CloudEvents v1.0 schema with Azure Event Grid", "Storage queues as an event
handler" (messages are base64) and "Endpoint validation with Event Grid event schema".
"""

from __future__ import annotations

import base64
import binascii
import re
from typing import Any
from urllib.parse import unquote, urlsplit

from ktrans.kit.notifications import (
    Announced,
    SkippedEvent,
    UnknownMessageError,
    parse_json,
    seen,
)

_STORAGE = "Microsoft.Storage."
CREATED = f"{_STORAGE}BlobCreated"
FOLDER_RENAMED = f"{_STORAGE}DirectoryRenamed"
_NEW_BLOBS = {CREATED, f"{_STORAGE}BlobRenamed", FOLDER_RENAMED}
"""A renamed blob is a new one under its new name, which the subject has."""
_OTHER_EVENTS = re.compile(
    r"Microsoft\.Storage\.(BlobDeleted|BlobTierChanged|DirectoryCreated|DirectoryDeleted"
    r"|AsyncOperationInitiated|BlobInventoryPolicyCompleted|LifecyclePolicyCompleted"
    r"|StorageTask\w+)"
    r"|Microsoft\.EventGrid\.Subscription(Validation|Deleted)Event"
)
_SUBJECT = "/blobServices/default/containers/"


def announced(text: str, container: str) -> Announced[str]:
    """Return the names of the blobs of a container that a message announces, and its other events.

    Args:
        text: the message: an event or an array of events, plain or in base64.
        container: events about other containers bring no data.

    Raises:
        UnknownMessageError: it cannot be read, or holds an event that is not known.
    """
    decoded = _from_base64(text)
    document = parse_json(text if decoded is None else decoded)
    events = document if isinstance(document, list) else [document]
    return Announced.of(_read(event, container) for event in events)


def _from_base64(text: str) -> str | None:
    try:
        return base64.b64decode("".join(text.split()), validate=True).decode() or None
    except (binascii.Error, ValueError):
        return None


def _read(event: Any, container: str) -> str | SkippedEvent:
    if not isinstance(event, dict):
        raise UnknownMessageError(f"it holds {seen(event)}")
    kind = event.get("eventType") or event.get("type")
    if not isinstance(kind, str):
        raise UnknownMessageError(f"it holds an event without a type: {seen(event)}")
    if _OTHER_EVENTS.fullmatch(kind):
        return SkippedEvent(kind)
    if kind not in _NEW_BLOBS:
        raise UnknownMessageError(f"it is an event of the type {kind[:100]}, which is not known")
    where, name = _place(event)
    if where != container:
        return SkippedEvent(f"{kind} in other containers")
    if kind == FOLDER_RENAMED:
        raise UnknownMessageError(
            "it says that a folder was renamed, and does not name the blobs in it"
        )
    return name


def _place(event: dict[str, Any]) -> tuple[str, str]:
    """Return the container and the name of the blob that an event is about."""
    subject = event.get("subject")
    if isinstance(subject, str) and subject.startswith(_SUBJECT):
        where, found, name = subject.removeprefix(_SUBJECT).partition("/blobs/")
        if where and found and name:
            return where, name
    data = event.get("data")
    url = data.get("destinationUrl", data.get("url")) if isinstance(data, dict) else None
    if not isinstance(url, str):
        raise UnknownMessageError(f"it holds an event that names no blob: {seen(event)}")
    try:
        path = urlsplit(url).path
    except ValueError:
        raise UnknownMessageError(f"it holds an event that names no blob: {url[:100]}") from None
    where, _, name = unquote(path).lstrip("/").partition("/")
    if not where or not name:
        raise UnknownMessageError(f"it holds an event that names no blob: {url[:100]}")
    return where, name
