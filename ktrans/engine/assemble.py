"""Builds the components of a validated pipeline and binds each to the schema that it will get.

Columns are pruned from the sinks backwards: each stage declares what it reads, and the decoder
builds only what a later stage needs (for logs with many fields this matters most for speed).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import pyarrow as pa

from ktrans.api import (
    Clock,
    ComponentConfig,
    ConfigError,
    ConfigErrors,
    Context,
    Enricher,
    Limits,
    WritesFolder,
)
from ktrans.api.clock import CLOCK
from ktrans.api.spec import Kind
from ktrans.api.state import StateStore
from ktrans.config.model import Pipeline, SinkEntry
from ktrans.decoders.carriers.decoder import CarrierDecoder
from ktrans.engine.assembly import Assembly, BoundSink
from ktrans.engine.enricher_state import check_repeated_totals, check_state_id
from ktrans.engine.log_context import ComponentLogger
from ktrans.engine.rejects.stored_form import STORED_REJECT_SCHEMA
from ktrans.expressions import columns_of, compile_expression
from ktrans.flow.schema import COUNTERS
from ktrans.kit.columns import option, require
from ktrans.registry.catalogue import Catalogue

ALWAYS = (*COUNTERS, "log_status")
"""Columns that the ledger reads, whether or not a sink needs them."""


def assemble(
    pipeline: Pipeline,
    catalogue: Catalogue,
    stopping: Callable[[], bool] | None = None,
    *,
    ephemeral: bool = False,
    clock: Clock = CLOCK,
) -> Assembly:
    """Build and bind the components of a pipeline; reads no data and connects to nothing.

    Components that are `ephemeral` leave no trace, as for a preview.

    Raises:
        ConfigErrors: all errors, each with its place in the pipeline file.
        PluginError: a plugin that the pipeline needs is broken.
    """
    stopping = stopping or Context().stopping
    return _Assembler(pipeline, catalogue, stopping, ephemeral, clock).assemble()


def build_state(pipeline: Pipeline, catalogue: Catalogue) -> StateStore[Any]:
    """Build only the state store of a pipeline; the caller closes it.

    Raises:
        ConfigError, PluginError: its options are wrong, or its plugin is broken.
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
        limits=Limits(
            max_line_bytes=limits.max_line_size,
            max_inflate_ratio=limits.max_inflate_ratio,
            block_bytes=limits.block_size,
            earliest_time=limits.earliest_time,
            latest_time=limits.latest_time,
        ),
        log=ComponentLogger(
            f"ktrans.{kind}.{config.type}", {"pipeline": pipeline.name, "component": name}
        ),
    )


@dataclass(slots=True)
class _Assembler:
    pipeline: Pipeline
    catalogue: Catalogue
    stopping: Callable[[], bool]
    ephemeral: bool
    clock: Clock
    errors: list[ConfigError] = field(default_factory=list)

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
        """Collect errors raised inside, with their component and their place in the file."""
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
        if decoder is not None:
            decoder = CarrierDecoder(decoder)
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
        result = Assembly(
            pipeline, source, decoder, state, enrichers, [s for s in sinks if s], rejects
        )
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
        assembly.rejects.schema = STORED_REJECT_SCHEMA
        with self._at("rejects", "rejects"):
            assembly.rejects.sink.bind(STORED_REJECT_SCHEMA)
        self._check_stateful(assembly)

    def _check_stateful(self, assembly: Assembly) -> None:
        """Check the names of stored states, and that the sinks can take repeated totals."""
        for index, (name, _) in enumerate(assembly.enrichers):
            with self._at(name, "enrichers", index):
                check_state_id(assembly.enrichers, index)
            for place, bound in enumerate(assembly.sinks):
                with self._at(bound.entry.id, "sinks", place):
                    check_repeated_totals(assembly.enrichers[index], bound.entry.id, bound.sink)

    def _bind_sink(self, bound: BoundSink, schema: pa.Schema) -> None:
        entry = bound.entry
        if entry.where is not None:
            with option("where"):
                bound.where = compile_expression(entry.where, schema)
            if not pa.types.is_boolean(bound.where.type):
                raise ConfigError(
                    f"`where` of sink {entry.id!r} must be true or false, but is "
                    f"{bound.where.type}: {entry.where}",
                    field="where",
                )
        if entry.columns is not None:
            with option("columns"):
                require(schema, entry.columns, f"sink {entry.id!r}")
            schema = pa.schema(
                [schema.field(name) for name in entry.columns], metadata=schema.metadata
            )
        bound.schema = schema
        bound.sink.bind(schema)

    # -- pruning ------------------------------------------------------------------------------

    def _wanted(self, assembly: Assembly) -> Sequence[str] | None:
        """Return the columns that the decoder has to build; None means all."""
        wanted: set[str] | None = set()
        for index, bound in enumerate(assembly.sinks):
            with self._at(bound.entry.id, "sinks", index):
                needs: Sequence[str] | None = bound.entry.columns
                if needs is None:
                    needs = bound.sink.needs()
                wanted = None if wanted is None or needs is None else wanted | set(needs)
                if bound.entry.where is not None and wanted is not None:
                    with option("where"):
                        wanted |= columns_of(bound.entry.where)
        for _, enricher in reversed(assembly.enrichers):
            wanted = _before(enricher, wanted)
        return None if wanted is None else sorted(wanted | set(ALWAYS))


def _before(enricher: Enricher[Any], wanted: set[str] | None) -> set[str] | None:
    """Return the columns that an enricher must receive to pass on `wanted`."""
    needs, keeps = enricher.needs(), enricher.keeps()
    if needs is None:
        return None
    if keeps is not None:
        wanted = set(keeps) if wanted is None else wanted & {*keeps, *enricher.adds()}
    if wanted is None:
        return None
    return (wanted - set(enricher.adds())) | set(needs) | set(ALWAYS)
