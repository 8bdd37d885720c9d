"""Binds the components of a pipeline, each to the schema that it will get.

Columns are pruned from the sinks backwards: each stage declares what it reads, and the decoder
builds only what a later stage needs (for logs with many fields this matters most for speed).
If that fails, all stages are bound once more with all columns, to find the errors of all stages.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa

from ktrans import expressions
from ktrans.api import ConfigError, Enricher
from ktrans.engine.assembly import Assembly, BoundSink
from ktrans.engine.config_problems import ConfigProblems, key_of
from ktrans.engine.enricher_state import check_repeated_totals, check_state_id
from ktrans.engine.rejects.stored_form import STORED_REJECT_SCHEMA
from ktrans.engine.rules import COLUMN, BoundRule, with_violation
from ktrans.flow.schema import COUNTERS
from ktrans.kit.columns import OptionErrors, column_exists, option, require

ALWAYS = (*COUNTERS, "log_status")
"""Columns that the ledger reads, whether or not a sink needs them."""


def bind(assembly: Assembly, problems: ConfigProblems) -> None:
    """Bind all components, and collect all errors."""
    wanted = _wanted(assembly, problems)
    if not problems.errors:
        pruned = ConfigProblems(problems.where)
        _bind_stages(assembly, pruned, wanted)
        if not pruned.errors:
            return
        problems.errors = pruned.errors
    complete = ConfigProblems(problems.where)
    _bind_stages(assembly, complete, None)
    complete.add(problems.errors)
    problems.errors = complete.errors


class SchemaTrail(msgspec.Struct):
    """What is known of the schema from stage to stage, also behind stages that fail.

    Attributes:
        schemas: what the next stage may get. It is one schema as long as no stage has failed, and
            none if nothing is known. After a failed enricher there are two: without the columns that
            it adds, and with them as nulls. Only an error that both have is one of its own.
    """

    problems: ConfigProblems
    schemas: list[pa.Schema] = msgspec.field(default_factory=list)

    def enrich(self, enricher: Enricher[Any], name: str, *place: str | int) -> None:
        """Bind an enricher, and go on with its schema."""
        bound = self.bind(enricher.bind, name, *place)
        self.schemas = self._without(enricher) if bound is None else bound

    def bind(
        self, call: Callable[[pa.Schema], pa.Schema], name: str, *place: str | int
    ) -> list[pa.Schema] | None:
        """Bind a stage to each schema that it may get; None if it fails for any."""
        bound: list[pa.Schema] = []
        found: list[list[ConfigError]] = []
        for schema in self.schemas:
            problems = ConfigProblems(self.problems.where)
            with problems.at(name, *place):
                bound.append(call(schema))
            found.append(problems.errors)
        if found:
            common = set.intersection(*({key_of(error) for error in errors} for errors in found))
            self.problems.errors += [error for error in found[0] if key_of(error) in common]
        return None if any(found) else bound

    def _without(self, enricher: Enricher[Any]) -> list[pa.Schema]:
        """Return what may be behind an enricher that failed."""
        try:
            keeps, adds = enricher.keeps(), enricher.adds()
        except ConfigError:
            return []
        first, last = (
            [field for field in schema if keeps is None or field.name in keeps]
            for schema in (self.schemas[0], self.schemas[-1])
        )
        nulls = [pa.field(name, pa.null()) for name in adds]
        last = [field for field in last if field.name not in adds] + nulls
        return [pa.schema(first), pa.schema(last)]


def _bind_stages(
    assembly: Assembly, problems: ConfigProblems, wanted: Sequence[str] | None
) -> None:
    """Bind one stage after the other."""
    trail, folder = SchemaTrail(problems), assembly.pipeline.base_dir
    with problems.at("decoder", "decoder"):
        assembly.decoder_schema = assembly.decoder.schema(wanted)
        trail.schemas = [assembly.decoder_schema]
    assembly.schemas = [("decoder", assembly.decoder_schema)]
    for index, (name, enricher) in enumerate(assembly.enrichers):
        trail.enrich(enricher, name, "enrichers", index)
        assembly.schemas += [(name, schema) for schema in trail.schemas[:1]]
    for index, sink in enumerate(assembly.sinks):
        trail.bind(sink_binder(sink, folder), sink.entry.id, "sinks", index)
    for index, rule in enumerate(assembly.rules):
        trail.bind(_rule_binder(rule, folder), rule.name, "expect", index)
    for sink in assembly.violations:
        trail.bind(_violation_binder(sink, folder), sink.entry.id, "violations")
    assert assembly.rejects is not None
    assembly.rejects.schema = STORED_REJECT_SCHEMA
    with problems.at("rejects", "rejects"):
        assembly.rejects.sink.bind(STORED_REJECT_SCHEMA)
    for index, (name, enricher) in enumerate(assembly.enrichers):
        with problems.at(name, "enrichers", index):
            check_state_id(assembly.enrichers, index)
        for place, sink in enumerate(assembly.sinks):
            with problems.at(sink.entry.id, "sinks", place):
                check_repeated_totals((name, enricher), sink.entry.id, sink.sink)


def sink_binder(bound: BoundSink, folder: Path) -> Callable[[pa.Schema], pa.Schema]:
    """Return the function that binds a sink, its `where` and its `columns` to a schema.

    Relative paths in expressions start at `folder`.
    """

    def bind_sink(schema: pa.Schema) -> pa.Schema:
        entry = bound.entry
        errors = OptionErrors()
        if entry.where is not None:
            with errors.option("where"):
                bound.where = expressions.compile_expression(
                    entry.where, schema, require="bool", folder=folder
                )
        for index, name in enumerate(entry.columns or ()):
            with errors.option(f"columns.{index}"):
                require(schema, [name], f"sink {entry.id!r}")
        if entry.columns is not None:
            fields = [schema.field(name) for name in entry.columns if name in schema.names]
            schema = pa.schema(fields, metadata=schema.metadata)
        bound.schema = schema
        if len(schema) == len(entry.columns or schema):
            with errors.option(None):
                bound.sink.bind(schema)
        errors.finish()
        return schema

    return bind_sink


def _rule_binder(bound: BoundRule, folder: Path) -> Callable[[pa.Schema], pa.Schema]:
    """Return the function that binds the condition of a rule to a schema."""

    def bind_rule(schema: pa.Schema) -> pa.Schema:
        with option("where"):
            bound.condition = expressions.compile_expression(
                bound.rule.where, schema, require="bool", folder=folder
            )
        return schema

    return bind_rule


def _violation_binder(bound: BoundSink, folder: Path) -> Callable[[pa.Schema], pa.Schema]:
    """Return the function that binds a sink of violations to a schema."""
    bind_sink = sink_binder(bound, folder)

    def bind_violations(schema: pa.Schema) -> pa.Schema:
        if COLUMN in schema.names:
            raise column_exists(COLUMN, "expect")
        return bind_sink(with_violation(schema))

    return bind_violations


def _wanted(assembly: Assembly, problems: ConfigProblems) -> Sequence[str] | None:
    """Return the columns that the decoder has to build; None means all."""
    wanted: set[str] | None = set()
    for index, bound in enumerate(assembly.sinks):
        with problems.at(bound.entry.id, "sinks", index):
            needs: Sequence[str] | None = bound.entry.columns
            if needs is None:
                needs = bound.sink.needs()
            wanted = None if wanted is None or needs is None else wanted | set(needs)
            if bound.entry.where is not None and wanted is not None:
                with option("where"):
                    wanted |= expressions.columns_of(bound.entry.where)
    for bound in assembly.violations:
        with problems.at(bound.entry.id, "violations"):
            needs = bound.entry.columns or bound.sink.needs()
            wanted = None if wanted is None or needs is None else wanted | {*needs} - {COLUMN}
    for index, rule in enumerate(assembly.rules):
        with problems.at(rule.name, "expect", index), option("where"):
            columns = expressions.columns_of(rule.rule.where)
            wanted = None if wanted is None else wanted | columns
    for index, (name, enricher) in reversed([*enumerate(assembly.enrichers)]):
        with problems.at(name, "enrichers", index):
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
