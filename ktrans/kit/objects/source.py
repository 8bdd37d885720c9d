"""The source of object stores: lists what is new, pins it by version, and reads it."""

from __future__ import annotations

import abc
import re
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import UTC, date, datetime, timedelta
from functools import cached_property
from typing import Any, TypeVar

from ktrans.api import (
    AccessError,
    Budget,
    Dataset,
    Memory,
    Plan,
    Source,
    Split,
    SplitChangedError,
    SplitError,
    UsageError,
)
from ktrans.kit.files.path_template import slug
from ktrans.kit.objects.days import Calendar, Scope, Tree, discover, expand
from ktrans.kit.objects.expiry import Expiry
from ktrans.kit.objects.once import once
from ktrans.kit.objects.options import ObjectSourceConfig
from ktrans.kit.objects.plan_result import PlanResult
from ktrans.kit.objects.reader import ObjectPayload, PlannedObjects, Reader
from ktrans.kit.objects.store import ObjectInfo, ObjectStore
from ktrans.kit.objects.sweep import SweepPosition, by_day, in_chunks, scopes, walk

__all__ = ["ObjectSource", "ObjectSourceConfig"]

_RECALL = 500
_SAME_LOOK_SECS = 60
_WAITING = "waiting"


C = TypeVar("C", bound=ObjectSourceConfig)


