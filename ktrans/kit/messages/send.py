"""Sends staged messages in requests; what a request leaves unsent is sent again, alone."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

from ktrans.api import Context, InterruptedRunError, KtransError, RetryableError
from ktrans.kit.messages.encode import ROWS, lengths, spans
from ktrans.kit.retry import Retry, interruptible_sleep, with_retries

_SPAN = re.compile(rb"([0-9]+) ([0-9]+)\n")


@dataclass(frozen=True, slots=True)
class Request:
    """Messages that are sent together.

    Attributes:
        batch: the messages: `data`, `rows` and their texts.
        ids: an id of each, the same whenever it is sent: pipeline, sink, epoch, task and number.
    """

    batch: pa.RecordBatch
    ids: list[str]


Post = Callable[[Request], Mapping[int, KtransError]]
"""Sends a request; returns why some of its messages were not accepted, by their place in it.

It raises an error if none was. A RetryableError lets the messages be sent again.
"""


@dataclass(frozen=True, slots=True)
class RequestLimits:
    """What a request may hold.

    Attributes:
        messages: the most messages.
        bytes: the most bytes, as the destination counts them.
        overhead: what each message adds to the bytes of its data and texts.
        at_once: how many requests are under way at a time.
    """

    messages: int
    bytes: int
    overhead: int = 0
    at_once: int = 4


class SentNotes:
    """Notes in a file which messages of a task were sent, so that a repeated commit leaves them out.

    Args:
        path: a file with a line `first end` for each span of numbers.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()

    def add(self, numbers: np.ndarray) -> None:
        """Note numbers, in ascending order."""
        breaks = np.flatnonzero(np.diff(numbers) != 1) + 1
        parts = [part for part in np.split(numbers, breaks) if len(part)]
        lines = b"".join(b"%d %d\n" % (part[0], part[-1] + 1) for part in parts)
        with self._lock, self._path.open("ab", buffering=0) as file:
            file.write(lines)

    def read(self) -> np.ndarray:
        """Return all numbers that were noted."""
        if not self._path.exists():
            return np.array([], np.int64)
        # A line may be torn, and go on as the next one.
        lines = map(_SPAN.fullmatch, self._path.read_bytes().splitlines(keepends=True))
        found = [np.arange(int(line[1]), int(line[2])) for line in lines if line]
        return np.concatenate([np.array([], np.int64), *found])


class Sender:
    """Sends the messages of one task, several requests at a time.

    Args:
        post: sends a request.
        limits: of a request.
        origin: the beginning of the messages' ids; their numbers follow.
        notes: which messages were sent.
        context: of the sink.
        retry_secs: how long the same messages are sent again.
    """

    def __init__(
        self,
        post: Post,
        limits: RequestLimits,
        origin: str,
        notes: SentNotes,
        context: Context,
        retry_secs: float,
    ) -> None:
        self._post = post
        self._limits = limits
        self._origin = origin
        self._notes = notes
        self._context = context
        self._retry = Retry(None, retry_secs, first_wait_secs=0.1, max_wait_secs=5.0)
        self._sent = notes.read()
        self._next = 0
        self._pool = ThreadPoolExecutor(limits.at_once, thread_name_prefix="send")

    def send(self, batch: pa.RecordBatch, lanes: np.ndarray | None = None) -> None:
        """Send the next messages of the task, except those that were sent before.

        Args:
            batch: the messages.
            lanes: a number for each message; those of one number are never in a request with others,
                and are sent in their order, one request after the other. None for no order.
        """
        first, self._next = self._next, self._next + batch.num_rows
        left = np.flatnonzero(~np.isin(np.arange(first, self._next), self._sent))
        flying: set[Future[None]] = set()
        try:
            for job in self._jobs(batch, left, lanes):
                if len(flying) >= 2 * self._limits.at_once:
                    done, flying = wait(flying, return_when=FIRST_COMPLETED)
                    for future in done:
                        future.result()
                flying.add(self._pool.submit(self._run, batch, job, first))
        finally:
            done, _ = wait(flying)
        for future in done:
            future.result()

    def close(self) -> None:
        """End the threads."""
        self._pool.shutdown(wait=True)

    def _jobs(
        self, batch: pa.RecordBatch, left: np.ndarray, lanes: np.ndarray | None
    ) -> Iterator[list[np.ndarray]]:
        """Return requests as places in the batch; those of one list are sent one after the other."""
        sizes = np.full(batch.num_rows, self._limits.overhead, np.int64)
        for name in batch.schema.names:
            if name != ROWS:
                sizes += lengths(batch.column(name))
        if lanes is None:
            for request in self._cut(left, sizes):
                yield [request]
            return
        lanes = lanes[left]
        order = np.argsort(lanes, kind="stable")
        breaks = np.flatnonzero(np.diff(lanes[order])) + 1
        for lane in np.split(left[order], breaks):
            if len(lane):
                yield list(self._cut(lane, sizes))

    def _cut(self, places: np.ndarray, sizes: np.ndarray) -> Iterator[np.ndarray]:
        limits = self._limits
        for start, end in spans(sizes[places], limits.messages, limits.bytes):
            yield places[start:end]

    def _run(self, batch: pa.RecordBatch, job: list[np.ndarray], first: int) -> None:
        for places in job:
            self._send(batch, places, first)

    def _send(self, batch: pa.RecordBatch, places: np.ndarray, first: int) -> None:
        """Send messages until all are accepted.

        Raises:
            KtransError: one is not accepted, for good or for too long.
        """
        waiting = places

        def attempt() -> None:
            nonlocal waiting
            ids = [f"{self._origin}-{number}" for number in (waiting + first).tolist()]
            failed = self._post(Request(batch.take(pa.array(waiting)), ids))
            accepted = np.ones(len(waiting), np.bool_)
            accepted[list(failed)] = False
            self._notes.add(waiting[accepted] + first)
            waiting = waiting[~accepted]
            if failed:
                lasting = [e for e in failed.values() if not isinstance(e, RetryableError)]
                raise (lasting or list(failed.values()))[0]

        with_retries(
            attempt,
            self._retry,
            sleep=interruptible_sleep(self._context.abandoned, self._context.clock),
            before_wait=self._stop_if_abandoned,
            health=self._context.health,
        )

    def _stop_if_abandoned(self, _: object) -> None:
        if self._context.abandoned():
            raise InterruptedRunError("the run was stopped before all messages were sent")
