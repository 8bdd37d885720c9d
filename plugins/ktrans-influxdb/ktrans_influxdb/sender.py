"""Sends the lines of a task in batches, a few at a time, and finds the rows that are refused.

A request that the server refuses wholly or partly because of its lines is split: by the line numbers
in the answer; by the field in the answer if as many rows have it as the server dropped; otherwise in
halves. The dropped count may be that of one shard, so rows found by a field are sent again separately
and refused only if the server drops them all. Sending points again changes nothing, so the remaining
lines are sent once more.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ktrans.api import Context, InterruptedRunError, Refused, RunError
from ktrans.kit.retry import Retry, with_retries
from ktrans_influxdb.config import InfluxdbSinkConfig
from ktrans_influxdb.errors import Refusal, reason_of

MAX_REQUESTS = 1000
"""Maximum requests to find the refused lines of one batch."""

_TICK_SECS = 0.25
_compute: Any = pc
_LINE = "\0line"
"""The column of a batch, a table of rows, that has the line of each row."""


def with_lines(rows: pa.RecordBatch, texts: pa.Array) -> pa.Table:
    """Return a table of rows and their lines, which include line ends."""
    return pa.Table.from_batches([rows]).append_column(_LINE, texts.cast(pa.large_string()))


def body(batch: pa.Table) -> bytes:
    """Return all lines."""
    found = []
    for chunk in batch.column(_LINE).chunks:
        if len(chunk):
            _, offsets, data = chunk.buffers()
            bounds = np.frombuffer(offsets, np.int64)[chunk.offset :]
            found.append(memoryview(data)[bounds[0] : bounds[len(chunk)]])
    return b"".join(found)


def rows_of(batch: pa.Table) -> list[pa.RecordBatch]:
    """Return the rows without their lines."""
    batches: list[pa.RecordBatch] = batch.drop_columns([_LINE]).to_batches()
    return batches


def halves(batch: pa.Table) -> list[pa.Table]:
    """Split a batch in the middle."""
    middle = batch.num_rows // 2
    return [batch.slice(0, middle), batch.slice(middle)]


class Batcher:
    """Collects lines into batches up to a number and a size; a longer line is one by itself."""

    def __init__(self, batch_lines: int, batch_bytes: int) -> None:
        self._batch_lines = batch_lines
        self._batch_bytes = batch_bytes
        self._parts: list[pa.Table] = []
        self._count = self._size = 0

    def add(self, lines: pa.Table) -> Iterator[pa.Table]:
        """Add lines, and yield the batches that are full."""
        sizes = np.asarray(_compute.binary_length(lines.column(_LINE)))
        starts = np.concatenate(([0], np.cumsum(sizes, dtype=np.int64)))
        first, count = 0, lines.num_rows
        while first < count:
            end = starts[first] + self._batch_bytes - self._size
            last = int(np.searchsorted(starts, end, side="right")) - 1
            last = min(last, first + self._batch_lines - self._count, count)
            if last <= first:
                if self._parts:
                    yield from self.flush()
                    continue
                last = first + 1
            self._parts.append(lines.slice(first, last - first))
            self._count += last - first
            self._size += int(starts[last] - starts[first])
            first = last
            if first < count or self._count >= self._batch_lines:
                yield from self.flush()

    def flush(self) -> list[pa.Table]:
        """Return the remaining lines as a batch, if there are any."""
        parts, self._parts = self._parts, []
        self._count = self._size = 0
        return [pa.concat_tables(parts)] if parts else []


class Sender:
    """Sends batches of one attempt of a task; `write` sends one request, and `pool` runs them."""

    def __init__(
        self,
        write: Callable[[bytes], None],
        pool: Executor,
        config: InfluxdbSinkConfig,
        context: Context,
    ) -> None:
        self._write = write
        self._pool = pool
        self._config = config
        self._stopping = context.stopping
        self._health = context.health
        self._aborted = threading.Event()
        self._under_way: deque[Future[None]] = deque()
        self._lock = threading.Lock()
        self._refused: dict[tuple[str, str], list[pa.RecordBatch]] = {}
        self.rows = 0
        self.bytes = 0

    def send(self, batch: pa.Table) -> None:
        """Send a batch in the pool; wait while too many are being sent."""
        while len(self._under_way) > self._config.connections:
            self._under_way.popleft().result()
        self._under_way.append(self._pool.submit(self._deliver, batch))

    def finish(self) -> None:
        """Wait until all batches are sent."""
        while self._under_way:
            self._under_way.popleft().result()

    def abort(self) -> None:
        """Stop sending, and wait for requests that are under way."""
        self._aborted.set()
        for future in self._under_way:
            if not future.cancel():
                future.exception()
        self._under_way.clear()

    def refused(self) -> list[Refused]:
        """Return the refused rows, grouped by reason and message."""
        return [
            Refused(rows, reason, detail)
            for (reason, detail), batches in self._refused.items()
            for rows in _concatenated(batches)
        ]

    # -- in the pool --------------------------------------------------------------------------

    def _deliver(self, whole: pa.Table) -> None:
        waiting, message = [whole], ""
        for _ in range(MAX_REQUESTS):
            if not waiting:
                return
            batch = waiting.pop()
            try:
                self._attempts(batch)
            except Refusal as refusal:
                message = refusal.detail
                waiting += self._split(batch, refusal)
        if waiting:
            raise RunError(
                f"the server refuses some of {whole.num_rows} points without naming them, and"
                f" {MAX_REQUESTS} requests did not find them all; its last message: {message}",
                code="write_refused",
                hint="correct what the message names, or lower batch_lines",
            )

    def _split(self, batch: pa.Table, refusal: Refusal) -> list[pa.Table]:
        """Record the lines that are known to be refused, and return what to send again."""
        count = batch.num_rows
        if refusal.too_large and count > 1:
            return halves(batch)
        if count in {1, refusal.dropped}:
            self._refuse(batch, refusal.reason, refusal.detail)
            return []
        if refusal.lines and set(refusal.lines) <= set(range(1, count + 1)):
            named = np.zeros(count, bool)
            for number, text in sorted(refusal.lines.items()):
                message = text or refusal.detail
                reason = reason_of(message, refusal.reason)
                self._refuse(batch.slice(number - 1, 1), reason, message)
                named[number - 1] = True
            rest = batch.filter(pa.array(~named))
            return [rest] if rest.num_rows else []
        named = self._conflicting(batch, refusal)
        if named.sum() != refusal.dropped or named.all():
            return halves(batch)
        return [batch.filter(pa.array(named)), batch.filter(pa.array(~named))]

    def _conflicting(self, batch: pa.Table, refusal: Refusal) -> np.ndarray:
        """Return which lines have the field with the conflicting type."""
        if refusal.column is not None and refusal.column == self._config.count_field:
            return np.ones(batch.num_rows, bool)
        if refusal.column in batch.column_names:
            return np.asarray(batch.column(refusal.column).is_valid())
        return np.zeros(batch.num_rows, bool)

    def _refuse(self, batch: pa.Table, reason: str, detail: str) -> None:
        with self._lock:
            self._refused.setdefault((reason, detail), []).extend(rows_of(batch))

    def _attempts(self, batch: pa.Table) -> None:
        """Send a batch until the server accepts or refuses it."""
        lines = body(batch)
        retry = Retry(None, self._config.retry_timeout, first_wait_secs=0.5, max_wait_secs=15)
        with_retries(lambda: self._once(lines), retry, sleep=self._sleep, health=self._health)
        with self._lock:
            self.rows += batch.num_rows
            self.bytes += len(lines)

    def _once(self, lines: bytes) -> None:
        if self._aborted.is_set():
            raise InterruptedRunError("the task was aborted")
        self._write(lines)

    def _sleep(self, seconds: float) -> None:
        """Wait, unless the run is to stop or the task is aborted."""
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            if self._aborted.wait(min(left, _TICK_SECS)) or self._stopping():
                raise InterruptedRunError("stopped while InfluxDB did not accept points")


def _concatenated(batches: list[pa.RecordBatch]) -> list[pa.RecordBatch]:
    """Concatenate batches, if Arrow can unify their dictionaries."""
    try:
        return [pa.concat_batches(batches)]
    except pa.ArrowInvalid:
        return batches
