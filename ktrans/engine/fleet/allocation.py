"""How pipelines of one process share its workers, standard streams and exit code."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from ktrans.api import ExitCode, UsageError

if TYPE_CHECKING:
    from ktrans.config.model import Pipeline

ORDER = (
    ExitCode.INTERRUPTED,
    ExitCode.SOFTWARE,
    ExitCode.CONFIG,
    ExitCode.EXPECTATION,
    ExitCode.ACCESS,
    ExitCode.DATA,
    ExitCode.UNAVAILABLE,
    ExitCode.TRY_LATER,
)
"""The worst exit code first: errors that a person has to fix come before those that may pass."""


def allocate_workers(
    pipelines: Sequence[Pipeline], cores: int, total: int | None = None
) -> dict[str, int]:
    """Return the number of workers of each pipeline, by name.

    Pipelines without `engine.workers` share the cores, at least one worker each. A total for
    all pipelines together overrides `engine.workers`.
    """
    own = {} if total else {p.name: p.engine.workers for p in pipelines if p.engine.workers}
    others = [pipeline.name for pipeline in pipelines if pipeline.name not in own]
    each, over = divmod(total or cores, len(others) or 1)
    return own | {name: max(1, each + (at < over)) for at, name in enumerate(others)}


def check_stdio_conflicts(pipelines: Sequence[Pipeline]) -> None:
    """Check that at most one pipeline reads stdin, and at most one writes stdout.

    Raises:
        UsageError: two of them would share one stream.
    """
    reading = [p.name for p in pipelines if p.source.type == "stdin"]
    writing = [
        p.name
        for p in pipelines
        if any(s and s.config.type == "stdout" for s in (*p.sinks, p.violations))
    ]
    for stream, verb, names in (("stdin", "read from", reading), ("stdout", "write to", writing)):
        if len(names) > 1:
            raise UsageError(
                f"{len(names)} pipelines would {verb} {stream}: {', '.join(names)}",
                hint="run them in separate processes, or choose one with --pipeline",
            )


def worst_exit_code(codes: Iterable[int]) -> int:
    """Return the exit code of several pipelines: see `ORDER`; 0 if all are 0."""
    found = {int(code) for code in codes} - {int(ExitCode.OK)}
    return next((int(code) for code in ORDER if code in found), min(found, default=0))
