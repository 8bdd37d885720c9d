"""Does tasks for a run in another process: builds the pipeline once, and keeps it for further tasks."""

from __future__ import annotations

import threading
from contextlib import closing
from contextvars import copy_context
from dataclasses import dataclass, field
from typing import Any

from ktrans.api import ConfigError, EpochId, TaskId
from ktrans.engine.answer import Answer, Retry, error_to_json, parts_of
from ktrans.engine.assemble import assemble
from ktrans.engine.assembly import Assembly
from ktrans.engine.cancellation import Cancellation
from ktrans.engine.enricher_state import EnricherStates
from ktrans.engine.epoch_limits import EpochLimits
from ktrans.engine.job import Definition, Job
from ktrans.engine.ledger import Ledger
from ktrans.engine.log_context import bind
from ktrans.engine.observer import Meter, Observer
from ktrans.engine.outages import Outages
from ktrans.engine.run_context import RunContext
from ktrans.engine.task import Task
from ktrans.engine.task_kinds import PartialTask, TaskKind, WholeTask
from ktrans.engine.workers import Workers
from ktrans.kit.state.sqlite_database import MEMORY, SqliteDatabase
from ktrans.registry.catalogue import Catalogue
from ktrans.state.epochs import Epoch
from ktrans.state.store import Store


def work(value: dict[str, Any]) -> dict[str, Any]:
    """Do a job; return its answer.

    A KeyboardInterrupt makes the task give up and remove what it has staged.
    """
    job = Job.from_json(value)
    answer = Answer()
    with bind(pipeline=job.definition.name, run_id=job.run_id):
        try:
            with _lock:
                kept = _kept(job)
            _do(job, kept, answer)
        except Exception as error:  # noqa: BLE001 - it is the answer
            answer.error = error_to_json(error)
    return answer.to_json()


@dataclass(slots=True)
class _Kept:
    """The components of a pipeline, and what is done with them at the moment."""

    definition: Definition
    observer: Observer
    outages: Outages
    assembly: Assembly
    abandoned: threading.Event
    told: set[str] = field(default_factory=set)

    def new_choices(self) -> dict[str, str]:
        """Return what the decoder has chosen since the last call."""
        found = self.assembly.decoder.choices()
        new = {uri: why for uri, why in found.items() if uri not in self.told and uri != _MORE}
        self.told.update(new)
        return new


_MORE = "..."
"""The choices beyond those that a decoder lists, see `Decoder.choices`."""

_lock = threading.Lock()
_pipelines: dict[str, _Kept] = {}
_catalogue: list[Catalogue] = []
_prepared: dict[str, Observer] = {}


def _kept(job: Job) -> _Kept:
    """Return the components of a job's pipeline; build them if another version of it is kept."""
    kept = _pipelines.get(job.definition.name)
    if kept is not None and kept.definition == job.definition:
        return kept
    if not _catalogue:
        _catalogue.append(Catalogue())
    [catalogue] = _catalogue
    observer = _prepare(job, catalogue)
    try:
        pipeline = job.definition.load(catalogue)
    except ConfigError as error:  # which the process that runs the pipeline does not have
        for one in (error, *parts_of(error)):
            one.message = f"in a worker: {one.message}"
        raise
    if kept is not None:
        del _pipelines[job.definition.name]
        kept.assembly.close()
    abandoned = threading.Event()
    cancellation = Cancellation()
    outages = Outages(observer, Meter(), cancellation.clock)
    assembly = assemble(
        pipeline, catalogue, abandoned=abandoned.is_set, health_of=outages.health_of
    )
    kept = _Kept(job.definition, observer, outages, assembly, abandoned)
    _pipelines[job.definition.name] = kept
    return kept


def _prepare(job: Job, catalogue: Catalogue) -> Observer:
    """Set up logging and the like, once in a process; return what outages are reported to."""
    arguments = dict(job.prepare)
    reference = arguments.pop("call", "")
    if not reference:
        return Observer()
    if reference not in _prepared:
        _prepared[reference] = catalogue.load(reference)(**arguments)
    return _prepared[reference]


class _Recorder(Observer):
    """Puts into the answer what the run's own observers have to know."""

    def __init__(self, answer: Answer) -> None:
        self._answer = answer

    def task_finished(self, task: dict[str, Any]) -> None:
        self._answer.report = task

    def retrying(self, what: str, attempt: int, wait_secs: float, error: BaseException) -> None:
        self._answer.retries.append(Retry(what, attempt, wait_secs, error_to_json(error)))


class _TaskLimits(EpochLimits):
    """The limits as far as a task alone can check them: the run checks those of the whole epoch."""

    def check_early(self, index: int, ledger: Ledger) -> None:
        """Leave it to the run."""


def _do(job: Job, kept: _Kept, answer: Answer) -> None:
    """Run the task of a job, in a thread, so that an interruption never hits its clean-up."""
    cancellation = Cancellation(abandon=kept.abandoned)
    with (
        Workers(job.threads, "work") as pool,
        closing(SqliteDatabase(MEMORY)) as database,
        Workers(1, "task") as thread,
    ):
        meter = Meter()
        context = RunContext.of(
            kept.assembly,
            Store(database),
            pool,
            job.threads,
            memory=job.memory,
            cancellation=cancellation,
            meter=meter,
            observer=_Recorder(answer),
            outages=kept.outages,
        )
        epoch = _epoch(job)
        number = EpochId(job.definition.name, job.epoch.number, job.epoch.history)
        limits = _TaskLimits(context, epoch)
        task = Task(context, epoch, TaskId(number, job.task), limits, _kind(job, context, epoch))
        try:
            future = thread.submit(copy_context().run, task.run)
            thread.wait([future])
        except KeyboardInterrupt:
            kept.abandoned.set()
            cancellation.stop.set()  # ends the wait before another attempt
            thread.wait([future])
        finally:
            kept.abandoned.clear()
        answer.counts = meter.counts()
        answer.choices = kept.new_choices()
        known = {one.key for one in job.quarantined}
        answer.quarantined = [one for key, one in epoch.quarantined.items() if key not in known]
        answer.result = future.result()


def _kind(job: Job, context: RunContext, epoch: Epoch) -> TaskKind:
    """Return what the task does of the pipeline; the state of enrichers is not here."""
    states = EnricherStates(context.store, job.definition.name, epoch)
    at = context.assembly.merge_at if job.epoch.merges else None
    return WholeTask(states) if at is None else PartialTask(at, job.epoch.facts, states.context)


def _epoch(job: Job) -> Epoch:
    """Return the epoch as its task sees it: only its own splits."""
    tasks: list[Any] = [[] for _ in range(job.task)]
    return Epoch(
        job.epoch.number,
        [*tasks, job.splits],
        planned=job.epoch.planned,
        decided=job.epoch.decided,
        quarantined={one.key: one for one in job.quarantined},
    )
