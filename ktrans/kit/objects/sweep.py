"""Sweeps over a bucket: which objects are new, and where the next plan continues.

A *sweep* lists the prefixes once from start to end, in as many plans as that takes. Its cursor marks
what it has passed. When it ends, objects that were last changed before it began, less the look-back,
are done with (the horizon). Only objects that were changed since are looked up one by one in what is
remembered. So the state is as large as the look-back, not as the bucket.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from concurrent.futures import Executor, Future
from datetime import date, datetime, timedelta
from itertools import chain, islice
from typing import Any

import msgspec

from ktrans.kit.objects.days import (
    Calendar,
    Scope,
    Tree,
    day_prefix,
    existing_days,
)
from ktrans.kit.objects.store import ObjectInfo, ObjectStore

_AHEAD = 8
_FIRST = 1000


class SweepPosition(msgspec.Struct, omit_defaults=True):
    """The position of the source.

    Attributes:
        began: when the sweep under way began; None between sweeps.
        at: the scope's day and prefix, and the last key, that the sweep has passed.
        horizon: objects that were last changed earlier are done with.
        waiting: keys of objects that were quarantined, to be tried again.
        queue: see `Expiry`.
        since: days and objects before this are skipped (`--from`).
        after: keys up to this one are skipped (`--from`).
        whole: folders that the sweep under way lists completely (layout auto); see `discover`.
    """

    began: datetime | None = None
    at: tuple[str, str, str] | None = None
    horizon: datetime | None = None
    waiting: list[str] = []
    queue: list[int] | None = None
    since: datetime | None = None
    after: str = ""
    whole: list[str] | None = None

    @classmethod
    def from_json(cls, position: Any) -> SweepPosition:
        """Parse a position; None is the very beginning."""
        return msgspec.convert(position or {}, cls)

    def to_json(self) -> Any:
        """Return it as JSON."""
        return msgspec.json.decode(msgspec.json.encode(self))

    def begin(self, now: datetime) -> None:
        """Begin a sweep."""
        self.began, self.at, self.whole = now, None, None

    def end(self, lookback: timedelta) -> None:
        """End the sweep under way: what it has seen is done with, except for the look-back."""
        assert self.began is not None
        reached = self.began - lookback
        self.horizon = max(self.horizon, reached) if self.horizon else reached
        self.began = self.at = self.whole = None

    def done_with(self, lookback: timedelta) -> datetime | None:
        """Return the time before which nothing needs to be remembered.

        The first sweep knows what it has passed by its cursor. Later ones have to know objects that
        they meet again.
        """
        if self.horizon is None and self.began is not None:
            return self.began - lookback
        return self.horizon


def by_day(
    store: ObjectStore, trees: Sequence[Tree], first: date | None, last: date, pool: Executor
) -> dict[date, list[Calendar]]:
    """Return the days that exist, and the calendars that have them.

    Args:
        store: the bucket.
        trees: what is below each prefix.
        first: the earliest day; None for the first that exists.
        last: the latest day.
        pool: looks into several calendars at a time.
    """
    calendars = [calendar for tree in trees for calendar in tree.calendars]
    since = first or date(1970, 1, 1)
    found: dict[date, list[Calendar]] = {}
    looked = pool.map(lambda one: existing_days(store, one, since, last), calendars)
    for calendar, days in zip(calendars, looked, strict=True):
        for day in days:
            found.setdefault(day, []).append(calendar)
    return found


def scopes(
    trees: Sequence[Tree], days: Mapping[date, Sequence[Calendar]], at: Any
) -> Iterator[Scope]:
    """Return what is to be listed, oldest day first, from the cursor's scope on."""
    begin = (at[0], at[1]) if at else ("", "")
    loose = sorted(scope for tree in trees for scope in tree.loose)
    yield from (scope for scope in loose if not begin[0] and scope.prefix >= begin[1])
    for day in sorted(days):
        if day.isoformat() < begin[0]:
            continue
        for prefix in sorted(day_prefix(calendar, day) for calendar in days[day]):
            if (day.isoformat(), prefix) >= begin:
                yield Scope(day.isoformat(), prefix)


def walk(
    store: ObjectStore, listed: Iterator[Scope], at: Any, pool: Executor
) -> Generator[tuple[Scope, ObjectInfo], None, None]:
    """List scopes in order, the first pages of the next ones side by side."""
    coming: list[tuple[Scope, Future[tuple[list[ObjectInfo], Iterator[ObjectInfo]]]]] = []
    try:
        while True:
            for scope in islice(listed, _AHEAD - len(coming)):
                here = at is not None and (scope.day, scope.prefix) == (at[0], at[1])
                coming.append((scope, pool.submit(_open, store, scope, at[2] if here else "")))
            if not coming:
                return
            scope, future = coming.pop(0)
            page, rest = future.result()
            for info in chain(page, rest):
                yield scope, info
    finally:
        for _, future in coming:
            future.cancel()


def _open(
    store: ObjectStore, scope: Scope, after: str
) -> tuple[list[ObjectInfo], Iterator[ObjectInfo]]:
    """Begin to list a scope: fetch its first page, and the others as they are needed."""
    if scope.deep:
        found = store.list(scope.prefix, after)
        return list(islice(found, _FIRST)), found
    loose = (item for item in store.level(scope.prefix) if isinstance(item, ObjectInfo))
    return sorted((i for i in loose if i.key > after), key=lambda info: info.key), iter(())


def in_chunks(
    found: Iterator[tuple[Scope, ObjectInfo]],
    size: int,
    wanted: Callable[[Scope, ObjectInfo], bool],
) -> Iterator[list[tuple[Scope, ObjectInfo, bool]]]:
    """Group objects for a lookup, each with whether it is wanted.

    A chunk ends once it has `size` wanted objects, or many others.
    """
    chunk: list[tuple[Scope, ObjectInfo, bool]] = []
    hits = 0
    for scope, info in found:
        hit = wanted(scope, info)
        hits += hit
        chunk.append((scope, info, hit))
        if hits >= size or len(chunk) >= 20 * size:
            yield chunk
            chunk, hits = [], 0
    if chunk:
        yield chunk
