"""Finds the date of a list in its comments.

The forms are those of abuse.ch ("Last updated: 2026-03-04 14:28:39 UTC"), Spamhaus ("Last-Modified:
Tue, 26 May 2026 11:00:16 GMT"), FireHOL ("This File Date  : Tue Aug 11 14:33:07 UTC 2026") and DShield
("updated: 2026-08-12T00:00:26.057308").
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

_NAMED = re.compile(
    r"(?i)\b(?:(?:last[ -]?)?(?:updated?|modified|changed)|generated|created|(?:this |source )?"
    r"(?:file )?date|timestamp)\b(?: (?:on|at))?\s*[:=]?\s*(?=\S)(.*)"
)
_TO_COME = re.compile(r"(?i)\b(?:next|expir\w*|until)\b")
"""What comments say before a date that is not that of the list, such as "Next update"."""
_ISO = re.compile(
    r"([0-9]{4})[-/]([0-9]{2})[-/]([0-9]{2})"
    r"(?:[T ]([0-9]{2}:[0-9]{2}(?::[0-9]{2})?(?:\.[0-9]+)?)\s*(Z|[+-][0-9]{2}:?[0-9]{2})?)?"
)
_MAIL = re.compile(r"(?:[A-Z][a-z]{2}, +)?[0-9]{1,2} [A-Z][a-z]{2} [0-9]{4} [0-9:]{5,8}(?: +\S+)?")
_UNIX = re.compile(
    r"[A-Z][a-z]{2} +([A-Z][a-z]{2}) +([0-9]{1,2}) +([0-9:]{8}) +(?:UTC |GMT )?([0-9]{4})"
)
_EARLIEST_SECS = 10**8


def date_of(comments: Iterable[str]) -> datetime | None:
    """Return the latest date that comments name as that of the list."""
    named = (
        match[1]
        for text in comments
        if (match := _NAMED.search(text)) and not _TO_COME.search(text, 0, match.start(1))
    )
    return max((date for date in map(parse_date, named) if date is not None), default=None)


def parse_date(text: str) -> datetime | None:
    """Return the time that a text begins with or holds; UTC if it names no zone."""
    try:
        if match := _ISO.search(text):
            year, month, day, clock, zone = match.groups()
            time = clock or "00:00"
            found = datetime.fromisoformat(f"{year}-{month}-{day}T{time}{zone or '+00:00'}")
        elif match := _MAIL.search(text):
            found = parsedate_to_datetime(match[0])
        elif match := _UNIX.search(text):
            month, day, clock, year = match.groups()
            found = parsedate_to_datetime(f"{day} {month} {year} {clock} +0000")
        else:
            return None
        return (found if found.tzinfo else found.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def json_date(value: Any) -> datetime | None:
    """Return a time that JSON has as text, or as seconds since 1970 in a number or a text."""
    if isinstance(value, str) and not value.isdecimal():
        return parse_date(value)
    try:
        secs = float(value)
        return datetime.fromtimestamp(secs, UTC) if secs > _EARLIEST_SECS else None
    except (TypeError, ValueError, OverflowError, OSError):
        return None
