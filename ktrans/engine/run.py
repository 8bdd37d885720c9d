"""A run of a pipeline: lock it, finish what an earlier run left, then epoch after epoch."""

from __future__ import annotations

import datetime as dt
import logging
import threading
import uuid
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from typing import Any

from ktrans import __version__
from ktrans.api import (
    Budget,
    ConfigError,
    ConfigErrors,
    InterruptedRunError,
    LockedError,
    Plan,
    RunError,
)
from ktrans.config.model import Pipeline
from ktrans.engine import log_events
from ktrans.engine.assemble import Assembly, assemble
from ktrans.engine.byte_budget import ByteBudget
from ktrans.engine.cancellation import Cancellation
from ktrans.engine.cores import usable_cores
from ktrans.engine.dry_run import discard
from ktrans.engine.enricher_state import check_owners, stateful, wants_last
from ktrans.engine.epoch import EpochRunner, source_mark
from ktrans.engine.failures import as_ktrans
from ktrans.engine.lock_wait import hold_in_turn
from ktrans.engine.log_context import bind
from ktrans.engine.observer import Meter, Observer, Quiet
from ktrans.engine.receipt import RunReceipt
from ktrans.engine.rejects.replay import replaying
from ktrans.engine.retry import with_retries
from ktrans.engine.run_description import about
from ktrans.engine.run_options import RunOptions
from ktrans.engine.run_summary import account, output_of
from ktrans.engine.task import Shared
from ktrans.engine.timing import now
from ktrans.registry.catalogue import Catalogue
from ktrans.registry.redaction import redact
from ktrans.state.epochs import Epoch, Status
from ktrans.state.store import Store, hold_store, view_store

LIMITED_BUDGET = Budget(splits=8, bytes=8 << 20)


def run(
    pipeline: Pipeline,
    catalogue: Catalogue,
    options: RunOptions,
    observer: Observer | None = None,
    stop: threading.Event | None = None,
    abandon: threading.Event | None = None,
) -> RunReceipt:
    """Run a pipeline until it is caught up, told to stop, or cannot go on.

    Args:
        pipeline: what to run.
        catalogue: where its components come from.
        options: what the command line asks for.
        observer: who looks on.
        stop: when set, no new epoch begins; the one under way has `engine.grace_period` to finish.
        abandon: when set, the epoch under way is undone at once.

    Returns:
        The receipt; failures of the run are in its `error` and `exit_code`.

    Raises:
        ConfigError, PluginError: the pipeline does not fit together; nothing was begun.
    """
    cancellation = Cancellation(stop or threading.Event(), abandon or threading.Event())
    return Run(pipeline, catalogue, options, observer or Observer(), cancellation).run()


