"""The epochs of a run: finish what an earlier run left, then plan and run one after another."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

import msgspec

from ktrans.api import Budget, Plan, StageLostError
from ktrans.engine.decided import check_unchanged, same_source
from ktrans.engine.enricher_state import has_totals_to_close
from ktrans.engine.receipt import RunReceipt
from ktrans.engine.retry import retry_of, retry_until_stopped
from ktrans.engine.run_context import RunContext, RunOptions
from ktrans.engine.task_workers import TaskWorkers
from ktrans.kit.notifications import NOT_A_NOTIFICATION
from ktrans.registry.redaction import redact
from ktrans.state.epochs import Epoch, Status

if TYPE_CHECKING:
    from ktrans.engine.epoch import EpochRunner

LIMITED_BUDGET = Budget(splits=8, bytes=8 << 20)
"""The size of epochs with `--limit`."""


class EpochLoop:
    """Runs the epochs of a run, one after another.

    Epochs are added to the receipt; `note` is called with what a person should know. Replays are done
    in this process, other epochs by the `task_workers` too.

    Attributes:
        processing: whether an epoch is being processed or committed.
    """

    def __init__(
        self,
        context: RunContext,
        options: RunOptions,
        receipt: RunReceipt,
        note: Callable[[str], None],
        task_workers: TaskWorkers | None = None,
    ) -> None:
        self._context = context
        self._task_workers = task_workers
        self._assembly = context.assembly
        self._pipeline = context.assembly.pipeline
        self._store = context.store
        self._meter = context.meter
        self._between_epochs = context.cancellation.between_epochs()
        self._options = options
        self._receipt = receipt
        self._note = note
        self._failed: set[str] = set()
        """Keys that this run could not read: for the next run or, with --follow, the next round."""
        self.processing = False

    def resume(self) -> None:
        """Finish the epoch that an earlier run has left, if there is one.

        Raises:
            StateError: it may be published in part, and its source or the pipeline file was changed.
        """
        epoch = self._store.unfinished(self._pipeline.name)
        if epoch is None:
            return
        self._receipt.resumed = True
        runner = self._replayer() if epoch.replay else self._runner()
        planned = epoch.status is Status.PLANNED
        foreign = not same_source(epoch, self._assembly)
        if planned and not foreign and epoch.fingerprint != self._pipeline.fingerprint:
            self._note(
                f"epoch {epoch.number} was planned before the pipeline file changed; it is "
                "processed with the file as it is now"
            )
        if planned and foreign:
            self._drop(epoch)
            return
        try:
            self._complete(runner, epoch, resumed=True)
        except StageLostError:
            if not foreign:
                raise
            self._drop(epoch)

    def replay(self) -> None:
        """Process the stored rejects."""
        name = self._pipeline.name
        runner = self._replayer()
        source = runner.source
        position = self._store.position(name, self._assembly.source.config.type)
        while not self._context.cancellation.stop.is_set():
            plan = source.plan(position, self._store.memory(name), self._budget())
            if plan is None:
                break
            self._complete(runner, runner.plan(plan, replay=True))
        whole = [
            item
            for item in self._store.quarantined(name)
            if item["kind"] == "rejected" and item["code"] != NOT_A_NOTIFICATION
        ]
        if whole:
            self._store.forget(name, [item["key"] for item in whole])
            self._note(
                f"{len(whole)} objects that were rejected completely will be read by the next run"
            )

    def process_source(self) -> None:
        """Process what is new at the source; with --follow until the run is stopped."""
        name, source = self._pipeline.name, self._assembly.source
        memory = self._store.memory(name)
        position = self._store.position(name, source.config.type)
        if self._options.start is not None:
            position = source.position_from(self._options.start)
        stop = self._between_epochs.stop
        runner: EpochRunner | None = None
        while not stop.is_set() and not self._limit_reached():
            self._end_window()
            plan = retry_until_stopped(
                partial(source.plan, position, memory, self._budget()),
                "listing the source",
                retry_of(self._pipeline.engine, forever=self._options.follow),
                cancellation=self._between_epochs,
                observer=self._context.observer,
            )
            self._note_plan(plan)
            plan = plan and self._without_failed(plan)
            if plan is not None and plan.splits:
                runner = runner or self._runner()
                self._complete(runner, runner.plan(plan))
                position = plan.position
                if self._options.follow or plan.total_splits != len(plan.splits):
                    continue  # else it was all there is; to list everything again is for the next run
            self._context.observer.caught_up()
            if not self._options.follow:
                if not stop.is_set() and has_totals_to_close(
                    self._store, name, self._assembly.enrichers
                ):
                    runner = runner or self._runner()
                    self._complete(runner, runner.plan_last(position))
                break
            self._options.clock.wait(self._pipeline.engine.poll_interval, stop)
            self._failed.clear()

    def _end_window(self) -> None:
        if self._options.follow and self._context.expectations is not None:
            self._context.expectations.end_window(self._options.clock.now())

    def _drop(self, epoch: Epoch) -> None:
        """Drop an epoch that was planned for another source.

        Raises:
            StateError: it may be published in part.
        """
        check_unchanged(epoch, self._assembly)
        self._runner().abandon(epoch)
        self._note(
            f"epoch {epoch.number} was planned for another source, and was dropped before anything "
            "of it was published"
        )

    def _complete(self, runner: EpochRunner, epoch: Epoch, *, resumed: bool = False) -> None:
        self._meter.epoch = epoch.number
        self.processing = True
        try:
            ledger, summary = runner.complete(epoch, resumed=resumed)
        finally:
            self.processing = False
        self._failed |= {
            e.key for e in epoch.quarantined.values() if epoch.replay or e.kind == "waiting"
        }
        if self._context.expectations is not None:
            self._context.expectations.add_epoch(ledger.expect)
        self._receipt.add_epoch(epoch, ledger, summary)
        self._receipt.choices.update(self._assembly.decoder.choices())
        if self._task_workers is not None:
            self._receipt.choices.update(self._task_workers.choices)
        self._context.outages.all_work()
        self._context.observer.epoch_committed(epoch.number, summary)

    def _runner(self) -> EpochRunner:
        """Return what runs epochs; it is imported with the first one, and many runs have none."""
        from ktrans.engine.epoch import EpochRunner

        return EpochRunner(self._context, self._task_workers)

    def _replayer(self) -> EpochRunner:
        from ktrans.engine.epoch import EpochRunner
        from ktrans.engine.rejects.replay import with_rejects_as_source

        return EpochRunner(
            msgspec.structs.replace(self._context, assembly=with_rejects_as_source(self._assembly))
        )

    def _budget(self) -> Budget:
        settings = self._pipeline.engine
        budget = Budget(settings.epoch_splits, settings.epoch_size)
        if self._options.limit is not None:
            budget = LIMITED_BUDGET
        return replace(budget, skip=frozenset(self._failed))

    def _limit_reached(self) -> bool:
        limit = self._options.limit
        return limit is not None and self._receipt.ledger.decoded.rows >= limit

    def _without_failed(self, plan: Plan) -> Plan:
        """Remove splits that have failed, for sources that ignore `Budget.skip`."""
        failed = self._failed
        if not failed:
            return plan
        splits = tuple(split for split in plan.splits if split.key not in failed)
        remember = {key: value for key, value in plan.remember.items() if key not in failed}
        return replace(plan, splits=splits, remember=remember)

    def _note_plan(self, plan: Plan | None) -> None:
        self._receipt.left = [redact(text) for text in plan.left] if plan else []
        if plan is None:
            return
        if plan.total_splits is not None:
            self._meter.splits_known = self._meter.splits_done + plan.total_splits
        if plan.total_bytes is not None:
            self._meter.bytes_known = self._meter.bytes_in + plan.total_bytes
        for note in plan.notes:
            self._note(note)
