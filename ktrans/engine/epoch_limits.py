"""The limits of an epoch: how many records may be rejected, and how many splits quarantined."""

from __future__ import annotations

from collections import Counter

from ktrans.api import ExitCode, RunError
from ktrans.config.settings import RejectLimit
from ktrans.engine.ledger import Ledger
from ktrans.engine.run_context import RunContext
from ktrans.state.epochs import Epoch, Quarantine

EARLY_RECORDS = 100
"""The reject limit is checked before the end of an epoch once it has seen this many times
`limit.min_records`: earlier, one bad object that comes first would decide for all."""

VANISHED = "split_vanished"
"""Splits that are gone by now do not count as unreadable."""


class RejectLimitError(RunError):
    """More rows were rejected than the pipeline's limit allows."""

    exit_code = ExitCode.DATA
    default_code = "reject_limit"


class EpochLimits:
    """The limits of one epoch; its tasks use it from several threads."""

    def __init__(self, context: RunContext, epoch: Epoch) -> None:
        self._context = context
        self._epoch = epoch
        self._pipeline = context.assembly.pipeline
        self._ledgers: dict[int, Ledger] = {}
        self._limited = not epoch.replay  # records of a replay have been accepted as rejects before

    def quarantine(self, quarantine: Quarantine) -> None:
        """Record that a split of the epoch is not read.

        Raises:
            RunError: there are too many, or rows of the split may be published already.
        """
        epoch = self._epoch
        if epoch.decided:  # filtered now, its rows would come twice with a later epoch
            raise RunError(
                f"{quarantine.uri} cannot be read again, and epoch {epoch.number} may be partly "
                f"published with its rows: {quarantine.reason}",
                code="published_in_part",
                hint="make it readable for one run, so that the epoch can be finished",
            )
        limit = self._pipeline.engine.max_quarantined
        unreadable = sum(item.code != VANISHED for item in list(epoch.quarantined.values()))
        if quarantine.code != VANISHED and unreadable >= limit:
            raise RunError(
                f"more than {limit} splits of one epoch cannot be read; the last is "
                f"{quarantine.uri}: {quarantine.reason}",
                code="too_many_quarantined",
                hint="this looks like more than a few bad objects; raise engine.max_quarantined if "
                "it is not",
            )
        self._context.store.quarantine(self._pipeline.name, epoch, quarantine)
        epoch.quarantined[quarantine.key] = quarantine
        self._context.observer.note(quarantine_note(quarantine.uri, quarantine.reason))

    def check_early(self, index: int, ledger: Ledger) -> None:
        """Check the reject limit while tasks still run.

        Raises:
            RejectLimitError: too many records were rejected.
        """
        self._ledgers[index] = ledger
        if not self._limited or not (ledger.rejected or ledger.refused):
            return
        limit = self._pipeline.rejects.limit
        ledgers = list(self._ledgers.values())
        if sum(one.records for one in ledgers) > EARLY_RECORDS * limit.min_records:
            self._check(limit, ledgers, "the epoch")

    def check(self, ledger: Ledger) -> None:
        """Check the reject limit at the end of the epoch; raises as `check_early` does."""
        if self._limited:
            self._check(self._pipeline.rejects.limit, [ledger], f"epoch {self._epoch.number}")

    @staticmethod
    def _check(limit: RejectLimit, ledgers: list[Ledger], subject: str) -> None:
        records = sum(ledger.records for ledger in ledgers)
        reasons: Counter[str] = Counter()
        for ledger in ledgers:
            reasons.update(ledger.rejected.copy())
            reasons.update(ledger.refused.copy())
        rejects = reasons.total()
        over_count = limit.count is not None and rejects > limit.count
        over_ratio = records >= limit.min_records and rejects > limit.ratio * records
        if not (over_count or over_ratio):
            return
        listed = ", ".join(f"{reason} ({count})" for reason, count in reasons.most_common(3))
        bound = f"{limit.count} rejects" if over_count else f"{limit.ratio:.0%} of the records"
        raise RejectLimitError(
            f"{rejects} of {records} records were rejected, more than the limit of {bound}: "
            f"{listed}",
            hint="look at what they are with `ktrans preview`, fix the decoder's options, or raise "
            f"rejects.limit; {subject} was not written anywhere and will be read again",
        )


def quarantine_note(uri: str, reason: str) -> str:
    """Return the note about a quarantined split, as observers and receipts have it."""
    return f"quarantined: {uri}: {reason}"
