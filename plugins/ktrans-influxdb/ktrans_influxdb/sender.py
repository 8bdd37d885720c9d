"""Sends the batches of one task, a few at a time, and finds the rows that the server refuses.

A request that may pass is tried again with jittered, growing waits. One that the server takes in
part, or not at all because of some of its lines, is taken apart: by the line numbers that the
server names, by the field it names if as many rows have it as it dropped, and else by halves. What
it says it dropped may be of one shard only, so rows found by a field are sent again by themselves
and set aside only if it refuses them all. To send points again changes nothing, so all that is left
after taking bad lines out is sent once more.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Executor, Future
from typing import Any

import numpy as np
import pyarrow as pa
import tenacity

from ktrans.api import InterruptedRunError, Refused, RetryableError, RunError
from ktrans_influxdb.batches import Batch
from ktrans_influxdb.errors import Refusal, RefusedError, reason_of

MAX_REQUESTS = 1000
"""How many requests may be spent on finding the bad lines of one batch."""

_JITTERED = tenacity.wait_random_exponential(multiplier=0.5, max=15)
_TICK_SECS = 0.25


class Sender:
    """Sends batches; one for each attempt at a task."""

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
        """Prepare to send.

        Args:
            write: sends the lines of one request.
            pool: where requests run.
            ahead: how many batches may wait or be under way.
            retry_secs: how long a request is tried again.
            stopping: whether the run was told to stop.
            count_field: the field that every line has.
        """
        self._write = write
        self._pool = pool
        self._ahead = ahead
        self._retry_secs = retry_secs
        self._stopping = stopping
        self._count_field = count_field
        self._halted = threading.Event()
        self._under_way: deque[Future[None]] = deque()
        self._lock = threading.Lock()
        self._refused: dict[tuple[str, str], list[pa.RecordBatch]] = {}
        self.rows = 0
        self.bytes = 0

    def send(self, batch: Batch) -> None:
        """Take a batch; waits while too many are under way.

        Raises:
            KtransError: this or an earlier batch could not be sent.
        """
        while len(self._under_way) >= self._ahead:
            self._under_way.popleft().result()
        self._under_way.append(self._pool.submit(self._deliver, batch))

    def finish(self) -> None:
        """Wait until all is sent.

        Raises:
            KtransError: a batch could not be sent.
        """
        while self._under_way:
            self._under_way.popleft().result()

    def abort(self) -> None:
        """Send nothing more, and wait until nothing is under way."""
        self._halted.set()
        for future in self._under_way:
            if not future.cancel():
                future.exception()
        self._under_way.clear()

    def refused(self) -> list[Refused]:
        """Give the rows that were refused, together where the server said the same of them."""
        return [
            Refused(rows, reason, detail)
            for (reason, detail), batches in self._refused.items()
            for rows in _together(batches)
        ]

    # -- in the pool --------------------------------------------------------------------------

    def _deliver(self, whole: Batch) -> None:
        waiting, words = [whole], ""
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
                words = refusal.detail
                waiting += self._take_apart(batch, refusal)
        if waiting:
            raise RunError(
                f"the server refuses some of {whole.count} points without saying which, and"
                f" {MAX_REQUESTS} requests did not find them all; it says last: {words}",
                code="write_refused",
                hint="put right what it complains of, or lower batch_lines",
            )

    def _take_apart(self, batch: Batch, refusal: Refusal) -> list[Batch]:
        """Set aside the lines that are known to be bad, and give what is to be sent again."""
        if refusal.too_large and batch.count > 1:
            return list(batch.halves())
        if batch.count in {1, refusal.dropped}:
            self._quarantined(batch, refusal.reason, refusal.detail)
            return []
        numbers = np.array(sorted(refusal.lines), np.int64) - 1
        if len(numbers) and numbers[0] >= 0 and numbers[-1] < batch.count:
            for number in numbers:
                words = refusal.lines[int(number) + 1] or refusal.detail
                line = batch.slice(int(number), int(number) + 1)
                self._quarantined(line, reason_of(words, refusal.reason), words)
        else:
            numbers = self._conflicting(batch, refusal)
            if len(numbers) != refusal.dropped or len(numbers) == batch.count:
                return list(batch.halves())
            return list(batch.parted(numbers))
        rest = batch.parted(numbers)[1]
        return [rest] if rest.count else []

    def _conflicting(self, batch: Batch, refusal: Refusal) -> np.ndarray:
        """Give the numbers of the lines that have the field whose type is at odds."""
        if refusal.field is None:
            return np.empty(0, np.int64)
        if refusal.field == self._count_field:
            return np.arange(batch.count)
        return batch.having(refusal.field)

    def _quarantined(self, batch: Batch, reason: str, detail: str) -> None:
        with self._lock:
            self._refused.setdefault((reason, detail), []).extend(batch.rows())

    def _attempts(self, batch: Batch) -> Refusal | None:
        """Send until it is taken or refused."""
        body = batch.body()
        retrying = tenacity.Retrying(
            retry=tenacity.retry_if_exception_type(RetryableError),
            stop=tenacity.stop_before_delay(self._retry_secs),
            wait=_wait,
            sleep=self._sleep,
            reraise=True,
        )
        try:
            retrying(self._once, body)
        except RefusedError as error:
            return error.refusal
        return None

    def _once(self, body: bytes) -> None:
        if self._halted.is_set():
            raise InterruptedRunError("the task was given up")
        self._write(body)

    def _sleep(self, seconds: float) -> None:
        """Wait, unless the run is told to stop or the task is given up."""
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            if self._halted.wait(min(left, _TICK_SECS)) or self._stopping():
                raise InterruptedRunError("told to stop while InfluxDB could not take points")


def _wait(state: tenacity.RetryCallState) -> float:
    """Give the next wait: growing, with jitter, and no less than the server asks for."""
    error: Any = state.outcome.exception() if state.outcome else None
    asked = error.retry_after_secs if isinstance(error, RetryableError) else None
    return max(_JITTERED(state), asked or 0.0)


def _together(batches: list[pa.RecordBatch]) -> list[pa.RecordBatch]:
    """Put batches into one, where Arrow can unify their dictionaries."""
    try:
        return [pa.concat_batches(batches)]
    except pa.ArrowInvalid:
        return batches
