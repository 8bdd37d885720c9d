"""Runs the tasks of an epoch on an executor, until each has a result or one has failed."""

from __future__ import annotations

import abc
from collections import Counter
from concurrent.futures import FIRST_COMPLETED, Future, wait
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ktrans.api import EpochId, Executor, InterruptedRunError, TaskId, WorkerLostError
from ktrans.engine.byte_budget import budget_of
from ktrans.engine.cancellation import TICK_SECS
from ktrans.engine.epoch_limits import EpochLimits
from ktrans.engine.failures import WorkerDiedError
from ktrans.engine.killers import probe_splits, worth_a_probe
from ktrans.engine.log_context import bind
from ktrans.engine.merged_tasks import MergedTasks
from ktrans.engine.run_context import RunContext
from ktrans.engine.task import Task, TaskResult
from ktrans.engine.task_kinds import PartialTask
from ktrans.engine.task_workers import TaskWorkers
from ktrans.executors.threads import ThreadsExecutor, ThreadsExecutorConfig
from ktrans.state.epochs import Epoch

if TYPE_CHECKING:
    from ktrans.engine.job import EpochPart

SETTLE_SECS = 10.0
"""How long to wait for workers that were told to stop; after that their answers are not needed."""

_Future = Future[dict[str, Any]]


class TaskRuns(abc.ABC):
    """The tasks of one epoch while they run.

    Attributes:
        patience: how long to wait for tasks that were told to stop; None for as long as it takes.
    """

    patience: float | None = None

    def __init__(
        self,
        context: RunContext,
        epoch: Epoch,
        number: EpochId,
        limits: EpochLimits,
        merged: MergedTasks,
    ) -> None:
        self.context = context
        self.epoch = epoch
        self.number = number
        self.limits = limits
        self.merged = merged
        self._waiting: dict[_Future, int] = {}
        self._results: dict[int, TaskResult] = {}
        self._errors: list[BaseException] = []

    def run(self) -> list[TaskResult]:
        """Run all tasks; return their results in order.

        Raises:
            KtransError: a task has failed, or the run was stopped. No task of this process runs any
                more, and the others were told to stop.
        """
        self.context.cancellation.failed.clear()
        with self.executor() as executor:
            try:
                for index in range(len(self.epoch.tasks)):
                    self._submit(executor, index)
                while self._waiting and not self._errors:
                    self._settle_done(executor)
            finally:
                if self._waiting:
                    self._stop(executor)
        if self._errors:  # tasks that stopped because another one failed are not the cause
            raise min(self._errors, key=lambda error: isinstance(error, InterruptedRunError))
        return [self._results[index] for index in range(len(self.epoch.tasks))]

    @abc.abstractmethod
    def executor(self) -> AbstractContextManager[Executor[Any]]:
        """Return the executor, as a context."""

    @abc.abstractmethod
    def job(self, index: int) -> dict[str, Any]:
        """Return the job of a task."""

    @abc.abstractmethod
    def result(self, index: int, answer: dict[str, Any]) -> TaskResult:
        """Return the result of a task that its answer tells, or raise its error."""

    def lost(self, index: int, error: WorkerLostError) -> None:
        """Prepare another attempt at a task whose worker has died, or raise the error."""
        del index
        raise error

    def check(self, executor: Executor[Any]) -> None:
        """Check that the tasks which still run may come to an end."""
        if (reason := executor.lost()) is not None:
            raise WorkerDiedError(reason)

    def _submit(self, executor: Executor[Any], index: int) -> None:
        self._waiting[executor.submit(self.job(index))] = index

    def _settle_done(self, executor: Executor[Any]) -> None:
        """Wait a little, and take the answers of the tasks that are done."""
        done, _ = wait(self._waiting, TICK_SECS, FIRST_COMPLETED)
        for future in done:
            index = self._waiting.pop(future)
            try:
                self._take(index, future)
            except WorkerLostError as error:
                try:
                    self.lost(index, error)
                    self._submit(executor, index)
                except Exception as final:  # noqa: BLE001 - raised once all have settled
                    self._errors.append(final)
        if self._waiting and not self._errors:
            self.check(executor)

    def _take(self, index: int, future: _Future) -> None:
        """Take the answer of a task, or note its error; a lost worker's is raised."""
        try:
            self._results[index] = self.merged.keep(index, self.result(index, future.result()))
        except WorkerLostError:
            raise
        except BaseException as error:  # noqa: BLE001 - raised once all have settled
            self._errors.append(error)

    def _stop(self, executor: Executor[Any]) -> None:
        """Make the other tasks stop, wait for them, and note their errors."""
        self.context.cancellation.failed.set()
        executor.cancel()
        if executor.lost() is not None:
            return  # some will never be done
        for future in wait(self._waiting, self.patience).done:
            index = self._waiting.pop(future)
            if not future.cancelled():
                with suppress(WorkerLostError):
                    self._take(index, future)


