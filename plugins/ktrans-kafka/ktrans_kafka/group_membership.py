"""Membership of a consumer group: which partitions are assigned to this process."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from ktrans_kafka.errors import is_access, kafka_error
from ktrans_kafka.source_clients import Clients
from ktrans_kafka.source_position import Part

POLL_SECS = 0.05
_SETTINGS = {
    "partition.assignment.strategy": "range,roundrobin",
    "topic.metadata.refresh.interval.ms": 10_000,
}


class Membership:
    """A member of a consumer group that reads nothing: it is only assigned partitions.

    It needs no cooperative rebalance: claimed ranges stay claimed after a rebalance. A thread polls
    the consumer, so that slow epochs do not end the membership. Claims are made inside `held`, which
    blocks rebalances. The consumer is only used with the lock held, since its calls may block each
    other in undocumented ways.
    """

    def __init__(self, group: str, clients: Clients) -> None:
        self._group = group
        self._clients = clients
        self._topics: list[str] = []
        self._lock = threading.Condition()
        self._owned: frozenset[Part] | None = None
        self._error: Any = None
        self._over = threading.Event()
        self._thread: threading.Thread | None = None
        self.consumer: Any = None

    def join(self, topics: Sequence[str]) -> None:
        """Join the group for these topics in the background; do nothing if it has joined already."""
        if self.consumer is None:
            session_ms = self._clients.config.session_secs * 1000
            own = {**_SETTINGS, "heartbeat.interval.ms": int(session_ms / 6) + 1}
            self.consumer = self._clients.consumer(self._group, own)
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

    def wait(self, secs: float) -> frozenset[Part] | None:
        """Wait for the assignment and return it; None if it takes longer."""
        end = time.monotonic() + secs
        with self._lock:
            while self._owned is None and self._error is None:
                left = end - time.monotonic()
                if left <= 0 or self._clients.context.stopping():
                    return None
                self._lock.wait(min(left, POLL_SECS))
            if self._error is not None:
                error, self._error = self._error, None
                raise self._clients.errors.explain(error, "kafka: joining the group")
            return self._owned

    @contextmanager
    def held(self) -> Iterator[frozenset[Part]]:
        """Block rebalances, and yield the current assignment."""
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
        """Poll the client for rebalances, without waiting: other calls would have to wait too."""
        from confluent_kafka import KafkaException

        while not self._over.wait(POLL_SECS):
            with self._lock:
                try:
                    message = self.consumer.poll(0)
                    error = None if message is None else message.error()
                except KafkaException as raised:
                    error = kafka_error(raised)
                # Not for a topic that a broker does not know yet: it is assigned later.
                if error is not None and (is_access(error) or error.fatal()):
                    self._error = error
                self._lock.notify_all()

    # Callbacks of `poll` (with the lock held) and `close`.

    def _assigned(self, consumer: Any, parts: Sequence[Any]) -> None:
        consumer.assign([])  # fetch nothing
        self._owned = frozenset((part.topic, part.partition) for part in parts)

    def _revoked(self, consumer: Any, parts: Sequence[Any]) -> None:
        del parts
        self._owned = None
        consumer.unassign()
