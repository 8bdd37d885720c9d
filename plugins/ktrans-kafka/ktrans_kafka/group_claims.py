"""Members of a consumer group, and their claims.

Members take ranges of offsets permanently before they read them.

A claim moves the group's committed offsets to the ends of the planned ranges. The same Kafka
transaction writes a marker: the same offsets with the claim's name, committed for a group without
members, `ktrans.claims.<member>`. So

- either the ranges belong to this member permanently and the marker shows it, or nothing happened;
- the broker refuses the claim of a member that lost a partition, by its generation;
- a process that died after the claim finds the marker, and reads the ranges in its state store even
  if the partitions are assigned to another process by then.

Transactions by which offsets of groups are committed: Apache Kafka KIP-98, KIP-447 (fencing by the
group's generation, and waiting for offsets of open transactions).
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from ktrans.api import RunError
from ktrans_kafka.client import kafka
from ktrans_kafka.errors import is_access, is_fenced, kafka_error, name_of
from ktrans_kafka.source_clients import Clients
from ktrans_kafka.source_position import Part, Range

POLL_SECS = 0.05
_SETTINGS = {
    "partition.assignment.strategy": "range,roundrobin",
    "topic.metadata.refresh.interval.ms": 10_000,
}
_LOST_MEMBERSHIP = {"ILLEGAL_GENERATION", "UNKNOWN_MEMBER_ID", "FENCED_INSTANCE_ID"}


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
        while not self._over.wait(POLL_SECS):
            with self._lock:
                try:
                    message = self.consumer.poll(0)
                    error = None if message is None else message.error()
                except kafka.KafkaException as raised:
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


class Claims:
    """The claims of one member; a consumer without membership reads the group's offsets."""

    def __init__(
        self, member: str, membership: Membership, offset_reader: Any, clients: Clients
    ) -> None:
        self.member = member
        self._marker_group = f"ktrans.claims.{member}"
        self._group = clients.config.group
        self._membership = membership
        self._offset_reader = offset_reader
        self._clients = clients
        self._timeout = clients.config.connect_timeout
        self._lock = threading.Lock()
        self._producer: Any = None
        self._marker: Any = None
        self._planned: tuple[str, dict[Part, tuple[int, int]]] = ("", {})
        self._tried: set[str] = set()
        self._settled: dict[tuple[str, Part], bool] = {}

    def plan(self, name: str, spans: Mapping[Part, tuple[int, int]]) -> None:
        """Store what to claim once the plan is recorded and its first split is opened."""
        with self._lock:
            self._planned = (name, dict(spans))
            self._settled = {key: mine for key, mine in self._settled.items() if key[0] == name}

    def holds(self, name: str, part: Part) -> bool:
        """Return whether a claim on a partition was successful; make it if necessary."""
        with self._lock:
            if (name, part) not in self._settled:
                self._settle(name, part)
            return self._settled[name, part]

    def unrecorded(self, parts: Iterable[Part], number: int) -> tuple[list[Range], int]:
        """Return the ranges of claims after the member's n-th, which no recorded epoch contains.

        They exist if a planned epoch was dropped because the source's options changed. The number of
        the last claim comes with them.
        """
        found, last = [], number
        with self._lock:
            for part, (end, marker) in self._markers(parts).items():
                later = int(marker["claim"].rpartition(":")[2])
                last = max(last, later)
                if later > number and marker["group"] == self._group:
                    found.append(Range(*part, marker["start"], end))
        return sorted(found), last

    def check(self, parts: Iterable[Part]) -> None:
        """Check that markers can be read and claims can be made."""
        with self._lock:
            self._markers(parts)

    def close(self) -> None:
        with self._lock:
            if self._marker is not None:
                self._marker.close()
            self._marker = self._producer = None

    # -- with the lock held -------------------------------------------------------------------

    def _settle(self, name: str, part: Part) -> None:
        planned, spans = self._planned
        if name != planned:
            self._settled[name, part] = part in self._made(name, [part])
            return
        # A failed attempt may have been committed nevertheless.
        mine = self._made(name, spans) if name in self._tried else set()
        mine |= self._claim(name, {each: span for each, span in spans.items() if each not in mine})
        for each in spans:
            self._settled[name, each] = each in mine

    def _made(self, name: str, parts: Iterable[Part]) -> set[Part]:
        return {
            part for part, (_, marker) in self._markers(parts).items() if marker["claim"] == name
        }

    def _markers(self, parts: Iterable[Part]) -> dict[Part, tuple[int, dict[str, Any]]]:
        """Return offset and metadata of the markers, after ending an open transaction of this member."""
        self._begin()
        found = {}
        for part, place in self._clients.committed(self._marker, parts, self._timeout).items():
            if place.metadata:
                found[part] = (place.offset, json.loads(place.metadata))
        return found

    def _begin(self) -> None:
        """Create the producer, which ends an open transaction of an earlier process of this member."""
        if self._marker is None:
            self._marker = self._clients.consumer(self._marker_group)
        if self._producer is None:
            producer = self._clients.claim_producer(self._marker_group)
            try:
                producer.init_transactions(self._timeout)
            except kafka.KafkaException as error:
                raise self._clients.errors.explain(error, "kafka: preparing to claim") from error
            self._producer = producer

    def _claim(self, name: str, spans: Mapping[Part, tuple[int, int]]) -> set[Part]:
        """Claim the spans whose partition is still assigned and whose start is the committed offset."""
        self._begin()
        self._tried.add(name)
        with self._membership.held() as owned:
            parts = owned & set(spans)
            at = self._clients.committed(self._offset_reader, parts, self._timeout)
            claimed = {part: spans[part] for part in at if at[part].offset == spans[part][0]}
            if not claimed:
                return set()
            try:
                self._transact(name, claimed)
            except kafka.KafkaException as error:
                if name_of(error) not in _LOST_MEMBERSHIP:
                    raise self._dropped(error) from error
                try:
                    self._producer.abort_transaction(self._timeout)
                except kafka.KafkaException as failed:
                    raise self._dropped(failed) from failed
                return set()
        return set(claimed)

    def _transact(self, name: str, spans: Mapping[Part, tuple[int, int]]) -> None:
        ends = [kafka.TopicPartition(*part, end) for part, (_, end) in spans.items()]
        shared = {"claim": name, "group": self._group}
        markers = [
            kafka.TopicPartition(*part, end, metadata=json.dumps({**shared, "start": start}))
            for part, (start, end) in spans.items()
        ]
        producer = self._producer
        producer.begin_transaction()
        producer.send_offsets_to_transaction(
            ends, self._membership.consumer.consumer_group_metadata(), self._timeout
        )
        producer.send_offsets_to_transaction(
            markers, self._marker.consumer_group_metadata(), self._timeout
        )
        producer.commit_transaction(self._timeout)

    def _dropped(self, error: Exception) -> Exception:
        """Drop the producer and return the error; the next producer ends the transaction."""
        self._producer = None
        if is_fenced(error):
            return RunError(
                "kafka: another process uses the same state store, or a copy of it: "
                f"{kafka_error(error).str()}",
                code="fenced",
                hint="each process of a group needs its own state store (state.path)",
            )
        return self._clients.errors.explain(error, "kafka: claiming offsets")
