"""A run of a pipeline: build its components, hold its lock, run its epochs, write the receipt."""

from __future__ import annotations

import logging
import threading
import uuid
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack
from functools import partial
from typing import Any

from ktrans import __version__
from ktrans.api import ConfigError, ConfigErrors, InterruptedRunError, LockedError
from ktrans.config.model import Pipeline
from ktrans.config.settings import AUTO
from ktrans.engine import log_events
from ktrans.engine.assemble import assemble
from ktrans.engine.cancellation import Cancellation
from ktrans.engine.cores import usable_cores
from ktrans.engine.dry_run import discard_output
from ktrans.engine.enricher_state import check_open_totals
from ktrans.engine.epoch_loop import EpochLoop
from ktrans.engine.expectations import Expectations
from ktrans.engine.failures import to_ktrans_error
from ktrans.engine.log_context import bind
from ktrans.engine.new_history import check_new_history
from ktrans.engine.observer import Meter, Observer, Observers
from ktrans.engine.observer_data import describe_components
from ktrans.engine.outages import Outages
from ktrans.engine.receipt import RunReceipt, SinkOutput
from ktrans.engine.run_context import RunContext, RunOptions
from ktrans.engine.stage_times import now
from ktrans.engine.task_workers import TaskWorkers
from ktrans.engine.workers import Workers
from ktrans.kit.accelerate import accelerator
from ktrans.registry.catalogue import Catalogue
from ktrans.registry.redaction import redact
from ktrans.state.store import Store, hold_store, view_store

LONGEST_POLL_SECS = 5.0
"""The longest time between two attempts."""


def run(
    pipeline: Pipeline,
    catalogue: Catalogue,
    options: RunOptions,
    observer: Observer | None = None,
    stop: threading.Event | None = None,
    abandon: threading.Event | None = None,
) -> RunReceipt:
    """Run a pipeline until its source is caught up, it is stopped, or it fails.

    Args:
        pipeline: what to run.
        catalogue: the installed components.
        options: the options of this run.
        observer: is notified of what happens.
        stop: when set, no new epoch starts; the current one has `engine.grace_period` to finish.
        abandon: when set, the current epoch is undone at once.

    Returns:
        The receipt; failures of the run are in its `error` and `exit_code`.

    Raises:
        ConfigError, PluginError: the components do not fit together; nothing was started.
    """
    cancellation = Cancellation(stop or threading.Event(), abandon or threading.Event())
    return Run(pipeline, catalogue, options, observer or Observer(), cancellation).run()


