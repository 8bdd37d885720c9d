"""Planning for topics that are shared with other processes by a group."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import Any

from ktrans.api import Split
from ktrans_kafka.group_claims import Claims, committed
from ktrans_kafka.group_membership import Membership
from ktrans_kafka.source_clients import Clients
from ktrans_kafka.source_cluster import Topic
from ktrans_kafka.source_config import KafkaSourceConfig
from ktrans_kafka.source_position import Position, start_of
from ktrans_kafka.source_ranges import Part, Range, extents


class GroupShare:
    """The share of this process in a consumer group.

    Args:
        config: the source's options.
        clients: creates clients.
        starts: resolves a start (`earliest`, `latest`, milliseconds) for partitions.
        stopping: whether the run is to stop.
    """

    def __init__(
        self,
        config: KafkaSourceConfig,
        clients: Clients,
        starts: Callable[[Iterable[Part], str | int], dict[Part, int]],
        stopping: Callable[[], bool],
    ) -> None:
        assert config.group is not None
        self._group = config.group
        self._config = config
        self._clients = clients
        self._starts = starts
        self._stopping = stopping
        self._membership = Membership(clients.member, clients.connection_errors)
        self._claims: Claims | None = None
        self._lock = threading.RLock()
        self.new_member = uuid.uuid4().hex
        self._offset_reader: Any = None
        self._unrecorded: list[Range] | None = None
        self.last_claim = 0
        """The number of the last claim of an earlier process of this member."""

    def next_offsets(
        self, topics: Mapping[str, Topic], recreated: AbstractSet[str] = frozenset()
    ) -> dict[Part, int] | None:
        """Return the group's next offset of each assigned partition; None during a rebalance.

        Args:
            topics: the topics to read.
            recreated: those that were deleted and created again. The brokers have dropped the
                group's offsets; the whole topic is new, regardless of `start`.
        """
        if not topics:
            return {}
        self._membership.join(sorted(topics))
        owned = self._membership.wait(self._settle_secs(), self._stopping)
        if owned is None:
            return None
        known = {part for part in owned if part[0] in topics}
        return self._next_offsets(known, topics, recreated, keep=True)

    def peek_offsets(
        self, topics: Mapping[str, Topic], recreated: AbstractSet[str] = frozenset()
    ) -> dict[Part, int]:
        """Return the group's next offset of each partition, without joining the group."""
        parts = {part for topic in topics.values() for part in _all(topic)}
        return self._next_offsets(parts, topics, recreated, keep=False)

    def recover(self, position: Position, topics: Mapping[str, Topic]) -> list[Range]:
        """Return ranges that this member claimed but no epoch contains, until one does."""
        if self._unrecorded is None:
            parts = [part for topic in topics.values() for part in _all(topic)]
            claims = self._claims_of(position.member)
            self._unrecorded, self.last_claim = claims.unrecorded(parts, position.claim)
        return self._unrecorded if position.claim < self.last_claim else []

    def claim(
        self, position: Position, ranges: Sequence[Range], next_offsets: Mapping[Part, int]
    ) -> dict[str, Any]:
        """Prepare a claim on planned ranges; it is made when the first of them is opened.

        Args:
            position: gets the number of the claim.
            ranges: the planned ranges.
            next_offsets: of the group; before a range's start if records were lost.

        Returns:
            The data to add to their splits.
        """
        position.claim = max(position.claim, self.last_claim) + 1
        claims = self._claims_of(position.member)
        name = claims.name(position.claim)
        spans = {part: (next_offsets[part], end) for part, (_, end) in extents(ranges).items()}
        claims.plan(name, spans)
        return {"claim": name}

    def is_mine(self, split: Split) -> bool:
        """Return whether this process has claimed a split; claim it if necessary."""
        name = split.data.get("claim")
        if name is None or split.data.get("claimed"):
            return True
        claims = self._claims_of(name.rpartition(":")[0])
        return claims.holds(name, Range.of(split).part)

    def check(self, topics: Mapping[str, Topic]) -> None:
        """Check that the group can be read and claims can be made (as the member `check`)."""
        self.peek_offsets(topics)
        self._claims_of("check").check(part for topic in topics.values() for part in _all(topic))

    def close(self) -> None:
        """Leave the group."""
        self._membership.close()
        if self._claims is not None:
            self._claims.close()
        if self._offset_reader is not None:
            self._offset_reader.close()
            self._offset_reader = None

    def _claims_of(self, member: str) -> Claims:
        """Return the claims of a member; a second producer of the member would fence the first."""
        with self._lock:
            if self._claims is None or self._claims.member != member:
                if self._claims is not None:
                    self._claims.close()
                self._claims = Claims(
                    member,
                    self._group,
                    self._membership,
                    self._group_reader(),
                    self._clients.claim_producer,
                    self._clients.offset_reader,
                    self._clients.connection_errors,
                    self._config.connect_timeout,
                )
            return self._claims

    def _group_reader(self) -> Any:
        with self._lock:
            if self._offset_reader is None:
                self._offset_reader = self._clients.offset_reader(self._group)
            return self._offset_reader

    def _settle_secs(self) -> float:
        """Return how long a rebalance may take: until dead members have timed out."""
        return self._config.session_timeout + self._config.connect_timeout

    def _next_offsets(
        self,
        parts: set[Part],
        topics: Mapping[str, Topic],
        recreated: AbstractSet[str],
        *,
        keep: bool,
    ) -> dict[Part, int]:
        found = self._committed(parts)
        new = parts - set(found)
        if not new:
            return found
        # New partitions of a topic that the group already reads are read from their start.
        begun = {part for topic in {part[0] for part in new} for part in _all(topics[topic])}
        read = {part[0] for part in self._committed(begun)} | recreated
        grown = {part for part in new if part[0] in read}
        first = self._starts(grown, "earliest")
        first |= self._starts(new - grown, start_of(self._config.start))
        if keep:
            self._keep(first)
        return found | first

    def _committed(self, parts: set[Part]) -> dict[Part, int]:
        places = committed(
            self._group_reader(),
            sorted(parts),
            self._clients.connection_errors,
            self._settle_secs(),
        )
        return {
            (place.topic, place.partition): place.offset for place in places if place.offset >= 0
        }

    def _keep(self, first: Mapping[Part, int]) -> None:
        """Commit the first offsets, so that `latest` stays fixed."""
        from confluent_kafka import KafkaException, TopicPartition

        with self._membership.held() as owned:
            places = [TopicPartition(*part, at) for part, at in first.items() if part in owned]
            if not places:
                return
            try:
                self._membership.consumer.commit(offsets=places, asynchronous=False)
            except KafkaException as error:
                raise self._clients.connection_errors.explain(
                    error, "kafka: committing the first offsets"
                ) from error


def _all(topic: Topic) -> list[Part]:
    return [(topic.name, number) for number in topic.partitions]
