"""A bucket of flow logs that exists only as a rule: any number of objects, in no memory.

Keys are those that AWS writes, one object every five minutes for each account and region. An object is
listed once its five minutes and its delay are over by the clock that is given.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta

from ktrans.api.clock import Clock
from ktrans.kit.objects.store import Body, ObjectInfo

EVERY_SECS = 300
PER_DAY = 86_400 // EVERY_SECS
_DELAY_SECS = 90
_PAGE = 1000
MIDDLE = "vpcflowlogs"
_MIX = 0x9E3779B97F4A7C15F39CC0605CEDC835
"""Makes of a number what looks like a hash, so that names and versions compress as badly as real ones."""


class SimulatedBucket:
    """Lists objects that are made up while they are listed.

    Attributes:
        requests: how many requests a real bucket would have answered, by kind.
        listed: how many objects were listed.
    """

    def __init__(
        self, clock: Clock, first: date, accounts: int, regions: int = 1, size: int = 50_000
    ) -> None:
        self.requests: Counter[str] = Counter()
        self.listed = 0
        self._clock = clock
        self._first = first
        self._accounts = [f"{100_000_000_000 + 7919 * n}" for n in range(accounts)]
        self._regions = [f"region-{n:03}" for n in range(regions)]
        self._known = {*self._accounts, *self._regions}
        self._size = size
        self._lock = threading.Lock()

    def list(self, prefix: str, after: str = "") -> Iterator[ObjectInfo]:
        """List what is below a prefix, in the order of the keys, a page at a time."""
        left = 0
        for account, region, day in self._folders(prefix):
            base = f"AWSLogs/{account}/{MIDDLE}/{region}/{day:%Y/%m/%d}/"
            if not (base.startswith(prefix) or prefix.startswith(base)):
                continue
            for info in self._of_day(base, account, region, day, prefix, after):
                if not left:
                    self._count("list")
                    left = _PAGE
                left -= 1
                yield info
        if not left:
            self._count("list")

    def _folders(self, prefix: str) -> Iterator[tuple[str, str, date]]:
        """Yield account, region and day of the folders that may have keys with a prefix."""
        parts = prefix.split("/")
        account, region = parts[1:2], parts[3:4]
        accounts = account if account and account[0] in self._known else self._accounts
        regions = region if region and region[0] in self._known else self._regions
        date_parts = parts[4:7]
        if len(parts) > 7:  # a day's own folder
            days = [
                day for day in [date(*map(int, date_parts))] if self._first <= day <= self._last()
            ]
        else:
            days = list(self._days())
        return ((a, r, day) for a in accounts for r in regions for day in days)

    def _of_day(
        self, base: str, account: str, region: str, day: date, prefix: str, after: str
    ) -> Iterator[ObjectInfo]:
        begin = datetime(day.year, day.month, day.day, tzinfo=UTC)
        over = (self._clock.now() - begin).total_seconds() - EVERY_SECS - _DELAY_SECS
        count = min(PER_DAY, max(0, int(over // EVERY_SECS) + 1))
        place = (day.toordinal() * 1000 + int(account) % 997) * PER_DAY
        head = f"{base}{account}_{MIDDLE}_{region}_fl-0a1b2c3d4e5f_{day:%Y%m%d}T"
        with self._lock:
            self.listed += count
        for number in range(count):
            minutes = 5 * number
            mark = f"{(place + number) * _MIX % (1 << 128):032x}"
            key = f"{head}{minutes // 60:02}{minutes % 60:02}Z_{mark[:8]}.log.gz"
            if key > after and key.startswith(prefix):
                modified = begin + timedelta(seconds=EVERY_SECS * (number + 1) + _DELAY_SECS)
                yield ObjectInfo(key, self._size, mark, modified)

    def _last(self) -> date:
        return self._clock.now().date()

    def _days(self) -> Iterator[date]:
        day, last = self._first, self._last()
        while day <= last:
            yield day
            day += timedelta(days=1)

    def level(self, prefix: str) -> Iterator[str]:
        """List the folders directly in a folder."""
        self._count("level")
        parts = prefix.rstrip("/").split("/") if prefix else []
        names: dict[int, list[str]] = {
            0: ["AWSLogs"],
            1: self._accounts,
            2: [MIDDLE],
            3: self._regions,
        }
        depth, first_date = len(parts), 4
        found = names.get(depth)
        if found is None:
            have = tuple(int(part) for part in parts[first_date:])
            dates = ((day.year, day.month, day.day) for day in self._days())
            numbers = {each[len(have)] for each in dates if each[: len(have)] == have}
            found = [f"{number:02}" for number in sorted(numbers)]
        return (f"{prefix}{name}/" for name in found)

    def stat(self, key: str) -> ObjectInfo | None:
        """Look at one object."""
        self._count("stat")
        return next((info for info in self.list(key) if info.key == key), None)

    def open(self, key: str, version: str, start: int, end: int) -> Body:
        """Refuse: nothing is read in a simulation."""
        raise NotImplementedError(f"{key} {version} {start} {end}")

    def uri(self, key: str) -> str:
        """Return the URI of an object."""
        return f"s3://simulated-logs/{key}"

    def check(self) -> None:
        """Do nothing."""

    def close(self) -> None:
        """Do nothing."""

    def _count(self, kind: str) -> None:
        with self._lock:
            self.requests[kind] += 1
