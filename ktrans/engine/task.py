"""A task of an epoch: its attempts, and what is reported of it."""

from __future__ import annotations

from typing import Any

import msgspec

from ktrans.api import Receipt, Split, StateUpdate, TaskId
from ktrans.engine.epoch_limits import EpochLimits
from ktrans.engine.failures import ReadError, is_retryable, quarantine_for
from ktrans.engine.ledger import Ledger
from ktrans.engine.log_context import bind
from ktrans.engine.observer_data import describe_error
from ktrans.engine.retry import retry_of
from ktrans.engine.run_context import RunContext
from ktrans.engine.stage_times import StageTimes, now
from ktrans.engine.task_attempt import TaskAttempt
from ktrans.engine.task_kinds import TaskKind
from ktrans.expressions.epoch_time import epoch_time
from ktrans.kit.retry import FailedAttempt, with_retries
from ktrans.state.epochs import Epoch


class TaskResult(msgspec.Struct):
    """The result of a finished task: receipts by the id of the sink, the ledger, state to store.

    `partial` is its part of a result that is merged over all tasks, if it makes one.
    """

    receipts: dict[str, Receipt]
    ledger: Ledger
    torn: list[str]
    strange: dict[str, str]
    state_updates: dict[str, StateUpdate]
    partial: bytes | None = None


class Task:
    """A task and its attempts; `kind` says what it does of the pipeline."""

    def __init__(
        self, context: RunContext, epoch: Epoch, task: TaskId, limits: EpochLimits, kind: TaskKind
    ) -> None:
        self._context = context
        self._epoch = epoch
        self._id = task
        self._limits = limits
        self._kind = kind
        # The task that merges has the number after the last one, and no splits.
        self._splits = epoch.tasks[task.index] if task.index < len(epoch.tasks) else []
        self._tries = 0
        self._retries: list[dict[str, Any]] = []
        self._times = StageTimes()
        self._ledger = Ledger()

    @property
    def index(self) -> int:
        """The number of the task in its epoch."""
        return self._id.index

    def run(self) -> TaskResult:
        """Process the task until it succeeds, within the allowed attempts.

        Raises:
            KtransError, OSError: the writers failed for good, or too much could not be read.
        """
        began, error = now(), None
        with (
            bind(epoch=self._epoch.number, task=self._id.index),
            epoch_time(self._epoch.planned),
        ):
            try:
                return self._run_with_retries()
            except BaseException as failure:
                error = describe_error(failure.cause if isinstance(failure, ReadError) else failure)
                raise
            finally:
                self._context.observer.task_finished(self._report(began, now(), error))

    def _run_with_retries(self) -> TaskResult:
        settings = self._context.assembly.pipeline.engine
        attempt = 0

        def work() -> TaskResult:
            nonlocal attempt
            attempt += 1
            return self._quarantine_unreadable(final=attempt >= settings.attempts)

        return with_retries(
            work,
            retry_of(settings),
            retry_if=is_retryable,
            sleep=self._context.cancellation.sleep,
            before_wait=self._note_retry,
        )

    def _note_retry(self, failed: FailedAttempt) -> None:
        what, error = f"task {self._id}", failed.error
        if isinstance(error, ReadError):
            what, error = error.split.uri, error.cause
        self._context.meter.add(retries=1)
        retry = {"at": now(), "attempt": failed.number, "wait_secs": failed.wait_secs}
        self._retries.append({**retry, **describe_error(error)})
        self._context.observer.retrying(what, failed.number, failed.wait_secs, error)

    def _quarantine_unreadable(self, *, final: bool) -> TaskResult:
        """Try once; quarantine the splits that cannot be read and try the others at once."""
        while True:
            try:
                return self._attempt(final=final)
            except ReadError as error:
                if is_retryable(error) and not final:
                    raise
                for each in (error, *error.others):
                    self._limits.quarantine(quarantine_for(each))

    def _attempt(self, *, final: bool) -> TaskResult:
        attempt = TaskAttempt(
            self._context, self._epoch, self._id, self._limits, self._kind, final=final
        )
        pipeline = attempt.pipeline
        self._tries += 1
        self._ledger, self._times = pipeline.ledger, pipeline.times
        try:
            attempt.run(self._splits)
            receipts = pipeline.finish()
        except BaseException:
            pipeline.abort()
            raise
        self._context.meter.add(splits_done=len(self._splits), bytes_in=_size(self._read_splits()))
        sinks = self._kind.sinks(self._context.assembly)
        return TaskResult(
            {bound.entry.id: receipt for bound, receipt in zip(sinks, receipts, strict=True)},
            pipeline.ledger,
            pipeline.torn,
            pipeline.strange,
            pipeline.state_updates(),
            pipeline.partial,
        )

    def _read_splits(self) -> list[Split]:
        return [split for split in self._splits if split.key not in self._epoch.quarantined]

    def _report(self, began: float, ended: float, error: dict[str, str] | None) -> dict[str, Any]:
        read, ledger = self._read_splits(), self._ledger
        return {
            "epoch": self._epoch.number,
            "index": self._id.index,
            "began": began,
            "ended": ended,
            "attempts": self._tries,
            "splits": len(read),
            "input_bytes": _size(read),
            "records": ledger.records,
            "rows": ledger.decoded.rows,
            "rejects": ledger.rejects,
            "stages": self._times.to_json(),
            "retries": self._retries,
            "error": error,
        }


def _size(splits: list[Split]) -> int:
    return sum(split.size or 0 for split in splits)
