"""What an answer of InfluxDB means: an error for the run, or points that it will never take.

Sources, by version: InfluxDB 1 documentation, "Write HTTP endpoint" (`partial write: ... dropped=N`);
InfluxDB 2 API reference, /api/v2/write (400, 413, 422 with `code` and `message`); InfluxDB 3
documentation, "Write data, troubleshoot" (`data` with `line_number` and `error_message`).
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

from ktrans.api import AccessError, KtransError, RetryableError, RunError

WORDS_CHARS = 400
"""How much of the server's words is kept in a message."""

# Only at the end of a partial write: an echoed line may have a field whose name ends in "dropped",
# and InfluxDB 1 says dropped=0 of lines that it cannot parse.
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


@dataclass(frozen=True, slots=True)
class Refusal:
    """The server does not take some or all points of a request, and never will.

    Attributes:
        reason: a stable code.
        detail: the server's words.
        lines: numbers, from 1, of the lines at fault, with what it says of each, if it does.
        dropped: how many it says that it left out while it took the others.
        field: the field whose type is at odds, if it names one.
        too_large: whether the request as a whole was too large.
    """

    reason: str
    detail: str
    lines: Mapping[int, str]
    dropped: int | None = None
    field: str | None = None
    too_large: bool = False


class RefusedError(Exception):
    """Carries a Refusal to where the lines are."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.detail)
        self.refusal = refusal


def of_status(
    status: int, text: str, headers: Mapping[str, str], where: str, target: str
) -> KtransError | RefusedError:
    """Turn an answer that is not 2xx into what to raise.

    Args:
        status: of HTTP.
        text: the body.
        headers: of the answer.
        where: the server's address.
        target: what was written to.
    """
    words = said(text)
    told = f": {words}" if words else ""
    if status in {401, 403}:
        return AccessError(
            f"{where} does not let this token or user write to {target} ({status}{told})",
            hint="the token needs write permission for exactly this bucket or database",
        )
    if status == 404:  # noqa: PLR2004  # HTTP
        return RunError(
            f"{where} has no {target} ({status}{told})",
            code="target_not_found",
            hint="create it, or correct the names and `api` of the sink",
        )
    if status in {408, 425, 429} or status >= 500:  # noqa: PLR2004  # HTTP
        return RetryableError(
            f"{where} cannot take points now ({status}{told})",
            retry_after_secs=retry_after(headers),
        )
    if status == 413:  # noqa: PLR2004  # HTTP
        return RefusedError(Refusal("record_too_large", words or "too large", {}, too_large=True))
    if status in {400, 422} and _OF_POINTS.search(text):
        return RefusedError(_refusal(text, words))
    return RunError(
        f"{where} does not take the request ({status}{told})",
        code="write_refused",
        hint="check url, `api` and the names of the sink",
    )


def _refusal(text: str, words: str) -> Refusal:
    reason = next((name for name, pattern in _REASONS if pattern.search(text)), "point_refused")
    dropped, field = _DROPPED.search(text), _FIELD.search(text)
    return Refusal(
        reason,
        words,
        _lines(text),
        int(dropped.group(1)) if dropped else None,
        field.group("name") if field else None,
    )


def reason_of(words: str, otherwise: str) -> str:
    """Give the code for what a server says of one line."""
    return next((name for name, pattern in _REASONS if pattern.search(words)), otherwise)


def _lines(text: str) -> dict[int, str]:
    """Find the lines that InfluxDB 3 names. Numbers within a message may be part of a point."""
    data = _json(text).get("data")
    items = data if isinstance(data, list) else [data]
    return {
        item["line_number"]: str(item.get("error_message", ""))[:WORDS_CHARS]
        for item in items
        if isinstance(item, dict) and isinstance(item.get("line_number"), int)
    }


def said(text: str) -> str:
    """Give the server's words, out of JSON if they are in it."""
    value = _json(text)
    for key in ("message", "error"):
        if isinstance(value.get(key), str) and value[key]:
            text = value[key]
            break
    text = " ".join(text.split())
    return text if len(text) <= WORDS_CHARS else f"{text[:WORDS_CHARS]}…"


def _json(text: str) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Read Retry-After, which is seconds or a date; None without one that can be read."""
    value = headers.get("Retry-After")
    if value is None:
        return None
    try:
        return max(float(value), 0.0)
    except ValueError:
        pass
    try:
        when = parsedate_to_datetime(value)
    except ValueError:
        return None
    if when.tzinfo is None:
        when = when.replace(tzinfo=UTC)
    return max((when - datetime.now(UTC)).total_seconds(), 0.0)
