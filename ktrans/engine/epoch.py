"""Runs an epoch from its plan to its record: process the tasks, check the ledger, commit, record."""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow.compute as pc
import pyarrow.parquet as pq
from pyarrow import csv

from ktrans.api import (
    EpochId,
    FencedError,
    KtransError,
    Plan,
    Receipt,
    RunError,
    Source,
    StageLostError,
    StateError,
)
from ktrans.engine import log_events
from ktrans.engine.decided import check_repeated, check_sinks, check_unchanged, same_source
from ktrans.engine.epoch_limits import EpochLimits
from ktrans.engine.failures import to_ktrans_error
from ktrans.engine.killers import deaths_counted, find_killers
from ktrans.engine.ledger import Ledger, Tally
from ktrans.engine.merged_tasks import MergedTasks
from ktrans.engine.observer_data import describe_epoch, summarize_epoch
from ktrans.engine.run_context import RunContext
from ktrans.engine.stage_times import StageTimes, now
from ktrans.engine.task import TaskResult
from ktrans.engine.task_groups import group_splits, source_fingerprint
from ktrans.engine.task_runs import ThreadRuns, WorkerRuns
from ktrans.engine.task_workers import TaskWorkers
from ktrans.state.epochs import Epoch, Status


def load_libraries() -> None:
    """Load what most tasks need of Arrow, before they take memory.

    The system's loader crashes the process if there is not enough when a library is loaded later.
    """
    for module, name in ((pc, "equal"), (csv, "read_csv"), (pq, "ParquetFile")):
        getattr(
            module, name
        )  # the command line postpones the import of a module until its first use


