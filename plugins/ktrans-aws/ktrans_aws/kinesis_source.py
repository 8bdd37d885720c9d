"""The `kinesis` source: ranges of sequence numbers of each shard, parents before their children."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
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
    RunError,
    Source,
    Split,
)
from ktrans.kit.objects.once import once
from ktrans_aws.client import make_client
from ktrans_aws.kinesis_config import KinesisSourceConfig
from ktrans_aws.kinesis_payload import Range, RecordsPayload, empty_split, is_empty
from ktrans_aws.kinesis_plan import Gathered, ready, where
from ktrans_aws.kinesis_position import HORIZON, LATEST, Position, ShardState
from ktrans_aws.kinesis_stream import (
    Answer,
    IteratorExpiredError,
    KinesisStream,
    SequenceGoneError,
)
from ktrans_aws.start import start_given, start_of
from ktrans_aws.unread import Pending, new_token

_SUMMARY_SECS = 300
_LOST_HINT = (
    "raise the stream's retention, or run more often; set `on_lost: skip` to go on with the remaining "
    "records (the receipt says what was lost)"
)


class KinesisSource(Source[KinesisSourceConfig]):
    """Plans what each shard has, up to the moment at which a round began.

    So a run without --follow ends even if more records arrive. Planning reads the records, since only
    they have sequence numbers; they are kept until the task opens them. A split that is opened again,
    or in another process, is read again, from its first sequence number to its last one.
    """

    reads = "anywhere"

    def __init__(self, config: KinesisSourceConfig, context: Context | None = None) -> None:
        super().__init__(config, context)
        self._kept: dict[str, list[bytes]] = {}
        self._iterators: dict[str, tuple[tuple[str | None, str | int], str]] = {}
        self._round_end: int | None = None
        self._pinned: int | None = None
        self._looked: tuple[float, tuple[int, int]] | None = None
        self._notes: list[str] = []

    @once
    def stream(self) -> KinesisStream:
        """The stream."""
        client = make_client(self.config, "kinesis", connections=self.config.parallel_reads)
        return KinesisStream(client, self.config.stream, self.context)

    # -- planning -----------------------------------------------------------------------------

    def plan(self, position: Any, memory: Memory, budget: Budget) -> Plan | None:
        """Read what is new in each shard, up to the budget."""
        now = self._now()
        here = Position.of(position, self._start(now))
        again = here.pending.unread(memory)
        created, retention = self._summary()
        self._forget_recreated(here, created)
        parents = self.stream.shards()
        if self._round_end is None:
            self._round_end = now
        self._update_shards(here, parents, self._round_end, retention)
        tried = [split for split in again if split.key not in budget.skip]
        found = self._gather(here, parents, replace(budget, splits=budget.splits - len(tried)))
        self._kept = {}
        planned = list(tried)
        for one, values in sorted(found.splits, key=lambda each: each[0].shard):
            split = one.split(self.config.stream, sum(map(len, values)))
            self._kept[split.key] = values
            planned.append(split)
        if not planned:
            self._round_end = None
            if not self._worth_recording(position, retention):
                notes = self._take_notes()
                return Plan((), position, notes=notes) if notes else None
            planned = [empty_split(self.config.stream, str(now))]
        left = [split for split in again if split.key in budget.skip]
        kept, remember = here.pending.followed_by(planned, left)
        return Plan(tuple(planned), here.to_json(kept), remember, notes=self._take_notes())

    def _start(self, now: int) -> str | int:
        """Return where shards are begun; `latest` is the time of this source's first plan."""
        start = start_of(self.config.start, (HORIZON, LATEST))
        if start != LATEST:
            return start
        if self._pinned is None:
            self._pinned = now
        return self._pinned

    def _worth_recording(self, position: Any, retention: int) -> bool:
        """Return whether an epoch without records is needed to record how far shards were seen.

        Otherwise a stream without new records would look, after its retention, like one whose
        records have expired.
        """
        if position is None:
            return self.config.start == LATEST
        oldest = min(
            (ShardState(*state).seen for state in position["shards"].values() if not state[2]),
            default=None,
        )
        return oldest is not None and self._now() - oldest > retention * 1000 // 4

    def _update_shards(
        self, here: Position, parents: Mapping[str, tuple[str, ...]], now: int, retention: int
    ) -> None:
        """Add new shards, and check whether records of known ones have expired."""
        for shard, state in list(here.shards.items()):
            if shard not in parents:
                if not state.done:
                    self._lost(f"{shard} has expired, perhaps with records that were not read")
                del here.shards[shard]
            elif not state.done and state.seen < now - retention * 1000:
                if state.after is None or not self._still_there(shard, state.after):
                    self._lost(
                        f"records of {shard} that arrived more than {retention // 3600} hours ago may "
                        "have expired before they were read"
                    )
                here.shards[shard] = replace(state, seen=now - retention * 1000)
        for shard in parents:
            here.shards.setdefault(shard, ShardState(None, now))

    def _still_there(self, shard: str, sequence: str) -> bool:
        """Return whether the last record that was read is still there, and so all after it."""
        try:
            iterator = self.stream.iterator(
                shard, ShardIteratorType="AT_SEQUENCE_NUMBER", StartingSequenceNumber=sequence
            )
        except SequenceGoneError:
            return False
        records = self.stream.get(shard, iterator).records
        return bool(records) and records[0].sequence == sequence

    def _forget_recreated(self, here: Position, created: int) -> None:
        if here.created and here.created != created:
            self._lost("the stream was deleted and created again since it was read")
            here.shards.clear()
            here.start = HORIZON
        here.created = created

    def _gather(
        self, here: Position, parents: Mapping[str, tuple[str, ...]], budget: Budget
    ) -> Gathered:
        """Read shards in turn until they have nothing new or the budget is used up."""
        found = Gathered()
        limit = replace(budget, bytes=min(budget.bytes, self.config.read_ahead))
        waiting = deque(ready(here, parents))
        begun = set(waiting)
        with ThreadPoolExecutor(self.config.parallel_reads, "kinesis") as pool:
            while waiting and not self.context.stopping():
                count = min(len(waiting), self.config.parallel_reads)
                group = [waiting.popleft() for _ in range(count)]
                states = [here.shards[shard] for shard in group]
                at = [self._now()] * count
                starts = [here.start] * count
                answers = list(pool.map(self._next, group, states, starts))
                for shard, answer, asked in zip(group, answers, at, strict=True):
                    if limit.full(len(found.splits), found.size) or limit.splits <= 0:
                        return found
                    if self._take(here, shard, answer, asked, found):
                        waiting.append(shard)
                new = [shard for shard in ready(here, parents) if shard not in begun]
                begun.update(new)
                waiting.extend(new)
        return found

    def _take(
        self, here: Position, shard: str, answer: Answer, asked: int, found: Gathered
    ) -> bool:
        """Take an answer into the plan; returns whether the shard has more to read at once."""
        assert self._round_end is not None
        state = here.shards[shard]
        late = (at for at, one in enumerate(answer.records) if one.arrived > self._round_end)
        count = next(late, len(answer.records))
        cut = count < len(answer.records)
        records = answer.records[:count]
        if records:
            found.add(shard, records)
            state = replace(state, after=records[-1].sequence, seen=records[-1].arrived)
        ended = answer.iterator is None and not cut
        at_tip = cut or answer.behind == 0
        if at_tip:
            state = replace(state, seen=max(state.seen, min(asked, self._round_end)))
        here.shards[shard] = replace(state, done=ended)
        if answer.iterator is not None and not cut:
            self._iterators[shard] = ((state.after, here.start), answer.iterator)
        return not (ended or at_tip)

    def _next(self, shard: str, state: ShardState, start: str | int) -> Answer:
        """Return the next records of a shard."""
        reached, iterator = self._iterators.get(shard, (None, ""))
        if reached == (state.after, start):
            try:
                return self.stream.get(shard, iterator)
            except IteratorExpiredError:
                pass
        try:
            iterator = self.stream.iterator(shard, **where(state.after, start))
        except SequenceGoneError:
            self._lost(f"the record {state.after} of {shard}, the last one that was read, is gone")
            iterator = self.stream.iterator(shard, **where(None, HORIZON))
        return self.stream.get(shard, iterator)

    def _lost(self, what: str) -> None:
        what = f"kinesis: {what}"
        if self.config.on_lost == "error":
            raise RunError(what, code="records_lost", hint=_LOST_HINT)
        if what not in self._notes:
            self._notes.append(what)

    def _take_notes(self) -> tuple[str, ...]:
        notes, self._notes = self._notes, []
        return tuple(notes)

    def _summary(self) -> tuple[int, int]:
        """Return when the stream was created, and its retention; asked for now and then."""
        now = self.context.clock.monotonic()
        if self._looked is None or now - self._looked[0] > _SUMMARY_SECS:
            self._looked = (now, self.stream.summary())
        return self._looked[1]

    def _now(self) -> int:
        return int(self.context.clock.now().timestamp() * 1000)

    # -- reading ------------------------------------------------------------------------------

    def open(self, split: Split) -> Payload:
        """Open a range: from memory the first time, otherwise from the stream.

        Raises:
            RejectError: records have expired since they were planned.
        """
        if is_empty(split):
            return BytesPayload(split, b"")
        values = self._kept.pop(split.key, None)
        if values is None:
            values = Range.of(split).read(self.stream)
        return RecordsPayload(split, values, self.context.limits)

    # -- rewind, check ------------------------------------------------------------------------

    def position_from(self, text: str) -> Any:
        """Parse `--from` into a position: trim_horizon, latest or a time."""
        start = start_given(text, (HORIZON, LATEST), "kinesis")
        start = self._now() if start == LATEST else start
        return Position(start).to_json(Pending(token=new_token()).followed_by(())[0])

    def datasets(self) -> list[Dataset]:
        """Return the stream."""
        return [Dataset("kinesis", self.config.stream)]

    def check(self) -> None:
        """Check that the stream exists, and that its shards may be listed and read."""
        self.stream.summary(checking=True)
        for shard in list(self.stream.shards())[:1]:
            iterator = self.stream.iterator(shard, ShardIteratorType=LATEST.upper())
            self.stream.get(shard, iterator)

    def close(self) -> None:
        """Close the connections."""
        made = self.__dict__.pop("stream", None)
        if made is not None:
            made.close()
