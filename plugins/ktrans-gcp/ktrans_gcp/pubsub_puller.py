"""Receives messages by several pull requests at a time, and extends their leases.

Pull requests are used, not a stream: this process holds only what a request brings, so nothing is
leased in the background while an epoch is processed.

Source: Google Cloud Pub/Sub documentation, "Pull subscriptions" (unary pull), "Extend ack time with
lease management", "Quotas and limits" (1000 messages a pull request).
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from typing import Any

from ktrans.api import RetryableError
from ktrans_gcp.errors import google_errors
from ktrans_gcp.pubsub_client import retrying

MAX_MESSAGES = 1000
_TICK_SECS = 0.2
_LONGEST_PULL_SECS = 5.0
_SHORTEST_PULL_SECS = 1.0
_BUSY_MESSAGES = 10
_UNKNOWN_SIZE = 64 << 10
_EXTEND_AFTER_SECS = 4.0
_EXTEND_BY_SECS = 30
MISSING = "create it, or correct `subscription`"
ACCESS = "grant roles/pubsub.subscriber on the subscription to these credentials"


@dataclass(slots=True)
class Batch:
    """What one pull request brought.

    Attributes:
        messages: raw protocol buffers (`PubsubMessage`), in the order in which they came.
        ack_ids: one a message.
        nbytes: of the messages' data.
        leased: monotonic time from which on the leases run.
    """

    messages: list[Any] = field(default_factory=list)
    ack_ids: list[str] = field(default_factory=list)
    nbytes: int = 0
    leased: float = 0.0


class Puller:
    """Pull requests to one subscription.

    Args:
        client: Google's `SubscriberClient`.
        name: the subscription's full name.
        what: the same for error messages.
        width: how many requests run at a time, at most.
        max_bytes: about as much as all of them together may bring.
        stopping: whether the run has been told to stop.
    """

    def __init__(
        self,
        client: Any,
        name: str,
        what: str,
        *,
        width: int,
        max_bytes: int,
        stopping: Callable[[], bool],
    ) -> None:
        self._client = client
        self._name = name
        self._what = what
        self._max_width = width
        self._max_bytes = max_bytes
        self._stopping = stopping
        self._width = 1
        self._mean_size = float(_UNKNOWN_SIZE)
        self._pool = ThreadPoolExecutor(width, thread_name_prefix="pull")
        self._flying: set[Future[Batch]] = set()
        self._held: dict[int, Batch] = {}
        self._lock = threading.Lock()
        self._done = threading.Event()
        self._keeper: threading.Thread | None = None

    @property
    def flying(self) -> bool:
        """Whether requests are under way."""
        return bool(self._flying)

    def launch(self, secs: float) -> None:
        """Send requests until enough are under way; each waits this long."""
        secs = min(max(secs, _SHORTEST_PULL_SECS), _LONGEST_PULL_SECS)
        while len(self._flying) < self._width and not self._stopping():
            self._flying.add(self._pool.submit(self._pull, secs))

    def arrived(self, secs: float = _TICK_SECS) -> list[Batch]:
        """Return what has arrived, waiting a little if nothing has."""
        if not self._flying:
            return []
        done, self._flying = wait(self._flying, secs, FIRST_COMPLETED)
        errors = [error for future in done if (error := future.exception())]
        batches = [future.result() for future in done if not future.exception()]
        if errors and not any(batch.messages for batch in batches):
            raise errors[0]  # else what came counts, and the next request meets the error again
        for batch in batches:
            if len(batch.messages) >= _BUSY_MESSAGES:
                self._width = min(self._width + 1, self._max_width)
            elif not batch.messages:
                self._width = 1
        return [batch for batch in batches if batch.messages]

    def acknowledge(self, batches: Sequence[Batch]) -> None:
        """Acknowledge messages that are durable; those that fail are delivered again.

        Raises:
            AccessError: no permission.
        """
        from google.api_core import exceptions as api

        def send(batch: Batch) -> None:
            try:
                with google_errors(self._what, missing=MISSING, access=ACCESS):
                    self._client.acknowledge(
                        subscription=self._name,
                        ack_ids=batch.ack_ids,
                        retry=retrying(self._stopping, timeouts=True),
                        timeout=10.0,
                    )
            except RetryableError:
                return
            except Exception as error:
                # With exactly-once delivery, ids whose lease ran out are refused.
                if not isinstance(error.__cause__, (api.InvalidArgument, api.FailedPrecondition)):
                    raise
            finally:
                self._let_go(batch)

        list(self._pool.map(send, batches))

    def release(self, batches: Sequence[Batch]) -> None:
        """Release messages, for others to receive at once, if possible."""
        for batch in batches:
            self._let_go(batch)
            self._extend(batch, 0)

    def close(self) -> None:
        """Release what is held, and end the threads."""
        self._done.set()
        for future in self._flying:
            future.cancel()
        self._pool.shutdown(wait=True)
        lost = [f.result() for f in self._flying if not f.cancelled() and f.exception() is None]
        self._flying = set()
        self.release([*lost, *self._held.values()])
        if self._keeper is not None:
            self._keeper.join()
            self._keeper = None

    def _pull(self, secs: float) -> Batch:
        from google.api_core import exceptions as api
        from google.pubsub_v1.types import PullRequest, PullResponse

        wanted = int(self._max_bytes / self._max_width / max(self._mean_size, 1.0))
        request = PullRequest(
            subscription=self._name, max_messages=min(max(wanted, 1), MAX_MESSAGES)
        )
        try:
            with google_errors(self._what, missing=MISSING, access=ACCESS):
                response = self._client.pull(
                    request=request, timeout=secs, retry=retrying(self._stopping, timeouts=False)
                )
        except RetryableError as error:
            if isinstance(error.__cause__, (api.DeadlineExceeded, api.Cancelled)):
                return Batch()
            raise
        # The raw message: the client's wrapper takes ten times as long for each access.
        received = PullResponse.pb(response).received_messages
        messages = [each.message for each in received]
        batch = Batch(
            messages,
            [each.ack_id for each in received],
            sum(len(message.data) for message in messages),
            time.monotonic(),
        )
        if messages:
            mean = batch.nbytes / len(messages)
            self._mean_size = max(mean, (self._mean_size + mean) / 2)
            self._hold(batch)
        return batch

    # -- leases -------------------------------------------------------------------------------

    def _hold(self, batch: Batch) -> None:
        with self._lock:
            self._held[id(batch)] = batch
            if self._keeper is None:
                self._keeper = threading.Thread(target=self._keep, name="leases", daemon=True)
                self._keeper.start()

    def _let_go(self, batch: Batch) -> None:
        with self._lock:
            self._held.pop(id(batch), None)

    def _keep(self) -> None:
        """Extend the leases of messages that take long to be written, as on a slow disk."""
        while not self._done.wait(1.0):
            now = time.monotonic()
            with self._lock:
                due = [b for b in self._held.values() if now - b.leased > _EXTEND_AFTER_SECS]
            for batch in due:
                self._extend(batch, _EXTEND_BY_SECS)
                batch.leased = now + _EXTEND_BY_SECS / 2

    def _extend(self, batch: Batch, secs: int) -> None:
        from google.api_core import exceptions as api

        try:
            self._client.modify_ack_deadline(
                subscription=self._name,
                ack_ids=batch.ack_ids,
                ack_deadline_seconds=secs,
                retry=None,
                timeout=10.0,
            )
        except (api.GoogleAPICallError, ValueError):
            return
