"""The components of a pipeline, built and bound: what a run, a preview and a graph work with."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import msgspec
import pyarrow as pa

from ktrans.api import Decoder, Enricher, Executor, KtransError, Sink, Source, Spec
from ktrans.api.spec import DeliveryGuarantee
from ktrans.api.state import StateStore
from ktrans.config.model import Pipeline, SinkEntry
from ktrans.engine.rules import BoundRule

if TYPE_CHECKING:
    from ktrans.expressions import Expression


class BoundSink(msgspec.Struct):
    """A sink, with the filter (`where`) and the choice of columns that the engine applies before it.

    `rules` names the rules of `expect` whose violations it takes; None for all other sinks.
    """

    entry: SinkEntry
    sink: Sink[Any]
    spec: Spec
    where: Expression | None = None
    schema: pa.Schema = msgspec.field(default_factory=lambda: pa.schema([]))
    rules: list[str] | None = None

    @property
    def delivery(self) -> DeliveryGuarantee:
        """The delivery guarantee."""
        return self.sink.delivery or self.spec.delivery or "at_least_once"

    def filter(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """Return the rows that `where` selects."""
        return batch if self.where is None else batch.filter(self.where.evaluate(batch))

    def select(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """Return the columns that the sink takes."""
        return batch if self.entry.columns is None else batch.select(list(self.entry.columns))


class Assembly(msgspec.Struct):
    """All components of a pipeline, built and bound, with the schema after each stage."""

    pipeline: Pipeline
    source: Source[Any]
    decoder: Decoder[Any]
    state: StateStore[Any]
    executor: Executor[Any]
    enrichers: list[tuple[str, Enricher[Any]]] = msgspec.field(default_factory=list)
    sinks: list[BoundSink] = msgspec.field(default_factory=list)
    rejects: BoundSink | None = None
    rules: list[BoundRule] = msgspec.field(default_factory=list)
    violations: list[BoundSink] = msgspec.field(default_factory=list)
    decoder_schema: pa.Schema = msgspec.field(default_factory=lambda: pa.schema([]))
    schemas: list[tuple[str, pa.Schema]] = msgspec.field(default_factory=list)

    @property
    def schema(self) -> pa.Schema:
        """The schema after the last enricher."""
        return self.schemas[-1][1]

    @property
    def serial(self) -> bool:
        """Whether an enricher has to see the whole epoch in order, in one task."""
        at = self._first_over_epoch
        return at is not None and self.enrichers[at][1].scope == "epoch"

    @property
    def merge_at(self) -> int | None:
        """The number of the enricher that merges partial results of the tasks; None without one.

        It and those after it are applied in one more task; those before it in each task.
        """
        at = self._first_over_epoch
        return at if at is not None and self.enrichers[at][1].scope == "partials" else None

    @property
    def _first_over_epoch(self) -> int | None:
        wide = (at for at, (_, e) in enumerate(self.enrichers) if e.scope in {"partials", "epoch"})
        return next(wide, None)

    def all_sinks(self) -> list[BoundSink]:
        """Return the sinks, those of violations, and the rejects sink last."""
        sinks = [*self.sinks, *self.violations]
        return [*sinks, self.rejects] if self.rejects else sinks

    def components(self) -> Iterator[tuple[str, Any]]:
        """Yield all components with their names."""
        yield "source", self.source
        yield "decoder", self.decoder
        yield from self.enrichers
        for bound in self.all_sinks():
            yield bound.entry.id, bound.sink
        yield "state", self.state
        yield "executor", self.executor

    def check(self) -> list[KtransError]:
        """Let every component check files, hosts and permissions; return the errors."""
        errors: list[KtransError] = []
        for name, component in self.components():
            try:
                component.check()
            except KtransError as error:
                error.component = error.component or name
                errors.append(error)
        return errors

    def close(self) -> None:
        """Close every component; safe to call twice."""
        for _, component in self.components():
            component.close()
