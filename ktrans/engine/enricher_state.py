"""What is carried from one epoch to the next by stateful enrichers, and the store behind it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ktrans.api import (
    ConfigError,
    Enricher,
    EpochContext,
    RunError,
    Sink,
    StatefulEnricher,
    StateSnapshot,
    TaskId,
)
from ktrans.state.epochs import Epoch
from ktrans.state.snapshots import open_totals, snapshot
from ktrans.state.store import Store


@dataclass(frozen=True, slots=True)
class Carry:
    """The state of stateful enrichers as an epoch finds it."""

    store: Store
    pipeline: str
    epoch: Epoch

    def begin(self, enricher: Enricher[Any], task: TaskId) -> Enricher[Any]:
        """Begin a task: stateful enrichers get what recorded epochs left behind."""
        if not isinstance(enricher, StatefulEnricher):
            return enricher.begin(task)
        found: StateSnapshot = snapshot(
            self.store, self.pipeline, enricher.state_id, self.epoch.number
        )
        turn = EpochContext(self.epoch.planned, self.epoch.last, self.epoch.number)
        return enricher.resume(task, found, turn)


def stateful(enrichers: Sequence[tuple[str, Enricher[Any]]]) -> list[StatefulEnricher[Any]]:
    """Pick the stateful ones."""
    return [enricher for _, enricher in enrichers if isinstance(enricher, StatefulEnricher)]


def check_state(enrichers: Sequence[tuple[str, Enricher[Any]]], index: int) -> None:
    """Check an enricher against those around it.

    Raises:
        ConfigError: two have one name for their state, or totals that are repeated would be added
            up.
    """
    enricher = enrichers[index][1]
    if not isinstance(enricher, StatefulEnricher):
        return
    if enricher.state_id in {one.state_id for one in stateful(enrichers[:index])}:
        raise ConfigError(
            f"two enrichers keep their state under the name {enricher.state_id!r}",
            field="id",
            code="id_taken",
            hint="give one of them another `id`",
        )
    if enricher.repeats and stateful(enrichers[index + 1 :]):
        raise ConfigError(
            "running totals come out again and again, and the next rollup would add them all up",
            field="emit",
            code="totals_repeat",
            hint="take `emit: closed`",
        )


def check_repeats(named: tuple[str, Enricher[Any]], sink_id: str, sink: Sink[Any]) -> None:
    """Check that a sink can take totals that come again whenever they change.

    Raises:
        ConfigError: it would keep each of them.
    """
    name, enricher = named
    if isinstance(enricher, StatefulEnricher) and enricher.repeats and not sink.upserts:
        raise ConfigError(
            f"{name} gives running totals, and sink {sink_id!r} would keep each of them beside the "
            "earlier ones",
            code="totals_repeat",
            hint="take `emit: closed`, or a sink that replaces rows, such as influxdb",
        )


def check_owners(store: Store, pipeline: str, enrichers: Sequence[StatefulEnricher[Any]]) -> None:
    """Insist that what is open has an enricher that goes on with it.

    Raises:
        RunError: an enricher that has open totals is gone from the pipeline.
    """
    present = {enricher.state_id for enricher in enrichers}
    for name, count in open_totals(store, pipeline).items():
        if count and name not in present:
            raise RunError(
                f"the pipeline has no rollup with the id {name!r} any more, and the state store "
                f"still holds {count} open totals of it",
                code="open_totals_left",
                hint="put it back and run once with its option `flush: at_end`; or forget all "
                "about the pipeline with `ktrans state reset`",
            )


def wants_last(store: Store, pipeline: str, enrichers: Sequence[StatefulEnricher[Any]]) -> bool:
    """Tell whether something is open that is to be closed when the input has ended."""
    closing = {enricher.state_id for enricher in enrichers if enricher.closes_at_end}
    return bool(closing) and any(
        count and name in closing for name, count in open_totals(store, pipeline).items()
    )
