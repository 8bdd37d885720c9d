"""Writes what requests bring to the spool, many requests with one wait for the disk.

One thread writes. While it waits for the disk, further requests gather, and are written together. Each
endpoint has a segment of its own, so that a segment has texts of one kind.
"""

from __future__ import annotations

import hashlib
import queue
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec

from ktrans.api import Context, RetryableError
from ktrans.kit import log_events
from ktrans.kit.spool.seen_messages import SeenMessages
from ktrans.kit.spool.segments import Spool
from ktrans.sources.receiver.acknowledged import AcknowledgedSegment, finish_acknowledged

_MOST_REQUESTS = 4096
_MOST_BYTES = 64 << 20
_SCAN_SECS = 0.5


class Part(msgspec.Struct, frozen=True):
    """A text that is stored as a whole, once if it has an id.

    Attributes:
        data: the text.
        id: tells it from others of its endpoint; None if it has none.
    """

    data: bytes
    id: str | None = None


class Delivery(msgspec.Struct, frozen=True):
    """What one request brings.

    Attributes:
        endpoint: the path of the endpoint.
        parts: its texts.
        done: called by the thread that writes, once all parts are durable or one cannot be stored.
    """

    endpoint: str
    parts: Sequence[Part]
    done: Callable[[OSError | None], None]


