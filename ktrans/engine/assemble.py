"""Builds the components of a validated pipeline, and binds each to the schema that it will get."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import msgspec

from ktrans.api import (
    Clock,
    ComponentConfig,
    ConfigErrors,
    Context,
    Health,
    Limits,
    WritesFolder,
)
from ktrans.api.clock import CLOCK
from ktrans.api.spec import Kind
from ktrans.api.state import StateStore
from ktrans.config.model import Pipeline, SinkEntry
from ktrans.decoders.carriers.decoder import CarrierDecoder
from ktrans.engine.assembly import Assembly, BoundSink
from ktrans.engine.bind import bind
from ktrans.engine.config_problems import ConfigProblems
from ktrans.engine.executor_choice import check_executor
from ktrans.engine.log_context import ComponentLogger
from ktrans.engine.rules import BoundRule, violation_entries
from ktrans.kit.accelerate import accelerate
from ktrans.registry.catalogue import Catalogue

SPREADING = "processes"
"""The executor that `auto` chooses if threads of one process are not enough."""


def assemble(
    pipeline: Pipeline,
    catalogue: Catalogue,
    stopping: Callable[[], bool] | None = None,
    *,
    ephemeral: bool = False,
    clock: Clock = CLOCK,
    abandoned: Callable[[], bool] = bool,
    health_of: Callable[[str], Health] | None = None,
) -> Assembly:
    """Build and bind the components of a pipeline; reads no data and connects to nothing.

    Components that are `ephemeral` leave no trace, as for a preview. The other options are those of
    their `Context`; `health_of` is called with the name of each component.

    Raises:
        ConfigErrors: all errors, each with its place in the pipeline file.
        PluginError: a plugin that the pipeline needs is broken.
    """
    accelerate(catalogue.accelerator())
    base = Context(stopping=stopping or bool, ephemeral=ephemeral, clock=clock, abandoned=abandoned)
    health_of = health_of or (lambda _: base.health)
    problems = ConfigProblems(pipeline.where)
    result = _Assembler(pipeline, catalogue, base, health_of, problems).build()
    if result is not None:
        bind(result, problems)
        with problems.at("executor", "engine"):
            check_executor(result)
    if problems.errors:
        raise ConfigErrors(problems.in_order())
    assert result is not None
    return result


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


class _Assembler(msgspec.Struct):
    pipeline: Pipeline
    catalogue: Catalogue
    base: Context
    health_of: Callable[[str], Health]
    problems: ConfigProblems

    def build(self) -> Assembly | None:
        """Build all components; None if the options of any are wrong."""
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
        violations = []
        for entry, names in violation_entries(pipeline):
            if bound := self._sink(entry, "violations"):
                bound.rules = names
                violations.append(bound)
        state = self._component("state", pipeline.state, "state", "state")
        executor = self._executor()
        if self.problems.errors:
            return None
        result = Assembly(
            pipeline,
            source,
            decoder,
            state,
            executor,
            enrichers,
            [s for s in sinks if s],
            rejects,
            [BoundRule(rule) for rule in pipeline.expect],
            violations,
        )
        writers = [*(bound.sink for bound in result.all_sinks()), state]
        with self.problems.at("source", "source"):
            source.exclude_outputs([one for one in writers if isinstance(one, WritesFolder)])
        return result

    def _executor(self) -> Any:
        """Build the executor that is named; for `auto`, that which it may choose beside threads."""
        wanted = self.pipeline.engine.executor
        if not isinstance(wanted, ComponentConfig):
            wanted = self.catalogue.config("executor", {"type": SPREADING})
        return self._component("executor", wanted, "executor", "engine", "executor")

    def _sink(self, entry: SinkEntry, *place: str | int) -> BoundSink | None:
        sink = self._component("sink", entry.config, entry.id, *place)
        if sink is None:
            return None
        return BoundSink(entry, sink, self.catalogue.spec("sink", entry.config.type))

    def _component(self, kind: Kind, config: ComponentConfig, name: str, *place: str | int) -> Any:
        context = replace(
            _context(self.pipeline, self.catalogue, kind, config, name),
            stopping=self.base.stopping,
            abandoned=self.base.abandoned,
            health=self.health_of(name),
            ephemeral=self.base.ephemeral,
            clock=self.base.clock,
        )
        with self.problems.at(name, *place):
            return self.catalogue.build(kind, config, context)
        return None
