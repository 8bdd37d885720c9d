"""The options `since` and `until` of sources of files and objects."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta
from typing import Any, Self

from pydantic import AwareDatetime, BaseModel, Field, field_validator, model_validator

_NUMBER = re.compile(r"\s*[+-]?[0-9.]+\s*")
_NO_OFFSET = re.compile(r"\s*[0-9]{4}-[0-9]{2}-[0-9]{2}[T _][0-9:.]+\s*", re.IGNORECASE)


class TimeRange(BaseModel):
    """What is read of a source, by the day in a path or else by the time of the last change."""

    since: AwareDatetime | date | None = Field(
        default=None,
        description="Where to begin: the first day, or for what is not filed by day, the"
        " earliest time of its last change.",
        examples=["2026-11-01", "2026-11-01T00:00:00Z"],
    )
    until: AwareDatetime | date | None = Field(
        default=None,
        description="Where to end, the day included; for a backfill of old logs.",
        examples=["2026-11-30"],
    )

    @field_validator("since", "until", mode="before")
    @classmethod
    def _not_guessed(cls, value: Any) -> Any:
        """Refuse what could mean something else: `20261101` as seconds, midnight as the whole day."""
        text = str(value)
        if isinstance(value, int | float) or _NUMBER.fullmatch(text):
            raise ValueError("a day is written as 2026-11-01, a time as 2026-11-01T00:00:00Z")
        if _NO_OFFSET.fullmatch(text):
            raise ValueError("a time needs its offset from UTC, as in 2026-11-01T00:00:00Z")
        return value

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        try:
            self.bounds  # noqa: B018 - computing them raises
        except OverflowError:
            raise ValueError("in UTC a time has to be in the years 1 to 9999") from None
        if self.since and self.until and first_moment(self.since) > last_moment(self.until):
            raise ValueError("since is after until")
        return self

    @property
    def bounds(self) -> tuple[datetime | None, datetime | None]:
        """The first and the last moment, in UTC."""
        return (
            first_moment(self.since) if self.since else None,
            last_moment(self.until) if self.until else None,
        )


def first_moment(value: date) -> datetime:
    """Return the time itself, or the beginning of the day, in UTC."""
    if isinstance(value, datetime):
        return value.astimezone(UTC)
    return datetime(value.year, value.month, value.day, tzinfo=UTC)


def last_moment(value: date) -> datetime:
    """Return the time itself, or the end of the day, in UTC."""
    if isinstance(value, datetime):
        return value.astimezone(UTC)
    return first_moment(value) + timedelta(days=1, microseconds=-1)
