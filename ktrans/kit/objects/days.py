"""Folders by day: where they are, how they are spelled, and which are to be listed.

A bucket of flow logs has a tree of accounts and regions whose leaves are days, spelled
`2026/11/05/` or `year=2026/month=11/day=05/` (AWS VPC User Guide, "Flow log files"; IBM and Azure
do the same). Knowing the days saves listing years of objects each time.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Iterator
from concurrent.futures import Executor
from dataclasses import dataclass, field
from datetime import date, timedelta
from fnmatch import fnmatchcase
from functools import cache

from ktrans.kit.objects.store import ObjectStore

MAX_FOLDERS = 20_000
"""Folders that are searched for days, at most; a larger tree is listed completely."""

_MAX_LOOSE = 1000
_COMPUTED_DAYS = 40
_DIRECTIVES = {"%Y": r"(?P<Y>\d{4})", "%m": r"(?P<m>\d\d)", "%d": r"(?P<d>\d\d)"}
_NAME = r"(?:[\w.-]+=)?"
_YEAR = re.compile(rf"({_NAME})20\d\d$")
_MONTH = re.compile(rf"({_NAME})(?:0[1-9]|1[0-2])$")
_DAY = re.compile(rf"({_NAME})(?:0[1-9]|[12]\d|3[01])$")
_WHOLE_DAYS = {
    "%Y-%m-%d/": re.compile(rf"({_NAME})20\d\d-[01]\d-[0-3]\d$"),
    "%Y%m%d/": re.compile(rf"({_NAME})20\d\d[01]\d[0-3]\d$"),
}


@dataclass(frozen=True, slots=True, order=True)
class Scope:
    """A prefix that is listed at once.

    Attributes:
        day: the ISO date of a day's folder; empty for objects that are not filed by day.
        prefix: the beginning of the keys.
        deep: whether everything below it is listed, or only what is directly in it.
    """

    day: str
    prefix: str
    deep: bool = True


@dataclass(frozen=True, slots=True, order=True)
class Calendar:
    """A folder whose subfolders are days: its prefix, and how days are spelled below it."""

    prefix: str
    days: str


@dataclass(slots=True)
class Tree:
    """The folders by day below a prefix."""

    calendars: list[Calendar] = field(default_factory=list)
    loose: list[Scope] = field(default_factory=list)
    too_large: bool = False


def day_of(path: str, below: int = 0) -> date | None:
    """Return the day of the first folder by day in a path, spelled as `discover` knows it.

    Args:
        path: the path.
        below: length of the beginning of the path in which no day ends.
    """
    matches = (match for pattern in _day_patterns() for match in pattern.finditer(path))
    found = [match for match in matches if match.end() > below]
    try:
        return date(*map(int, min(found, key=re.Match.start).groups())) if found else None
    except ValueError:
        return None


@cache
def _day_patterns() -> list[re.Pattern[str]]:
    return [
        re.compile(
            rf"(?:^|/){_NAME}(20\d\d){between}(0[1-9]|1[0-2]){between}(0[1-9]|[12]\d|3[01])(?=/)"
        )
        for between in (f"/{_NAME}", "-", "")
    ]


def check_template(text: str) -> None:
    """Check whether a layout is well-formed.

    Raises:
        ValueError: it lacks one of %Y, %m and %d or repeats it, or ends within a name.
    """
    found = re.findall(r"%.?", text)
    if sorted(found) != ["%Y", "%d", "%m"]:
        raise ValueError(
            "a layout has each of %Y, %m and %d once, such as AWSLogs/*/vpcflowlogs/*/%Y/%m/%d/"
        )
    if not text.endswith("/") or text.startswith("/"):
        raise ValueError("a layout ends with a slash and does not begin with one")
    parts = text.rstrip("/").split("/")
    if "" in parts:
        raise ValueError("a layout has no empty parts")
    last = max(i for i, part in enumerate(parts) if "%" in part)
    if last != len(parts) - 1:
        raise ValueError("a layout ends with the day; all below a day's folder is read")
    first = min(i for i, part in enumerate(parts) if "%" in part)
    if any("%" not in part for part in parts[first:]):
        raise ValueError("year, month and day follow each other in a layout")


def expand(store: ObjectStore, prefix: str, template: str, pool: Executor) -> Tree:
    """Find the calendars of a layout: `*` stands for a folder, or a part of its name."""
    parts = template.rstrip("/").split("/")
    first = min(i for i, part in enumerate(parts) if "%" in part)
    found = [prefix]
    for part in parts[:first]:
        if any(char in part for char in "*?["):
            levels = pool.map(lambda at, part=part: list(_folders(store, at, part)), found)
            found = [folder for level in levels for folder in level]
        else:
            found = [f"{at}{part}/" for at in found]
    days = "/".join(parts[first:]) + "/"
    return Tree([Calendar(at, days) for at in sorted(found)])


def discover(
    store: ObjectStore,
    prefix: str,
    pool: Executor,
    known: dict[str, str | None],
    whole: Collection[str] | None = None,
) -> Tree:
    """Look for folders by day below a prefix, level by level.

    Args:
        store: the bucket.
        prefix: where to begin.
        pool: looks into several folders at a time.
        known: spellings found before, by the prefix of the calendar; added to.
        whole: folders that are listed completely, as chosen when the sweep began: its cursor is
            valid only while they stay the same. None to choose.
    """
    if whole is not None and prefix in whole:
        return Tree([], [Scope("", prefix)])
    tree = Tree()
    level, looked = [prefix], 0
    while level:
        looked += len(level)
        if whole is None and looked > MAX_FOLDERS:
            return Tree([], [Scope("", prefix)], too_large=True)
        following = []
        look = _looker(store, _MAX_LOOSE if whole is None else None)
        for at, (folders, loose) in zip(level, pool.map(look, level), strict=True):
            if (loose > _MAX_LOOSE) if whole is None else (at in whole):
                tree.loose.append(Scope("", at))
                continue
            if loose:
                tree.loose.append(Scope("", at, deep=False))
            spelled, others = _spelling(store, at, folders, known)
            if spelled:
                tree.calendars.append(Calendar(at, spelled))
            following += others
        level = following
    tree.calendars.sort()
    tree.loose.sort()
    return tree


def existing_days(store: ObjectStore, calendar: Calendar, first: date, last: date) -> list[date]:
    """Return the days between two, both included, whose folders exist or may exist."""
    if (last - first).days <= _COMPUTED_DAYS:
        return [first + timedelta(n) for n in range((last - first).days + 1)]
    found: list[date] = []
    _walk(store, calendar.prefix, calendar.days.rstrip("/").split("/"), {}, (first, last), found)
    return sorted(found)


def day_prefix(calendar: Calendar, day: date) -> str:
    """Return the prefix of a day's objects."""
    return calendar.prefix + day.strftime(calendar.days)


