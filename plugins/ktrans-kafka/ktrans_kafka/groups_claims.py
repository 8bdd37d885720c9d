"""Claims: how members of a group take ranges of offsets for good, before they read them.

A claim moves the group's committed offsets to the ends of the planned ranges. In the same Kafka
transaction it writes a marker: the same offsets, with the claim's name, committed for a group that
has no members, `ktrans.claims.<member>`. So

- either the ranges are this member's for ever and the marker says so, or nothing has happened;
- a member that has lost a partition is refused by its generation, and its claim with it;
- a process that died after the claim finds the marker, and reads the ranges that its state store
  knows, whoever is assigned the partitions by then.

Transactions by which offsets of groups are committed: Apache Kafka KIP-98, KIP-447 (fencing by the
group's generation, and waiting for offsets of open transactions).
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from ktrans.api import RunError
from ktrans_kafka.client import Troubles
from ktrans_kafka.errors import is_access, is_fenced, kafka_error, name_of
from ktrans_kafka.groups import Membership
from ktrans_kafka.source_ranges import Range

if TYPE_CHECKING:
    from ktrans_kafka.source_ranges import Part

_LOST_PLACE = {"ILLEGAL_GENERATION", "UNKNOWN_MEMBER_ID", "FENCED_INSTANCE_ID"}


def marker_group(member: str) -> str:
    """Give the name of the group that keeps a member's markers."""
    return f"ktrans.claims.{member}"


