"""What one run is asked to do, beyond what the pipeline file says."""

from __future__ import annotations

from dataclasses import dataclass

from ktrans.api import Clock
from ktrans.api.clock import CLOCK


@dataclass(frozen=True, slots=True, kw_only=True)
class RunOptions:
    """The command line's share in a run.

    Attributes:
        follow: stay and wait for more; otherwise stop when the source is caught up.
        limit: stop after the epoch that brings the rows to this number; epochs are small then, and
            inputs are always read whole.
        dry_run: read, decode and enrich, but write to no sink and remember nothing.
        start: where to start instead of where the last run ended (`--from`), in the source's words.
        workers: overrides the pipeline's `engine.workers`.
        if_locked: overrides the pipeline's `engine.if_locked`.
        clock: the time that the run and its components go by; tests move one of their own.
    """

    follow: bool = False
    limit: int | None = None
    dry_run: bool = False
    start: str | None = None
    workers: int | None = None
    if_locked: str | None = None
    clock: Clock = CLOCK
