"""How pipelines that run side by side share a machine, and what they amount to together."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from ktrans.api import ExitCode, UsageError

if TYPE_CHECKING:
    from ktrans.config.model import Pipeline

ORDER = (
    ExitCode.SOFTWARE,
    ExitCode.CONFIG,
    ExitCode.ACCESS,
    ExitCode.DATA,
    ExitCode.UNAVAILABLE,
    ExitCode.TRY_LATER,
)
"""The worst first: what a person has to look at comes before what may pass by itself."""


def shares(pipelines: Sequence[Pipeline], cores: int, asked: int | None = None) -> dict[str, int]:
    """Give the number of workers of each pipeline, by name.

    Args:
        pipelines: what runs side by side.
        cores: how many workers there are to share out.
        asked: the number for all of them together, whatever the pipelines say themselves.

    A pipeline that says `engine.workers` has that many; the others get equal shares of the cores,
    at least one each.
    """
    own = {} if asked else {p.name: p.engine.workers for p in pipelines if p.engine.workers}
    others = [pipeline.name for pipeline in pipelines if pipeline.name not in own]
    total = asked or cores
    each, over = divmod(total, len(others) or 1)
    return own | {name: max(1, each + (at < over)) for at, name in enumerate(others)}


def told_streams_apart(pipelines: Sequence[Pipeline]) -> None:
    """Refuse pipelines that would share this process's standard input or output.

    Raises:
        UsageError: two of them read from stdin, or write to stdout.
    """
    reading = [p.name for p in pipelines if p.source.type == "stdin"]
    writing = [p.name for p in pipelines if any(s.config.type == "stdout" for s in p.sinks)]
    for stream, what, names in (("stdin", "read from", reading), ("stdout", "write to", writing)):
        if len(names) > 1:
            raise UsageError(
                f"{len(names)} pipelines would {what} {stream}: {', '.join(names)}",
                hint="run them as processes of their own, or choose one with --pipeline",
            )


def worst(codes: Iterable[int]) -> int:
    """Give the exit code for several: see `ORDER`; 0 if all are 0."""
    found = {int(code) for code in codes} - {int(ExitCode.OK)}
    return next((int(code) for code in ORDER if code in found), min(found, default=0))
