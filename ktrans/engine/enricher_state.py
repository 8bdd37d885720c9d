"""The state of stateful enrichers between epochs: restoring it, and checks of what is open."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from ktrans.api import (
    ConfigError,
    Enricher,
    EpochContext,
    RunError,
    Sink,
    StatefulEnricher,
    TaskId,
)
from ktrans.state.epochs import Epoch
from ktrans.state.snapshots import open_totals, snapshot
from ktrans.state.store import Store

NamedEnricher = tuple[str, Enricher[Any]]


class EnricherStates(msgspec.Struct, frozen=True):
    """The state that recorded epochs left for the enrichers of one epoch."""

    store: Store
    pipeline: str
    epoch: Epoch

    @property
    def context(self) -> EpochContext:
        """The facts about the epoch."""
        return EpochContext(self.epoch.planned, self.epoch.last, self.epoch.number)

    def begin(self, enricher: Enricher[Any], task: TaskId) -> Enricher[Any]:
        """Begin a task with an enricher; a stateful one resumes from its stored state."""
        if isinstance(enricher, StatefulEnricher):
            return self.resume(enricher, task)
        return enricher.begin(task)

    def resume(self, enricher: StatefulEnricher[Any], task: TaskId) -> StatefulEnricher[Any]:
        """Begin a task with a stateful enricher and its stored state."""
        stored = snapshot(self.store, self.pipeline, enricher.state_id, self.epoch.number)
        return enricher.resume(task, stored, self.context)


def stateful_enrichers(enrichers: Sequence[NamedEnricher]) -> list[StatefulEnricher[Any]]:
    """Return the enrichers that keep state."""
    return [enricher for _, enricher in enrichers if isinstance(enricher, StatefulEnricher)]


def check_state_id(enrichers: Sequence[NamedEnricher], index: int) -> None:
    """Check the state of an enricher against that of the others.

    Raises:
        ConfigError: two enrichers store their state under one name, or a later rollup would add up
            totals that this one emits repeatedly.
    """
    enricher = enrichers[index][1]
    if not isinstance(enricher, StatefulEnricher):
        return
    if enricher.state_id in {one.state_id for one in stateful_enrichers(enrichers[:index])}:
        raise ConfigError(
            f"two enrichers keep their state under the name {enricher.state_id!r}",
            field="id",
            code="id_taken",
            hint="give one of them another `id`",
        )
    if enricher.repeats and stateful_enrichers(enrichers[index + 1 :]):
        raise ConfigError(
            "running totals are emitted repeatedly, and the next rollup would add them all up",
            field="emit",
            code="totals_repeat",
            hint="use `emit: closed`",
        )


def check_repeated_totals(named: NamedEnricher, sink_id: str, sink: Sink[Any]) -> None:
    """Check that a sink can take totals that are emitted again whenever they change.

    Raises:
        ConfigError: the sink would keep each version of a total.
    """
    name, enricher = named
    if isinstance(enricher, StatefulEnricher) and enricher.repeats and not sink.upserts:
        raise ConfigError(
            f"{name} emits running totals, and sink {sink_id!r} would keep each of them beside the "
            "earlier ones",
            code="totals_repeat",
            hint="use `emit: closed`, or a sink that replaces rows, such as influxdb",
        )


def check_open_totals(store: Store, pipeline: str, present: Sequence[NamedEnricher]) -> None:
    """Check that the enrichers of all stored open totals are still in the pipeline.

    Raises:
        RunError: an enricher with open totals was removed from the pipeline.
    """
    ids = {enricher.state_id for enricher in stateful_enrichers(present)}
    for name, count in open_totals(store, pipeline).items():
        if count and name not in ids:
            raise RunError(
                f"the pipeline no longer has a rollup with the id {name!r}, and the state store "
                f"still holds {count} open totals of it",
                code="open_totals_left",
                hint="put it back and run once with its option `flush: at_end`; or forget "
                "everything about the pipeline with `ktrans state reset`",
            )


def has_totals_to_close(store: Store, pipeline: str, enrichers: Sequence[NamedEnricher]) -> bool:
    """Return whether totals are open that have to be closed when the input has ended."""
    closing = {e.state_id for e in stateful_enrichers(enrichers) if e.closes_at_end}
    return bool(closing) and any(
        count and name in closing for name, count in open_totals(store, pipeline).items()
    )
