"""Sharing topics with other processes: the group's side of planning."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ktrans.api import Split
from ktrans_kafka.consumer_clients import Clients
from ktrans_kafka.groups import Membership
from ktrans_kafka.groups_claims import Claims, committed
from ktrans_kafka.source_ranges import Range, extents

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from collections.abc import Set as AbstractSet

    from ktrans_kafka.consumer_cluster import Topic
    from ktrans_kafka.source_config import KafkaSourceConfig
    from ktrans_kafka.source_position import Position
    from ktrans_kafka.source_ranges import Part


class Shared:
    """A process' part in a group.

    Args:
        config: the source's options.
        clients: makes clients.
        starts: resolves a start (`earliest`, `latest`, milliseconds) for partitions.
        stopping: whether the run has been told to stop.
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
        self._membership = Membership(clients.member, clients.troubles)
        self._claims: Claims | None = None
        self.new_member = uuid.uuid4().hex
        self._asker: Any = None
        self._forgotten: list[Range] | None = None
        self.last_claim = 0
        """The number of the last claim that an earlier process of this member has made."""

    def standing(
        self, topics: Mapping[str, Topic], renewed: AbstractSet[str] = frozenset()
    ) -> dict[Part, int] | None:
        """Give where the group stands in this member's partitions; None until that is settled.

        Args:
            topics: what is read.
            renewed: those of them that were deleted and made anew. The brokers forget where the
                group stood in such a topic; all of it is new, whatever `start` says.
        """
        if not topics:
            return {}
        self._membership.join(sorted(topics))
        owned = self._membership.wait(self._patience(), self._stopping)
        if owned is None:
            return None
        known = {part for part in owned if part[0] in topics}
        return self._standing(known, topics, renewed, keep=True)

    def looking(
        self, topics: Mapping[str, Topic], renewed: AbstractSet[str] = frozenset()
    ) -> dict[Part, int]:
        """Give where the group stands in all partitions, without becoming a member."""
        parts = {part for topic in topics.values() for part in _all(topic)}
        return self._standing(parts, topics, renewed, keep=False)

    def recover(self, position: Position, topics: Mapping[str, Topic]) -> list[Range]:
        """Give what this process has claimed but holds in no epoch: until a position tells of it."""
        if self._forgotten is None:
            parts = [part for topic in topics.values() for part in _all(topic)]
            claims = self._claims_of(position.member)
            self._forgotten, self.last_claim = claims.forgotten(parts, position.claim)
        return self._forgotten if position.claim < self.last_claim else []

    def claim(
        self, position: Position, ranges: Sequence[Range], standing: Mapping[Part, int]
    ) -> dict[str, Any]:
        """Prepare a claim on planned ranges, which is made when the first of them is opened.

        Args:
            position: learns the claim's number.
            ranges: what is planned.
            standing: where the group stands; before a range's start if records were lost.

        Returns:
            What the data of their splits must say.
        """
        position.claim = max(position.claim, self.last_claim) + 1
        claims = self._claims_of(position.member)
        name = claims.name(position.claim)
        spans = {part: (standing[part], end) for part, (_, end) in extents(ranges).items()}
        claims.plan(name, spans)
        return {"claim": name}

    def is_mine(self, split: Split) -> bool:
        """Tell whether a split's range is this process', after claiming it if need be."""
        name = split.data.get("claim")
        if name is None or split.data.get("claimed"):
            return True
        claims = self._claims_of(name.rpartition(":")[0])
        return claims.mine(name, Range.of(split).part)

    def check(self, topics: Mapping[str, Topic]) -> None:
        """Find out whether the group can be asked, and claims be made (under a name of no process)."""
        self.looking(topics)
        self._claims_of("check").check(part for topic in topics.values() for part in _all(topic))

    def close(self) -> None:
        """Leave the group."""
        self._membership.close()
        if self._claims is not None:
            self._claims.close()
        if self._asker is not None:
            self._asker.close()
            self._asker = None

    def _claims_of(self, member: str) -> Claims:
        if self._claims is None or self._claims.member != member:
            if self._claims is not None:
                self._claims.close()
            self._claims = Claims(
                member,
                self._group,
                self._membership,
                self._ask(),
                self._clients.claimer,
                self._clients.asker,
                self._clients.troubles,
                self._config.connect_timeout,
            )
        return self._claims

    def _ask(self) -> Any:
        if self._asker is None:
            self._asker = self._clients.asker(self._group)
        return self._asker

    def _patience(self) -> float:
        """A group settles at the latest when those that died have been found out."""
        return self._config.session_timeout + self._config.connect_timeout

    def _standing(
        self,
        parts: set[Part],
        topics: Mapping[str, Topic],
        renewed: AbstractSet[str],
        *,
        keep: bool,
    ) -> dict[Part, int]:
        found = self._committed(parts)
        new = parts - set(found)
        if not new:
            return found
        # A topic that the group has been reading has grown; what is in its new partitions is new.
        begun = {part for topic in {part[0] for part in new} for part in _all(topics[topic])}
        read = {part[0] for part in self._committed(begun)} | renewed
        grown = {part for part in new if part[0] in read}
        first = self._starts(grown, "earliest")
        first |= self._starts(new - grown, self._first_start())
        if keep:
            self._keep(first)
        return found | first

    def _first_start(self) -> str | int:
        from ktrans_kafka.source_position import start_of

        return start_of(self._config.start)

    def _committed(self, parts: set[Part]) -> dict[Part, int]:
        places = committed(self._ask(), sorted(parts), self._clients.troubles, self._patience())
        return {
            (place.topic, place.partition): place.offset for place in places if place.offset >= 0
        }

    def _keep(self, first: Mapping[Part, int]) -> None:
        """Commit where reading begins, so that `latest` stays what it was at the first look."""
        from confluent_kafka import KafkaException, TopicPartition

        with self._membership.held() as owned:
            places = [TopicPartition(*part, at) for part, at in first.items() if part in owned]
            if not places:
                return
            try:
                self._membership.consumer.commit(offsets=places, asynchronous=False)
            except KafkaException as error:
                raise self._clients.troubles.explain(
                    error, "kafka: committing where to begin"
                ) from error


def _all(topic: Topic) -> list[Part]:
    return [(topic.name, number) for number in topic.partitions]