class ObjectSource(Source[C], abc.ABC):
    """Lists a bucket and opens its objects. A plugin writes `make_store`.

    It returns an `ObjectStore` (`ktrans.kit.objects.store`): to list, to look at an object, and to
    read a range of one version. Here that is a bucket in memory:

    >>> from ktrans.api import Budget
    >>> from ktrans.testing.contracts.sources import PlainMemory
    >>> from ktrans.testing.memory_bucket import MemoryBucket
    >>> bucket = MemoryBucket()
    >>> _ = bucket.put("logs/2026/a.log", b"one line")
    >>> class Acme(ObjectSource[ObjectSourceConfig]):
    ...     def make_store(self):
    ...         return bucket
    >>> source = Acme(ObjectSourceConfig(type="acme", prefix="logs/"))
    >>> plan = source.plan(None, PlainMemory(), Budget())
    >>> [split.uri for split in plan.splits]
    ['mem://bucket/logs/2026/a.log']
    >>> with source.open(plan.splits[0]) as payload, payload.open() as stream:
    ...     stream.read()
    b'one line'
    >>> source.close()
    """

    reads = "anywhere"

    _map: tuple[datetime | None, list[Tree], dict[date, list[Calendar]]] | None = None
    _looked: tuple[Any, datetime] | None = None

    @abc.abstractmethod
    def make_store(self) -> ObjectStore:
        """Connect to the bucket; called once, on first use."""

    @once
    def store(self) -> ObjectStore:
        """The bucket."""
        return self.make_store()

    @once
    def objects(self) -> PlannedObjects:
        """Opens the bucket's objects."""
        return PlannedObjects(Reader(self.store, self.config, self.context))

    @cached_property
    def _listing(self) -> ThreadPoolExecutor:
        # Not the reader's: a plan must not wait for objects that are being fetched.
        return ThreadPoolExecutor(self.config.parallel_reads, thread_name_prefix="listing")

    @cached_property
    def _spellings(self) -> dict[str, str | None]:
        return {}

    def namespace(self) -> str:
        """Return the bucket's name for lineage, such as `s3://bucket`; nothing if it has none."""
        return ""

    def datasets(self) -> list[Dataset]:
        """Return the folders that the prefixes begin with."""
        space, prefixes = self.namespace(), self.config.prefixes
        return [Dataset(space, one.rpartition("/")[0] or "/") for one in prefixes if space]

    def check(self) -> None:
        """Check whether the bucket exists and may be listed."""
        self.store.check()

    def close(self) -> None:
        """Release threads and connections."""
        for name in ("objects", "store"):
            if name in self.__dict__:
                self.__dict__.pop(name).close()
        if "_listing" in self.__dict__:
            self.__dict__.pop("_listing").shutdown(cancel_futures=True)

    def now(self) -> datetime:
        """Return the time."""
        return self.context.clock.now()

    def plan(self, position: Any, memory: Memory, budget: Budget) -> Plan | None:
        """Plan quarantined objects again, then continue the sweep, up to the budget."""
        now = self._moment(position)
        sweep = SweepPosition.from_json(position)
        lookback = timedelta(seconds=self.config.lookback)
        expiry = Expiry(sweep.queue, memory)
        if sweep.queue is None:  # the beginning, or where `--from` says
            sweep.waiting += memory.recall([_WAITING]).get(_WAITING, ())
        sweep.waiting += [self._key(uri) for uri in expiry.quarantined()]
        result = PlanResult(self.store, reread=self.config.on_replaced == "reread")
        self._try_again(sweep, budget, result)
        going_on = sweep.began is not None
        if not going_on:
            self._begin(sweep, now)
        before = len(result.splits)
        complete = self._sweep(sweep, memory, budget, result)
        if complete and going_on and len(result.splits) == before:
            # The sweep that earlier plans began is complete: begin another one.
            sweep.end(lookback)
            self._begin(sweep, now)
            complete = self._sweep(sweep, memory, budget, result)
        if complete:
            sweep.end(lookback)
        notes, left = tuple(result.notes()), tuple(result.left())
        if not result.splits:
            return Plan((), position, notes=notes, left=left) if notes or left else None
        expiry.expire(sweep.done_with(lookback))
        expiry.add(result.remember, result.latest)
        expiry.remember[_WAITING] = sweep.waiting or None
        sweep.queue = expiry.to_json()
        self.objects.expect(result.splits)
        return Plan(
            splits=tuple(result.splits),
            position=sweep.to_json(),
            remember=expiry.remember,
            total_bytes=result.planned_bytes if complete else None,
            total_splits=len(result.splits) if complete else None,
            notes=notes,
            left=left,
        )

    def open(self, split: Split) -> ObjectPayload:
        """Open a planned object."""
        return self.objects.open(split)

    def position_from(self, text: str) -> Any:
        """Parse an ISO time or date, or the key of an object (those whose keys sort after it).

        Raises:
            UsageError: the text is neither.
        """
        try:
            since = datetime.fromisoformat(text)
        except ValueError:
            begin = self.store.uri("")
            if "/" in text:
                return SweepPosition(after=text.removeprefix(begin)).to_json()
            raise UsageError(
                f"the {self.config.type} source cannot start from {text!r}",
                hint="give a time such as 2026-05-01T00:00:00Z, or the key of the object after which to start",
            ) from None
        since = since if since.tzinfo else since.replace(tzinfo=UTC)
        return SweepPosition(since=since).to_json()

    # -- listing ------------------------------------------------------------------------------

    def _sweep(
        self, sweep: SweepPosition, memory: Memory, budget: Budget, result: PlanResult
    ) -> bool:
        """Continue the sweep; returns whether it has ended."""
        since, until = self._bounds(sweep)
        if self._map is None or self._map[0] != sweep.began:
            self._map = sweep.began, *self._look_around(sweep)
        _, trees, days = self._map
        result.too_large |= any(tree.too_large for tree in trees)
        listed = scopes(trees, days, sweep.at)
        found = walk(self.store, listed, sweep.at, self._listing)

        waiting = frozenset(sweep.waiting)

        def wanted(scope: Scope, info: ObjectInfo) -> bool:
            if sweep.horizon and info.modified < sweep.horizon:
                return False
            if not scope.day and (
                (since and info.modified < since) or (until and info.modified > until)
            ):
                return False
            if info.key in waiting:  # see `_try_again`
                return False
            return info.size > 0 and info.key > sweep.after and self._named(info.key, result)

        with closing(found):
            for chunk in in_chunks(found, _RECALL, wanted):
                uris = [self.store.uri(info.key) for _, info, hit in chunk if hit]
                known = memory.recall(uris)
                for scope, info, hit in chunk:
                    if hit and budget.full(len(result.splits), result.planned_bytes):
                        return False
                    if hit:
                        self._take(info, known, budget, result)
                    sweep.at = (scope.day, scope.prefix, info.key)
        return True

    def _moment(self, position: Any) -> datetime:
        """Return the time; to look again from the same position gives the same plan for a while."""
        now = self.now()
        if self._looked and self._looked[0] == position:
            age = (now - self._looked[1]).total_seconds()
            if 0 <= age < _SAME_LOOK_SECS:
                return self._looked[1]
        self._looked = position, now
        return now

    def _begin(self, sweep: SweepPosition, now: datetime) -> None:
        sweep.begin(now)
        self._map = None

    def _look_around(self, sweep: SweepPosition) -> tuple[list[Tree], dict[date, list[Calendar]]]:
        """Find, once a sweep, what is below each prefix, and which calendars have a day."""
        since, until = self._bounds(sweep)
        trees = [self._tree(prefix, sweep.whole) for prefix in self.config.prefixes]
        if sweep.whole is None:
            sweep.whole = [s.prefix for t in trees for s in t.loose if s.deep]
        begins = [moment.date() for moment in (since, sweep.horizon) if moment]
        if sweep.at and sweep.at[0]:
            begins.append(date.fromisoformat(sweep.at[0]))
        tomorrow = self.now().date() + timedelta(days=1)
        last = min(until.date(), tomorrow) if until else tomorrow
        first = max(begins, default=None)
        return trees, by_day(self.store, trees, first, last, self._listing)

    def _tree(self, prefix: str, whole: Sequence[str] | None) -> Tree:
        if self.config.layout == "plain":
            return Tree([], [Scope("", prefix)])
        if self.config.layout == "auto":
            return discover(self.store, prefix, self._listing, self._spellings, whole)
        return expand(self.store, prefix, self.config.layout, self._listing)

    def _bounds(self, sweep: SweepPosition) -> tuple[datetime | None, datetime | None]:
        since, until = self.config.bounds
        return max(filter(None, (since, sweep.since)), default=None), until

    def _named(self, key: str, result: PlanResult) -> bool:
        name = key.rpartition("/")[2]
        if self._own.search(name):
            result.own += 1
            return False
        return self.config.includes(key)

    @cached_property
    def _own(self) -> re.Pattern[str]:
        """The names of objects of this pipeline's sinks (see `ktrans.kit.files.partitioned_sink`)."""
        owner = re.escape(slug(self.context.pipeline))
        return re.compile(rf"(?:^|[^\w~-]){owner}\.[\w~-]+\.(?:[0-9a-f]+-)?\d{{8,}}-\d{{4,}}")

    # -- one object ---------------------------------------------------------------------------

    def _take(
        self, info: ObjectInfo, known: dict[str, Any], budget: Budget, result: PlanResult
    ) -> None:
        uri = self.store.uri(info.key)
        if uri in result.remember or uri in budget.skip:
            return
        have = known.get(uri)
        if have is not None and have["version"] == info.version:
            return
        age = (self.now() - info.modified).total_seconds()
        if self.config.min_age and age < self.config.min_age:
            result.unsettled += 1
            return
        if have is not None and not have.get("rejected"):
            self._replaced(uri, result)
            if self.config.on_replaced == "skip":
                result.leave(info)
                return
        result.add(info)

    def _replaced(self, uri: str, result: PlanResult) -> None:
        if self.config.on_replaced == "error":
            raise SplitChangedError(
                f"{uri} was read before and has other content now",
                code="object_replaced",
                hint="`on_replaced: reread` reads it again, `skip` ignores it",
            )
        result.replaced.append(uri)

    def _try_again(self, sweep: SweepPosition, budget: Budget, result: PlanResult) -> None:
        """Plan quarantined objects at their present version; forget those that are gone."""
        left = []
        for key in sorted(set(sweep.waiting)):
            full = budget.full(len(result.splits), result.planned_bytes)
            if full or self.store.uri(key) in budget.skip:
                left.append(key)
                continue
            try:
                info = self.store.stat(key)
            except (AccessError, SplitError):
                left.append(key)
                continue
            if info is not None and info.size:
                result.add(info)
        sweep.waiting = left

    def _key(self, uri: str) -> str:
        return uri.removeprefix(self.store.uri(""))
