"""Reads objects by ranges, resuming after a broken connection, and fetches small ones ahead."""

from __future__ import annotations

import io
import threading
from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from functools import cached_property
from typing import TYPE_CHECKING, BinaryIO, cast

from ktrans.api import Context, Payload, RetryableError, Split
from ktrans.kit.objects.options import ObjectReadConfig
from ktrans.kit.objects.store import Readable
from ktrans.kit.retry import Retry, wait_secs

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

_PIECE_BYTES = 256 << 10
_RETRY = Retry(attempts=5, max_asked_secs=10)
"""Attempts in a row, without a byte in between, after which the error goes to the engine."""
_ATTEMPTS = 50
_PARTS_AHEAD = 3
_BYTES_AHEAD = 64 << 20


class Reader:
    """Reads ranges of one store's objects, several at a time."""

    def __init__(self, store: Readable, config: ObjectReadConfig, context: Context) -> None:
        self._clock = context.clock
        self._health = context.health
        self.store = store
        self.part_bytes = config.part_size
        self.threads = config.parallel_reads
        self._slow_secs = config.slow_read_after
        self.pool = ThreadPoolExecutor(self.threads, thread_name_prefix="objects")
        self._closed = threading.Event()

    def fetch(self, split: Split, start: int, end: int) -> bytes:
        """Read the bytes [start, end), resuming where a connection broke.

        Raises:
            RetryableError: it breaks again and again.
            SplitChangedError: the object is gone or has another version.
        """
        data = bytearray()
        failures = 0
        for _ in range(_ATTEMPTS):
            had = len(data)
            try:
                self._read_on(split, start, end, data)
            except RetryableError as error:
                failures = 1 if len(data) > had else failures + 1
                if failures == _RETRY.attempts or self._closed.is_set():
                    raise
                self._health.failed(error)
                self._clock.wait(wait_secs(_RETRY, failures, error), self._closed)
            else:
                self._health.works()
                return bytes(data)
        raise RetryableError(f"{split.uri}: the connection breaks again and again")

    def close(self) -> None:
        """Stop what is under way."""
        self._closed.set()
        self.pool.shutdown(wait=True, cancel_futures=True)

    def _read_on(self, split: Split, start: int, end: int, data: bytearray) -> None:
        key, version = split.data["key"], split.data["version"]
        if start + len(data) >= end:
            return
        late = self._clock.monotonic() + self._slow_secs
        with closing(self.store.open(key, version, start + len(data), end)) as body:
            while (left := end - start - len(data)) > 0:
                if self._closed.is_set():
                    raise RetryableError(f"{split.uri}: closed while it was read")
                piece = body.read(min(left, _PIECE_BYTES))
                if not piece:
                    raise RetryableError(
                        f"{split.uri}: the connection ended {left} bytes early", code="short_read"
                    )
                data += piece
                if len(piece) < left and self._clock.monotonic() > late:
                    raise RetryableError(
                        f"{split.uri}: {left - len(piece)} bytes are still to come after"
                        f" {self._slow_secs:g} s",
                        code="slow_read",
                    )


class ReadAhead:
    """Fetches the small objects of a plan before they are opened.

    A task is a range of the plan's splits, read in order by one thread: so the objects after one
    that is opened are opened next, unless another task has read them.
    """

    def __init__(self, reader: Reader, splits: Sequence[Split] = ()) -> None:
        self._reader = reader
        self._splits = splits
        self._place = {split.key: at for at, split in enumerate(splits)}
        self._coming: dict[int, Future[bytes]] = {}
        self._had: set[int] = set()
        self._bytes = 0
        self._lock = threading.Lock()

    def take(self, split: Split) -> bytes:
        """Return the bytes of a small object, and fetch the ones after it."""
        at = self._place.get(split.key)
        if at is None or self._splits[at].data != split.data:
            return self._reader.fetch(split, 0, split.data["size"])
        with self._lock:
            self._had.add(at)
            future = self._coming.pop(at, None)
            if future is not None:
                self._bytes -= split.data["size"]
            self._fetch_next(at)
        if future is None or future.cancelled():
            return self._reader.fetch(split, 0, split.data["size"])
        return future.result()

    def drop(self) -> None:
        """Drop what was not taken."""
        with self._lock:
            for future in self._coming.values():
                future.cancel()
            self._coming.clear()
            self._had.update(range(len(self._splits)))

    def _fetch_next(self, at: int) -> None:
        for following in range(at + 1, min(at + 1 + 2 * self._reader.threads, len(self._splits))):
            split = self._splits[following]
            size = split.data["size"]
            if following in self._had or following in self._coming:
                continue
            if size > self._reader.part_bytes or self._bytes + size > _BYTES_AHEAD:
                return
            self._coming[following] = self._reader.pool.submit(self._reader.fetch, split, 0, size)
            self._bytes += size


