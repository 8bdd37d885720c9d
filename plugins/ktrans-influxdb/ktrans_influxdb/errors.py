"""Answers of InfluxDB as errors of ktrans, or as refusals of points.

InfluxDB 1 and 2 report refused points only in the text of the message.

Sources, by version: InfluxDB 1 documentation, "Write HTTP endpoint" (`partial write: ... dropped=N`);
InfluxDB 2 API reference, /api/v2/write (400, 413, 422 with `code` and `message`); InfluxDB 3
documentation, "Write data, troubleshoot" (`data` with `line_number` and `error_message`).
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ktrans.api import AccessError, ConfigError, RetryableError, RunError
from ktrans.kit.errors import ErrorTable, row
from ktrans.kit.http.answers import MOVED, Fault, Refusal

MESSAGE_CHARS = 400
"""Maximum length of a server's message that is kept."""

# Only at the end of a partial write: an echoed line may have a field whose name ends in "dropped",
# and InfluxDB 1 reports dropped=0 for lines that it cannot parse.
_DROPPED = re.compile(r"partial write\b.*\bdropped=([1-9]\d*)[\"}\s]*$", re.DOTALL)
_FIELD = re.compile(r"(?:input field|column)[ :]+[\\\"'`]+(?P<name>[^\\\"'`]+)[\\\"'`]+")
_OF_POINTS = re.compile(
    r"partial write|pars(?:e|ing)|line protocol|conflict|type mismatch|invalid column"
    r"|retention|max-(?:series|values)|invalid (?:field|tag|line|timestamp|point)|timestamp"
    r"|time outside range|missing (?:fields|tag|field)|duplicate tag",
    re.IGNORECASE,
)
_REASONS = (
    (
        "field_type_conflict",
        re.compile(r"conflict|type mismatch|invalid column type", re.IGNORECASE),
    ),
    ("outside_retention", re.compile(r"retention", re.IGNORECASE)),
    ("too_many_series", re.compile(r"max-series|max-values", re.IGNORECASE)),
    ("line_not_parsed", re.compile(r"pars(e|ing)", re.IGNORECASE)),
)


ERRORS = ErrorTable(
    (
        row(
            AccessError,
            *(401, 403),
            hint="the token or user needs write permission for this bucket or database",
        ),
        row(
            ConfigError,
            *(*MOVED, 404, 405, 410),
            code="target_not_found",
            hint="create it, or correct `url`, `api` and the names of the sink",
        ),
        row(RetryableError, 408, 425, 429, *range(500, 600)),
    ),
    otherwise=row(
        RunError, code="write_refused", hint="check url, `api` and the names of the sink"
    ),
)
"""By HTTP status."""


@dataclass(eq=False)
class PointsRefusal(Refusal):
    """The server refuses some or all points of a request for good.

    Attributes:
        lines: the refused lines that the answer names, from 1, with a message for each.
        column: the field with the conflicting type, if the answer names one.
    """

    lines: Mapping[int, str] = field(default_factory=dict)
    column: str | None = None


def refusal_of(status: int, text: str) -> Refusal | None:
    """Return how an answer refuses points; None if it is about something else."""
    message = message_of(text)
    if status == 413:  # noqa: PLR2004  # HTTP
        return Refusal(Fault("record_too_large", message or "too large"), too_large=True)
    if status not in {400, 422} or not _OF_POINTS.search(text):
        return None
    dropped, column = _DROPPED.search(text), _FIELD.search(text)
    return PointsRefusal(
        Fault(reason_of(text, "point_refused"), message),
        dropped=int(dropped.group(1)) if dropped else None,
        lines=_lines(text),
        column=column.group("name") if column else None,
    )


def reason_of(message: str, otherwise: str) -> str:
    """Return the code of the reason in a message of the server."""
    return next((name for name, pattern in _REASONS if pattern.search(message)), otherwise)


def _lines(text: str) -> dict[int, str]:
    """Return the lines that InfluxDB 3 names in its JSON fields, with its messages."""
    data = _json(text).get("data")
    items = data if isinstance(data, list) else [data]
    return {
        item["line_number"]: str(item.get("error_message", ""))[:MESSAGE_CHARS]
        for item in items
        if isinstance(item, dict) and isinstance(item.get("line_number"), int)
    }


def message_of(text: str) -> str:
    """Return the server's message, from the JSON fields if there are any."""
    value = _json(text)
    for key in ("message", "error"):
        if isinstance(value.get(key), str) and value[key]:
            text = value[key]
            break
    text = " ".join(text.split())
    return text if len(text) <= MESSAGE_CHARS else f"{text[:MESSAGE_CHARS]}…"


def _json(text: str) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}
