"""Publishes staged messages: several requests at a time, those of one ordering key in order.

Source: Google Cloud Pub/Sub documentation, "Order messages": the messages of one publish request
have the same ordering key, or none.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa

from ktrans.api import Context
from ktrans_gcp.errors import google_errors
from ktrans_gcp.pubsub_client import retrying
from ktrans_gcp.pubsub_messages import ORDERING_KEY
from ktrans_gcp.pubsub_sink_config import PubsubSinkConfig

MAX_MESSAGES = 1000
_CALL_SECS = 60.0
_OVERHEAD_BYTES = 64
"""What a message's framing and timestamps may add to a request, at most."""
MISSING = "create it, or correct `topic`"
ACCESS = "grant roles/pubsub.publisher on the topic to these credentials"


@dataclass(slots=True)
class _Request:
    messages: list[Any] = field(default_factory=list)
    rows: list[int] = field(default_factory=list)
    nbytes: int = 0


class Publisher:
    """Sends the messages of one task to one topic.

    Args:
        context: of the sink.
        origin: the beginning of the messages' ids; their numbers follow.
        note: called with the numbers that were sent, as spans.
    """

    def __init__(
        self,
        client: Any,
        config: PubsubSinkConfig,
        context: Context,
        origin: str,
        note: Callable[[list[tuple[int, int]]], None],
    ) -> None:
        self._origin = origin
        self._context = context
        self._note = note
        self._client = client
        self._config = config
        self._pool = ThreadPoolExecutor(config.publishers, thread_name_prefix="publish")
        self._lock = threading.Lock()

    def send(self, batch: pa.RecordBatch, first: int, sent: np.ndarray) -> None:
        """Send a batch of staged messages, except those that were sent before.

        Args:
            batch: the messages.
            first: number of the first of them within its task.
            sent: which ones were sent, shape (rows,).
        """
        jobs = self._jobs(batch, first, sent)
        flying: set[Future[None]] = set()
        try:
            for job in jobs:
                if len(flying) >= 2 * self._config.publishers:
                    done, flying = wait(flying, return_when=FIRST_COMPLETED)
                    for future in done:
                        future.result()
                flying.add(self._pool.submit(self._run, job))
        finally:
            done, _ = wait(flying)
        for future in done:
            future.result()

    def close(self) -> None:
        self._pool.shutdown(wait=True)

    def _run(self, job: Sequence[_Request]) -> None:
        from google.pubsub_v1.types import PublishRequest

        make = PublishRequest.pb()
        for request in job:
            raw = make(topic=self._config.full_name, messages=request.messages)
            with google_errors(f"topic {self._config.full_name}", missing=MISSING, access=ACCESS):
                self._client.publish(
                    request=PublishRequest.wrap(raw),
                    retry=retrying(self._context.abandoned, self._context.health, timeouts=True),
                    timeout=_CALL_SECS,
                )
            self._context.health.works()
            with self._lock:
                self._note(_spans(request.rows))

    def _jobs(
        self, batch: pa.RecordBatch, first: int, sent: np.ndarray
    ) -> Iterator[list[_Request]]:
        """Return requests that may be sent at the same time; a list is sent one by one."""
        keys = batch.column(ORDERING_KEY)
        if keys.null_count == len(keys):
            for request in self._requests(batch, np.flatnonzero(~sent), first):
                yield [request]
            return
        coded = keys.fill_null("").dictionary_encode()
        codes = np.asarray(coded.indices)
        order = np.argsort(codes, kind="stable")
        ends = np.cumsum(np.bincount(codes, minlength=len(coded.dictionary)))
        for start, end in zip([0, *ends[:-1].tolist()], ends.tolist(), strict=True):
            rows = order[start:end]
            rows = rows[~sent[rows]]
            if len(rows):
                yield list(self._requests(batch, rows, first))

    def _requests(self, batch: pa.RecordBatch, rows: np.ndarray, first: int) -> Iterator[_Request]:
        """Cut rows into requests. By row, since a message is an object of the client library."""
        from google.pubsub_v1.types import PubsubMessage

        make = PubsubMessage.pb()
        names = [name.removeprefix("a:") for name in batch.schema.names[3:]]
        request = _Request()
        for start in range(0, len(rows), self._config.batch_messages):
            numbers = rows[start : start + self._config.batch_messages]
            part = batch.take(pa.array(numbers))
            data, keys = part.column(0).to_pylist(), part.column(2).to_pylist()
            values = list(zip(*(c.to_pylist() for c in part.columns[3:]), strict=True))
            for at, number in enumerate((numbers + first).tolist()):
                attributes = dict(self._config.fixed_attributes)
                if self._config.id_attribute:
                    attributes[self._config.id_attribute] = f"{self._origin}-{number}"
                if names:
                    row = zip(names, values[at], strict=True)
                    attributes.update({name: value for name, value in row if value is not None})
                key = keys[at] or ""
                message = make(data=data[at], attributes=attributes, ordering_key=key)
                size = message.ByteSize() + _OVERHEAD_BYTES
                full = len(request.messages) >= self._config.batch_messages
                if request.messages and (full or request.nbytes + size > self._config.batch_size):
                    yield request
                    request = _Request()
                request.messages.append(message)
                request.rows.append(number)
                request.nbytes += size
        if request.messages:
            yield request


def _spans(rows: Sequence[int]) -> list[tuple[int, int]]:
    """Return consecutive numbers as spans (first, end)."""
    numbers = np.asarray(rows)
    breaks = np.flatnonzero(np.diff(numbers) != 1) + 1
    return [(int(part[0]), int(part[-1]) + 1) for part in np.split(numbers, breaks) if len(part)]
