"""Planning for topics that are shared with other processes by a group."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import Any

from ktrans.api import Split
from ktrans_kafka.client import kafka
from ktrans_kafka.group_claims import Claims, Membership
from ktrans_kafka.source_clients import Clients
from ktrans_kafka.source_cluster import Topic, parts_of
from ktrans_kafka.source_config import start_of
from ktrans_kafka.source_position import Part, Position, Range, extents


class GroupShare:
    """The share of this process in a consumer group; `starts` resolves where to begin partitions."""

    def __init__(
        self,
        group: str,
        clients: Clients,
        starts: Callable[[Iterable[Part], str | int], dict[Part, int]],
    ) -> None:
        self._group = group
        self._clients = clients
        self._starts = starts
        # How long a rebalance may take: until dead members have timed out.
        self._settle_secs = clients.config.session_secs + clients.config.connect_timeout
        self._membership = Membership(group, clients)
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

        The brokers have dropped the group's offsets of topics that were deleted and created again:
        these are new as a whole, regardless of `start`.
        """
        if not topics:
            return {}
        self._membership.join(sorted(topics))
        owned = self._membership.wait(self._settle_secs)
        if owned is None:
            return None
        known = {part for part in owned if part[0] in topics}
        found, first = self._next_offsets(known, topics, recreated)
        self._keep(first)
        return found | first

    def peek_offsets(
        self, topics: Mapping[str, Topic], recreated: AbstractSet[str] = frozenset()
    ) -> dict[Part, int]:
        """Return the group's next offset of each partition, without joining the group."""
        found, first = self._next_offsets(set(parts_of(topics)), topics, recreated)
        return found | first

    def recover(self, position: Position, topics: Mapping[str, Topic]) -> list[Range]:
        """Return ranges that this member claimed but no epoch contains, until one does."""
        if self._unrecorded is None:
            claims = self._claims_of(position.member)
            found = claims.unrecorded(parts_of(topics), position.claim)
            self._unrecorded, self.last_claim = found
        return self._unrecorded if position.claim < self.last_claim else []

    def claim(
        self, position: Position, ranges: Sequence[Range], next_offsets: Mapping[Part, int]
    ) -> dict[str, Any]:
        """Prepare a claim on planned ranges, and return what to add to the data of their splits.

        It is made when the first of them is opened. The group's next offset is before a range's start
        if records were lost.
        """
        position.claim = max(position.claim, self.last_claim) + 1
        name = f"{position.member}:{position.claim}"
        spans = {part: (next_offsets[part], end) for part, (_, end) in extents(ranges).items()}
        self._claims_of(position.member).plan(name, spans)
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
        self._claims_of("check").check(parts_of(topics))

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
                reader = self._group_reader()
                self._claims = Claims(member, self._membership, reader, self._clients)
            return self._claims

    def _group_reader(self) -> Any:
        with self._lock:
            if self._offset_reader is None:
                self._offset_reader = self._clients.consumer(self._group)
            return self._offset_reader

    def _next_offsets(
        self, parts: set[Part], topics: Mapping[str, Topic], recreated: AbstractSet[str]
    ) -> tuple[dict[Part, int], dict[Part, int]]:
        """Return the committed offsets, and where to begin partitions without one."""
        found = self._committed(parts)
        new = parts - set(found)
        if not new:
            return found, {}
        # New partitions of a topic that the group already reads are read from their start.
        begun = {part for topic in {part[0] for part in new} for part in topics[topic].parts}
        read = {part[0] for part in self._committed(begun)} | recreated
        grown = {part for part in new if part[0] in read}
        first = self._starts(grown, "earliest")
        return found, first | self._starts(new - grown, start_of(self._clients.config.start))

    def _committed(self, parts: set[Part]) -> dict[Part, int]:
        places = self._clients.committed(self._group_reader(), sorted(parts), self._settle_secs)
        return {part: place.offset for part, place in places.items()}

    def _keep(self, first: Mapping[Part, int]) -> None:
        """Commit the first offsets, so that `latest` stays fixed."""
        with self._membership.held() as owned:
            places = [
                kafka.TopicPartition(*part, at) for part, at in first.items() if part in owned
            ]
            if not places:
                return
            try:
                self._membership.consumer.commit(offsets=places, asynchronous=False)
            except kafka.KafkaException as error:
                doing = "kafka: committing the first offsets"
                raise self._clients.errors.explain(error, doing) from error
