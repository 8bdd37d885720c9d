"""Sends the rows of a task in batches, a few at a time, and finds the rows that are refused."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Executor, Future

import numpy as np
import pyarrow as pa

from ktrans.api import Context, InterruptedRunError, Refused, RunError
from ktrans.kit.http.answers import Fault, Outcome, Refusal
from ktrans.kit.http.batches import halves, rows_of
from ktrans.kit.retry import Retry, with_retries

MAX_REQUESTS = 1000
"""Maximum requests to find the refused rows of one batch."""

FIRST_WAIT_SECS = 0.5
"""The wait after the first failed attempt; the following ones are longer."""

_MAX_WAIT_SECS = 15
_TICK_SECS = 0.25


class Sender:
    """Sends batches of one attempt of a task.

    A batch that is refused without naming rows is split in halves until the refused rows are alone.
    So a row may be sent again although the server has accepted it, if it accepts a part of a request.

    Args:
        post: sends one batch, and returns what became of its rows; returns the size of the request
            too. Raises Refusal, RetryableError or another error.
        pool: what runs `post`.
        connections: how many batches are being sent at a time.
        retry_timeout: how long a batch is tried again, in seconds.
        context: the sink's.
    """

    def __init__(
        self,
        post: Callable[[pa.Table], tuple[Outcome, int]],
        pool: Executor,
        connections: int,
        retry_timeout: float,
        context: Context,
    ) -> None:
        self._post = post
        self._pool = pool
        self._connections = connections
        self._retry_timeout = retry_timeout
        self._context = context
        self._aborted = threading.Event()
        self._under_way: deque[Future[None]] = deque()
        self._lock = threading.Lock()
        self._refused: dict[Fault, list[pa.RecordBatch]] = {}
        self.rows = 0
        self.bytes = 0

    def send(self, batch: pa.Table) -> None:
        """Send a batch in the pool; wait while too many are being sent."""
        while len(self._under_way) > self._connections:
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
            Refused(rows, fault.reason, fault.detail)
            for fault, batches in self._refused.items()
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
                message = refusal.fault.detail
                waiting += reversed(self.split(batch, refusal))
        if waiting:
            raise RunError(
                f"the server refuses some of {whole.num_rows} rows without naming them, and"
                f" {MAX_REQUESTS} requests did not find them all; its last message: {message}",
                code="refused",
                hint="correct what the message names, or make requests smaller",
            )

    def split(self, batch: pa.Table, refusal: Refusal) -> list[pa.Table]:
        """Refuse the rows that are known to be refused, and return what to send again; any thread.

        Override it for an API that tells more.
        """
        if batch.num_rows in {1, refusal.dropped}:
            self.refuse(batch, refusal.fault)
            return []
        return halves(batch)

    def refuse(self, batch: pa.Table, fault: Fault) -> None:
        """Record rows that the server never accepts; any thread."""
        with self._lock:
            self._refused.setdefault(fault, []).extend(rows_of(batch))

    def _attempts(self, batch: pa.Table) -> None:
        """Send a batch until the server has accepted or refused each row."""
        left = batch

        def once() -> None:
            while left.num_rows:
                step()

        def step() -> None:
            nonlocal left
            if self._aborted.is_set():
                raise InterruptedRunError("the task was aborted")
            outcome, size = self._post(left)
            sent, left = left, left.take(pa.array(outcome.again, pa.int64()))
            for fault, numbers in _by_fault(outcome).items():
                self.refuse(sent.take(numbers), fault)
            with self._lock:
                self.rows += sent.num_rows - left.num_rows - len(outcome.refused)
                self.bytes += size
            if outcome.error is not None and left.num_rows:
                raise outcome.error
            if left.num_rows == sent.num_rows:
                raise RunError("the server neither accepts nor refuses rows", code="refused")

        retry = Retry(None, self._retry_timeout, FIRST_WAIT_SECS, _MAX_WAIT_SECS)
        with_retries(once, retry, sleep=self._sleep, health=self._context.health)

    def _sleep(self, seconds: float) -> None:
        """Wait, unless the run gives up its epoch or the task is aborted."""
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            if self._aborted.wait(min(left, _TICK_SECS)) or self._context.abandoned():
                raise InterruptedRunError("stopped while the server did not accept rows")


def _by_fault(outcome: Outcome) -> dict[Fault, pa.Array]:
    """Return the numbers of the refused rows by fault."""
    numbers: dict[Fault, list[int]] = {}
    for number, fault in outcome.refused.items():
        numbers.setdefault(fault, []).append(number)
    return {fault: pa.array(np.sort(rows), pa.int64()) for fault, rows in numbers.items()}


def _concatenated(batches: list[pa.RecordBatch]) -> list[pa.RecordBatch]:
    """Concatenate batches, if Arrow can unify their dictionaries."""
    try:
        return [pa.concat_batches(batches)]
    except pa.ArrowInvalid:
        return batches
