"""The source of flow logs as Azure writes them: hour blobs that grow each minute."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, NoReturn

from ktrans.api import (
    AccessError,
    Budget,
    InterruptedRunError,
    KtransError,
    Memory,
    Plan,
    RetryableError,
    RunError,
    Split,
    SplitChangedError,
    UnavailableError,
    UsageError,
)
from ktrans.kit.notifications import refuse_message
from ktrans.kit.objects.days import Calendar
from ktrans.kit.objects.once import once
from ktrans.kit.objects.reader import ObjectPayload
from ktrans.kit.objects.store import ObjectInfo
from ktrans_azure.blob_container import BlockList
from ktrans_azure.blob_source import AzureBlobSource
from ktrans_azure.event_intake import GONE, LEFT_OUT, Intake
from ktrans_azure.flow_log_plan import FlowLogPlan
from ktrans_azure.hour_blob_part import PartReader, PlannedParts
from ktrans_azure.hour_blob_tail import Known, next_part
from ktrans_azure.hour_blobs import (
    HOUR,
    find_roots,
    first_hour,
    floor,
    hour_of,
    last_hour,
    list_hours,
)

_UNKNOWN = "?"
"""The version of a blob that was announced and could not be looked at."""

_AT_A_TIME = 64
"""Block lists that are fetched together: one small request each."""


class FlowLogSource(AzureBlobSource):
    """Lists hour blobs of NSG and virtual network flow logs and reads what was appended.

    The position is the first hour that is not closed. An hour is closed `final_after` after
    its end, once all its blobs are read; what was remembered of them is then forgotten, so that
    the state does not grow with the years.
    """

    _roots: tuple[list[Calendar], datetime, datetime] | None = None

    @once
    def objects(self) -> PlannedParts:
        return PlannedParts(PartReader(self.container, self.config, self.context))

    def open(self, split: Split) -> ObjectPayload:
        refuse_message(split)
        if "refused" in split.data:
            self._look_again(split)
        return super().open(split)

    def plan(self, position: Any, memory: Memory, budget: Budget) -> Plan | None:
        """List the hours that are open and plan what their blobs have gained, up to the budget.

        With a queue, messages announce which blobs have grown; an hour is listed only when it is
        to be closed, so that nothing is lost with a message.
        """
        now = self.now()
        position = position or {}
        start, until = position.get("from") or self.config.since, self.config.until
        begin = None if start is None else first_hour(start)
        end = floor(now) if until is None else min(floor(now), last_hour(until))
        final = floor(now - timedelta(seconds=self.config.final_after))
        found = FlowLogPlan(budget, memory)
        intake = self._intake(begin, end, found)
        if intake is not None:
            end = min(end, final - HOUR)
        late = self._look_at_late(position.get("late", ()), found)
        for hour, blobs in self._hours(begin, end, now, final):
            if not self._look(hour, {blob.key: blob.version for blob in blobs}, found):
                found.waiting = True
                found.keep_open(hour)
                break
        queued: dict[str, Any] = {}
        if intake is not None:
            queued["messages"] = self._look_at_announced(intake, found)
            queued["refused"], remember = intake.refused(position.get("refused", ()))
            found.remember.update(remember)
            intake.skipped.add([GONE] * len(intake.names & found.gone))
            found.notes += intake.notes(self.context)
        through = found.close_hours(final, late)
        if begin is not None:
            through = max(through, begin)
        notes = found.all_notes()
        if not found.splits and not notes:
            return None
        self.objects.expect([split for split in found.splits if "version" in split.data])
        return Plan(
            splits=tuple(found.splits),
            position={
                "from": through.isoformat(),
                "late": sorted(late),
                **{name: value for name, value in queued.items() if value},
            },
            remember=found.remember,
            total_bytes=None if found.waiting else found.bytes,
            total_splits=None if found.waiting else len(found.splits),
            notes=notes,
        )

    def position_from(self, text: str) -> Any:
        """Parse an ISO time: hours from then on are read.

        Raises:
            UsageError: the text is none.
        """
        try:
            return {"from": first_hour(text).isoformat()}
        except ValueError:
            raise UsageError(
                f"the azure_blob source cannot start from {text!r}",
                hint="give a time such as 2026-05-01T00:00:00Z",
            ) from None

    # -- looking ------------------------------------------------------------------------------

    def _intake(self, begin: datetime | None, end: datetime, found: FlowLogPlan) -> Intake | None:
        if self.queue is None:
            return None

        def why_not(name: str) -> str:
            hour = hour_of(name)
            if hour is None:
                return "blobs that are no flow logs"
            if not self.config.includes(name):
                return LEFT_OUT
            if self.config.until is not None and hour > end:
                return "blobs after `until`"
            if begin is not None and hour < begin:
                found.too_late.append(name)
                return "blobs of hours that are closed"
            return ""

        intake = Intake(self.queue, self.config.container, why_not, found.memory)
        found.splits += intake.splits
        return intake

    def _look_at_announced(self, intake: Intake, found: FlowLogPlan) -> dict[str, str]:
        """Look at the blobs that are announced; returns the messages to delete with the epoch."""
        hours: dict[datetime, list[str]] = {}
        for name in sorted(intake.names):
            hour = hour_of(name)
            if hour is not None:
                hours.setdefault(hour, []).append(name)
        for hour in sorted(hours):
            if not self._look(hour, dict.fromkeys(hours[hour], ""), found):
                found.waiting = True
                found.keep_open(hour)
                break
        planned = {split.data["key"] for split in found.splits if "key" in split.data}
        left = intake.names - found.seen
        if found.cut is not None:
            left |= {found.cut}
        return intake.settle(planned, left)

    def _hours(
        self, begin: datetime | None, end: datetime, now: datetime, final: datetime
    ) -> Iterator[tuple[datetime, list[ObjectInfo]]]:
        if begin is not None and begin > end:
            return
        logs = self._logs(now, final)
        for hour, blobs in list_hours(self.container, logs, begin, end, self._listing):
            kept = [blob for blob in blobs if self.config.includes(blob.key)]
            if kept:
                yield hour, kept

    def _logs(self, now: datetime, final: datetime) -> list[Calendar]:
        """Return the logs; new ones are looked for every few minutes.

        And always before an hour is closed, so that no log's blobs are missed.
        """
        age = timedelta(seconds=self.config.discover_interval)
        if self._roots is not None:
            roots, since, closed = self._roots
            if roots and now - since < age and closed == final:
                return roots
        prefixes = self.config.prefixes
        found = [find_roots(self.container, prefix, self._listing) for prefix in prefixes]
        roots = sorted({root for some in found for root in some})
        self._roots = roots, now, final
        return roots

    def _look(self, hour: datetime, versions: dict[str, str], found: FlowLogPlan) -> bool:
        """Look at an hour's blobs; returns False if there is no room for more."""
        names = [name for name in versions if name not in found.seen]
        known = found.recalled(self._key, names)
        new = []
        for name in names:
            state = known.get(name)
            if self._key(name) in found.budget.skip:
                found.stuck.setdefault(hour, []).append(name)
                found.seen.add(name)
            elif state is not None and state.covers(versions[name]):
                found.done.setdefault(hour, []).append(self._key(name))
                found.seen.add(name)
            else:
                new.append(name)
        for begin in range(0, len(new), _AT_A_TIME):
            for name, blocks in self._block_lists(new[begin : begin + _AT_A_TIME]):
                if found.full:
                    return False
                found.seen.add(name)
                if isinstance(blocks, KtransError):
                    self._add_refused(hour, name, versions[name], known.get(name), found)
                elif blocks is None:
                    found.gone.add(name)
                else:
                    self._add(hour, name, blocks, known.get(name), found)
        return True

    def _block_lists(
        self, names: list[str]
    ) -> Iterator[tuple[str, BlockList | KtransError | None]]:
        """Return the blocks of blobs; None for one that is gone, the error for one without permission.

        Errors that may pass, and those of the whole container, are raised.
        """

        def blocks(name: str) -> BlockList | KtransError | None:
            try:
                return self.container.blocks(name)
            except SplitChangedError:
                return None
            except (RetryableError, UnavailableError, InterruptedRunError):
                raise
            except RunError as error:  # no permission, archived, no block blob
                return error

        yield from zip(names, self._listing.map(blocks, names), strict=True)

    def _add(
        self, hour: datetime, name: str, blocks: BlockList, known: Known | None, found: FlowLogPlan
    ) -> None:
        key = self._key(name)
        part = next_part(blocks, known, found.room)
        if part is not None and part.change == "replaced":
            if self.config.on_replaced == "error":
                raise SplitChangedError(
                    f"{self.container.uri(name)} no longer holds what was read of it before",
                    code="blob_replaced",
                    hint="`on_replaced: reread` reads it again from its start, `skip` leaves it",
                )
            found.replaced.append(name)
            if self.config.on_replaced == "skip":
                part = None
        if part is None:
            found.done.setdefault(hour, []).append(key)
            return
        found.keep_open(hour)
        found.remember[key] = part.known.to_json()
        found.bytes += part.size
        found.cut = name if part.known.more else None
        found.splits.append(
            Split(
                key,
                self.container.uri(name),
                part.size,
                {
                    "key": name,
                    "version": part.known.version,
                    "start": part.start,
                    "size": part.size,
                    "count": part.known.count,
                    "digest": part.known.digest,
                },
            )
        )

    def _add_refused(
        self, hour: datetime, name: str, version: str, known: Known | None, found: FlowLogPlan
    ) -> None:
        """Plan a blob without permission: opening it raises the error, as for any other.

        It is quarantined, or rejected if that can never pass, and then skipped until it changes.
        """
        read = known or Known("", 0, 0, "")
        found.keep_open(hour)
        key = self._key(name)
        found.remember[key] = replace(read, version=version or _UNKNOWN, more=False).to_json()
        found.splits.append(Split(key, self.container.uri(name), 0, {"key": name, "refused": True}))

    def _look_again(self, split: Split) -> NoReturn:
        self.container.blocks(split.data["key"])
        raise SplitChangedError(
            f"{split.uri} could not be looked at when the epoch was planned, and now it can be",
            hint="the next run reads it",
        )

    def _look_at_late(self, names: Iterable[str], found: FlowLogPlan) -> set[str]:
        """Look at blobs of closed hours that could not be read before; returns those that remain."""
        late = set()
        for name in names:
            if self._key(name) in found.budget.skip or found.full:
                late.add(name)
                continue
            try:
                info = self.container.stat(name)
            except AccessError as error:
                found.notes.append(f"waits for another try: {error.message}")
                late.add(name)
                continue
            if info is None:
                found.notes.append(f"{self.container.uri(name)} is gone and was never read whole")
                found.remember[self._key(name)] = None
                continue
            before = len(found.splits)
            hour = hour_of(name) or floor(info.modified)
            self._look(hour, {name: info.version}, found)
            if len(found.splits) > before:
                late.add(name)
        found.open_from = None
        return late

    def _key(self, name: str) -> str:
        return f"{self.config.container}/{name}"
