"""Tells messages that hold no logs, such as notifications of Cloud Storage, from those that do.

The `pubsub` source reads what a message holds. A notification of Cloud Storage names an object instead,
often without any data, and would be read as an empty line.

Sources: Google Cloud documentation, "Pub/Sub notifications for Cloud Storage" (attributes, payloads
NONE and JSON_API_V1) and "Eventarc: CloudEvents format".
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Mapping
from pathlib import Path

from ktrans.api import Split
from ktrans.kit.notifications import SkippedEvent, UnknownMessageError, message_split

_CREATED = "OBJECT_FINALIZE"
_OTHER_EVENTS = re.compile(r"OBJECT_(DELETE|ARCHIVE|METADATA_UPDATE)")
_EVENTARC = "google.cloud.storage.object."


def check_logs(data: bytes, attributes: Mapping[str, str]) -> SkippedEvent | None:
    """Return None if a message holds logs, or the name of the event that it tells of instead.

    Raises:
        UnknownMessageError: it tells of a new object, or is empty.
    """
    kind = attributes.get("eventType", "")
    if "bucketId" in attributes and "objectId" in attributes:
        if _OTHER_EVENTS.fullmatch(kind):
            return SkippedEvent(kind)
        name = f"gs://{attributes['bucketId']}/{attributes['objectId']}"
        raise UnknownMessageError(
            f"it is a notification of Cloud Storage, {kind[:100] or 'of no type'} of {name[:1100]}, and "
            "the `pubsub` source reads no objects; the `gcs` source does"
        )
    if attributes.get("ce-type", "").startswith(_EVENTARC):
        raise UnknownMessageError(
            f"it is an event of Cloud Storage, {attributes['ce-type'][:100]}, and the `pubsub` source "
            "reads no objects; the `gcs` source does"
        )
    if not data.strip():
        names = ", ".join(f"`{name[:40]}`" for name in sorted(attributes)[:12]) or "none"
        raise UnknownMessageError(f"it has no data; its attributes: {names}")
    return None


def to_spool(why: str, data: bytes, attributes: Mapping[str, str]) -> bytes:
    """Return a message that is not understood as bytes for the spool.

    One without data is kept as its attributes.
    """
    named = dict(attributes)
    kept = data if data.strip() else json.dumps({"attributes": named}, sort_keys=True).encode()
    return json.dumps({"why": why, "base64": base64.b64encode(kept).decode()}).encode()


def from_spool(path: Path, uri: str) -> Split:
    """Return the split that makes a message in the spool a reject."""
    found = json.loads(path.read_bytes())
    body = base64.b64decode(found["base64"])
    return message_split(uri, uri, body, found["why"], file=path.name)
