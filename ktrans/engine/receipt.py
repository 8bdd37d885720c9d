"""The receipt of a run: what came in, what went out, that the sums agree, what needs a look."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, field
from typing import Any

from ktrans.api import ExitCode, KtransError
from ktrans.engine.ledger import Ledger
from ktrans.registry.redaction import redact


@dataclass(slots=True)
class SinkOutput:
    """What one sink has published in a run.

    Attributes:
        id: the sink's id; `rejects` for the rejects.
        type: its type.
        delivery: what it guarantees.
        rows: rows written.
        bytes: size of what was written.
        outputs: names of what was written; at most the first 1,000.
        count: how many there were.
    """

    id: str
    type: str
    delivery: str
    rows: int = 0
    bytes: int = 0
    outputs: list[str] = field(default_factory=list)
    count: int = 0

    def to_json(self) -> dict[str, Any]:
        """Give the form of receipts."""
        return {
            "id": self.id,
            "type": self.type,
            "delivery": self.delivery,
            "rows": self.rows,
            "bytes": self.bytes,
            "count": self.count,
            "outputs": self.outputs,
        }


@dataclass(frozen=True, slots=True)
class QuarantinedSplit:
    """A split that could not be read, and why.

    `kind` is "rejected" (recorded among the rejects, not read again) or "waiting" (tried again in
    the next run).
    """

    uri: str
    kind: str
    code: str
    reason: str
    key: str = ""

    def to_json(self) -> dict[str, str]:
        """Give the form of receipts and of the state store."""
        return {
            "uri": self.uri,
            "kind": self.kind,
            "code": self.code,
            "reason": self.reason,
            "key": self.key,
        }


@dataclass(slots=True)
class RunReceipt:
    """What a run has done.

    Attributes:
        outcome: "done", "nothing_to_do", "stopped" (asked to), "skipped" (locked) or "failed".
        splits: how many splits were read and recorded.
        input_bytes: their size as stored (compressed), where it is known.
        quarantined: splits that could not be read.
        torn: objects that ended in the middle, by URI.
        choices: what `auto` decided, by URI.
        error: the error that ended the run, as JSON, if one did.
    """

    pipeline: str
    run_id: str
    dry_run: bool = False
    started: dt.datetime = field(default_factory=lambda: dt.datetime.now(dt.UTC))
    finished: dt.datetime | None = None
    outcome: str = "done"
    exit_code: ExitCode = ExitCode.OK
    epochs: int = 0
    resumed: bool = False
    splits: int = 0
    input_bytes: int = 0
    ledger: Ledger = field(default_factory=Ledger)
    sinks: list[SinkOutput] = field(default_factory=list)
    rejects: SinkOutput | None = None
    quarantined: list[QuarantinedSplit] = field(default_factory=list)
    torn: list[str] = field(default_factory=list)
    choices: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    retries: int = 0
    workers: int = 0
    error: dict[str, Any] | None = None

    @property
    def seconds(self) -> float:
        """How long the run took."""
        end = self.finished or dt.datetime.now(dt.UTC)
        return (end - self.started).total_seconds()

    def fail(self, error: KtransError) -> None:
        """Note the error that ended the run."""
        self.outcome = "failed"
        self.exit_code = error.exit_code
        self.error = {
            "code": error.code,
            "message": redact(error.message),
            "hint": error.hint and redact(error.hint),
            "component": error.component,
            "place": str(error.where) if error.where else None,
        }

    def to_json(self) -> dict[str, Any]:
        """Give the stable, documented form that `--receipt` and `--json` write."""
        return {
            "version": 1,
            "pipeline": self.pipeline,
            "run_id": self.run_id,
            "dry_run": self.dry_run,
            "started": self.started.isoformat(),
            "finished": self.finished.isoformat() if self.finished else None,
            "seconds": round(self.seconds, 3),
            "outcome": self.outcome,
            "exit_code": int(self.exit_code),
            "epochs": self.epochs,
            "resumed": self.resumed,
            "splits": self.splits,
            "input_bytes": self.input_bytes,
            "ledger": self.ledger.to_json(),
            "sinks": [sink.to_json() for sink in self.sinks],
            "rejects": self.rejects.to_json() if self.rejects else None,
            "quarantined": [item.to_json() for item in self.quarantined],
            "torn": self.torn,
            "choices": self.choices,
            "notes": self.notes,
            "retries": self.retries,
            "workers": self.workers,
            "error": self.error,
        }