class ThreadRuns(TaskRuns):
    """Tasks that run in threads of this process, with its components."""

    def executor(self) -> Executor[Any]:
        """Return an executor of threads for this epoch."""
        self._done: dict[int, TaskResult] = {}
        executor = ThreadsExecutor(ThreadsExecutorConfig())
        executor.open(self._work, workers=self.context.workers)
        return executor

    def job(self, index: int) -> dict[str, Any]:
        """Return the number of a task: the rest is in this process."""
        return {"task": index}

    def result(self, index: int, answer: dict[str, Any]) -> TaskResult:
        """Return the result of a task."""
        del answer
        return self._done.pop(index)

    def _work(self, job: dict[str, Any]) -> dict[str, Any]:
        index = job["task"]
        task = TaskId(self.number, index)
        kind = self.merged.kind
        self._done[index] = Task(self.context, self.epoch, task, self.limits, kind).run()
        return {}


class WorkerRuns(TaskRuns):
    """Tasks that run in other processes."""

    patience = SETTLE_SECS

    def __init__(
        self,
        context: RunContext,
        epoch: Epoch,
        number: EpochId,
        limits: EpochLimits,
        merged: MergedTasks,
        task_workers: TaskWorkers,
    ) -> None:
        super().__init__(context, epoch, number, limits, merged)
        self._task_workers = task_workers
        self._deaths: Counter[int] = Counter()

    def executor(self) -> AbstractContextManager[Executor[Any]]:
        """Return the executor of the run, which stays open."""
        return nullcontext(self._task_workers.executor())

    def job(self, index: int) -> dict[str, Any]:
        """Return the job of a task."""
        from ktrans.engine.job import Job

        splits = self.epoch.tasks[index]
        keys = {split.key for split in splits}
        threads, memory = self._share_of_machine()
        return Job(
            self._task_workers.definition,
            self._task_workers.run_id,
            self._epoch_part(),
            index,
            splits,
            [one for key, one in self.epoch.quarantined.items() if key in keys],
            threads,
            memory,
            self._task_workers.prepare,
        ).to_json()

    def _share_of_machine(self) -> tuple[int, int]:
        """Return how many threads a task has, and how many bytes of blocks it may hold.

        The tasks that run on this machine at the same time share what a run has; another machine
        has its own memory.
        """
        workers, threads = self.context.workers, self._task_workers.executor().threads
        block_size = self.context.assembly.pipeline.limits.block_size
        if self._task_workers.remote:
            return threads, budget_of(threads, block_size)
        at_once = min(workers, len(self.epoch.tasks))
        return max(threads, workers // at_once), budget_of(workers, block_size) // at_once

    def _epoch_part(self) -> EpochPart:
        from ktrans.engine.job import EpochPart

        epoch, kind = self.epoch, self.merged.kind
        part = EpochPart(epoch.number, self.number.history, epoch.planned, epoch.decided)
        if isinstance(kind, PartialTask):
            return replace(part, merges=True, facts=kind.facts)
        return part

    def result(self, index: int, answer: dict[str, Any]) -> TaskResult:
        """Pass on what an answer tells, check the limits, and return the result."""
        from ktrans.engine.answer import Answer, error_from_json

        told = Answer.from_json(answer)
        self.context.meter.add(**told.counts)
        self._task_workers.choices.update(told.choices)
        with bind(epoch=self.epoch.number, task=index):
            for retry in told.retries:
                error = error_from_json(retry.error)
                self.context.observer.retrying(retry.what, retry.attempt, retry.wait_secs, error)
            if told.report is not None:
                self.context.observer.task_finished(told.report)
        for quarantine in told.quarantined:
            self.limits.quarantine(quarantine)
        if told.error is not None:
            raise error_from_json(told.error)
        assert told.result is not None
        self.limits.check_early(index, told.result.ledger)
        return told.result

    def lost(self, index: int, error: WorkerLostError) -> None:
        """Count the death of a worker; find the splits that kill workers after two of them.

        Raises:
            WorkerLostError: the task has had all its attempts.
        """
        context, epoch = self.context, self.epoch
        pipeline = context.assembly.pipeline
        self._deaths[index] += 1
        deaths = self._deaths[index]
        context.store.begin(pipeline.name, epoch)  # as if a process of a run had died
        if deaths >= pipeline.engine.attempts:
            raise error
        context.meter.add(retries=1)
        with bind(epoch=epoch.number, task=index):
            context.observer.retrying(f"task {TaskId(self.number, index)}", deaths, 0.0, error)
        if not epoch.decided and worth_a_probe(deaths):
            for killer in probe_splits(context, epoch, epoch.tasks[index], deaths):
                self.limits.quarantine(killer)

    def check(self, executor: Executor[Any]) -> None:
        """Check that the run goes on."""
        super().check(executor)
        self.context.cancellation.check()
