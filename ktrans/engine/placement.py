"""How far the tasks of a pipeline can be spread, and what binds them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal, get_args

import msgspec

from ktrans.api import ConfigError, Enricher
from ktrans.api.component import Component, Reach
from ktrans.engine.assembly import Assembly
from ktrans.engine.fleet.fingerprint import referenced_files

Spread = Literal["task", "process", "machine", "anywhere"]
"""One task at a time; tasks in one process; in processes of one machine; on any machines."""

WORDS: dict[Spread, str] = {
    "task": "one task at a time",
    "process": "threads of one process",
    "machine": "processes of this machine",
    "anywhere": "processes and machines",
}
_ORDER: tuple[Spread, ...] = get_args(Spread)
_OF_REACH: dict[Reach, Spread] = {
    "here": "process",
    "shared_path": "machine",
    "anywhere": "anywhere",
}
_REASONS = {
    ("source", "here"): "only the process that plans can read what it has planned",
    ("source", "shared_path"): "reads from a local path",
    ("sink", "here"): "only the process that commits can write",
    ("sink", "shared_path"): "writes to a local path",
    ("enricher", "here"): "keeps what it knows in one process",
    ("enricher", "shared_path"): "reads from a local path",
}


class Bound(msgspec.Struct, frozen=True):
    """A component that keeps tasks from being spread further.

    Attributes:
        component: its kind and its name.
        spread: how far they can be spread at most.
        reason: why, in a few words.
    """

    component: str
    spread: Spread
    reason: str

    def __str__(self) -> str:
        """Return it for people."""
        return f"{self.component} ({self.reason})"


class Placement(msgspec.Struct, frozen=True):
    """How far the tasks of a pipeline can be spread.

    Attributes:
        bounds: all components that bind them at all.
        files: files that a worker on another machine needs, under the same path.
    """

    bounds: tuple[Bound, ...] = ()
    files: tuple[str, ...] = ()

    @property
    def spread(self) -> Spread:
        """How far they can be spread."""
        return min((bound.spread for bound in self.bounds), key=_ORDER.index, default="anywhere")

    def below(self, spread: Spread) -> list[Bound]:
        """Return the components that keep tasks from being spread as far as this."""
        wanted = _ORDER.index(spread)
        return [bound for bound in self.bounds if _ORDER.index(bound.spread) < wanted]

    def to_json(self) -> dict[str, Any]:
        """Return it for programs."""
        bounds = [
            {"component": b.component, "spread": b.spread, "reason": b.reason} for b in self.bounds
        ]
        files = list(self.files)
        return {"spread": self.spread, "bound_by": bounds, "files": files, "text": str(self)}

    def __str__(self) -> str:
        """Return it for people."""
        spread = self.spread
        by = ", ".join(str(bound) for bound in self.bounds if bound.spread == spread)
        files = f"; each machine needs {', '.join(self.files)}" if self.files else ""
        return f"{WORDS[spread]}{f'; bound by {by}' if by else files}"


def placement(assembly: Assembly) -> Placement:
    """Find out how far the tasks of a pipeline can be spread."""
    return Placement(
        tuple(bound for bound in _bounds(assembly) if bound is not None),
        tuple(dict.fromkeys(str(path) for path in referenced_files(assembly.pipeline))),
    )


def check_spread(found: Placement, executor: str, spread: Spread) -> None:
    """Check that an executor which was chosen by name can be used.

    `spread` says where its workers are: "machine" for processes of this one, "anywhere" for others.

    Raises:
        ConfigError: a component binds tasks to fewer places.
    """
    bounds = found.below(spread)
    if not bounds:
        return
    possible = "`threads`" if found.spread in ("task", "process") else "`processes` or `threads`"
    raise ConfigError(
        f"the executor {executor} cannot be used: {', '.join(map(str, bounds))}",
        field="executor",
        code="cannot_spread",
        hint=f"change what is named, or set `executor` to {possible}",
    )


def _bounds(assembly: Assembly) -> Iterator[Bound | None]:
    source = assembly.source
    yield _bound("source", source.config.type, source, source.reads)
    # What follows a merge is done by the process that runs the pipeline, wherever the tasks are.
    merge_at = assembly.merge_at
    enrichers, sinks = assembly.enrichers, assembly.all_sinks()
    if merge_at is not None:
        enrichers, sinks = enrichers[: merge_at + 1], sinks[-1:]
    for name, enricher in enrichers:
        short = name.partition(" ")[2]
        yield _serial(short, enricher)
        yield _bound("enricher", short, enricher, enricher.runs)
    for sink in sinks:
        yield _bound("sink", sink.entry.id, sink.sink, sink.sink.stages)


def _serial(name: str, enricher: Enricher[Any]) -> Bound | None:
    if enricher.scope != "epoch":
        return None
    return Bound(f"enricher {name}", "task", "has to see all rows of an epoch in order")


def _bound(kind: str, name: str, component: Component[Any], reach: Reach) -> Bound | None:
    if reach == "anywhere":
        return None
    reason = component.bound_because or _REASONS[kind, reach]
    return Bound(f"{kind} {name}", _OF_REACH[reach], reason)
