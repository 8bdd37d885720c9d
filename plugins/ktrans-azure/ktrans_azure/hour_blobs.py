"""The names of the hour blobs of Azure's flow logs: names to hours, and hours to prefixes.

Sources: Microsoft Learn, "Flow logging for network security groups" and "Virtual network flow
logs". They spell the path to a log in several ways; its end is always the same, and only that is
relied on:

    y=2026/m=05/d=04/h=13/m=00/macAddress=002248A1B2C3/PT1H.json
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from concurrent.futures import Executor
from datetime import UTC, date, datetime, timedelta
from itertools import chain

from ktrans.kit.objects.days import Calendar, Tree, day_prefix
from ktrans.kit.objects.store import ObjectInfo, ObjectStore
from ktrans.kit.objects.sweep import by_day

CONTAINERS = frozenset(
    {"insights-logs-networksecuritygroupflowevent", "insights-logs-flowlogflowevent"}
)
"""The containers that Network Watcher writes to: NSG and virtual network flow logs."""

HOUR = timedelta(hours=1)
_DAY = timedelta(days=1)
_MAX_DEPTH = 24
_HOURS_BY_NAME = 6

_BLOB = re.compile(
    r"/y=(\d{4})/m=(\d{1,2})/d=(\d{1,2})/h=(\d{1,2})/m=\d{1,2}/macAddress=[^/]+/PT1H\.json\Z",
    re.IGNORECASE,
)
_YEAR = re.compile(r"(?:^|/)([yY])=\d{4}/")


def hour_of(name: str) -> datetime | None:
    """Return the hour of a blob; None if it is not an hour blob."""
    match = _BLOB.search(f"/{name}")
    if match is None:
        return None
    try:
        year, month, day, hour = (int(text) for text in match.groups())
        return datetime(year, month, day, hour, tzinfo=UTC)
    except ValueError:
        return None


def floor(moment: datetime) -> datetime:
    return moment.replace(minute=0, second=0, microsecond=0)


def first_hour(value: str | date) -> datetime:
    """Return the hour of a time, or the first one of a day; without a zone it is in UTC.

    Raises:
        ValueError: a text that is not an ISO time.
    """
    if isinstance(value, str):
        value = datetime.fromisoformat(value)
    if not isinstance(value, datetime):
        value = datetime(value.year, value.month, value.day)  # noqa: DTZ001  # given one below
    return floor(value.astimezone(UTC) if value.tzinfo else value.replace(tzinfo=UTC))


def last_hour(value: date) -> datetime:
    """Return the hour of a time, or the last one of a day."""
    first = first_hour(value)
    return first if isinstance(value, datetime) else first + _DAY - HOUR


def calendar(prefix: str, *, upper: bool = False) -> Calendar:
    """Return the folders of one log by day.

    Args:
        prefix: the part of the names of its blobs that comes before the year.
        upper: whether the keys behind it are written as Y=, M=, D= and H=.
    """
    return Calendar(prefix, "Y=%Y/M=%m/D=%d/" if upper else "y=%Y/m=%m/d=%d/")


def hour_prefix(log: Calendar, hour: datetime) -> str:
    """Return the prefix of an hour's blobs."""
    key = "H" if log.days.startswith("Y") else "h"
    return f"{day_prefix(log, hour)}{key}={hour:%H}/"


def find_roots(store: ObjectStore, prefix: str, pool: Executor) -> list[Calendar]:
    """Walk down the folders below a prefix to where years begin; reads no day's names."""
    cut = _YEAR.search(prefix)
    if cut is not None:
        return [calendar(prefix[: cut.start(1)], upper=cut[1] == "Y")]
    roots: list[Calendar] = []
    level = [prefix]
    for _ in range(_MAX_DEPTH):
        below: list[str] = []
        for item in chain.from_iterable(pool.map(lambda f: _folders(store, f), level)):
            year = _YEAR.search(item)
            if year is None:
                below.append(item)
            else:
                roots.append(calendar(item[: year.start(1)], upper=year[1] == "Y"))
        level = below
        if not level:
            break
    return sorted(set(roots))


def list_hours(
    store: ObjectStore,
    roots: Iterable[Calendar],
    begin: datetime | None,
    end: datetime,
    pool: Executor,
) -> Iterator[tuple[datetime, list[ObjectInfo]]]:
    """List hour blobs, hour by hour, oldest first, for each hour that has any.

    Lists only as far as it is iterated: a day at a time, or single hours if they are few. Without
    `begin` from the oldest on.
    """
    logs = list(roots)
    if begin is not None and end - begin < _HOURS_BY_NAME * HOUR:
        hour = begin
        while hour <= end:
            prefixes = [hour_prefix(log, hour) for log in logs]
            yield from _grouped(store, prefixes, begin, end, pool)
            hour += HOUR
        return
    days = by_day(store, [Tree(logs)], begin and begin.date(), end.date(), pool)
    for day in sorted(days):
        prefixes = [day_prefix(log, day) for log in days[day]]
        yield from _grouped(store, prefixes, begin, end, pool)


def _grouped(
    store: ObjectStore,
    prefixes: list[str],
    begin: datetime | None,
    end: datetime,
    pool: Executor,
) -> Iterator[tuple[datetime, list[ObjectInfo]]]:
    hours: dict[datetime, list[ObjectInfo]] = {}
    for blobs in pool.map(lambda prefix: list(store.list(prefix)), prefixes):
        for found in blobs:
            hour = hour_of(found.key)
            if hour is not None and (begin is None or begin <= hour) and hour <= end:
                hours.setdefault(hour, []).append(found)
    for hour in sorted(hours):
        yield hour, sorted(hours[hour], key=lambda found: found.key)


def _folders(store: ObjectStore, prefix: str) -> list[str]:
    return [item for item in store.level(prefix) if isinstance(item, str)]
