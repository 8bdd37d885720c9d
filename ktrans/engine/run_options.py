"""The options of a single run, beyond what the pipeline file says."""

from __future__ import annotations

from dataclasses import dataclass

from ktrans.api import Clock
from ktrans.api.clock import CLOCK


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
        fail_on_rejects: whether any reject makes the exit code that of bad data.
        clock: the clock of the run and its components; tests use one that they move.
    """

    follow: bool = False
    limit: int | None = None
    dry_run: bool = False
    start: str | None = None
    workers: int | None = None
    if_locked: str | None = None
    fail_on_rejects: bool = False
    clock: Clock = CLOCK