def replay(
    pipeline: Pipeline,
    catalogue: Catalogue,
    observer: Observer | None = None,
    stop: threading.Event | None = None,
    abandon: threading.Event | None = None,
) -> RunReceipt:
    """Run a pipeline with its stored rejects as input.

    Raises:
        UsageError: the rejects are not files.
        ConfigError, PluginError: the components do not fit together.
    """
    cancellation = Cancellation(stop or threading.Event(), abandon or threading.Event())
    run = Run(pipeline, catalogue, RunOptions(), observer or Observer(), cancellation)
    return run.run(replay=True)


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
        self._catalogue = catalogue
        self.options = options
        self.observer = Observers(observer)
        self.cancellation = cancellation
        cancellation.clock = options.clock
        self._between_epochs = cancellation.between_epochs()
        self._loop: EpochLoop | None = None
        self.meter = Meter()
        self.outages = Outages(self.observer, self.meter, options.clock)
        self.assembly = assemble(
            pipeline,
            catalogue,
            self._stopping,
            ephemeral=options.dry_run,
            clock=options.clock,
            abandoned=cancellation.abandon.is_set,
            health_of=self.outages.health_of,
        )
        if options.dry_run:
            discard_output(self.assembly)
        self.workers = options.workers or pipeline.engine.workers or usable_cores()
        native = accelerator()
        self.receipt = RunReceipt(
            pipeline.name,
            uuid.uuid4().hex[:12],
            options.dry_run,
            workers=self.workers,
            accelerator=None if native is None else native.name,
        )
        self.receipt.sinks = [SinkOutput.of(bound) for bound in self.assembly.sinks]
        if self.assembly.rejects is not None:
            self.receipt.rejects = SinkOutput.of(self.assembly.rejects)
        self.receipt.violations = [SinkOutput.of(bound) for bound in self.assembly.violations]

    def run(self, *, replay: bool = False) -> RunReceipt:
        """Run; failures are in the receipt.

        Args:
            replay: read the stored rejects instead of the source.
        """
        with bind(pipeline=self.pipeline.name, run_id=self.receipt.run_id):
            return self._run_bound(replay=replay)

    def fail(self, error: Exception) -> None:
        """Record an error that `run` has raised in the receipt, and notify that the run is over."""
        with bind(pipeline=self.pipeline.name, run_id=self.receipt.run_id):
            self._record_failure(error)
            self._finish()

    def _run_bound(self, *, replay: bool) -> RunReceipt:
        receipt = self.receipt
        if replay:
            from ktrans.engine.rejects.replay import with_rejects_as_source

            with_rejects_as_source(self.assembly)  # raises if the rejects cannot be read
        self.observer.run_opened(self._describe(replay=replay))
        try:
            with ExitStack() as stack:
                self._run_epochs(stack, replay=replay)
        except LockedError as error:
            if self._if_locked == "skip":
                receipt.outcome = "skipped"
                receipt.notes.append(error.message)
            else:
                self._record_failure(error)
        except InterruptedRunError as error:
            if self.cancellation.abandon.is_set():
                self._record_failure(error)
            receipt.outcome = "stopped"
        except (ConfigError, ConfigErrors):
            raise
        except Exception as error:  # noqa: BLE001 - recorded in the receipt, traceback in the log
            self._record_failure(error)
        finally:
            self.assembly.close()
        self._finish()
        return receipt

    def _run_epochs(self, stack: ExitStack, *, replay: bool) -> None:
        name = self.pipeline.name
        if self.options.dry_run:
            store = stack.enter_context(view_store(self.assembly.state, name))
        else:
            store = self._hold(stack)
            if not self.options.new_history:
                check_new_history(store, self.assembly)
            store.claim(name, self.pipeline.path)
        self.observer.run_started(name, self.receipt.run_id, self.meter)
        pool = stack.enter_context(Workers(self.workers, "work"))
        stack.enter_context(self.cancellation.grace(self.pipeline.engine.grace_period))
        check_open_totals(store, name, self.assembly.enrichers)
        expectations = None
        if self.assembly.rules:
            expectations = Expectations(
                self.assembly, store, self.observer, forget=self.options.dry_run
            )
            self.receipt.expect = expectations.results
        context = RunContext.of(
            self.assembly,
            store,
            pool,
            self.workers,
            budget=self.options.budget,
            cancellation=self.cancellation,
            meter=self.meter,
            observer=self.observer,
            outages=self.outages,
            expectations=expectations,
        )
        self._loop = loop = EpochLoop(
            context, self.options, self.receipt, self._note, self._task_workers()
        )
        if not self.options.dry_run:
            loop.resume()
        if replay:
            loop.replay()
        else:
            loop.process_source()
        if self._between_epochs.stop.is_set():
            self.receipt.outcome = "stopped"
        elif self.receipt.epochs == 0:
            self.receipt.outcome = "nothing_to_do"
        if expectations is not None and not replay and self.receipt.outcome != "stopped":
            expectations.end_run()

    def _task_workers(self) -> TaskWorkers | None:
        """Return the workers beside this process, which a dry run does without."""
        if self.options.dry_run:
            return None
        if self.pipeline.engine.executor == AUTO and not self._catalogue.installed:
            return None  # other processes would not find all components
        task_workers = TaskWorkers(
            self.assembly,
            self._catalogue,
            workers=self.workers,
            run_id=self.receipt.run_id,
            prepare=self.options.prepare_worker,
        )
        if self.options.follow:  # tables may change before the first epoch
            _ = task_workers.definition
        return task_workers

    def _hold(self, stack: ExitStack) -> Store:
        """Hold the pipeline; with --follow wait until no other run holds it."""
        return hold_when_free(
            stack,
            partial(hold_store, self.assembly.state, self.pipeline.name, self.receipt.run_id),
            wait=self.options.follow and self._if_locked != "skip",
            poll_interval=self.pipeline.engine.poll_interval,
            cancellation=self._between_epochs,
            note=self._note,
        )

    @property
    def _if_locked(self) -> str:
        return self.options.if_locked or self.pipeline.engine.if_locked

    def _stopping(self) -> bool:
        """Return whether components should stop; the current epoch may end first where it may."""
        processing = self._loop is not None and self._loop.processing
        return (self.cancellation if processing else self._between_epochs).stop.is_set()

    # -- the receipt --------------------------------------------------------------------------

    def _describe(self, *, replay: bool) -> dict[str, Any]:
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
            **describe_components(self.assembly),
        }

    def _note(self, text: str) -> None:
        text = redact(text)
        if text not in self.receipt.notes:
            self.receipt.notes.append(text)
            self.observer.note(text)

    def _record_failure(self, error: Exception) -> None:
        logging.getLogger("ktrans.engine").debug(
            "the run failed", exc_info=error, extra={"event": log_events.RUN_FAILED}
        )
        self.receipt.fail(to_ktrans_error(error))

    def _finish(self) -> None:
        self.receipt.retries = self.meter.retries
        cancellation = self.cancellation
        self.receipt.finish(
            fail_on_rejects=self.options.fail_on_rejects,
            abandoned=cancellation.abandon.is_set() and not cancellation.grace_over,
        )
        self.observer.run_finished(self.receipt.to_json())


def hold_when_free(
    stack: ExitStack,
    hold: Callable[[], AbstractContextManager[Store]],
    *,
    wait: bool,
    poll_interval: float,
    cancellation: Cancellation,
    note: Callable[[str], None],
) -> Store:
    """Hold a pipeline, if need be after waiting for another run's lease to expire or be released.

    A lock without an expiry time is never waited for. `note` is called once, with the reason
    for the wait.

    Raises:
        LockedError: another run holds it.
        InterruptedRunError: the run was stopped while it waited.
    """
    noted = False
    while True:
        try:
            return stack.enter_context(hold())
        except LockedError as error:
            if error.until is None or not wait:
                raise
            if cancellation.stop.is_set():
                raise InterruptedRunError("stopped while waiting for the lock") from error
            if not noted:  # once: the message has a time, which changes with each renewal
                note(f"{error.message}; waiting to take over")
            noted = True
        cancellation.clock.wait(min(poll_interval, LONGEST_POLL_SECS), cancellation.stop)
