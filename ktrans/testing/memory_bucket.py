"""An object store in memory that behaves like real ones, counts requests and fails on demand.

`MemoryBucket` is both an `ObjectStore` and an `ObjectTarget`. Uploads are hidden until they are
published, reads are of an exact version, listings are pages in the order of UTF-8 bytes.
"""

from __future__ import annotations

import bisect
import itertools
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from ktrans.api import ConfigError, RetryableError, SplitChangedError, StageLostError
from ktrans.kit.objects.store import MARK, Leftover, NewObject, ObjectInfo, object_exists


@dataclass(frozen=True)
class Stored:
    """An object in the bucket."""

    data: bytes
    info: ObjectInfo
    metadata: Mapping[str, str]


@dataclass
class MemoryBucket:
    """A bucket in memory.

    Attributes:
        name: of the bucket.
        page_size: how many objects a listing's page has.
        part_bytes: the size of an upload's parts.
        requests: how many requests there were, by kind.
        fail: called with the kind of each request and its key or prefix; an error it returns is raised.
            Kinds: list, level, stat, open, read, begin, write, stage, publish, discard, leftovers.
        cut: by key, after how many bytes the connection breaks, each for one read.
        now: the bucket's clock.
    """

    name: str = "bucket"
    page_size: int = 1000
    part_bytes: int = 8 << 20
    requests: Counter[str] = field(default_factory=Counter)
    fail: Callable[[str, str], Exception | None] = lambda _kind, _key: None
    cut: dict[str, list[int]] = field(default_factory=dict)
    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    objects: dict[str, Stored] = field(default_factory=dict)
    staged: dict[int, tuple[str, bytes, dict[str, str]]] = field(default_factory=dict)
    missing: bool = False
    _keys: list[bytes] = field(default_factory=list)
    _versions: Iterator[int] = field(default_factory=lambda: itertools.count(1))
    _lock: threading.RLock = field(default_factory=threading.RLock)

    def put(
        self,
        key: str,
        data: bytes,
        modified: datetime | None = None,
        metadata: Mapping[str, str] | None = None,
    ) -> ObjectInfo:
        """Write an object at once, as other writers do."""
        with self._lock:
            info = ObjectInfo(key, len(data), f"v{next(self._versions)}", modified or self.now())
            if key not in self.objects:
                bisect.insort(self._keys, key.encode())
            self.objects[key] = Stored(data, info, metadata or {})
        return info

    def remove(self, key: str) -> None:
        """Delete an object."""
        with self._lock:
            del self.objects[key]
            self._keys.remove(key.encode())

    def data(self, prefix: str = "") -> dict[str, bytes]:
        """Return the content of all visible objects below a prefix."""
        return {k: o.data for k, o in sorted(self.objects.items()) if k.startswith(prefix)}

    # -- reading ------------------------------------------------------------------------------

    def list(self, prefix: str, after: str = "") -> Iterator[ObjectInfo]:
        """List page by page, including what is added after the current page meanwhile."""
        low = prefix.encode()
        last = after.encode()
        while True:
            self._request("list", prefix)
            with self._lock:
                at = max(bisect.bisect_left(self._keys, low), bisect.bisect_right(self._keys, last))
                names = self._keys[at : at + self.page_size]
                page = [self.objects[name.decode()].info for name in names if name.startswith(low)]
            yield from page
            if len(page) < self.page_size:
                return
            last = page[-1].key.encode()

    def level(self, prefix: str) -> Iterator[ObjectInfo | str]:
        """List one level of a folder."""
        self._request("level", prefix)
        seen: set[str] = set()
        with self._lock:
            found = [o.info for k, o in sorted(self.objects.items()) if k.startswith(prefix)]
        for info in found:
            name, slash, _ = info.key[len(prefix) :].partition("/")
            if not slash:
                yield info
            elif name not in seen:
                seen.add(name)
                yield f"{prefix}{name}/"

    def stat(self, key: str) -> ObjectInfo | None:
        """Return the info of an object."""
        self._request("stat", key)
        stored = self.objects.get(key)
        return stored.info if stored else None

    def open(self, key: str, version: str, start: int, end: int) -> _Body:
        """Read a range of one version."""
        self._request("open", key)
        stored = self.objects.get(key)
        if stored is None:
            raise SplitChangedError(f"{self.uri(key)} has disappeared", code="split_vanished")
        if stored.info.version != version:
            raise SplitChangedError(f"{self.uri(key)} was replaced after it was planned")
        cuts = self.cut.get(key)
        return _Body(self, key, stored.data[start:end], cuts.pop(0) if cuts else None)

    def uri(self, key: str) -> str:
        """Return the URI of an object."""
        return f"mem://{self.name}/{key}"

    def check(self) -> None:
        """Check whether the bucket is there."""
        self._request("check", "")
        if self.missing:
            raise ConfigError(f"there is no bucket {self.name}", code="bucket_missing")

    def close(self) -> None:
        """Do nothing."""

    # -- writing ------------------------------------------------------------------------------

    def begin(self, new: NewObject) -> _Upload:
        """Begin an upload."""
        self._request("begin", new.key)
        return _Upload(self, new)

    def publish(self, new: NewObject, token: Any) -> None:
        """Make a staged object visible, unless it is already."""
        self._request("publish", new.key)
        with self._lock:
            there = self.objects.get(new.key)
            mark = there.metadata.get(MARK) if there is not None else None
            staged = self.staged.get(token)
            if staged is None:
                if mark != new.mark:
                    raise StageLostError(f"{self.uri(new.key)} is neither staged nor published")
                return
            if there is not None and new.if_absent and not new.ours(mark):
                raise object_exists(self.uri(new.key))
            _, data, metadata = self.staged.pop(token)
            self.put(new.key, data, metadata=metadata)

    def discard(self, key: str, token: Any) -> None:
        """Remove what is staged."""
        self._request("discard", key)
        self.staged.pop(token, None)

    def keys(self, prefix: str) -> Iterator[str]:
        """List the keys of objects."""
        return (info.key for info in self.list(prefix))

    def leftovers(self, prefix: str) -> Iterator[Leftover]:
        """List what is staged."""
        self._request("leftovers", prefix)
        with self._lock:
            found = [(token, key) for token, (key, _, _) in self.staged.items()]
        yield from (Leftover(key, token) for token, key in found if key.startswith(prefix))

    def _request(self, kind: str, key: str) -> None:
        with self._lock:
            self.requests[kind] += 1
        error = self.fail(kind, key)
        if error is not None:
            raise error

    def _stage(self, token: int, new: NewObject, data: bytes) -> None:
        metadata = {MARK: new.mark, "content_type": new.content_type}
        with self._lock:
            self.staged[token] = (new.key, data, metadata)


