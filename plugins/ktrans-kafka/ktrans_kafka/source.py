"""The `kafka` source: reads ranges of offsets, alone or shared with others by a consumer group."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from ktrans.api import (
    Budget,
    BytesPayload,
    Context,
    Dataset,
    Memory,
    Payload,
    Plan,
    Reach,
    RunError,
    Source,
    Split,
    UsageError,
)
from ktrans_kafka.group_share import GroupShare
from ktrans_kafka.source_clients import Clients, Readers
from ktrans_kafka.source_cluster import Cluster, Topic, WaitingOffsets, parts_of
from ktrans_kafka.source_config import KafkaSourceConfig, start_of
from ktrans_kafka.source_payload import Framing, RangePayload
from ktrans_kafka.source_position import Part, Position, Range, cut, parse_from

FIRST_RECORD_BYTES = 300
_LOST_HINT = (
    "extend the topic's retention; set `on_lost: skip` to continue with the remaining records (the "
    "receipt lists what was lost)"
)


class KafkaSource(Source[KafkaSourceConfig]):
    """Plans ranges of offsets up to the ends of the partitions when a round began.

    So a run without --follow ends even if more records arrive. Ranges that could not be read are
    kept in the position and planned again.
    """

    def __init__(self, config: KafkaSourceConfig, context: Context | None = None) -> None:
        super().__init__(config, context)
        self._clients = clients = Clients(config, self.context)
        self._cluster = Cluster(clients.admin)
        self._readers = Readers(clients)
        self._framing = Framing(
            config.framing == "lines", config.strip_schema_id, self.context.limits
        )
        self._per_split = 1 if config.framing == "object" else config.max_records_per_split
        self._shared: GroupShare | None = None
        if config.group is not None:
            self._shared = GroupShare(config.group, clients, self._starts)
        self._offsets = WaitingOffsets(self._cluster, self._lost)
        self._pinned: dict[Part, int] = {}
        self._looked = False
        self._notes: list[str] = []
        self._lock = threading.Lock()
        self._records = self._bytes = 0

    @property
    def reads(self) -> Reach:
        """Anywhere, unless the member of a consumer group has to claim what it reads."""
        return "anywhere" if self._shared is None else "here"

    @property
    def bound_because(self) -> str:
        """Why the member of a group reads by itself."""
        return "" if self._shared is None else "only the member of `group` claims what it reads"

    # -- planning -----------------------------------------------------------------------------

    def plan(self, position: Any, memory: Memory, budget: Budget) -> Plan | None:
        """Divide the unread records into ranges, up to the budget."""
        here = Position.of(position, start_of(self.config.start))
        topics = self._cluster.topics(self.config.topics)
        recreated = self._forget_recreated(here, topics, memory)
        if self._shared is not None and not (here.member or self.context.ephemeral):
            return self._plan_member(here, topics)
        again = self._retried(here, memory, topics)
        next_offsets = self._next_offsets(here, topics, recreated)
        if next_offsets is None:
            self._note("the group is still rebalancing: no partitions are assigned to this process")
            return self._nothing(here)
        unnamed = {topic.name for topic in topics.values() if not topic.id}
        waiting = self._offsets.waiting(next_offsets, unnamed)
        again = self._offsets.drop_deleted(again, budget.skip, self._record_bytes())
        ranges = cut(
            waiting,
            budget,
            taken=[split for split in again if split.key not in budget.skip],
            records=self._per_split,
            record_bytes=self._record_bytes(),
        )
        # A partition that lost its last records: an empty range records where to continue.
        back = (part for part, (begin, end) in waiting.items() if begin == end < next_offsets[part])
        ranges = sorted([*ranges, *(Range(*part, *waiting[part]) for part in back)])
        more: Mapping[str, Any] = {}
        if ranges and self._shared is not None and not self.context.ephemeral:
            more = self._shared.claim(here, ranges, next_offsets)
        return self._make(here, topics, again, ranges, waiting, more, budget)

    def _make(
        self,
        here: Position,
        topics: Mapping[str, Topic],
        again: list[Split],
        ranges: list[Range],
        waiting: Mapping[Part, tuple[int, int]],
        more: Mapping[str, Any],
        budget: Budget,
    ) -> Plan | None:
        after = replace(
            here, start="earliest", ids=here.ids | {t.name: t.id for t in topics.values()}
        )
        tried = [split for split in again if split.key not in budget.skip]
        if not ranges and not tried:
            self._offsets.end_round()
            self._readers.pause()
            if self._shared is not None or here.next or here.start != "latest" or not waiting:
                return self._nothing(here)
            # An epoch without records, to record what "latest" is now.
            part = min(waiting)
            ranges = [Range(*part, waiting[part][0], waiting[part][0])]
        if self._shared is not None:
            after.claim = max(after.claim, self._shared.last_claim)
        else:
            after.next = here.next | {part: span[0] for part, span in waiting.items()}
            after.next |= {one.part: one.end for one in ranges}  # sorted: the last one stays
        planned = [*tried, *(one.split(self._record_bytes(), more) for one in ranges)]
        left = [split for split in again if split.key in budget.skip]
        after.pending = (*left, *planned)
        records = sum(end - start for start, end in waiting.values())
        return Plan(
            tuple(planned),
            after.to_json(),
            here.remember(planned, [*left, *planned]),
            total_bytes=round(records * self._record_bytes()) + sum(s.size or 0 for s in tried),
            total_splits=sum(
                -(-(end - start) // self._per_split) for start, end in waiting.values()
            )
            + len(tried),
            notes=self._take_notes(),
        )

    def _plan_member(self, here: Position, topics: Mapping[str, Topic]) -> Plan | None:
        """Plan an epoch without records that stores this process' member name.

        Claims use that name, so it must be durable before the first claim.
        """
        parts = parts_of(topics)
        if not parts:
            return None
        assert self._shared is not None
        split = Range(*min(parts), 0, 0).split(1, {"claimed": True})
        ids = here.ids | {topic.name: topic.id for topic in topics.values()}
        after = replace(here, member=self._shared.new_member, ids=ids, pending=(split,))
        return Plan((split,), after.to_json(), here.remember([split], [split]))

    def _nothing(self, here: Position) -> Plan | None:
        notes = self._take_notes()
        return Plan((), here.to_json(), notes=notes) if notes else None

    def _next_offsets(
        self, here: Position, topics: Mapping[str, Topic], recreated: set[str]
    ) -> dict[Part, int] | None:
        """Return the next offset of each partition of this process; None while the group rebalances."""
        if self._shared is not None:
            if self.context.ephemeral:
                return self._shared.peek_offsets(topics, recreated)
            return self._shared.next_offsets(topics, recreated)
        parts = parts_of(topics)
        if not here.ids:  # a position that `--from` gave: nothing was planned yet
            _check_known(here.next, parts)
        new = [part for part in parts if part not in here.next and part not in self._pinned]
        # Topics that match a pattern later are new: "latest" is fixed at the first plan.
        later = here.next or (self._looked and here.start == "latest")
        start = "earliest" if later else here.start
        self._looked = True
        self._pinned |= self._starts(new, start)
        return {part: here.next.get(part, self._pinned.get(part, 0)) for part in parts}

    def _forget_recreated(
        self, here: Position, topics: Mapping[str, Topic], memory: Memory
    ) -> set[str]:
        """Forget the offsets of topics that were deleted and created again; return their names."""
        recreated = set()
        for topic in topics.values():
            before = here.ids.get(topic.name, "")
            if before and topic.id and before != topic.id:
                self._lost(
                    f"the topic {topic.name} was deleted and created again since it was read"
                )
                here.forget(topic.name, memory)
                here.ids[topic.name] = topic.id
                recreated.add(topic.name)
                self._pinned = {p: at for p, at in self._pinned.items() if p[0] != topic.name}
                self._offsets.end_round()  # the known end is that of the old topic
        return recreated

    def _starts(self, parts: Iterable[Part], start: str | int) -> dict[Part, int]:
        if isinstance(start, int):
            return self._cluster.at_time(parts, start)
        return self._cluster.starts(parts) if start == "earliest" else self._cluster.ends(parts)

    def _retried(self, here: Position, memory: Memory, topics: Mapping[str, Topic]) -> list[Split]:
        """Return the splits of earlier plans that were not read."""
        unread = here.unread(memory)
        if self._shared is None or self.context.ephemeral:
            return unread
        more = {"claimed": True}
        mine = [
            replace(split, data={**split.data, **more})
            for split in unread
            if self._shared.is_mine(split)
        ]
        unrecorded = self._shared.recover(here, topics)
        mine += [
            piece.split(self._record_bytes(), more)
            for one in unrecorded
            for piece in one.pieces(self._per_split)
        ]
        return mine

    def _lost(self, what: str) -> None:
        if self.config.on_lost == "error":
            raise RunError(f"kafka: {what}", code="offsets_lost", hint=_LOST_HINT)
        self._note(f"lost: {what}")

    def _record_bytes(self) -> float:
        with self._lock:
            return self._bytes / self._records if self._records else FIRST_RECORD_BYTES

    # -- reading ------------------------------------------------------------------------------

    def open(self, split: Split) -> Payload:
        """Open a range; it is empty if another member of the group has claimed it."""
        shared = None if self.context.ephemeral else self._shared
        if shared is not None and not shared.is_mine(split):
            one = Range.of(split)
            self._note(
                f"{one.topic}/{one.partition} was assigned to another member of the group, which "
                "reads the records planned here"
            )
            return BytesPayload(split, b"")
        if split.data["start"] == split.data["end"]:
            return BytesPayload(split, b"")
        return RangePayload(split, self._readers, self._framing, self._count_read)

    def _count_read(self, topic: str, records: int, size: int, tombstones: int) -> None:
        if tombstones:
            self._note(f"records without a value (tombstones) of {topic} are skipped")
        with self._lock:
            self._records += records
            self._bytes += size

    def _note(self, text: str) -> None:
        with self._lock:
            if text not in self._notes:
                self._notes.append(text)

    def _take_notes(self) -> tuple[str, ...]:
        with self._lock:
            notes, self._notes = self._notes, []
        return tuple(notes)

    # -- rewind, check ----------------------------------------------------------------

    def check_rewind(self) -> None:
        """Refuse to rewind with `group`: the brokers keep the group's offsets."""
        if self._shared is not None:
            raise UsageError(
                "kafka cannot start from another position with `group`",
                code="cannot_rewind",
                hint=f"move the group {self.config.group} with your cluster's tools "
                "(kafka-consumer-groups --reset-offsets) while no process is running",
            )

    def position_from(self, text: str) -> Any:
        """Parse `--from` into a position: earliest, latest, a time, or offsets by partition."""
        self.check_rewind()
        return parse_from(text)

    def datasets(self) -> list[Dataset]:
        """Return the topics."""
        space = f"kafka://{self.config.bootstrap_servers[0]}"
        return [Dataset(space, topic) for topic in self.config.topics]

    def check(self) -> None:
        """Check that the topics exist and that topics and group may be read."""
        topics = self._cluster.topics(self.config.topics)
        self._cluster.ends(parts_of(topics))
        if self._shared is not None:
            self._shared.check(topics)

    def close(self) -> None:
        """Leave the group and close all connections."""
        if self._shared is not None:
            self._shared.close()
        self._readers.close()
        self._clients.admin.close()


def _check_known(asked: Iterable[Part], parts: Iterable[Part]) -> None:
    """Check that all partitions whose offsets `--from` names are there.

    Raises:
        UsageError: one is not, so that all of its topic would be read.
    """
    unknown = sorted(set(asked) - set(parts))
    if unknown:
        names = ", ".join(f"{topic}/{number}" for topic, number in unknown)
        raise UsageError(
            f"kafka cannot start from offsets of {names}: there is no such partition in `topics`",
            hint="partitions are counted from 0; those that --from does not name begin at their first "
            "record",
        )
