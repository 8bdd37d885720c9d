"""From a validated pipeline to bound components: every stage knows the schema it will get.

Columns are pruned from the far end: each stage says what it reads, and the decoder builds only
what some later stage wants (for logs of many fields that is most of the speed).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from functools import partial
from typing import Any, TypeVar

import pyarrow as pa

from ktrans.api import (
    Clock,
    ComponentConfig,
    ConfigError,
    ConfigErrors,
    Context,
    Decoder,
    Enricher,
    KtransError,
    Limits,
    Sink,
    Source,
    Spec,
    WritesFolder,
)
from ktrans.api.clock import CLOCK
from ktrans.api.spec import DeliveryGuarantee, Kind
from ktrans.api.state import StateStore
from ktrans.config.model import Pipeline, SinkEntry
from ktrans.engine.enricher_state import check_repeats, check_state
from ktrans.engine.log_context import ComponentLogger
from ktrans.engine.rejects.writer import REJECT_OUT_SCHEMA
from ktrans.expressions import Expression, columns_of, compile_expression
from ktrans.flow.schema import COUNTERS
from ktrans.registry.catalogue import Catalogue

T = TypeVar("T")

ALWAYS = (*COUNTERS, "log_status")
"""What the ledger reads, whether or not a sink wants it."""


@dataclass(slots=True)
class BoundSink:
    """A sink with what the engine does before it: filter by `where`, choose columns."""

    entry: SinkEntry
    sink: Sink[Any]
    spec: Spec
    where: Expression | None = None
    schema: pa.Schema = field(default_factory=lambda: pa.schema([]))

    @property
    def delivery(self) -> DeliveryGuarantee:
        """What survives a crash."""
        return self.sink.delivery or self.spec.delivery or "at_least_once"

    def filter(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """Give the rows that are for this sink."""
        return batch if self.where is None else batch.filter(self.where.evaluate(batch))

    def select(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """Give the columns that are for this sink."""
        return batch if self.entry.columns is None else batch.select(list(self.entry.columns))


@dataclass(slots=True)
class Assembly:
    """All components of a pipeline, built and bound, with the schema after each stage."""

    pipeline: Pipeline
    source: Source[Any]
    decoder: Decoder[Any]
    state: StateStore[Any]
    enrichers: list[tuple[str, Enricher[Any]]] = field(default_factory=list)
    sinks: list[BoundSink] = field(default_factory=list)
    rejects: BoundSink | None = None
    decoder_schema: pa.Schema = field(default_factory=lambda: pa.schema([]))
    schemas: list[tuple[str, pa.Schema]] = field(default_factory=list)

    @property
    def schema(self) -> pa.Schema:
        """The schema after the last enricher."""
        return self.schemas[-1][1]

    @property
    def serial(self) -> bool:
        """Whether an enricher has to see the whole epoch in order."""
        return any(enricher.scope == "epoch" for _, enricher in self.enrichers)

    def all_sinks(self) -> list[BoundSink]:
        """The sinks, and the rejects after them."""
        return [*self.sinks, self.rejects] if self.rejects else list(self.sinks)

    def components(self) -> Iterator[tuple[str, Any]]:
        """All components with their names."""
        yield "source", self.source
        yield "decoder", self.decoder
        yield from self.enrichers
        for bound in self.all_sinks():
            yield bound.entry.id, bound.sink
        yield "state", self.state

    def check(self) -> list[KtransError]:
        """Ask every component whether the outside world is as the config says."""
        found: list[KtransError] = []
        for name, component in self.components():
            try:
                component.check()
            except KtransError as error:
                error.component = error.component or name
                found.append(error)
        return found

    def close(self) -> None:
        """Close every component; safe to call twice."""
        for _, component in self.components():
            component.close()


def assemble(
    pipeline: Pipeline,
    catalogue: Catalogue,
    stopping: Callable[[], bool] | None = None,
    *,
    ephemeral: bool = False,
    clock: Clock = CLOCK,
) -> Assembly:
    """Build and bind a pipeline; no data moves and nothing outside is touched.

    Args:
        pipeline: what to build.
        catalogue: where its components come from.
        stopping: tells components whether the run has been told to stop.
        ephemeral: whether this is only a look, which leaves no trace.
        clock: the time that components go by.

    Raises:
        ConfigErrors: all that does not fit, each with its place in the pipeline file.
        PluginError: a plugin that the pipeline needs is broken.
    """
    stopping = stopping or Context().stopping
    return _Assembler(pipeline, catalogue, stopping, ephemeral, clock).assemble()


def build_state(pipeline: Pipeline, catalogue: Catalogue) -> StateStore[Any]:
    """Build a pipeline's state store alone; the rest of it may be broken. To be closed.

    Raises:
        ConfigError, PluginError: it does not fit, or its plugin is broken.
    """
    context = _context(pipeline, catalogue, "state", pipeline.state, "state")
    store: StateStore[Any] = catalogue.build("state", pipeline.state, context)
    return store


def _context(
    pipeline: Pipeline, catalogue: Catalogue, kind: Kind, config: ComponentConfig, name: str
) -> Context:
    limits = pipeline.limits
    return Context(
        pipeline=pipeline.name,
        name=name,
        base_dir=pipeline.base_dir,
        registry=catalogue,
        limits=Limits(limits.max_line_size, limits.max_inflate_ratio, limits.block_size),
        log=ComponentLogger(
            f"ktrans.{kind}.{config.type}", {"pipeline": pipeline.name, "component": name}
        ),
    )


class _Assembler:
    def __init__(
        self,
        pipeline: Pipeline,
        catalogue: Catalogue,
        stopping: Callable[[], bool],
        ephemeral: bool,
        clock: Clock,
    ) -> None:
        self.ephemeral = ephemeral
        self.clock = clock
        self.stopping = stopping
        self.pipeline = pipeline
        self.catalogue = catalogue
        self.errors: list[ConfigError] = []

    def assemble(self) -> Assembly:
        result = self._build()
        if result is not None:
            self._bind(result)
        if self.errors:
            raise ConfigErrors(self.errors)
        assert result is not None
        return result

    @contextmanager
    def _at(self, name: str, *place: str | int) -> Iterator[None]:
        """Give errors their component and their place in the file, and collect them."""
        try:
            yield
        except ConfigErrors as errors:
            self.errors.extend(errors.errors)
        except ConfigError as error:
            if error.where is None:
                steps = place if error.field is None else (*place, *error.field.split("."))
                error.where = self.pipeline.where(*steps)
            error.component = error.component or name
            self.errors.append(error)

    # -- building -----------------------------------------------------------------------------

    def _build(self) -> Assembly | None:
        pipeline = self.pipeline
        source = self._component("source", pipeline.source, "source", "source")
        decoder = self._component("decoder", pipeline.decoder, "decoder", "decoder")
        enrichers = []
        for index, config in enumerate(pipeline.enrichers):
            name = f"enrichers[{index}] {config.type}"
            built = self._component("enricher", config, name, "enrichers", index)
            enrichers.append((name, built))
        sinks = [self._sink(entry, "sinks", index) for index, entry in enumerate(pipeline.sinks)]
        rejects = self._sink(SinkEntry("rejects", pipeline.rejects.config), "rejects")
        state = self._component("state", pipeline.state, "state", "state")
        if self.errors:
            return None
        given = [sink for sink in sinks if sink]
        result = Assembly(pipeline, source, decoder, state, enrichers, given, rejects)
        built_sinks = [bound.sink for bound in result.all_sinks()]
        source.exclude_outputs([sink for sink in built_sinks if isinstance(sink, WritesFolder)])
        return result

    def _sink(self, entry: SinkEntry, *place: str | int) -> BoundSink | None:
        sink = self._component("sink", entry.config, entry.id, *place)
        if sink is None:
            return None
        return BoundSink(entry, sink, self.catalogue.spec("sink", entry.config.type))

    def _component(self, kind: Kind, config: ComponentConfig, name: str, *place: str | int) -> Any:
        context = replace(
            _context(self.pipeline, self.catalogue, kind, config, name),
            stopping=self.stopping,
            ephemeral=self.ephemeral,
            clock=self.clock,
        )
        with self._at(name, *place):
            return self.catalogue.build(kind, config, context)
        return None

    # -- binding ------------------------------------------------------------------------------

    def _bind(self, assembly: Assembly) -> None:
        wanted = self._wanted(assembly)
        if self.errors:
            return
        with self._at("decoder", "decoder"):
            assembly.decoder_schema = assembly.decoder.schema(wanted)
        assembly.schemas = [("decoder", assembly.decoder_schema)]
        for index, (name, enricher) in enumerate(assembly.enrichers):
            with self._at(name, "enrichers", index):
                assembly.schemas.append((name, enricher.bind(assembly.schema)))
            if self.errors:
                return
        for index, bound in enumerate(assembly.sinks):
            with self._at(bound.entry.id, "sinks", index):
                self._bind_sink(bound, assembly.schema)
        assert assembly.rejects is not None
        assembly.rejects.schema = REJECT_OUT_SCHEMA
        with self._at("rejects", "rejects"):
            assembly.rejects.sink.bind(REJECT_OUT_SCHEMA)
        self._check_stateful(assembly)

    def _check_stateful(self, assembly: Assembly) -> None:
        """Check that states have names of their own, and that sinks can take what is repeated."""
        for index, (name, _) in enumerate(assembly.enrichers):
            with self._at(name, "enrichers", index):
                check_state(assembly.enrichers, index)
            for place, bound in enumerate(assembly.sinks):
                with self._at(bound.entry.id, "sinks", place):
                    check_repeats(assembly.enrichers[index], bound.entry.id, bound.sink)

    def _bind_sink(self, bound: BoundSink, schema: pa.Schema) -> None:
        entry = bound.entry
        if entry.where is not None:
            bound.where = _in_field("where", partial(compile_expression, entry.where, schema))
            if not pa.types.is_boolean(bound.where.type):
                raise ConfigError(
                    f"`where` of sink {entry.id!r} must be true or false, but is "
                    f"{bound.where.type}: {entry.where}",
                    field="where",
                )
        if entry.columns is not None:
            for name in entry.columns:
                if name not in schema.names:
                    raise _no_column(name, schema.names, f"sink {entry.id!r}")
            schema = pa.schema(
                [schema.field(name) for name in entry.columns], metadata=schema.metadata
            )
        bound.schema = schema
        bound.sink.bind(schema)

    # -- pruning ------------------------------------------------------------------------------

    def _wanted(self, assembly: Assembly) -> Sequence[str] | None:
        """Give the columns that the decoder has to build; None means all."""
        wanted: set[str] | None = set()
        for index, bound in enumerate(assembly.sinks):
            with self._at(bound.entry.id, "sinks", index):
                needs: Sequence[str] | None = bound.entry.columns
                if needs is None:
                    needs = bound.sink.needs()
                wanted = None if wanted is None or needs is None else wanted | set(needs)
                if bound.entry.where is not None and wanted is not None:
                    wanted |= _in_field("where", partial(columns_of, bound.entry.where))
        for _, enricher in reversed(assembly.enrichers):
            wanted = _before(enricher, wanted)
        return None if wanted is None else sorted(wanted | set(ALWAYS))


def _before(enricher: Enricher[Any], wanted: set[str] | None) -> set[str] | None:
    """Give what has to come into an enricher for `wanted` to come out."""
    needs, keeps = enricher.needs(), enricher.keeps()
    if needs is None:
        return None
    if keeps is not None:
        wanted = set(keeps) if wanted is None else wanted & {*keeps, *enricher.adds()}
    if wanted is None:
        return None
    return (wanted - set(enricher.adds())) | set(needs) | set(ALWAYS)


def _in_field(name: str, call: Callable[[], T]) -> T:
    """Let an error of the expression language point at the option that holds the expression."""
    try:
        return call()
    except ConfigError as error:
        error.field = error.field or name
        raise


def _no_column(name: str, names: Sequence[str], who: str) -> ConfigError:
    close = get_close_matches(name, names, 1)
    hint = f"did you mean {close[0]!r}?" if close else f"there are: {', '.join(names)}"
    return ConfigError(
        f"{who} asks for a column {name!r} that no earlier stage makes",
        field="columns",
        code="unknown_column",
        hint=hint,
    )