class _Body:
    def __init__(self, bucket: MemoryBucket, key: str, data: bytes, cut: int | None) -> None:
        self._bucket, self._key, self._data, self._cut, self._at = bucket, key, data, cut, 0

    def read(self, size: int, /) -> bytes:
        self._bucket._request("read", self._key)  # noqa: SLF001
        if self._cut is not None:
            size = min(size, self._cut - self._at)
            if not size:
                raise RetryableError(f"the connection broke after {self._cut} bytes")
        piece = self._data[self._at : self._at + size]
        self._at += len(piece)
        return piece

    def close(self) -> None:
        pass


class _Upload:
    """Unfinished uploads are listed as soon as they have begun, as S3 does it."""

    def __init__(self, bucket: MemoryBucket, new: NewObject) -> None:
        self._bucket, self._new, self._data = bucket, new, b""
        self._last: int | None = None
        self._token = next(bucket._versions)  # noqa: SLF001
        bucket._stage(self._token, new, b"")  # noqa: SLF001

    def write(self, part: bytes, /) -> None:
        self._bucket._request("write", self._new.key)  # noqa: SLF001
        assert len(part) <= self._bucket.part_bytes, "a part is too large"
        assert self._last in (None, self._bucket.part_bytes), "a part before the last is too small"
        self._last = len(part)
        self._data += bytes(part)

    def stage(self) -> Any:
        self._bucket._request("stage", self._new.key)  # noqa: SLF001
        self._bucket._stage(self._token, self._new, self._data)  # noqa: SLF001
        return self._token

    def abort(self) -> None:
        self._bucket.staged.pop(self._token, None)
