"""The options `since` and `until` of sources of files and objects."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Self

from pydantic import AwareDatetime, BaseModel, Field, model_validator


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

    @model_validator(mode="after")
    def _in_order(self) -> Self:
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
