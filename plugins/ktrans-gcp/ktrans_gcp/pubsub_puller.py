"""Receives messages by several pull requests at a time, and extends their leases.

Pull requests are used, not a stream: this process holds only what a request brings, so nothing is
leased in the background while an epoch is processed.

Source: Google Cloud Pub/Sub documentation, "Pull subscriptions" (unary pull), "Extend ack time with
lease management", "Quotas and limits" (1000 messages a pull request).
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any

from ktrans.api import Context, KtransError, RetryableError
from ktrans.kit.objects.message_hold import MessageHold
from ktrans_gcp.errors import google_errors
from ktrans_gcp.pubsub_client import retrying
from ktrans_gcp.pubsub_source_config import PubsubSourceConfig

MAX_MESSAGES = 1000
_TICK_SECS = 0.2
_LONGEST_PULL_SECS = 5.0
_SHORTEST_PULL_SECS = 1.0
_BUSY_MESSAGES = 10
_UNKNOWN_SIZE = 64 << 10
_HELD_SECS = 12.0
"""Leases are extended after a third of it: a subscription's own are ten seconds at least."""
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
    """

    messages: list[Any] = field(default_factory=list)
    ack_ids: list[str] = field(default_factory=list)
    nbytes: int = 0


class Puller(MessageHold):
    """Pull requests to one subscription; what they bring is held until it is acknowledged."""

    def __init__(self, client: Any, config: PubsubSourceConfig, context: Context) -> None:
        super().__init__(f"subscription {config.full_name}", _HELD_SECS, context)
        self._client = client
        self._subscription = config.full_name
        self._max_width = config.pullers
        self._max_bytes = config.max_outstanding_size
        self._stopping = context.stopping
        self._health = context.health
        self._width = 1
        self._mean_size = float(_UNKNOWN_SIZE)
        self._pool = ThreadPoolExecutor(config.pullers, thread_name_prefix="pull")
        self._flying: set[Future[Batch]] = set()

    @property
    def flying(self) -> bool:
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
                with self._errors():
                    self._client.acknowledge(
                        subscription=self._subscription,
                        ack_ids=batch.ack_ids,
                        retry=retrying(self._stopping, self._health, timeouts=True),
                        timeout=10.0,
                    )
            except RetryableError:
                return
            except Exception as error:
                # With exactly-once delivery, ids whose lease ran out are refused.
                if not isinstance(error.__cause__, (api.InvalidArgument, api.FailedPrecondition)):
                    raise
            finally:
                self.let_go(batch.ack_ids)

        list(self._pool.map(send, batches))

    def close(self) -> None:
        """Release what is held, for others to receive at once if possible; end the threads."""
        for future in self._flying:
            future.cancel()
        self._pool.shutdown(wait=True)
        self._flying = set()
        super().close()
        with contextlib.suppress(KtransError):
            self._extend(self.let_go(self.receipts()), 0)

    def renew(self, receipts: Mapping[str, str]) -> Iterator[tuple[str, str]]:
        """Extend the leases of messages that take long to be written, as on a slow disk."""
        self._extend(receipts, _EXTEND_BY_SECS)
        yield from ()

    def _pull(self, secs: float) -> Batch:
        from google.api_core import exceptions as api
        from google.pubsub_v1.types import PullRequest, PullResponse

        wanted = int(self._max_bytes / self._max_width / max(self._mean_size, 1.0))
        request = PullRequest(
            subscription=self._subscription, max_messages=min(max(wanted, 1), MAX_MESSAGES)
        )
        try:
            with self._errors():
                response = self._client.pull(
                    request=request,
                    timeout=secs,
                    retry=retrying(self._stopping, self._health, timeouts=False),
                )
            self._health.works()
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
        )
        if messages:
            mean = batch.nbytes / len(messages)
            self._mean_size = max(mean, (self._mean_size + mean) / 2)
            self.hold(dict(zip(batch.ack_ids, batch.ack_ids, strict=True)))
        return batch

    def _extend(self, ack_ids: Iterable[str], secs: int) -> None:
        left = list(ack_ids)
        for at in range(0, len(left), MAX_MESSAGES):
            with self._errors():
                self._client.modify_ack_deadline(
                    subscription=self._subscription,
                    ack_ids=left[at : at + MAX_MESSAGES],
                    ack_deadline_seconds=secs,
                    retry=None,
                    timeout=10.0,
                )

    def _errors(self) -> AbstractContextManager[None]:
        return google_errors(self._name, missing=MISSING, access=ACCESS)
