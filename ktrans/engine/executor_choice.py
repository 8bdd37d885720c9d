"""Chooses what runs the tasks of an epoch: threads of this process, or an executor with others."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from ktrans.api import Split
from ktrans.config.settings import AUTO
from ktrans.engine.assembly import Assembly
from ktrans.engine.placement import Spread, check_spread, placement

THREADS = "threads"

ENOUGH_WORKERS = 4
"""From this number of workers on, one process cannot keep all of them busy. Python code runs in one
thread at a time: measured, it is 30 to 50 % of what a task of AWS text computes, and 33 to 84 % for
JSON of Google Cloud. So a process keeps one to three cores busy."""
ENOUGH_BYTES = 128 << 20
"""Smaller epochs are done before a new process, which needs about a second of CPU time, has paid off."""


class Choice(msgspec.Struct, frozen=True):
    """What runs tasks, and why."""

    executor: str
    reason: str


class Tasks(msgspec.Struct, frozen=True):
    """The tasks of an epoch: their number, and their input in bytes.

    `warm` says that workers of an earlier epoch are waiting.
    """

    count: int
    size: int
    warm: bool = False

    @classmethod
    def of(cls, tasks: Sequence[Sequence[Split]], unknown: int, *, warm: bool = False) -> Tasks:
        """Count tasks; a split of unknown size counts as `unknown` bytes."""
        sizes = [unknown if one.size is None else one.size for task in tasks for one in task]
        return cls(len(tasks), sum(sizes), warm)


def choose_executor(assembly: Assembly, workers: int, tasks: Tasks) -> Choice:
    """Choose the executor of an epoch, by `engine.executor` and what there is to do."""
    wanted, executor = assembly.pipeline.engine.executor, assembly.executor
    why_threads = bound_by(assembly)
    if why_threads is None and tasks.count <= 1 and not executor.remote:
        why_threads = "there is one task"
    if why_threads is None and wanted == AUTO:
        why_threads = _enough(workers, tasks)
    if why_threads is not None and executor.config.type != THREADS:
        return Choice(THREADS, why_threads)
    if wanted == AUTO:
        return Choice(executor.config.type, f"one process does not feed {workers} workers")
    return Choice(executor.config.type, "`engine.executor` says so")


def _enough(workers: int, tasks: Tasks) -> str | None:
    """Return why threads of one process are enough; None if they are not."""
    if workers < ENOUGH_WORKERS:
        return f"one process feeds fewer than {ENOUGH_WORKERS} workers"
    if tasks.size < ENOUGH_BYTES and not tasks.warm:
        return f"an epoch of less than {ENOUGH_BYTES >> 20} MiB does not pay for more processes"
    return None


def check_executor(assembly: Assembly) -> None:
    """Check that the executor which the pipeline names can do its tasks.

    Raises:
        ConfigError: a component binds them to fewer places.
    """
    kind = assembly.executor.config.type
    if assembly.pipeline.engine.executor != AUTO and kind != THREADS:
        check_spread(placement(assembly), kind, _reach(assembly))


def bound_by(assembly: Assembly) -> str | None:
    """Return why only this process can do the tasks; None if the workers of the executor can, too."""
    bounds = placement(assembly).below(_reach(assembly))
    return f"bound by {', '.join(map(str, bounds))}" if bounds else None


def _reach(assembly: Assembly) -> Spread:
    executor = assembly.executor
    return "anywhere" if executor.remote and not executor.shares_files else "machine"
