"""The options of a run, and what all its tasks share."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from ktrans.api import Clock
from ktrans.api.clock import CLOCK
from ktrans.engine.assembly import Assembly
from ktrans.engine.byte_budget import ByteBudget, Growth, budget_of
from ktrans.engine.cancellation import Cancellation
from ktrans.engine.expectations import Expectations
from ktrans.engine.headroom import Headroom
from ktrans.engine.observer import Meter, Observer
from ktrans.engine.outages import Outages
from ktrans.engine.workers import Workers
from ktrans.state.store import Store


class RunOptions(msgspec.Struct, frozen=True, kw_only=True):
    """The command line's options for a run.

    Attributes:
        follow: stay and wait for new input; otherwise stop when the source is caught up.
        limit: stop after the epoch in which this number of rows is reached. Epochs are small then;
            splits are always read completely.
        dry_run: read, decode and enrich, but write to no sink and record nothing.
        start: where to start instead of where the last run ended (`--from`); the source parses it.
        workers: overrides the pipeline's `engine.workers`.
        if_locked: overrides the pipeline's `engine.if_locked`.
        fail_on_rejects: whether any reject makes the exit code that of bad data.
        new_history: begin anew, also if the sinks have files of a run that the state store does not
            know.
        prepare_worker: what to call once in each process that does tasks for the run: `call`, as
            `module:function`, and its arguments, as JSON. It sets up logging, and returns the observer
            that outages are reported to.
        budget: the bytes of blocks that all pipelines of the process share; the run has its own if it
            is None.
        clock: the clock of the run and its components; tests use one that they move.
    """

    follow: bool = False
    limit: int | None = None
    dry_run: bool = False
    start: str | None = None
    workers: int | None = None
    if_locked: str | None = None
    fail_on_rejects: bool = False
    new_history: bool = False
    prepare_worker: Mapping[str, Any] = msgspec.field(default_factory=dict)
    budget: ByteBudget | None = None
    clock: Clock = CLOCK


class RunContext(msgspec.Struct, frozen=True):
    """What all tasks of a run share."""

    assembly: Assembly
    store: Store
    workers: int
    pool: Workers
    byte_budget: ByteBudget
    growth: Growth
    cancellation: Cancellation
    meter: Meter
    observer: Observer
    outages: Outages
    headroom: Headroom
    expectations: Expectations | None = None

    @classmethod
    def of(
        cls,
        assembly: Assembly,
        store: Store,
        pool: Workers,
        workers: int,
        *,
        memory: int | None = None,
        budget: ByteBudget | None = None,
        **shared: Any,
    ) -> RunContext:
        """Return a context whose budgets of memory follow from the number of workers.

        `memory` is the part of the budget of a run that one of several processes has, `budget` one
        that several pipelines share.
        """
        block_size = assembly.pipeline.limits.block_size
        return cls(
            assembly=assembly,
            store=store,
            pool=pool,
            workers=workers,
            byte_budget=budget or ByteBudget(memory or budget_of(workers, block_size)),
            growth=Growth(block_size),
            headroom=Headroom(workers, block_size),
            **shared,
        )
