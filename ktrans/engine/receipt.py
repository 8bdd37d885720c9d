"""The receipt of a run: what it read and wrote, its ledger, and what needs attention."""

from __future__ import annotations

import datetime as dt
from typing import Any

import msgspec

from ktrans.api import ExitCode, KtransError
from ktrans.engine.assembly import BoundSink
from ktrans.engine.expectations import RuleResult
from ktrans.engine.ledger import Ledger
from ktrans.registry.redaction import redact
from ktrans.state.epochs import Epoch, Quarantine

LISTED_OUTPUTS = 1000
"""How many outputs of a sink a receipt names."""

MANY_ROWS = 1000
"""From how many rows on it is remarkable that a condition is true for none."""


class SinkOutput(msgspec.Struct):
    """What a sink has published in a run.

    It names only the first outputs, such as files: at most `LISTED_OUTPUTS` of the `count`. A topic or
    a bucket that several tasks wrote to is one output.
    """

    id: str
    type: str
    delivery: str
    rows: int = 0
    bytes: int = 0
    outputs: list[str] = msgspec.field(default_factory=list)
    count: int = 0

    @property
    def is_files(self) -> bool:
        """Whether these are files of this machine, as `ktrans rejects` needs them."""
        return self.type == "file"

    @classmethod
    def of(cls, bound: BoundSink) -> SinkOutput:
        """Return the output of a sink that has not written anything yet."""
        return cls(bound.entry.id, bound.entry.config.type, bound.delivery)

    def add_epoch(self, epoch: Epoch) -> None:
        """Add what the sink has published of an epoch."""
        for receipt in epoch.receipts.get(self.id, []):
            self.rows += receipt.rows
            self.bytes += receipt.bytes
            known = set(self.outputs)
            new = [output for output in receipt.outputs if output not in known]
            self.count += len(new)
            self.outputs.extend(new[: LISTED_OUTPUTS - len(self.outputs)])


class RunReceipt(msgspec.Struct):
    """What a run has done.

    Attributes:
        outcome: "done", "nothing_to_do", "stopped" (by a signal), "skipped" (locked) or "failed".
        splits: the number of splits that were read and recorded.
        input_bytes: their stored (compressed) size, where it is known.
        violations: what was published of rows that break rules of `expect`.
        expect: what the run says of each rule, by its name.
        quarantined: splits that could not be read.
        torn: URIs of objects that end in the middle of a record.
        strange: what the objects look like of which nothing could be read, by URI.
        choices: the decoders that `auto` chose, by URI.
        left: what the source has left for a later run, as of its last plan.
        accelerator: the native code that reads and encodes, by name; None if Python does all.
        error: the error that ended the run, as JSON, if there was one.
    """

    pipeline: str
    run_id: str
    dry_run: bool = False
    started: dt.datetime = msgspec.field(default_factory=lambda: dt.datetime.now(dt.UTC))
    finished: dt.datetime | None = None
    outcome: str = "done"
    exit_code: ExitCode = ExitCode.OK
    epochs: int = 0
    resumed: bool = False
    splits: int = 0
    input_bytes: int = 0
    ledger: Ledger = msgspec.field(default_factory=Ledger)
    sinks: list[SinkOutput] = msgspec.field(default_factory=list)
    rejects: SinkOutput | None = None
    violations: list[SinkOutput] = msgspec.field(default_factory=list)
    expect: dict[str, RuleResult] = msgspec.field(default_factory=dict)
    quarantined: list[Quarantine] = msgspec.field(default_factory=list)
    torn: list[str] = msgspec.field(default_factory=list)
    strange: dict[str, str] = msgspec.field(default_factory=dict)
    choices: dict[str, str] = msgspec.field(default_factory=dict)
    notes: list[str] = msgspec.field(default_factory=list)
    left: list[str] = msgspec.field(default_factory=list)
    retries: int = 0
    workers: int = 0
    accelerator: str | None = None
    error: dict[str, Any] | None = None

    @property
    def seconds(self) -> float:
        """The duration of the run."""
        end = self.finished or dt.datetime.now(dt.UTC)
        return (end - self.started).total_seconds()

    def add_epoch(self, epoch: Epoch, ledger: Ledger, summary: dict[str, Any]) -> None:
        """Add an epoch: counts, outputs, quarantined splits, and the exit code that follows."""
        self.epochs += 1
        self.splits += summary["splits"]
        self.input_bytes += summary["input_bytes"]
        self.ledger.add(ledger)
        for output in (*self.sinks, *self.violations, self.rejects):
            if output is not None:
                output.add_epoch(epoch)
        self.quarantined = [q for q in self.quarantined if q.key not in epoch.quarantined]
        self.quarantined += epoch.quarantined.values()
        self.torn += [uri for uri in summary["torn"] if uri not in self.torn]
        self.strange |= summary["strange"]
        if summary["access"]:
            self.exit_code = ExitCode.ACCESS
        elif (epoch.quarantined or self.strange) and self.exit_code == ExitCode.OK:
            self.exit_code = ExitCode.DATA

    def fail(self, error: KtransError) -> None:
        """Record the error that ended the run."""
        self.outcome = "failed"
        self.exit_code = error.exit_code
        self.error = {
            "code": error.code,
            "message": redact(error.message),
            "hint": error.hint and redact(error.hint),
            "component": error.component,
            "place": str(error.where) if error.where else None,
        }

    def finish(self, *, fail_on_rejects: bool, abandoned: bool) -> None:
        """Settle the exit code, which everything else reports.

        Args:
            fail_on_rejects: whether any reject makes it that of bad data.
            abandoned: whether the run was interrupted twice.
        """
        self.finished = dt.datetime.now(dt.UTC)
        refused = self.ledger.rejects or self.ledger.refused
        if abandoned:
            self.exit_code = ExitCode.INTERRUPTED
        elif self.error is None and self.broken:
            self.exit_code = ExitCode.EXPECTATION
        elif fail_on_rejects and refused and self.exit_code == ExitCode.OK:
            self.exit_code = ExitCode.DATA

    @property
    def broken(self) -> list[RuleResult]:
        """The rules of `expect` that were broken."""
        return [result for result in self.expect.values() if result.broken]

    @property
    def kept_nothing(self) -> list[str]:
        """Filters and sinks whose condition was true for none of many rows."""
        return [
            stage.name
            for stage in self.ledger.stages
            if not stage.sums_up
            and stage.kind != "violations"
            and stage.filtered.rows == stage.came_in.rows >= MANY_ROWS
        ]

    def to_json(self) -> dict[str, Any]:
        """Return the documented JSON form that `--receipt` and `--json` write."""
        return {
            "version": 1,
            **msgspec.to_builtins(self),
            "started": self.started.isoformat(),
            "finished": self.finished.isoformat() if self.finished else None,
            "seconds": round(self.seconds, 3),
            "kept_nothing": self.kept_nothing,
            "ledger": self.ledger.to_json(),
            "expect": list(msgspec.to_builtins(self.expect).values()),
        }
