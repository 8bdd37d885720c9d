"""A bucket in memory for state stores, with conditional writes and failures on demand."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Iterator

from ktrans.api import Context, RetryableError
from ktrans.api.clock import CLOCK
from ktrans.kit.objects.store import ObjectInfo, StoredObject
from ktrans.kit.state.bucket import BucketState, BucketStateConfig


class MemoryStateBucket:
    """Objects by name (`ktrans.kit.objects.store.ConditionalStore`).

    Attributes:
        objects: the objects.
        losing: how many of the next writes are done but answered with an error.
        failing: how many of the next requests fail without any effect.
    """

    def __init__(self) -> None:
        self.objects: dict[str, StoredObject] = {}
        self.losing = 0
        self.failing = 0
        self._versions = itertools.count(1)
        self._guard = threading.RLock()

    def read(self, key: str) -> StoredObject | None:
        """Return an object, None if there is none."""
        with self._guard:
            self._fail()
            return self.objects.get(key)

    def create(self, key: str, data: bytes) -> str | None:
        """Write an object that does not exist."""
        with self._guard:
            self._fail()
            return None if key in self.objects else self._put(key, data)

    def replace(self, key: str, data: bytes, version: str) -> str | None:
        """Replace an object in this version."""
        with self._guard:
            self._fail()
            there = self.objects.get(key)
            return self._put(key, data) if there and there.version == version else None

    def delete(self, key: str) -> None:
        """Remove an object."""
        with self._guard:
            self._fail()
            self.objects.pop(key, None)

    def list(self, prefix: str, after: str = "") -> Iterator[ObjectInfo]:
        """List objects."""
        with self._guard:
            self._fail()
            keys = sorted(k for k in self.objects if k.startswith(prefix) and k > after)
            for key in keys:
                data, version = self.objects[key]
                yield ObjectInfo(key, len(data), version, CLOCK.now())

    def level(self, prefix: str) -> Iterator[ObjectInfo | str]:
        """List folders."""
        below = {found.key[len(prefix) :].split("/")[0] for found in self.list(prefix)}
        return iter(sorted(f"{prefix}{name}/" for name in below))

    def uri(self, key: str) -> str:
        """Return the URI of an object."""
        return f"memory://bucket/{key}"

    def check(self) -> None:
        """Fail on demand."""
        self._fail()

    def close(self) -> None:
        """Do nothing: another process would find the objects."""

    def _put(self, key: str, data: bytes) -> str:
        found = StoredObject(data, str(next(self._versions)))
        self.objects[key] = found
        if self.losing:
            self.losing -= 1
            raise RetryableError("the answer got lost")
        return found.version

    def _fail(self) -> None:
        if self.failing:
            self.failing -= 1
            raise RetryableError("the bucket does not answer")


class MemoryBucketState(BucketState[BucketStateConfig]):
    """A state store over a bucket in memory."""

    def __init__(self, bucket: MemoryStateBucket, **options: object) -> None:
        config = BucketStateConfig.model_validate({"type": "memory", **options})
        super().__init__(config, Context())
        self.memory = bucket

    def make_bucket(self) -> MemoryStateBucket:
        """Return the bucket."""
        return self.memory
