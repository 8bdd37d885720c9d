"""Sends the batches of a task, a few at a time, and finds the rows that the server refuses.

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
from collections.abc import Callable
from concurrent.futures import Executor, Future

import numpy as np
import pyarrow as pa

from ktrans.api import InterruptedRunError, Refused, RunError
from ktrans.kit.retry import Retry, with_retries
from ktrans_influxdb.batches import Batch
from ktrans_influxdb.errors import Refusal, RefusedError, reason_of

MAX_REQUESTS = 1000
"""Maximum requests to find the refused lines of one batch."""

_TICK_SECS = 0.25


class Sender:
    """Sends batches of one attempt of a task."""

    def __init__(
        self,
        write: Callable[[bytes], None],
        pool: Executor,
        *,
        ahead: int,
        retry_secs: float,
        stopping: Callable[[], bool],
        count_field: str | None,
    ) -> None:
        """Create a sender.

        Args:
            write: sends the lines of one request.
            pool: runs the requests.
            ahead: maximum batches that wait or are being sent.
            retry_secs: how long a request is retried.
            stopping: whether the run is to stop.
            count_field: the field that every line has.
        """
        self._write = write
        self._pool = pool
        self._ahead = ahead
        self._retry_secs = retry_secs
        self._stopping = stopping
        self._count_field = count_field
        self._aborted = threading.Event()
        self._under_way: deque[Future[None]] = deque()
        self._lock = threading.Lock()
        self._refused: dict[tuple[str, str], list[pa.RecordBatch]] = {}
        self.rows = 0
        self.bytes = 0

    def send(self, batch: Batch) -> None:
        """Send a batch in the pool; wait while too many are being sent.

        Raises:
            KtransError: this or an earlier batch could not be sent.
        """
        while len(self._under_way) >= self._ahead:
            self._under_way.popleft().result()
        self._under_way.append(self._pool.submit(self._deliver, batch))

    def finish(self) -> None:
        """Wait until all batches are sent.

        Raises:
            KtransError: a batch could not be sent.
        """
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

    def _deliver(self, whole: Batch) -> None:
        waiting, message = [whole], ""
        for _ in range(MAX_REQUESTS):
            if not waiting:
                return
            batch = waiting.pop()
            refusal = self._attempts(batch)
            if refusal is None:
                with self._lock:
                    self.rows += batch.count
                    self.bytes += batch.size
            else:
                message = refusal.detail
                waiting += self._split(batch, refusal)
        if waiting:
            raise RunError(
                f"the server refuses some of {whole.count} points without naming them, and"
                f" {MAX_REQUESTS} requests did not find them all; its last message: {message}",
                code="write_refused",
                hint="correct what the message names, or lower batch_lines",
            )

    def _split(self, batch: Batch, refusal: Refusal) -> list[Batch]:
        """Record the lines that are known to be refused, and return what to send again."""
        if refusal.too_large and batch.count > 1:
            return list(batch.halves())
        if batch.count in {1, refusal.dropped}:
            self._refuse(batch, refusal.reason, refusal.detail)
            return []
        numbers = np.array(sorted(refusal.lines), np.int64) - 1
        if len(numbers) and numbers[0] >= 0 and numbers[-1] < batch.count:
            for number in numbers:
                message = refusal.lines[int(number) + 1] or refusal.detail
                line = batch.slice(int(number), int(number) + 1)
                self._refuse(line, reason_of(message, refusal.reason), message)
        else:
            numbers = self._conflicting(batch, refusal)
            if len(numbers) != refusal.dropped or len(numbers) == batch.count:
                return list(batch.halves())
            return list(batch.partition(numbers))
        rest = batch.partition(numbers)[1]
        return [rest] if rest.count else []

    def _conflicting(self, batch: Batch, refusal: Refusal) -> np.ndarray:
        """Return the numbers of the lines that have the field with the conflicting type."""
        if refusal.field is None:
            return np.empty(0, np.int64)
        if refusal.field == self._count_field:
            return np.arange(batch.count)
        return batch.lines_with(refusal.field)

    def _refuse(self, batch: Batch, reason: str, detail: str) -> None:
        with self._lock:
            self._refused.setdefault((reason, detail), []).extend(batch.rows())

    def _attempts(self, batch: Batch) -> Refusal | None:
        """Send a batch until the server accepts or refuses it; return the refusal."""
        body = batch.body()
        retry = Retry(None, self._retry_secs, first_wait_secs=0.5, max_wait_secs=15)
        try:
            with_retries(lambda: self._once(body), retry, sleep=self._sleep)
        except RefusedError as error:
            return error.refusal
        return None

    def _once(self, body: bytes) -> None:
        if self._aborted.is_set():
            raise InterruptedRunError("the task was aborted")
        self._write(body)

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
