"""The options of a run, and what all its tasks share."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Any

import msgspec

from ktrans.api import Clock
from ktrans.api.clock import CLOCK
from ktrans.engine.assembly import Assembly
from ktrans.engine.cancellation import TICK_SECS, Cancellation
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
    clock: Clock = CLOCK


def block_budget(workers: int, block_size: int) -> int:
    """Return how many bytes of blocks a run may hold between its readers and its writers."""
    return (2 * workers + 4) * block_size


class ByteBudget:
    """Bounds the bytes in memory to `limit`; a single larger block is admitted when it is alone."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._used = 0
        self._changed = threading.Condition()

    def acquire(self, size: int, cancellation: Cancellation) -> None:
        """Wait until there is room for `size` bytes.

        Raises:
            InterruptedRunError: the wait was cancelled.
        """
        with self._changed:
            while self._used and self._used + size > self._limit:
                cancellation.check()
                self._changed.wait(TICK_SECS)
            self._used += size

    def release(self, size: int) -> None:
        """Make room again."""
        with self._changed:
            self._used -= size
            self._changed.notify_all()


class RunContext(msgspec.Struct, frozen=True):
    """What all tasks of a run share."""

    assembly: Assembly
    store: Store
    workers: int
    pool: Workers
    byte_budget: ByteBudget
    cancellation: Cancellation
    meter: Meter
    observer: Observer
    outages: Outages
    headroom: Headroom

    @classmethod
    def of(
        cls,
        assembly: Assembly,
        store: Store,
        pool: Workers,
        workers: int,
        *,
        memory: int | None = None,
        **shared: Any,
    ) -> RunContext:
        """Return a context whose budgets of memory follow from the number of workers.

        `memory` is the part of the budget of a run that one of several processes has.
        """
        block_size = assembly.pipeline.limits.block_size
        return cls(
            assembly=assembly,
            store=store,
            pool=pool,
            workers=workers,
            byte_budget=ByteBudget(memory or block_budget(workers, block_size)),
            headroom=Headroom(workers, block_size),
            **shared,
        )
