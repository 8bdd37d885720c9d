"""Membership of a consumer group: which partitions are this process' to claim, at any moment."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from ktrans_kafka.client import Troubles
from ktrans_kafka.errors import is_access, kafka_error

if TYPE_CHECKING:
    from ktrans_kafka.source_ranges import Part

POLL_SECS = 0.05
OWN = {
    "enable.auto.commit": False,
    "enable.auto.offset.store": False,
    # A broker holds back offsets of transactions that are still open only for such readers.
    "isolation.level": "read_committed",
    "partition.assignment.strategy": "range,roundrobin",
    "topic.metadata.refresh.interval.ms": 10_000,
}
"""Settings of the member. It reads nothing, so it needs no cooperative rebalance: data that was
claimed stays claimed, whoever is assigned what."""


class Membership:
    """A member of a consumer group that reads nothing: it only holds partitions.

    A thread polls it for as long as it lives, so that slow epochs cost no membership. Whoever
    claims something does so in `held`: no rebalance passes meanwhile. The consumer is used with the
    lock held only: its calls wait for each other, in ways that its documentation leaves open.

    Args:
        make: makes the consumer.
        troubles: its error_cb.
    """

    def __init__(self, make: Callable[[], Any], troubles: Troubles) -> None:
        self._make = make
        self._topics: list[str] = []
        self._troubles = troubles
        self._lock = threading.Condition()
        self._owned: frozenset[Part] | None = None
        self._error: Any = None
        self._over = threading.Event()
        self._thread: threading.Thread | None = None
        self.consumer: Any = None

    def join(self, topics: Sequence[str]) -> None:
        """Become a member for these topics, in the background; harmless when it is one already."""
        if self.consumer is None:
            self.consumer = self._make()
        with self._lock:
            if self._topics == list(topics):
                return
            self._topics = list(topics)
            self._owned = None
            self.consumer.subscribe(
                self._topics,
                on_assign=self._assigned,
                on_revoke=self._revoked,
                on_lost=self._revoked,
            )
        if self._thread is None:
            self._thread = threading.Thread(target=self._poll, name="kafka-group", daemon=True)
            self._thread.start()

    def wait(self, secs: float, stopping: Callable[[], bool]) -> frozenset[Part] | None:
        """Wait until the group has settled; give what is this member's, None if it takes longer.

        Raises:
            KtransError: the group or a topic refuses this member.
        """
        end = time.monotonic() + secs
        with self._lock:
            while self._owned is None and self._error is None:
                left = end - time.monotonic()
                if left <= 0 or stopping():
                    return None
                self._lock.wait(min(left, POLL_SECS))
            if self._error is not None:
                error, self._error = self._error, None
                raise self._troubles.explain(error, "kafka: joining the group")
            return self._owned

    @contextmanager
    def held(self) -> Iterator[frozenset[Part]]:
        """Keep rebalances out, and give what is this member's now."""
        with self._lock:
            yield self._owned or frozenset()

    def close(self) -> None:
        """Leave the group."""
        self._over.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None
        if self.consumer is not None:
            self.consumer.close()
            self.consumer = None

    def _poll(self) -> None:
        """Let the client tell of rebalances. It never waits in there: other calls would with it."""
        from confluent_kafka import KafkaException

        while not self._over.wait(POLL_SECS):
            with self._lock:
                try:
                    message = self.consumer.poll(0)
                    error = None if message is None else message.error()
                except KafkaException as raised:
                    error = kafka_error(raised)
                # A topic that a broker does not know of yet is none of these: it is assigned later.
                if error is not None and (is_access(error) or error.fatal()):
                    self._error = error
                self._lock.notify_all()

    # Called by `poll`, with the lock held, and by `close`.

    def _assigned(self, consumer: Any, parts: Sequence[Any]) -> None:
        consumer.assign([])  # nothing is to be fetched
        self._owned = frozenset((part.topic, part.partition) for part in parts)

    def _revoked(self, consumer: Any, parts: Sequence[Any]) -> None:
        del parts
        self._owned = None
        consumer.unassign()