class Intake:
    """Fills the spool.

    Args:
        spool: the spool.
        dedupe: how many ids to remember.
        segment_size: a segment is closed at this size.
        segment_age: or this many seconds after its first text.
        max_size: the spool is full with this many bytes.
        context: of the source.

    Attributes:
        last: when the last request was stored.
    """

    def __init__(
        self,
        spool: Spool,
        *,
        dedupe: int,
        segment_size: int,
        segment_age: float,
        max_size: int,
        context: Context,
    ) -> None:
        self._spool = spool
        self._folder = spool.folder / "seen"
        self._segment_size = segment_size
        self._segment_age = segment_age
        self._max_size = max_size
        self._context = context
        self._clock = context.clock
        self._seen = SeenMessages(self._folder, dedupe)
        self._dedupe = dedupe
        self._queue: queue.SimpleQueue[Delivery | None] = queue.SimpleQueue()
        self._open: dict[str, tuple[AcknowledgedSegment, float]] = {}
        self._next = 1
        self._lock = threading.Lock()
        self._sealed = threading.Event()
        self._waiting = 0
        self._scanned = 0.0
        self._again = 0
        self._failing = False
        self._error: BaseException | None = None
        self._thread: threading.Thread | None = None
        self.last = self._clock.monotonic()

    # -- for the run's thread ----------------------------------------------------

    def start(self, first: int) -> None:
        """Finish what a killed run has acknowledged, and begin to write.

        Args:
            first: number of the first segment that is not committed.
        """
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        finish_acknowledged(self._spool, self._folder, self._seen)
        numbers = [segment.number for segment in self._spool.segments()]
        self._seen.load(first, numbers)
        self._next = max([first - 1, *numbers]) + 1
        self._scan()
        self._thread = threading.Thread(target=self._run, name="spool", daemon=True)
        self._thread.start()

    def wait(self, secs: float) -> None:
        """Wait until a segment is finished, or the time is over.

        Raises:
            RetryableError: nothing more is written.
        """
        self._sealed.wait(secs)
        self._sealed.clear()
        if self._error is not None:
            raise RetryableError(
                f"the spool cannot be written: {self._error}", code="spool_not_written"
            ) from self._error

    @property
    def busy(self) -> bool:
        """Whether requests are stored whose segments are not finished."""
        return bool(self._open)

    def trim(self, first: int) -> None:
        """Forget the oldest ids beyond the limit.

        Args:
            first: number of the first segment that is not committed.
        """
        with self._lock:
            self._seen.trim(first)

    def stop(self) -> None:
        """Write what was submitted, and finish all segments."""
        if self._thread is not None:
            self._queue.put(None)
            self._thread.join()
            self._thread = None

    # -- for the server's thread ---------------------------------------------------

    @property
    def full(self) -> bool:
        """Whether the spool has reached its limit."""
        if self._waiting < self._max_size:
            return False
        if self._clock.monotonic() >= self._scanned + _SCAN_SECS:
            self._scan()
        return self._waiting >= self._max_size

    def submit(self, delivery: Delivery) -> None:
        """Store what a request brings; `delivery.done` is called then."""
        self._queue.put(delivery)
        if self._error is not None:
            self._refuse_waiting()

    # -- the thread that writes ----------------------------------------------------

    def _run(self) -> None:
        try:
            going = True
            while going:
                group = self._gather()
                going = None not in group
                self._store([one for one in group if one is not None])
                self._seal(every=not going)
        except Exception as error:
            self._error = error
            self._sealed.set()
            self._refuse_waiting()
            self._context.log.exception(
                "http: the spool is not written any more",
                extra={"event": log_events.SPOOL_FAILED},
            )

    def _refuse_waiting(self) -> None:
        """Report to all requests that wait that they cannot be stored."""
        while True:
            try:
                delivery = self._queue.get_nowait()
            except queue.Empty:
                return
            if delivery is not None:
                delivery.done(OSError(f"the spool is not written any more: {self._error}"))

    def _gather(self) -> list[Delivery | None]:
        """Return the requests that wait; none when a segment is old enough to be closed."""
        ages = [began for _, began in self._open.values()]
        secs = min(ages) + self._segment_age - self._clock.monotonic() if ages else None
        group: list[Delivery | None] = []
        size = 0
        try:
            group.append(self._queue.get(timeout=None if secs is None else max(secs, 0.0)))
            while len(group) < _MOST_REQUESTS and size < _MOST_BYTES and group[-1] is not None:
                size += sum(len(part.data) for part in group[-1].parts)
                group.append(self._queue.get_nowait())
        except queue.Empty:
            pass
        return group

    def _store(self, group: Sequence[Delivery]) -> None:
        """Store requests, endpoint by endpoint, and report to each."""
        for endpoint in dict.fromkeys(one.endpoint for one in group):
            own = [one for one in group if one.endpoint == endpoint]
            try:
                self._write(endpoint, [part for one in own for part in one.parts])
            except OSError as error:
                self._failing = True
                self._context.health.failed(error)
                for one in own:
                    one.done(error)
                continue
            self._works()
            for one in own:
                one.done(None)
            self.last = self._clock.monotonic()

    def _works(self) -> None:
        """Report that the disk takes what is written, if it did not before."""
        if self._failing:
            self._failing = False
            self._context.health.works()

    def _write(self, endpoint: str, parts: Sequence[Part]) -> None:
        """Write the parts that are new."""
        pieces: list[bytes] = []
        ids: dict[str, None] = {}
        for part in parts:
            if part.id is not None and self._dedupe:
                key = _key(endpoint, part.id)
                if key in ids or self._known(endpoint, key):
                    self._again += 1
                    continue
                ids[key] = None
            pieces.append(part.data)
            if not part.data.endswith(b"\n"):
                pieces.append(b"\n")
        if not pieces:
            return
        if endpoint not in self._open:
            segment = AcknowledgedSegment(self._spool, self._folder, self._next)
            self._next += 1
            self._open[endpoint] = segment, self._clock.monotonic()
        segment, _ = self._open[endpoint]
        before = segment.size
        segment.add(pieces, list(ids))
        self._waiting += segment.size - before

    def _known(self, endpoint: str, key: str) -> bool:
        current = self._open.get(endpoint)
        return key in self._seen or (current is not None and key in current[0].ids)

    def _seal(self, *, every: bool = False) -> None:
        """Finish the segments that are full or old."""
        now = self._clock.monotonic()
        for endpoint, (segment, began) in list(self._open.items()):
            if every or segment.size >= self._segment_size or now - began >= self._segment_age:
                try:
                    with self._lock:
                        segment.seal(self._seen)
                except OSError as error:
                    # What was acknowledged is durable: it is finished later, or by the next run.
                    self._context.health.failed(error)
                    self._failing = True
                    self._open[endpoint] = segment, now
                    continue
                del self._open[endpoint]
                self._sealed.set()
                self._works()
        if self._again and not self._open:
            self._context.log.info(
                "http: %d requests or messages were sent again, and stored once",
                self._again,
                extra={"event": log_events.MESSAGES_KNOWN, "messages": self._again},
            )
            self._again = 0

    def _scan(self) -> None:
        """Add up what waits in the spool."""
        self._scanned = self._clock.monotonic()
        files = [*self._spool.segments(), *self._spool.unfinished()]
        self._waiting = sum(segment.size for segment in files)


def _key(endpoint: str, one: str) -> str:
    """Return an id as the spool remembers it: short, and told apart from those of other endpoints."""
    text = f"{endpoint}\0{one}".encode("utf-8", "surrogatepass")
    return hashlib.blake2b(text, digest_size=16).hexdigest()


def forget_ids(folder: Path) -> None:
    """Remove the ids of a spool."""
    for path in (folder / "seen").glob("*"):
        path.unlink()