class PlannedObjects:
    """Opens the objects of the latest plan."""

    def __init__(self, reader: Reader) -> None:
        self.reader = reader
        self.ahead = ReadAhead(reader)

    def expect(self, splits: Sequence[Split]) -> None:
        """Replace the plan whose small objects are fetched ahead."""
        self.ahead.drop()
        self.ahead = ReadAhead(self.reader, splits)

    def open(self, split: Split) -> ObjectPayload:
        """Open a planned object."""
        return ObjectPayload(split, self.reader, self.ahead)

    def close(self) -> None:
        """Stop reading."""
        self.ahead.drop()
        self.reader.close()


class ObjectPayload(Payload):
    """An object at the version that was planned; `split.data` has key, version and size."""

    def __init__(self, split: Split, reader: Reader, ahead: ReadAhead) -> None:
        super().__init__(split)
        self._reader = reader
        self._ahead = ahead
        self._size: int = split.data["size"]

    @property
    def _small(self) -> bool:
        return self._size <= self._reader.part_bytes

    @cached_property
    def _whole(self) -> bytes:
        return self._ahead.take(self.split)

    def open(self) -> BinaryIO:
        """Open the object; a large one is read in parts, some of them ahead."""
        if self._small:
            return io.BytesIO(self._whole)
        return cast("BinaryIO", _Parts(self.split, self._reader))

    def head(self, size: int) -> bytes:
        """Read the first bytes."""
        if self._small:
            return self._whole[:size]
        return self._reader.fetch(self.split, 0, min(size, self._size))

    def random_access(self) -> BinaryIO:
        """Open the object for random access."""
        if self._small:
            return io.BytesIO(self._whole)
        return cast("BinaryIO", io.BufferedReader(_Ranges(self.split, self._reader), 1 << 20))

    def close(self) -> None:
        """Release the bytes."""
        self.__dict__.pop("_whole", None)


class _Parts(io.RawIOBase):
    """A large object, read from its start to its end, a few parts ahead."""

    def __init__(self, split: Split, reader: Reader) -> None:
        super().__init__()
        self._split = split
        self._reader = reader
        self._at = 0
        self._coming: deque[Future[bytes]] = deque()
        self._part = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer, /) -> int:
        view = memoryview(buffer).cast("B")
        if not len(self._part):
            self._part = memoryview(self._next())
        count = min(len(view), len(self._part))
        view[:count] = self._part[:count]
        self._part = self._part[count:]
        return count

    def read(self, size: int = -1, /) -> bytes:
        """Read up to `size` bytes, at most to the end of a part; all that is left if negative."""
        if size < 0:
            return self.readall()
        if not len(self._part):
            self._part = memoryview(self._next())
        piece = bytes(self._part[:size])
        self._part = self._part[size:]
        return piece

    def _next(self) -> bytes:
        size, step = self._split.data["size"], self._reader.part_bytes
        while self._at < size and len(self._coming) <= _PARTS_AHEAD:
            end = min(self._at + step, size)
            self._coming.append(
                self._reader.pool.submit(self._reader.fetch, self._split, self._at, end)
            )
            self._at = end
        return self._coming.popleft().result() if self._coming else b""

    def close(self) -> None:
        for future in self._coming:
            future.cancel()
        self._coming.clear()
        self._part = memoryview(b"")
        super().close()


class _Ranges(io.RawIOBase):
    """A large object with random access."""

    def __init__(self, split: Split, reader: Reader) -> None:
        super().__init__()
        self._split = split
        self._reader = reader
        self._size: int = split.data["size"]
        self._at = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size}[whence]
        self._at = max(base + offset, 0)
        return self._at

    def tell(self) -> int:
        return self._at

    def readinto(self, buffer: WriteableBuffer, /) -> int:
        view = memoryview(buffer).cast("B")
        end = min(self._at + len(view), self._size)
        if end <= self._at:
            return 0
        step = self._reader.part_bytes
        starts = range(self._at, end, step)
        futures = [
            self._reader.pool.submit(self._reader.fetch, self._split, at, min(at + step, end))
            for at in starts
        ]
        for at, future in zip(starts, futures, strict=True):
            piece = future.result()
            view[at - self._at : at - self._at + len(piece)] = piece
        count = end - self._at
        self._at = end
        return count