class Run:
    """One run and its receipt."""

    def __init__(
        self,
        pipeline: Pipeline,
        catalogue: Catalogue,
        options: RunOptions,
        observer: Observer,
        cancellation: Cancellation,
    ) -> None:
        self.pipeline = pipeline
        self.options = options
        self.observer = Quiet(observer)
        self.cancellation = cancellation
        cancellation.clock = options.clock
        self._idle = cancellation.between_epochs()
        self._busy = False
        self.meter = Meter()
        self._failed: set[str] = set()
        """What this run could not read: left to the next run or, with --follow, the next round."""
        self.assembly: Assembly = assemble(
            pipeline,
            catalogue,
            self._stopping,
            ephemeral=options.dry_run,
            clock=options.clock,
        )
        if options.dry_run:
            discard(self.assembly)
        self.workers = options.workers or pipeline.engine.workers or usable_cores()
        self.receipt = RunReceipt(
            pipeline.name, uuid.uuid4().hex[:12], options.dry_run, workers=self.workers
        )
        self.receipt.sinks = [output_of(bound) for bound in self.assembly.sinks]
        if self.assembly.rejects is not None:
            self.receipt.rejects = output_of(self.assembly.rejects)

    def run(self, *, replay: bool = False) -> RunReceipt:
        """Run, and turn whatever happens into a receipt.

        Args:
            replay: take the stored rejects as input instead of the source.
        """
        with bind(pipeline=self.pipeline.name, run_id=self.receipt.run_id):
            return self._run_bound(replay=replay)

    def _run_bound(self, *, replay: bool) -> RunReceipt:
        receipt = self.receipt
        if replay:
            replaying(self.assembly)
        self.observer.run_opened(self._about(replay=replay))
        try:
            with ExitStack() as held:
                self._run(held, replay=replay)
        except LockedError as error:
            if self._if_locked == "skip":
                receipt.outcome = "skipped"
                receipt.notes.append(error.message)
            else:
                self._fail(error)
        except InterruptedRunError as error:
            if self.cancellation.abandon.is_set():
                self._fail(error)
            receipt.outcome = "stopped"
        except (ConfigError, ConfigErrors):
            raise
        except Exception as error:  # noqa: BLE001  told in the receipt, with its traceback kept
            self._fail(error)
        finally:
            self.assembly.close()
        self._finish()
        return receipt

    def end(self, error: Exception) -> None:
        """Put an error that `run` has raised into the receipt too, and tell that the run is over."""
        with bind(pipeline=self.pipeline.name, run_id=self.receipt.run_id):
            self._fail(error)
            self._finish()

    def _finish(self) -> None:
        self.receipt.retries = self.meter.retries
        self.receipt.finished = dt.datetime.now(dt.UTC)
        self.observer.run_finished(self.receipt.to_json())

    def _about(self, *, replay: bool) -> dict[str, Any]:
        return {
            "pipeline": self.pipeline.name,
            "run_id": self.receipt.run_id,
            "version": __version__,
            "started": self.receipt.started.isoformat(),
            "began": now(),
            "dry_run": self.options.dry_run,
            "replay": replay,
            "follow": self.options.follow,
            "workers": self.workers,
            **about(self.assembly),
        }

    def _fail(self, error: Exception) -> None:
        logging.getLogger("ktrans.engine").debug(
            "the run failed", exc_info=error, extra={"event": log_events.RUN_FAILED}
        )
        self.receipt.fail(as_ktrans(error))

    # -- the run itself -----------------------------------------------------------------------

    def _run(self, held: ExitStack, *, replay: bool) -> None:
        name = self.pipeline.name
        if self.options.dry_run:
            store = held.enter_context(view_store(self.assembly.state, name))
        else:
            store = self._hold(held)
            store.claim(name, self.pipeline.path)
        self.observer.run_started(name, self.receipt.run_id, self.meter)
        pool = held.enter_context(ThreadPoolExecutor(self.workers, thread_name_prefix="work"))
        held.enter_context(self.cancellation.grace(self.pipeline.engine.grace_period))
        settings = self.pipeline.engine
        owners = stateful(self.assembly.enrichers)
        check_owners(store, name, owners)
        shared = Shared(
            assembly=self.assembly,
            store=store,
            settings=settings,
            pool=pool,
            gate=ByteBudget((2 * self.workers + 4) * self.pipeline.limits.block_size),
            cancellation=self.cancellation,
            meter=self.meter,
            observer=self.observer,
            exclude=None,
            running=None,
        )
        self._resume(shared, store)
        if replay:
            self._replay(shared, store)
        else:
            self._go_on(EpochRunner(shared, store, self.workers), store)
        if self._idle.stop.is_set():
            self.receipt.outcome = "stopped"
        elif self.receipt.epochs == 0:
            self.receipt.outcome = "nothing_to_do"

    def _hold(self, held: ExitStack) -> Store:
        """Hold the pipeline; with --follow wait until it is this run's turn."""
        return hold_in_turn(
            held,
            partial(hold_store, self.assembly.state, self.pipeline.name, self.receipt.run_id),
            waits=self.options.follow and self._if_locked != "skip",
            poll_interval=self.pipeline.engine.poll_interval,
            cancellation=self._idle,
            note=self._note,
        )

    @property
    def _if_locked(self) -> str:
        return self.options.if_locked or self.pipeline.engine.if_locked

    def _replay(self, shared: Shared, store: Store) -> None:
        name = self.pipeline.name
        again = replace(shared, assembly=replaying(self.assembly))
        runner = EpochRunner(again, store, self.workers)
        position = store.position(name, self.assembly.source.config.type)
        while not self.cancellation.stop.is_set():
            budget = replace(self._budget(), skip=frozenset(self._failed))
            plan = again.assembly.source.plan(position, store.memory(name), budget)
            if plan is None:
                break
            self._complete(runner, runner.plan(plan, replay=True))
        whole = [item for item in store.quarantined(name) if item["kind"] == "rejected"]
        if whole:
            store.forget(name, [item["key"] for item in whole])
            self._note(f"{len(whole)} objects that were rejected whole are read by the next run")

    def _resume(self, shared: Shared, store: Store) -> None:
        epoch = store.unfinished(self.pipeline.name)
        if epoch is None or self.options.dry_run:
            return
        self.receipt.resumed = True
        changed = epoch.fingerprint != self.pipeline.fingerprint
        if changed and epoch.status is Status.PLANNED:
            self._note(
                f"epoch {epoch.number} was planned before the pipeline file changed; it is "
                "processed as the file says now"
            )
        if (
            epoch.status is Status.PLANNED
            and not epoch.replay
            and epoch.source != source_mark(self.pipeline)
        ):
            if epoch.decided:  # and processed again, for what was staged was lost
                raise RunError(
                    f"some of epoch {epoch.number} may be published already, and the source it "
                    "was planned for is another one now",
                    code="source_changed",
                    hint="change the source back for one run, so that the epoch can be finished",
                )
            EpochRunner(shared, store, self.workers).abandon(epoch)
            self._note(
                f"epoch {epoch.number} was planned for another source, and dropped before anything "
                "of it was published"
            )
            return
        if epoch.replay:
            shared = replace(shared, assembly=replaying(self.assembly))
        self._complete(EpochRunner(shared, store, self.workers), epoch, resumed=True)

    def _go_on(self, runner: EpochRunner, store: Store) -> None:
        name, source = self.pipeline.name, self.assembly.source
        memory = store.memory(name)
        position = store.position(name, source.config.type)
        if self.options.start is not None:
            position = source.position_from(self.options.start)
        while not self._idle.stop.is_set() and not self._limit_reached():
            budget = replace(self._budget(), skip=frozenset(self._failed))
            plan = with_retries(
                partial(source.plan, position, memory, budget),
                "listing the source",
                settings=self.pipeline.engine,
                cancellation=self._idle,
                observer=self.observer,
                forever=self.options.follow,
            )
            self._note_plan(plan)
            plan = plan and self._without_failed(plan)
            if plan is None or not plan.splits:
                self.observer.caught_up()
                if not self.options.follow:
                    if not self._idle.stop.is_set() and wants_last(
                        store, name, stateful(self.assembly.enrichers)
                    ):
                        self._complete(runner, runner.plan_last(position))
                    break
                self.options.clock.wait(self.pipeline.engine.poll_interval, self._idle.stop)
                self._failed.clear()
                continue
            self._complete(runner, runner.plan(plan))
            position = plan.position

    def _budget(self) -> Budget:
        if self.options.limit is not None:
            return LIMITED_BUDGET
        settings = self.pipeline.engine
        return Budget(settings.epoch_splits, settings.epoch_size)

    def _limit_reached(self) -> bool:
        limit = self.options.limit
        return limit is not None and self.receipt.ledger.decoded.rows >= limit

    def _without_failed(self, plan: Plan) -> Plan:
        """Leave out what has failed, for sources that do not heed `Budget.skip`."""
        failed = self._failed
        if not failed:
            return plan
        left = tuple(split for split in plan.splits if split.key not in failed)
        remember = {key: value for key, value in plan.remember.items() if key not in failed}
        return replace(plan, splits=left, remember=remember)

    def _complete(self, runner: EpochRunner, epoch: Epoch, *, resumed: bool = False) -> None:
        self.meter.epoch = epoch.number
        self._busy = True
        try:
            ledger, summary = runner.complete(epoch, resumed=resumed)
        finally:
            self._busy = False
        self._failed |= {
            e.key for e in epoch.quarantined.values() if epoch.replay or e.kind == "waiting"
        }
        account(self.receipt, epoch, ledger, summary)
        self.receipt.choices.update(self.assembly.decoder.choices())
        self.observer.epoch_committed(epoch.number, summary)

    # -- the receipt --------------------------------------------------------------------------

    def _note_plan(self, plan: Plan | None) -> None:
        if plan is None:
            return
        if plan.total_splits is not None:
            self.meter.splits_known = self.meter.splits_done + plan.total_splits
        if plan.total_bytes is not None:
            self.meter.bytes_known = self.meter.bytes_in + plan.total_bytes
        for note in plan.notes:
            self._note(note)

    def _note(self, text: str) -> None:
        text = redact(text)
        if text not in self.receipt.notes:
            self.receipt.notes.append(text)
            self.observer.note(text)

    def _stopping(self) -> bool:
        """Tell components whether to hurry: at an epoch's edge not until the epoch is over."""
        return (self.cancellation if self._busy else self._idle).stop.is_set()
