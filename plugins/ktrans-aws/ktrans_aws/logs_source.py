"""The `cloudwatch_logs` source: events of log groups, by time ranges that overlap.

Events come late, so each round begins `lookback` before the end of the last one, and leaves out the
events whose ids are remembered. A split names its events by a time range and the digests of their ids,
so that it is read again exactly, whatever else has come into the range meanwhile.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ktrans.api import (
    Budget,
    BytesPayload,
    ConfigError,
    Context,
    Dataset,
    Memory,
    Payload,
    Plan,
    RejectError,
    RunError,
    Source,
    Split,
)
from ktrans.kit.objects.once import once
from ktrans_aws.client import make_client
from ktrans_aws.logs_client import Event, Group, LogsClient, digests_of
from ktrans_aws.logs_config import EARLIEST, LATEST, CloudwatchLogsSourceConfig
from ktrans_aws.logs_position import GroupState, Position, empty_split, split_of, unpacked
from ktrans_aws.start import start_given, start_of
from ktrans_aws.unread import Pending, new_token

_LATE_MS = 14 * 86_400_000
"""How much older than their group events may be (PutLogEvents)."""
_QUIET_MS = 3_600_000
"""After how long without events an epoch records how far groups were read."""
_LOST_HINT = (
    "raise the group's retention, or run more often; set `on_lost: skip` to go on with the remaining "
    "events (the receipt says what was lost)"
)


class CloudwatchLogsSource(Source[CloudwatchLogsSourceConfig]):
    """Plans the new events of each group, round by round."""

    reads = "anywhere"

    def __init__(self, config: CloudwatchLogsSourceConfig, context: Context | None = None) -> None:
        super().__init__(config, context)
        self._kept: dict[str, bytes] = {}
        self._ids: dict[str, np.ndarray] = {}
        self._round: tuple[int, int] | None = None
        self._paused: float | None = None
        self._pinned: int | None = None
        self._notes: list[str] = []

    @once
    def logs(self) -> LogsClient:
        """The service."""
        return LogsClient(make_client(self.config, "logs"), self.config, self.context)

    # -- planning -----------------------------------------------------------------------------

    def plan(self, position: Any, memory: Memory, budget: Budget) -> Plan | None:
        """Read the new events of each group, up to the budget or to the end of the round."""
        here = Position.of(position, self._start())
        again = here.pending.unread(memory)
        tried = [split for split in again if split.key not in budget.skip]
        before = here.end
        found: list[tuple[Split, bytes]] = []
        if not here.complete:
            self._recall(here, again, memory)
            found = self._gather(here, budget, len(tried))
        # No epoch records the end of a round in which nothing is left: the next one begins at once.
        if here.complete and not (found or tried) and self._begin_round(here):
            self._recall(here, again, memory)
            found = self._gather(here, budget, len(tried))
        self._kept = {split.key: data for split, data in found}
        planned = [*tried, *(split for split, _ in found)]
        if not planned:
            if here.complete and here.end != before:
                self._round, self._paused = None, self.context.clock.monotonic()
            if not self._worth_recording(here, before, position):
                notes = self._take_notes()
                return Plan((), position, notes=notes) if notes else None
            planned = [empty_split(str(here.end))]
        left = [split for split in again if split.key in budget.skip]
        forgotten = self._expire(here)
        pending, remember = here.pending.followed_by(
            planned,
            left,
            values={one.key: {"ids": one.data["ids"]} for one in planned if one.data["group"]},
            kept=here.known,
        )
        remember = {**dict.fromkeys(forgotten), **remember}
        return Plan(tuple(planned), here.to_json(pending), remember, notes=self._take_notes())

    def _start(self) -> int:
        """Return where groups are begun; `latest` is the time of this source's first plan."""
        start = start_of(self.config.start, (EARLIEST, LATEST))
        if isinstance(start, int):
            return start
        if start == EARLIEST:
            return 0
        if self._pinned is None:
            self._pinned = self._now()
        return self._pinned

    def _begin_round(self, here: Position) -> bool:
        """Begin to look at all groups again, unless a round has just ended; returns whether it has begun."""
        now = self.context.clock.monotonic()
        if self._round is None or self._round[0] != here.end:
            if self._round is not None and self._round[1] == here.end and self._paused is None:
                self._paused = now  # so that a run without --follow ends
            if self._paused is not None and now - self._paused < self.config.interval:
                return False
            self._round, self._paused = (here.end, self._now()), None
        end = self._round[1]
        self._look_at_groups(here, self.logs.groups(), end)
        here.end = end
        return True

    def _look_at_groups(self, here: Position, groups: dict[str, Group], end: int) -> None:
        """Set where each group is read from in a new round, and check what its retention has removed."""
        for name in set(here.groups) - set(groups):
            self._note(f"the log group {name} does not exist any more")
            del here.groups[name]
        for prefix in self.config.group_prefixes:
            if not any(name.startswith(prefix) for name in groups):
                self._note(f"no log group begins with {prefix}")
        for name, group in groups.items():
            oldest = max(here.start, group.created - _LATE_MS, 0)
            if group.kept_ms is not None:
                oldest = max(oldest, end - group.kept_ms)
            state = here.groups.get(name)
            if state is None:
                here.groups[name] = GroupState(oldest, group.created)
                continue
            if state.created != group.created:
                self._lost(f"the log group {name} was deleted and created again since it was read")
                state.created = group.created
            elif group.kept_ms is not None and state.at < end - group.kept_ms:
                self._lost(f"the retention of the log group {name} has removed events unread")
            begin = state.at - int(self.config.lookback * 1000)
            state.at = max(begin, oldest, state.forgotten)

    def _recall(self, here: Position, unread: Sequence[Split], memory: Memory) -> None:
        """Load the digests of what was read within the look-back, and of what is read again."""
        keys = here.known
        self._ids = {key: ids for key, ids in self._ids.items() if key in set(keys)}
        self._ids |= {
            split.key: unpacked(split.data["ids"]) for split in unread if split.data["group"]
        }
        missing = [key for key in keys if key not in self._ids]
        for key, value in memory.recall(missing).items():
            self._ids[key] = unpacked(value["ids"])

    def _gather(self, here: Position, budget: Budget, taken: int) -> list[tuple[Split, bytes]]:
        """Read groups, one after the other, until the round or the budget ends."""
        found: list[tuple[Split, bytes]] = []
        size = 0
        limit = min(budget.bytes, self.config.read_ahead)
        for name in sorted(here.groups):
            state = here.groups[name]
            full = size >= limit or taken + len(found) >= budget.splits
            if state.at >= here.end or full or self.context.stopping():
                continue
            events, state.at = self._scan(name, state, here.end, limit - size)
            if events:
                events.sort(key=lambda event: (event.time, event.name))
                split, data = split_of(name, events), _lines(events)
                found.append((split, data))
                size += len(data)
                state.known[split.key] = events[-1].time
        return found

    def _scan(self, name: str, state: GroupState, end: int, limit: int) -> tuple[list[Event], int]:
        """Return new events of a group, and the time until which it was read."""
        arrays = [self._ids[key] for key in state.known if key in self._ids]
        known = np.sort(np.concatenate([np.array([], np.uint64), *arrays]))
        events: list[Event] = []
        size, at = 0, state.at
        for page in self.logs.pages(name, state.at, end):
            new = [page[one] for one in np.flatnonzero(~_among(digests_of(page), known)).tolist()]
            events += new
            size += sum(len(event.message) + 1 for event in new)
            at = max([at, *(event.time for event in page)])
            if size >= limit or self.context.stopping():
                return events, min(at, end - 1)
        return events, end

    def _expire(self, here: Position) -> list[str]:
        """Forget splits of before the next look; returns their keys."""
        forgotten = []
        for state in here.groups.values():
            needed = min(state.at, here.end - int(self.config.lookback * 1000))
            old = [key for key, last in state.known.items() if last < needed]
            for key in old:
                del state.known[key]
            forgotten += old
            state.forgotten = max(state.forgotten, needed)
        return forgotten

    def _worth_recording(self, here: Position, before: int, position: Any) -> bool:
        """Return whether an epoch without events is needed to record how far groups were read."""
        if here.end == before:
            return False
        if position is None:
            return self.config.start == LATEST
        return here.end - before > _QUIET_MS

    def _lost(self, what: str) -> None:
        if self.config.on_lost == "error":
            raise RunError(f"cloudwatch_logs: {what}", code="records_lost", hint=_LOST_HINT)
        self._note(f"lost: {what}")

    def _note(self, what: str) -> None:
        if what not in self._notes:
            self._notes.append(what)

    def _take_notes(self) -> tuple[str, ...]:
        notes, self._notes = self._notes, []
        return tuple(notes)

    def _now(self) -> int:
        return int(self.context.clock.now().timestamp() * 1000)

    # -- reading ------------------------------------------------------------------------------

    def open(self, split: Split) -> Payload:
        """Open a split: from memory the first time, otherwise by its range and its ids.

        Raises:
            RejectError: events have expired since they were planned.
        """
        if split.data["group"] is None:
            return BytesPayload(split, b"")
        data = self._kept.pop(split.key, None)
        return BytesPayload(split, self._read(split) if data is None else data)

    def _read(self, split: Split) -> bytes:
        ids = np.sort(unpacked(split.data["ids"]))
        events: list[Event] = []
        try:
            for page in self.logs.pages(
                split.data["group"], split.data["begin"], split.data["end"]
            ):
                events += [
                    page[at] for at in np.flatnonzero(_among(digests_of(page), ids)).tolist()
                ]
        except ConfigError as error:
            if error.code != "not_found":  # the group was deleted, with its events
                raise
        if len(events) != len(ids):
            raise RejectError(
                f"{len(ids) - len(events)} events of {split.data['group']} have expired since they were "
                "planned",
                code="records_lost",
                hint="raise the retention of the log group",
            )
        events.sort(key=lambda event: (event.time, event.name))
        return _lines(events)

    # -- rewind, check ------------------------------------------------------------------------

    def position_from(self, text: str) -> Any:
        """Parse `--from` into a position: earliest, latest or a time."""
        start = start_given(text, (EARLIEST, LATEST), "cloudwatch_logs")
        at = {EARLIEST: 0, LATEST: self._now()}.get(str(start), start)
        return Position(int(at)).to_json(Pending(token=new_token()).followed_by(())[0])

    def datasets(self) -> list[Dataset]:
        """Return the groups that are named, and the prefixes of others."""
        names = [*self.config.groups, *(f"{prefix}*" for prefix in self.config.group_prefixes)]
        return [Dataset("cloudwatch-logs", name) for name in names]

    def check(self) -> None:
        """Check that groups exist, and that their events may be read."""
        self.logs.check()

    def close(self) -> None:
        """Close the connections."""
        made = self.__dict__.pop("logs", None)
        if made is not None:
            made.close()


def _among(digests: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Return which digests are among those of a sorted array."""
    if not len(known):
        return np.zeros(len(digests), np.bool_)
    places = np.minimum(np.searchsorted(known, digests), len(known) - 1)
    found: np.ndarray = known[places] == digests
    return found


def _lines(events: Sequence[Event]) -> bytes:
    return "".join(event.message.rstrip("\n") + "\n" for event in events).encode()
