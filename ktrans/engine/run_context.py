"""The options of a run, and what all its tasks share."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from ktrans.api import Clock
from ktrans.api.clock import CLOCK
from ktrans.engine.assembly import Assembly
from ktrans.engine.byte_budget import ByteBudget
from ktrans.engine.cancellation import Cancellation
from ktrans.engine.observer import Meter, Observer
from ktrans.state.store import Store


@dataclass(frozen=True, slots=True, kw_only=True)
class RunOptions:
    """The command line's options for a run.

    Attributes:
        follow: stay and wait for new input; otherwise stop when the source is caught up.
        limit: stop after the epoch in which this number of rows is reached. Epochs are small then;
            splits are always read completely.
        dry_run: read, decode and enrich, but write to no sink and record nothing.
        start: where to start instead of where the last run ended (`--from`); the source parses it.
        workers: overrides the pipeline's `engine.workers`.
        if_locked: overrides the pipeline's `engine.if_locked`.
        clock: the clock of the run and its components; tests use one that they move.
    """

    follow: bool = False
    limit: int | None = None
    dry_run: bool = False
    start: str | None = None
    workers: int | None = None
    if_locked: str | None = None
    clock: Clock = CLOCK


@dataclass(frozen=True, slots=True)
class RunContext:
    """What all tasks of a run share."""

    assembly: Assembly
    store: Store
    workers: int
    pool: ThreadPoolExecutor
    byte_budget: ByteBudget
    cancellation: Cancellation
    meter: Meter
    observer: Observer