class EpochRunner:
    """Plans and runs epochs of one pipeline, its tasks on the `task_workers` too if there are any."""

    def __init__(self, context: RunContext, task_workers: TaskWorkers | None = None) -> None:
        self._context = context
        self._task_workers = task_workers
        self._assembly = context.assembly
        self._store = context.store
        self._pipeline = context.assembly.pipeline
        load_libraries()

    @property
    def source(self) -> Source[Any]:
        """The source of its epochs."""
        return self._assembly.source

    def plan(self, plan: Plan, *, replay: bool = False) -> Epoch:
        """Make an epoch of a plan and record it in the state store; no data has been read yet."""
        task_size, serial = self._pipeline.engine.task_size, self._assembly.serial
        tasks = group_splits(plan.splits, task_size, self._context.workers, serial=serial)
        return self._record_plan(
            tasks=tasks, position=plan.position, remember=plan.remember, replay=replay
        )

    def plan_last(self, position: Any) -> Epoch:
        """Make an epoch without input that closes the open totals of stateful enrichers."""
        return self._record_plan(tasks=[[]], position=position, last=True)

    def _record_plan(self, **plan: Any) -> Epoch:
        epoch = Epoch(
            self._store.next_number(self._pipeline.name),
            fingerprint=self._pipeline.fingerprint,
            source=source_fingerprint(self._pipeline),
            planned=self._context.cancellation.clock.now(),
            **plan,
        )
        self._store.plan(self._pipeline.name, epoch)
        return epoch

    def complete(self, epoch: Epoch, *, resumed: bool = False) -> tuple[Ledger, dict[str, Any]]:
        """Process, commit and record an epoch, be it new or left by a run that was killed.

        Returns:
            Its ledger, and a summary of what was published.

        Raises:
            StageLostError: what was staged is gone, and so is the source; it may be dropped.
            StateError: it may be published in part, and the pipeline file has changed since.
        """
        name = self._pipeline.name
        began, started = time.monotonic(), now()
        commit_times = StageTimes()
        self._context.observer.epoch_started(describe_epoch(epoch, started, resumed=resumed))
        if epoch.status is Status.PLANNED:
            with deaths_counted(self._context, epoch, resumed=resumed):
                self._process(epoch)
        if epoch.status is Status.COMMITTING:
            try:
                self._commit(epoch, commit_times)
            except StageLostError:
                check_unchanged(epoch, self._assembly)
                self._store.unstage(name, epoch)
                epoch.status, epoch.decided = Status.PLANNED, True
                if not same_source(epoch, self._assembly):
                    raise
                self._process(epoch)
                self._commit(epoch, commit_times)
            self._store.record(name, epoch, summarize_epoch(epoch, time.monotonic() - began))
            epoch.status = Status.RECORDED
        if not epoch.last and same_source(epoch, self._assembly):
            self._assembly.source.commit(epoch.plan)
        self._store.finish(name, epoch)
        epoch.status = Status.DONE
        return Ledger.from_json(epoch.ledger), {
            **summarize_epoch(epoch, time.monotonic() - began),
            "began": started,
            "ended": now(),
            "stages": commit_times.to_json(),
        }

    def abandon(self, epoch: Epoch) -> None:
        """Drop a planned epoch, and what its tasks may have staged."""
        self._clean_up(self._id(epoch))
        self._store.drop(self._pipeline.name, epoch)

    # -- processing ---------------------------------------------------------------------------

    def _process(self, epoch: Epoch) -> None:
        name = self._pipeline.name
        if epoch.decided:
            check_unchanged(epoch, self._assembly)
        if epoch.fingerprint != self._pipeline.fingerprint:
            epoch.fingerprint = self._pipeline.fingerprint
            self._store.set_fingerprint(name, epoch)
        if self._assembly.serial and len(epoch.tasks) > 1:
            epoch.tasks = [epoch.splits]  # planned before an enricher needed the whole epoch
        number = self._id(epoch)
        try:
            for bound in self._assembly.all_sinks():
                bound.sink.prepare(number)
        except StateError:
            self._store.confirm()  # if another run has taken over, that is the cause
            raise
        self._context.observer.epoch_planned(epoch.number, len(epoch.tasks), len(epoch.splits))
        limits = EpochLimits(self._context, epoch)
        try:
            for killer in find_killers(self._context, epoch):
                limits.quarantine(killer)
            with MergedTasks(self._context, epoch, number, limits) as merged:
                results = self._run_tasks(epoch, number, limits, merged)
                results += merged.finish()
            self._collect(epoch, results, limits)
        except Exception as error:
            self._clean_up(number)
            if isinstance(error, RunError) and error.code == "too_many_quarantined":
                self._store.clear_quarantine(name, epoch)
                epoch.quarantined.clear()
            raise
        self._store.stage(name, epoch)
        epoch.status = Status.COMMITTING

    def _run_tasks(
        self, epoch: Epoch, number: EpochId, limits: EpochLimits, merged: MergedTasks
    ) -> list[TaskResult]:
        task_workers = self._task_workers
        if task_workers is not None and not merged.here and task_workers.wanted_for(epoch):
            try:
                return WorkerRuns(self._context, epoch, number, limits, merged, task_workers).run()
            except RunError as error:
                if not task_workers.given_up_for(error):
                    raise
                self._context.observer.note(f"{error.message}; its threads do the tasks instead")
                self._clean_up(number)
        return ThreadRuns(self._context, epoch, number, limits, merged).run()

    def _collect(self, epoch: Epoch, results: list[TaskResult], limits: EpochLimits) -> None:
        """Add up the tasks' ledgers, check them, and keep in the epoch what the commits need."""
        ledger = Ledger()
        for result in results:
            ledger.add(result.ledger)
        ledger.check()
        limits.check(ledger)
        before = epoch.receipts
        kept = self._drop_allowed(epoch, ledger)
        epoch.receipts = {
            sink: [
                result.receipts[sink]
                for result in results
                if sink in result.receipts and sink not in kept
            ]
            for sink in self._sink_types()
        }
        if epoch.decided:
            check_repeated(epoch, before, self._assembly)
            self._commit_first_staged(epoch, before)
        epoch.ledger = ledger.to_json()
        epoch.updates = {
            name: update for result in results for name, update in result.state_updates.items()
        }
        epoch.extra = {
            "torn": sorted({uri for result in results for uri in result.torn}),
            "strange": {uri: text for result in results for uri, text in result.strange.items()},
            "types": self._sink_types(),
        }
        if self._context.expectations is not None:
            epoch.extra["expect"] = self._context.expectations.with_epoch(ledger.expect)

    def _commit_first_staged(self, epoch: Epoch, before: Mapping[str, Sequence[Receipt]]) -> None:
        """Commit what a decided epoch had staged at sinks that do not recognise the same rows again."""
        self._store.confirm()
        for bound in self._assembly.all_sinks():
            receipts = before.get(bound.entry.id)
            if receipts and not bound.sink.recognises:
                with contextlib.suppress(StageLostError):
                    bound.sink.commit(self._id(epoch), receipts)
                    epoch.receipts[bound.entry.id] = list(receipts)

    def _drop_allowed(self, epoch: Epoch, ledger: Ledger) -> set[str]:
        """Return the sinks of violations whose rule keeps its limit: what was staged is not published."""
        expectations = self._context.expectations
        dropped = set()
        for stage in ledger.stages:
            if stage.kind != "violations" or expectations is None:
                continue
            [first, *_] = stage.rules
            allowed = expectations.within(first, ledger.expect.get(first, 0))
            if epoch.decided and stage.name in epoch.receipts:
                allowed = not epoch.receipts[stage.name]
            if allowed and ledger.expect.get(first, 0) and expectations.results[first].most:
                dropped.add(stage.name)
                stage.filtered.add(stage.went_out)
                stage.went_out = Tally()
        return dropped

    def _clean_up(self, number: EpochId) -> None:
        """Let the sinks remove what the tasks of a failed epoch have staged."""
        try:
            self._store.confirm()
        except FencedError:
            raise  # another run may be staging the same epoch by now
        except KtransError:
            return  # the error that led here says more; the next attempt cleans up first
        for bound in self._assembly.all_sinks():
            try:
                bound.sink.prepare(number)
            except Exception:
                logging.getLogger("ktrans.engine").exception(
                    "%s did not clean up",
                    bound.entry.id,
                    extra={"event": log_events.CLEAN_UP_FAILED, "sink": bound.entry.id},
                )

    # -- committing ---------------------------------------------------------------------------

    def _commit(self, epoch: Epoch, times: StageTimes) -> None:
        number = self._id(epoch)
        sinks = {bound.entry.id: bound.sink for bound in self._assembly.all_sinks()}
        check_sinks(epoch, self._sink_types())
        self._store.confirm()  # an epoch that another run has taken over is not ours to publish
        for name, receipts in epoch.receipts.items():
            try:
                with times.timed("commit", name):
                    sinks[name].commit(number, receipts)
            except Exception as error:
                self._store.confirm()  # if another run publishes it too, that is the cause
                converted = to_ktrans_error(error)
                converted.component = converted.component or name
                raise converted from error

    def _id(self, epoch: Epoch) -> EpochId:
        name = self._pipeline.name
        return EpochId(name, epoch.number, self._store.history(name), decided=epoch.decided)

    def _sink_types(self) -> dict[str, str]:
        return {b.entry.id: b.entry.config.type for b in self._assembly.all_sinks()}
