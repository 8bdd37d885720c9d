"""An epoch from plan to record: process its tasks, check the ledger, commit, write it down."""

from __future__ import annotations

import hashlib
import logging
import time
from collections.abc import Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from contextvars import copy_context
from typing import Any

from ktrans.api import (
    EpochId,
    FencedError,
    InterruptedRunError,
    KtransError,
    Plan,
    RunError,
    Split,
    StageLostError,
    TaskId,
)
from ktrans.config.model import Pipeline
from ktrans.engine import log_events
from ktrans.engine.failures import as_ktrans, is_access
from ktrans.engine.ledger import Ledger
from ktrans.engine.rejects.writer import check_limit
from ktrans.engine.task import Shared, Task, TaskResult
from ktrans.engine.timing import StageTimes, now
from ktrans.state.epochs import Epoch, Quarantine, Status
from ktrans.state.store import Store

EARLY_RECORDS = 100
"""An epoch is stopped before its end once it has seen this many times `limit.min_records`: sooner,
one bad object that happens to come first would speak for all."""


def group_splits(
    splits: Sequence[Split], task_size: int, workers: int, *, serial: bool
) -> list[list[Split]]:
    """Group splits, in order, into tasks of about equal bytes.

    As many tasks as it takes to keep each near `task_size`, but no fewer than there are workers if
    there are splits enough. An unknown size counts as `task_size`.
    """
    if not splits:
        return []
    if serial:
        return [list(splits)]
    sizes = [task_size if split.size is None else max(split.size, 1) for split in splits]
    total = sum(sizes)
    count = min(len(splits), max(round(total / task_size), min(workers, len(splits)), 1))
    share = total / count
    tasks: list[list[Split]] = [[]]
    taken = 0
    for split, size in zip(splits, sizes, strict=True):
        due = taken + size / 2 > share * len(tasks)
        if tasks[-1] and due and len(tasks) < count:
            tasks.append([])
        tasks[-1].append(split)
        taken += size
    return tasks


def source_mark(pipeline: Pipeline) -> str:
    """Give a short text that changes when the source's type or options do."""
    options = pipeline.source.model_dump_json().encode()
    return f"{pipeline.source.type}:{hashlib.blake2b(options, digest_size=8).hexdigest()}"