def _looker(store: ObjectStore, most: int | None) -> Callable[[str], tuple[list[str], int]]:
    """Return a function that returns a folder's subfolders and the number of objects directly in it.

    With more objects than `most` it stops.
    """

    def look(prefix: str) -> tuple[list[str], int]:
        folders, loose = [], 0
        for found in store.level(prefix):
            if isinstance(found, str):
                folders.append(found)
            elif found.size:
                loose += 1
                if most is not None and loose > most:
                    break
        return folders, loose

    return look


def _spelling(
    store: ObjectStore, at: str, folders: list[str], known: dict[str, str | None]
) -> tuple[str | None, list[str]]:
    """Return how days are spelled below a folder, if it has any, and its other folders."""
    for form, pattern in _WHOLE_DAYS.items():
        matched = {folder: m[1] for folder in folders if (m := pattern.match(_name(folder)))}
        if matched:
            return f"{min(matched.values())}{form}", [f for f in folders if f not in matched]
    years = {folder: m[1] for folder in folders if (m := _YEAR.match(_name(folder)))}
    if not years:
        return None, folders
    if at not in known:
        known[at] = _months_and_days(store, max(years), years[max(years)])
    if known[at] is None:
        return None, folders
    return known[at], [folder for folder in folders if folder not in years]


def _months_and_days(store: ObjectStore, year: str, name: str) -> str | None:
    month = next(_matching(store, year, _MONTH), None)
    if month is None:
        return None
    day = next(_matching(store, month[0], _DAY), None)
    return None if day is None else f"{name}%Y/{month[1]}%m/{day[1]}%d/"


def _matching(
    store: ObjectStore, prefix: str, pattern: re.Pattern[str]
) -> Iterator[tuple[str, str]]:
    for folder in _folders(store, prefix):
        if m := pattern.match(_name(folder)):
            yield folder, m[1]


def _walk(
    store: ObjectStore,
    prefix: str,
    parts: list[str],
    have: dict[str, int],
    bounds: tuple[date, date],
    found: list[date],
) -> None:
    pattern = _as_pattern(parts[0])
    for folder in _folders(store, prefix):
        matched = pattern.fullmatch(_name(folder))
        if not matched:
            continue
        now = have | {unit: int(value) for unit, value in matched.groupdict().items()}
        if not _may_lie_within(now, bounds):
            continue
        if len(parts) == 1:
            found.append(date(now["Y"], now["m"], now["d"]))
        else:
            _walk(store, folder, parts[1:], now, bounds, found)


def _as_pattern(part: str) -> re.Pattern[str]:
    pieces = re.split(r"(%[Ymd])", part)
    return re.compile("".join(_DIRECTIVES.get(piece, re.escape(piece)) for piece in pieces))


def _may_lie_within(have: dict[str, int], bounds: tuple[date, date]) -> bool:
    """Return whether the year, month and day that are known leave a date within the bounds."""
    known = tuple(have[unit] for unit in ("Y", "m", "d") if unit in have)
    if "Y" not in have or ("d" in have and "m" not in have):
        return True
    low, high = ((day.year, day.month, day.day)[: len(known)] for day in bounds)
    if len(known) == len(_DIRECTIVES):
        try:
            date(*known)
        except ValueError:
            return False
    return low <= known <= high


def _folders(store: ObjectStore, prefix: str, pattern: str = "*") -> Iterator[str]:
    found: Iterable[str] = (item for item in store.level(prefix) if isinstance(item, str))
    yield from sorted(folder for folder in found if fnmatchcase(_name(folder), pattern))


def _name(folder: str) -> str:
    return folder.rstrip("/").rpartition("/")[2]
