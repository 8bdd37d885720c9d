"""Shows some rows after any stage; nothing is written or recorded."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing
from typing import Any

import pyarrow as pa

from ktrans.api import (
    Budget,
    ConfigError,
    Decoded,
    Enricher,
    EpochId,
    Sink,
    TaskId,
    UsageError,
)
from ktrans.config.model import Pipeline
from ktrans.engine.assemble import assemble
from ktrans.engine.assembly import Assembly, BoundSink
from ktrans.engine.block_processor import concat
from ktrans.engine.rejects.stored_form import STORED_REJECT_SCHEMA, to_stored
from ktrans.engine.rules import find_rows, violating
from ktrans.registry.catalogue import Catalogue
from ktrans.registry.suggest import near

SAMPLE_ROWS = 50_000
"""The number of rows that sinks check before a run."""


class NoMemory:
    """The memory of a pipeline that has never run: it remembers no keys."""

    def recall(self, keys: Sequence[str]) -> dict[str, Any]:
        """Return nothing."""
        del keys
        return {}


def preview(
    pipeline: Pipeline, catalogue: Catalogue, rows: int, after: str | None = None
) -> tuple[pa.Table, pa.Table]:
    """Read the first rows of the source, from its beginning.

    `after` names a stage: `decoder`, an enricher by type or number, or a sink's id (with its
    filter and columns); None means after the last enricher.

    Returns:
        The rows, and the rejects that were found (STORED_REJECT_SCHEMA).

    Raises:
        UsageError: there is no such stage.
    """
    with closing(assemble(pipeline, catalogue, ephemeral=True)) as assembly:
        return _collect(assembly, rows, after)


def _collect(assembly: Assembly, rows: int, after: str | None) -> tuple[pa.Table, pa.Table]:
    return run_stages(assembly, _decoded(assembly), rows, after)


def check_samples(assembly: Assembly, rows: int = SAMPLE_ROWS) -> list[ConfigError]:
    """Pass some rows to the sinks that check samples; nothing is read if there are none.

    Returns:
        The errors that they raise.
    """
    checking = [bound for bound in assembly.sinks if type(bound.sink).sample is not Sink.sample]
    errors: list[ConfigError] = []
    for bound in checking:
        try:
            bound.sink.sample(_collect(assembly, rows, bound.entry.id)[0])
        except ConfigError as error:
            error.component = error.component or bound.entry.id
            errors.append(error)
    return errors


def run_stages(
    assembly: Assembly, decoded: Iterator[Decoded], rows: int | None, after: str | None
) -> tuple[pa.Table, pa.Table]:
    """Pass decoded rows through the stages; arguments and result are those of `preview`."""
    count, sink = _stage(assembly, after)
    task = TaskId(EpochId(assembly.pipeline.name, 1), 0)
    enrichers = [e.begin(task) for _, e in assembly.enrichers[:count]]
    schema = assembly.schemas[count][1]
    if sink is not None:
        schema = sink.schema
    rejects: list[pa.RecordBatch] = []
    batches: list[pa.RecordBatch] = []
    have = 0
    for batch in _enriched(decoded, enrichers, rejects):
        if sink is not None:
            batch = _rows_for(sink, assembly, batch)  # noqa: PLW2901
        batches.append(batch if rows is None else batch.slice(0, rows - have))
        have += batches[-1].num_rows
        if rows is not None and have >= rows:
            break
    return pa.Table.from_batches(batches, schema), pa.Table.from_batches(
        rejects, STORED_REJECT_SCHEMA
    )


def _enriched(
    decoded: Iterator[Decoded], enrichers: list[Enricher[Any]], rejects: list[pa.RecordBatch]
) -> Iterator[pa.RecordBatch]:
    """Yield batches after the enrichers, and at the end what these have held back."""
    for part in decoded:
        if part.rejects is not None and part.rejects.num_rows:
            rejects.append(to_stored(part.rejects))
        yield _enrich(part.batch, enrichers)
    for index, enricher in enumerate(enrichers):
        for batch in enricher.finish():
            yield _enrich(batch, enrichers[index + 1 :])


def _enrich(batch: pa.RecordBatch, enrichers: list[Enricher[Any]]) -> pa.RecordBatch:
    for enricher in enrichers:
        batch = enricher.apply(batch)
    return batch


def _decoded(assembly: Assembly) -> Iterator[Decoded]:
    plan = assembly.source.plan(None, NoMemory(), Budget(splits=100, bytes=1 << 30))
    for split in plan.splits if plan else ():
        with assembly.source.open(split) as payload:
            for block in assembly.decoder.blocks(payload):
                yield assembly.decoder.decode(block)


def _rows_for(bound: BoundSink, assembly: Assembly, batch: pa.RecordBatch) -> pa.RecordBatch:
    """Return the rows that a sink gets; one of violations those that a rule finds."""
    if bound.rules is None:
        return bound.select(bound.filter(batch))
    found = find_rows(assembly.rules, batch, {})
    return bound.select(violating(bound.rules, batch, found, concat))


def _stage(assembly: Assembly, after: str | None) -> tuple[int, BoundSink | None]:
    """Return the number of enrichers to apply, and the sink whose rows are shown."""
    total = len(assembly.enrichers)
    if after is None:
        return total, None
    if after in {"decoder", "source"}:
        return 0, None
    for index, (name, enricher) in enumerate(assembly.enrichers):
        if after in {name, enricher.config.type, str(index), f"enrichers[{index}]"}:
            return index + 1, None
    sinks = [*assembly.sinks, *assembly.violations]
    for bound in sinks:
        if after == bound.entry.id:
            return total, bound
    known = ["decoder", *(e.config.type for _, e in assembly.enrichers)]
    known += [bound.entry.id for bound in sinks]
    close = near(after, known)
    raise UsageError(
        f"pipeline {assembly.pipeline.name!r} has no stage {after!r}",
        hint=f"did you mean {close!r}?" if close else f"stages: {', '.join(known)}",
    )