class EpochRunner:
    """Brings epochs of one pipeline to their end."""

    def __init__(self, shared: Shared, store: Store, workers: int) -> None:
        self._shared = shared
        self._store = store
        self._workers = workers
        self._pipeline = shared.assembly.pipeline
        self._ledgers: dict[int, Ledger] = {}
        self._limited = True
        self._commits = StageTimes()
        shared.exclude = self._exclude
        shared.running = self._running

    def plan(self, plan: Plan, *, replay: bool = False) -> Epoch:
        """Make an epoch of a plan and write it down; no data has been read yet."""
        name = self._pipeline.name
        tasks = group_splits(
            plan.splits,
            self._pipeline.engine.task_size,
            self._workers,
            serial=self._shared.assembly.serial,
        )
        epoch = Epoch(
            self._store.next_number(name),
            tasks,
            plan.position,
            plan.remember,
            self._pipeline.fingerprint,
            replay=replay,
            source=source_mark(self._pipeline),
            planned=self._shared.cancellation.clock.now(),
        )
        self._store.plan(name, epoch)
        return epoch

    def plan_last(self, position: Any) -> Epoch:
        """Make an epoch that reads nothing and closes what stateful enrichers keep open."""
        epoch = Epoch(
            self._store.next_number(self._pipeline.name),
            [[]],
            position,
            fingerprint=self._pipeline.fingerprint,
            source=source_mark(self._pipeline),
            last=True,
            planned=self._shared.cancellation.clock.now(),
        )
        self._store.plan(self._pipeline.name, epoch)
        return epoch

    def complete(self, epoch: Epoch, *, resumed: bool = False) -> tuple[Ledger, dict[str, Any]]:
        """Bring an epoch, new or left over from a run that died, to its end.

        Returns:
            Its ledger, and a summary of what was published.
        """
        name = self._pipeline.name
        began = time.monotonic()
        started = now()
        self._commits = StageTimes()
        self._shared.observer.epoch_started(_opening(epoch, started, resumed=resumed))
        self._limited = not epoch.replay  # its records were accepted as rejects once before
        if epoch.status is Status.PLANNED:
            self._process(epoch)
        if epoch.status is Status.COMMITTING:
            try:
                self._commit(epoch)
            except StageLostError:
                self._store.unstage(name, epoch)
                epoch.status, epoch.decided = Status.PLANNED, True
                self._process(epoch)
                self._commit(epoch)
            self._store.record(name, epoch, _summary(epoch, time.monotonic() - began))
            epoch.status = Status.RECORDED
        if not epoch.last and (epoch.replay or epoch.source == source_mark(self._pipeline)):
            self._shared.assembly.source.commit(epoch.plan)
        self._store.finish(name, epoch)
        epoch.status = Status.DONE
        summary = _summary(epoch, time.monotonic() - began)
        return Ledger.from_json(epoch.ledger), {
            **summary,
            "began": started,
            "ended": now(),
            "stages": self._commits.to_json(),
        }

    # -- steps --------------------------------------------------------------------------------

    def _process(self, epoch: Epoch) -> None:
        if epoch.fingerprint != self._pipeline.fingerprint:
            epoch.fingerprint = self._pipeline.fingerprint
            self._store.set_fingerprint(self._pipeline.name, epoch)
        if self._shared.assembly.serial and len(epoch.tasks) > 1:
            epoch.tasks = [epoch.splits]  # planned before an enricher had to see the whole epoch
        number = self._id(epoch)
        for bound in self._shared.assembly.all_sinks():
            bound.sink.prepare(number)
        self._shared.observer.epoch_planned(epoch.number, len(epoch.tasks), len(epoch.splits))
        self._ledgers = {}
        try:
            results = self._run_tasks(epoch, number)
            self._gather(epoch, results)
        except Exception as error:
            self._clean_up(number)
            if isinstance(error, RunError) and error.code == "too_many_quarantined":
                self._store.clear_quarantine(self._pipeline.name, epoch)
                epoch.quarantined.clear()
            raise
        self._store.stage(self._pipeline.name, epoch)
        epoch.status = Status.COMMITTING

    def _id(self, epoch: Epoch) -> EpochId:
        name = self._pipeline.name
        return EpochId(name, epoch.number, self._store.history(name))

    def _types(self) -> dict[str, str]:
        return {b.entry.id: b.entry.config.type for b in self._shared.assembly.all_sinks()}

    def abandon(self, epoch: Epoch) -> None:
        """Drop a planned epoch, and what its tasks may have staged."""
        self._clean_up(self._id(epoch))
        self._store.drop(self._pipeline.name, epoch)

    def _clean_up(self, number: EpochId) -> None:
        """Let the sinks remove what tasks of a failed epoch had staged; it will be done again."""
        try:
            self._store.confirm()
        except FencedError:
            raise  # another run may be staging the same epoch by now
        except KtransError:
            return  # the error that led here says more; the next attempt cleans up first
        for bound in self._shared.assembly.all_sinks():
            try:
                bound.sink.prepare(number)
            except Exception:
                logging.getLogger("ktrans.engine").exception(
                    "%s did not clean up",
                    bound.entry.id,
                    extra={"event": log_events.CLEAN_UP_FAILED, "sink": bound.entry.id},
                )

    def _run_tasks(self, epoch: Epoch, number: EpochId) -> list[TaskResult]:
        cancellation = self._shared.cancellation
        cancellation.failed.clear()
        tasks = [
            Task(self._shared, epoch, TaskId(number, index)) for index in range(len(epoch.tasks))
        ]
        with ThreadPoolExecutor(self._workers, thread_name_prefix="task") as threads:
            futures = [threads.submit(copy_context().run, task.run) for task in tasks]
            try:
                wait(futures, return_when=FIRST_EXCEPTION)
            finally:
                # The with-block waits for the others: tell them to give up first.
                if any(f.done() and f.exception() is not None for f in futures):
                    cancellation.failed.set()
                    for future in futures:
                        future.cancel()
        errors = [e for f in futures if not f.cancelled() and (e := f.exception())]
        if errors:  # those that gave up because another one failed are not the cause
            raise min(errors, key=lambda error: isinstance(error, InterruptedRunError))
        return [future.result() for future in futures]

    def _gather(self, epoch: Epoch, results: list[TaskResult]) -> None:
        """Add up the tasks, check that nothing was lost, and keep what the commits need."""
        ledger = Ledger()
        for result in results:
            ledger.add(result.ledger)
        ledger.check()
        if self._limited:
            check_limit(self._pipeline.rejects.limit, ledger, f"epoch {epoch.number}")
        sinks = [bound.entry.id for bound in self._shared.assembly.all_sinks()]
        epoch.receipts = {
            sink: [result.receipts[index] for result in results] for index, sink in enumerate(sinks)
        }
        epoch.ledger = ledger.to_json()
        epoch.updates = {name: one for result in results for name, one in result.changes.items()}
        epoch.extra = {
            "torn": sorted({uri for result in results for uri in result.torn}),
            "types": self._types(),
        }

    def _commit(self, epoch: Epoch) -> None:
        number = self._id(epoch)
        bound_by_id = {b.entry.id: b for b in self._shared.assembly.all_sinks()}
        missing = set(epoch.receipts) - set(bound_by_id)
        if missing:
            raise RunError(
                f"epoch {epoch.number} was staged for sinks that the pipeline no longer has: "
                f"{', '.join(sorted(missing))}",
                code="sink_removed",
                hint="put them back for one run, so that the epoch can be published whole",
            )
        types = self._types()
        for sink, once in epoch.extra["types"].items():
            if types[sink] != once:
                raise RunError(
                    f"epoch {epoch.number} was staged for a sink {sink} of type {once}, which is "
                    f"of type {types[sink]} now",
                    code="sink_changed",
                    hint="change it back for one run, so that the epoch can be published",
                )
        self._store.confirm()  # what another run has decided since is not this one's to publish
        for sink, receipts in epoch.receipts.items():
            try:
                with self._commits.timed("commit", sink):
                    bound_by_id[sink].sink.commit(number, receipts)
            except Exception as error:
                self._store.confirm()  # no wonder if another run is publishing it, too
                told = as_ktrans(error)
                told.component = told.component or sink
                raise told from error

    # -- called by tasks ----------------------------------------------------------------------

    def _exclude(self, epoch: Epoch, exclusion: Quarantine) -> None:
        if epoch.decided:  # its rows may be published: left out now, they would come twice later
            raise RunError(
                f"{exclusion.uri} cannot be read again, and epoch {epoch.number} may be published "
                f"in part with its rows: {exclusion.reason}",
                code="published_in_part",
                hint="make it readable for one run, so that the epoch can be finished",
            )
        limit = self._pipeline.engine.max_quarantined
        gone = "split_vanished"
        if exclusion.code != gone and limit <= sum(
            item.code != gone for item in list(epoch.quarantined.values())
        ):
            raise RunError(
                f"more than {limit} splits of one epoch cannot be read; the last is "
                f"{exclusion.uri}: {exclusion.reason}",
                code="too_many_quarantined",
                hint="this looks like more than a few bad objects; raise engine.max_quarantined if "
                "it is not",
            )
        self._store.quarantine(self._pipeline.name, epoch, exclusion)
        epoch.quarantined[exclusion.key] = exclusion
        self._shared.observer.note(f"set aside: {exclusion.uri}: {exclusion.reason}")

    def _running(self, index: int, ledger: Ledger) -> None:
        self._ledgers[index] = ledger
        if (
            self._limited
            and (ledger.rejected or ledger.refused)
            and sum(one.records for one in list(self._ledgers.values()))
            > (EARLY_RECORDS * self._pipeline.rejects.limit.min_records)
        ):
            total = Ledger()
            for one in list(self._ledgers.values()):
                total.records += one.records
                for reason, count in (*one.rejected.copy().items(), *one.refused.copy().items()):
                    total.rejected[reason] = total.rejected.get(reason, 0) + count
            check_limit(self._pipeline.rejects.limit, total, "the epoch")