class Claims:
    """The claims of one member.

    Args:
        member: its name, which stays the same for as long as its state store lives.
        group: whose offsets it claims.
        membership: where it is a member.
        asker: a consumer of the same group that is no member, to ask for committed offsets.
        make_producer: makes a transactional producer of a transactional.id.
        make_asker: makes a consumer of a group.id, to ask for committed offsets.
        troubles: their error_cb.
        timeout_secs: how long to wait for each answer.
    """

    def __init__(
        self,
        member: str,
        group: str,
        membership: Membership,
        asker: Any,
        make_producer: Callable[[str], Any],
        make_asker: Callable[[str], Any],
        troubles: Troubles,
        timeout_secs: float,
    ) -> None:
        self.member = member
        self._group = group
        self._membership = membership
        self._make_producer = make_producer
        self._asker = asker
        self._make_asker = make_asker
        self._troubles = troubles
        self._timeout = timeout_secs
        self._lock = threading.Lock()
        self._producer: Any = None
        self._marker: Any = None
        self._planned: tuple[str, dict[Part, tuple[int, int]]] = ("", {})
        self._tried: set[str] = set()
        self._settled: dict[tuple[str, Part], bool] = {}

    def name(self, number: int) -> str:
        """Give the name of the member's n-th claim."""
        return f"{self.member}:{number}"

    def plan(self, name: str, spans: Mapping[Part, tuple[int, int]]) -> None:
        """Keep in mind what a plan wants to claim, once it is recorded and its first split opened."""
        with self._lock:
            self._planned = (name, dict(spans))
            self._settled = {key: mine for key, mine in self._settled.items() if key[0] == name}

    def mine(self, name: str, part: Part) -> bool:
        """Tell whether a claim on a partition holds, after making it if it was not made yet.

        Raises:
            KtransError: this cannot be told now.
        """
        with self._lock:
            if (name, part) not in self._settled:
                self._settle(name, part)
            return self._settled[name, part]

    def forgotten(self, parts: Iterable[Part], number: int) -> tuple[list[Range], int]:
        """Find claims later than the member's n-th: made, but part of no recorded epoch.

        This happens when a planned epoch is dropped because the source's options have changed.

        Returns:
            Their ranges, and the number of the last claim that was ever made.
        """
        found, last = [], number
        with self._lock:
            for part, (end, about) in self._markers(parts).items():
                later = int(about["claim"].rpartition(":")[2])
                last = max(last, later)
                if later > number and about["group"] == self._group:
                    found.append(Range(*part, about["start"], end))
        return sorted(found), last

    def check(self, parts: Iterable[Part]) -> None:
        """Find out whether markers can be read and claims be made."""
        with self._lock:
            self._markers(parts)

    def close(self) -> None:
        """Let go of the connections."""
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
        # An attempt that failed may have got through all the same.
        mine = self._made(name, spans) if name in self._tried else set()
        mine |= self._claim(name, {each: span for each, span in spans.items() if each not in mine})
        for each in spans:
            self._settled[name, each] = each in mine

    def _made(self, name: str, parts: Iterable[Part]) -> set[Part]:
        return {part for part, (_, about) in self._markers(parts).items() if about["claim"] == name}

    def _markers(self, parts: Iterable[Part]) -> dict[Part, tuple[int, dict[str, Any]]]:
        """Give offset and words of the markers, once an unfinished transaction of ours is over."""
        self._begin()
        found = {}
        for place in self._committed(self._marker, parts):
            if place.offset >= 0 and place.metadata:
                part = (place.topic, place.partition)
                found[part] = (place.offset, json.loads(place.metadata))
        return found

    def _begin(self) -> None:
        """Get a producer; this ends what an earlier process of this member has left open."""
        from confluent_kafka import KafkaException

        if self._marker is None:
            self._marker = self._make_asker(marker_group(self.member))
        if self._producer is None:
            producer = self._make_producer(marker_group(self.member))
            try:
                producer.init_transactions(self._timeout)
            except KafkaException as error:
                raise self._troubles.explain(error, "kafka: preparing to claim") from error
            self._producer = producer

    def _claim(self, name: str, spans: Mapping[Part, tuple[int, int]]) -> set[Part]:
        """Claim what is still this member's and where the planned ranges begin."""
        from confluent_kafka import KafkaException

        self._begin()
        self._tried.add(name)
        with self._membership.held() as owned:
            at = {
                (place.topic, place.partition): place.offset
                for place in self._committed(self._asker, owned & set(spans))
            }
            claimed = {part: spans[part] for part in at if at[part] == spans[part][0]}
            if not claimed:
                return set()
            try:
                self._transact(name, claimed)
            except KafkaException as error:
                if self._undone(error):
                    return set()
                raise self._given_up(error) from error
        return set(claimed)

    def _transact(self, name: str, spans: Mapping[Part, tuple[int, int]]) -> None:
        from confluent_kafka import TopicPartition

        ends = [TopicPartition(*part, end) for part, (_, end) in spans.items()]
        about = {"claim": name, "group": self._group}
        markers = [
            TopicPartition(*part, end, metadata=json.dumps({**about, "start": start}))
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

    def _undone(self, error: Exception) -> bool:
        """Abort a claim that was refused because the member has lost its place."""
        from confluent_kafka import KafkaException

        if name_of(error) not in _LOST_PLACE:
            return False
        try:
            self._producer.abort_transaction(self._timeout)
        except KafkaException as failed:
            raise self._given_up(failed) from failed
        return True

    def _given_up(self, error: Exception) -> Exception:
        """Leave the transaction to the next producer, which ends it either way."""
        self._producer = None
        if is_fenced(error):
            return RunError(
                "kafka: another process uses the same state store, or a copy of it: "
                f"{kafka_error(error).str()}",
                code="fenced",
                hint="each process of a group needs a state store (state.path) of its own",
            )
        return self._troubles.explain(error, "kafka: claiming offsets")

    def _committed(self, consumer: Any, parts: Iterable[Part]) -> list[Any]:
        return committed(consumer, parts, self._troubles, self._timeout)


def committed(
    consumer: Any, parts: Iterable[Part], troubles: Troubles, timeout_secs: float
) -> list[Any]:
    """Give the committed offsets of a consumer's group, once no transaction on them is open."""
    from confluent_kafka import KafkaException, TopicPartition

    wanted = [TopicPartition(*part) for part in parts]
    if not wanted:
        return []
    doing = "kafka: asking for committed offsets"
    try:
        places: list[Any] = consumer.committed(wanted, timeout_secs)
    except KafkaException as error:
        raise troubles.explain(_reason(consumer) or error, doing) from error
    for place in places:
        if place.error is not None:
            raise troubles.explain(place.error, doing)
    return places


def _reason(consumer: Any) -> Any:
    """Give what a consumer was refused, if that is why it got no answer; it says so as a message."""
    message = consumer.poll(0)
    refused = message is not None and message.error() is not None and is_access(message.error())
    return message.error() if refused else None
