"""The source of blobs that Event Grid announces in a storage queue."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from ktrans.api import AccessError, Budget, Memory, Plan, Split, UsageError
from ktrans.kit.notifications import refuse_message
from ktrans.kit.objects.expiry import Expiry
from ktrans.kit.objects.plan_result import PlanResult
from ktrans.kit.objects.reader import ObjectPayload
from ktrans.kit.objects.store import ObjectInfo
from ktrans_azure.blob_source import AzureBlobSource
from ktrans_azure.event_intake import GONE, LEFT_OUT, Intake

_AT_A_TIME = 64
"""Blobs that are looked at together: one small request each."""


class AnnouncedBlobSource(AzureBlobSource):
    """Reads blobs as they are announced, each version once; lists nothing.

    A message is deleted once the epoch that read its blob is recorded. Until then, and for
    `lookback` after it, a message that comes again is known by the blob's version.
    """

    def open(self, split: Split) -> ObjectPayload:
        refuse_message(split)
        return super().open(split)

    def check_rewind(self) -> None:
        """Raise an error: messages that were read are deleted."""
        raise UsageError(
            "the azure_blob source cannot go back: what announced the blobs is deleted",
            code="cannot_rewind",
            hint="read the container itself: a pipeline without `queue`, from a time on by "
            "`ktrans run --from TIME`",
        )

    def position_from(self, text: str) -> Any:
        """Raise an error: a queue has no positions.

        Raises:
            UsageError: always.
        """
        raise UsageError(
            f"a queue of events cannot be read from {text!r} on",
            hint="leave `queue` out for one run, to read what was there before",
        )

    def plan(self, position: Any, memory: Memory, budget: Budget) -> Plan | None:
        """Receive messages, and plan the blobs that they announce, up to the budget."""
        assert self.queue is not None
        position = position or {}
        expiry = Expiry(position.get("queue"), memory)
        waiting = {*position.get("waiting", ()), *(self._key(uri) for uri in expiry.quarantined())}
        intake = Intake(self.queue, self.config.container, self._why_not, memory)
        result = PlanResult(self.store, reread=self.config.on_replaced == "reread")
        left = self._look(sorted(waiting | intake.names), memory, budget, result, intake)
        planned = {split.data["key"] for split in result.splits}
        messages = intake.settle(planned, left - waiting)
        notes = (*result.notes(), *intake.notes(self.context))
        unread = tuple(result.left())
        splits = (*intake.splits, *result.splits)
        if not splits:
            return Plan((), position, notes=notes, left=unread) if notes or unread else None
        expiry.expire(self.now() - timedelta(seconds=self.config.lookback))
        expiry.add(result.remember, self.now())
        refused, remember = intake.refused(position.get("refused", ()))
        self.objects.expect(result.splits)
        return Plan(
            splits=splits,
            position={
                "queue": expiry.to_json(),
                "refused": refused,
                "waiting": sorted(waiting & left),
                "messages": messages,
            },
            remember={**expiry.remember, **remember},
            notes=notes,
            left=unread,
        )

    def _why_not(self, name: str) -> str:
        return "" if self.config.includes(name) else LEFT_OUT

    def _look(
        self,
        names: list[str],
        memory: Memory,
        budget: Budget,
        result: PlanResult,
        intake: Intake,
    ) -> set[str]:
        """Plan what is new of some blobs; return the names of those that have to wait.

        Raises:
            AccessError: none of them may be looked at.
        """
        left: set[str] = set()
        looked, refusal = 0, None
        for begin in range(0, len(names), _AT_A_TIME):
            chunk = [n for n in names[begin : begin + _AT_A_TIME] if self._named(n, result)]
            known = memory.recall([self.store.uri(name) for name in chunk])
            looked += len(chunk)
            for name, info in zip(chunk, self._listing.map(self._stat, chunk), strict=True):
                uri = self.store.uri(name)
                if isinstance(info, AccessError):
                    refusal = info
                    result.refused.append(uri)
                    left.add(name)
                elif uri in budget.skip or budget.full(len(result.splits), result.planned_bytes):
                    left.add(name)
                elif info is None or not info.size:
                    intake.skipped.add([GONE if info is None else "empty blobs"])
                else:
                    young = result.unsettled
                    self._take(info, known, budget, result)
                    if result.unsettled > young:
                        left.add(name)
        if refusal is not None and len(result.refused) == looked:
            raise refusal
        return left

    def _stat(self, name: str) -> ObjectInfo | AccessError | None:
        """Look at a blob; one without permission must not keep others from being read."""
        try:
            return self.store.stat(name)
        except AccessError as error:
            return error
