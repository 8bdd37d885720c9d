"""Parses Event Grid's messages about blobs that are new or have grown.

Sources: Microsoft Learn, "Azure Blob Storage as an Event Grid source" (both schemas), "CloudEvents
v1.0 schema with Azure Event Grid" and "Storage queues as an event handler" (messages are base64).
"""

from __future__ import annotations

import base64
import binascii
import json
from typing import Any
from urllib.parse import unquote, urlsplit

CREATED = "Microsoft.Storage.BlobCreated"
_SUBJECT = "/blobServices/default/containers/"
_SHOWN = 300


class NotAnEventError(ValueError):
    """A message that is not an event."""


def blobs_of(text: str, container: str) -> list[str]:
    """Return the names of the blobs of a container that a message announces.

    Args:
        text: the message: an event or an array of events, plain or in base64.
        container: events about other containers, and of other kinds, are skipped.

    Raises:
        NotAnEventError: it cannot be read, or an event lacks what makes it one.
    """
    document = _document(text)
    events = document if isinstance(document, list) else [document]
    names = [_blob(event, container, text) for event in events]
    return [name for name in names if name is not None]


def _document(text: str) -> Any:
    for decoded in (text, _from_base64(text)):
        try:
            document = json.loads(decoded) if decoded is not None else None
        except (ValueError, RecursionError):
            continue
        if isinstance(document, (dict, list)):
            return document
    raise _not_an_event("it is not JSON", text)


def _from_base64(text: str) -> str | None:
    try:
        return base64.b64decode(text, validate=True).decode()
    except (binascii.Error, ValueError):
        return None


def _blob(event: Any, container: str, text: str) -> str | None:
    if not isinstance(event, dict):
        raise _not_an_event("it holds something that is not an event", text)
    kind = event.get("eventType") or event.get("type")
    subject = event.get("subject")
    if not isinstance(kind, str) or not isinstance(subject, str):
        raise _not_an_event("an event has no type or no subject", text)
    if kind != CREATED:
        return None
    where, found, name = subject.removeprefix(_SUBJECT).partition("/blobs/")
    if subject.startswith(_SUBJECT) and found and name:
        return name if where == container else None
    data = event.get("data")
    url = data.get("url") if isinstance(data, dict) else None
    if not isinstance(url, str):
        raise _not_an_event("an event names no blob", text)
    try:
        path = unquote(urlsplit(url).path)
    except ValueError:
        raise _not_an_event("an event names a blob by no address", text) from None
    return path.partition(f"/{container}/")[2] or None


def _not_an_event(why: str, text: str) -> NotAnEventError:
    shown = text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."
    return NotAnEventError(f"{why}: {shown}")
