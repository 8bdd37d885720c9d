"""Finds the errors between the stages of a pipeline file that has other errors as well."""

from __future__ import annotations

from typing import Any

from ktrans.api import ConfigError, Context, KtransError
from ktrans.api.spec import Kind
from ktrans.config.model import PartialPipeline
from ktrans.engine.assembly import BoundSink
from ktrans.engine.bind import SchemaTrail, sink_binder
from ktrans.engine.config_problems import ConfigProblems
from ktrans.registry.catalogue import Catalogue


def examine(partial: PartialPipeline, catalogue: Catalogue) -> list[ConfigError]:
    """Return the errors of the valid parts: of expressions, columns and types."""
    try:
        return _Examination(partial, catalogue).errors()
    except KtransError:  # of a plugin, which is reported once the rest is right
        return []


class _Examination:
    def __init__(self, partial: PartialPipeline, catalogue: Catalogue) -> None:
        self._partial = partial
        self._catalogue = catalogue
        self._problems = ConfigProblems(partial.where)

    def errors(self) -> list[ConfigError]:
        partial, problems = self._partial, self._problems
        trail = SchemaTrail(problems)
        decoder = partial.decoder and self._build("decoder", partial.decoder, "decoder", "decoder")
        if decoder:
            with problems.at("decoder", "decoder"):
                trail.schemas = [decoder.schema(None)]
        for index, config in enumerate(partial.enrichers):
            name = f"enrichers[{index}] {config.type if config else '?'}"
            enricher = config and self._build("enricher", config, name, "enrichers", index)
            if not enricher:
                trail.schemas = []
            elif trail.schemas:
                trail.enrich(enricher, name, "enrichers", index)
            else:
                with problems.at(name, "enrichers", index):
                    enricher.needs()  # finds errors of syntax
        for index, entry in enumerate(partial.sinks):
            sink = entry and self._build("sink", entry.config, entry.id, "sinks", index)
            if entry and sink:
                spec = self._catalogue.spec("sink", entry.config.type)
                bound = BoundSink(entry, sink, spec)
                trail.bind(sink_binder(bound, self._partial.base_dir), entry.id, "sinks", index)
                sink.close()
        return problems.errors

    def _build(self, kind: Kind, config: Any, name: str, *place: str | int) -> Any:
        context = Context(
            self._partial.name,
            name,
            self._partial.base_dir,
            self._catalogue,
            ephemeral=True,
        )
        with self._problems.at(name, *place):
            return self._catalogue.build(kind, config, context)
        return None