def _opening(epoch: Epoch, began: float, *, resumed: bool) -> dict[str, Any]:
    return {
        "id": epoch.number,
        "began": began,
        "planned": epoch.planned.isoformat(),
        "tasks": len(epoch.tasks),
        "splits": len(epoch.splits),
        "input_bytes": sum(split.size or 0 for split in epoch.splits),
        "resumed": resumed,
        "status": str(epoch.status),
        "replay": epoch.replay,
        "last": epoch.last,
    }


def _summary(epoch: Epoch, seconds: float) -> dict[str, Any]:
    left_out = list(epoch.quarantined.values())
    return {
        "splits": len(epoch.splits) - len(left_out),
        "input_bytes": sum(s.size or 0 for s in epoch.splits if s.key not in epoch.quarantined),
        "seconds": round(seconds, 3),
        "ledger": epoch.ledger,
        "sinks": {
            sink: {
                "rows": sum(r.rows for r in receipts),
                "bytes": sum(r.bytes for r in receipts),
                "outputs": sum(len(r.outputs) for r in receipts),
            }
            for sink, receipts in epoch.receipts.items()
        },
        "quarantined": [item.to_json() for item in left_out],
        "access": any(is_access(item.code) for item in left_out),
        "torn": epoch.extra.get("torn", []),
        **({"replay": True} if epoch.replay else {}),
    }
