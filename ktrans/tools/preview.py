"""A look at some rows after any stage; nothing is written, nothing is remembered."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from difflib import get_close_matches
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
from ktrans.engine.assembly import Assembly
from ktrans.engine.rejects.stored_form import STORED_REJECT_SCHEMA, to_stored
from ktrans.registry.catalogue import Catalogue

SAMPLE_ROWS = 50_000
"""Rows that sinks are shown before a run."""


class NoMemory:
    """The memory of a pipeline that has never run."""

    def recall(self, keys: Sequence[str]) -> dict[str, Any]:
        """Remember nothing."""
        del keys
        return {}


def preview(
    pipeline: Pipeline, catalogue: Catalogue, rows: int, after: str | None = None
) -> tuple[pa.Table, pa.Table]:
    """Read the first rows of what the source has, from its beginning.

    Args:
        pipeline: what to look into.
        catalogue: where its components come from.
        rows: at most this many rows.
        after: a stage: `decoder`, an enricher by type or number, or a sink's id (its filter and
            columns applied); None means after the last enricher.

    Returns:
        The rows, and the rejects that were met on the way (STORED_REJECT_SCHEMA).

    Raises:
        UsageError: there is no such stage.
    """
    with_all = assemble(pipeline, catalogue, ephemeral=True)
    try:
        return _collect(with_all, rows, after)
    finally:
        with_all.close()


def _collect(assembly: Assembly, rows: int, after: str | None) -> tuple[pa.Table, pa.Table]:
    return through(assembly, _decoded(assembly), rows, after)


def show_samples(assembly: Assembly, rows: int = SAMPLE_ROWS) -> list[ConfigError]:
    """Show some rows to the sinks that want to see some; nothing is read if none does.

    Returns:
        What they do not like about them.
    """
    asking = [bound for bound in assembly.sinks if type(bound.sink).sample is not Sink.sample]
    found: list[ConfigError] = []
    for bound in asking:
        try:
            bound.sink.sample(_collect(assembly, rows, bound.entry.id)[0])
        except ConfigError as error:
            error.component = error.component or bound.entry.id
            found.append(error)
    return found


def through(
    assembly: Assembly, decoded: Iterator[Decoded], rows: int | None, after: str | None
) -> tuple[pa.Table, pa.Table]:
    """Send what a decoder gave through the stages; arguments and result as of `preview`."""
    count, sink = _stage(assembly, after)
    task = TaskId(EpochId(assembly.pipeline.name, 1), 0)
    enrichers = [e.begin(task) for _, e in assembly.enrichers[:count]]
    schema = assembly.schemas[count][1]
    if sink is not None:
        schema = assembly.sinks[sink].schema
    rejects: list[pa.RecordBatch] = []
    batches: list[pa.RecordBatch] = []
    have = 0
    for batch in _enriched(decoded, enrichers, rejects):
        if sink is not None:
            batch = assembly.sinks[sink].select(assembly.sinks[sink].filter(batch))  # noqa: PLW2901
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
    """Give batches after the enrichers, and at the end what these have held back."""
    for part in decoded:
        if part.rejects is not None and part.rejects.num_rows:
            rejects.append(to_stored(part.rejects))
        yield _through(part.batch, enrichers)
    for index, enricher in enumerate(enrichers):
        for batch in enricher.finish():
            yield _through(batch, enrichers[index + 1 :])


def _through(batch: pa.RecordBatch, enrichers: list[Enricher[Any]]) -> pa.RecordBatch:
    for enricher in enrichers:
        batch = enricher.apply(batch)
    return batch


def _decoded(assembly: Assembly) -> Iterator[Decoded]:
    plan = assembly.source.plan(None, NoMemory(), Budget(splits=100, bytes=1 << 30))
    for split in plan.splits if plan else ():
        with assembly.source.open(split) as payload:
            for block in assembly.decoder.blocks(payload):
                yield assembly.decoder.decode(block)


def _stage(assembly: Assembly, after: str | None) -> tuple[int, int | None]:
    """Give the number of enrichers to apply, and the index of the sink to choose for."""
    total = len(assembly.enrichers)
    if after is None:
        return total, None
    if after in {"decoder", "source"}:
        return 0, None
    for index, (name, enricher) in enumerate(assembly.enrichers):
        if after in {name, enricher.config.type, str(index), f"enrichers[{index}]"}:
            return index + 1, None
    for index, bound in enumerate(assembly.sinks):
        if after == bound.entry.id:
            return total, index
    known = ["decoder", *(e.config.type for _, e in assembly.enrichers)]
    known += [bound.entry.id for bound in assembly.sinks]
    close = get_close_matches(after, known, 1)
    raise UsageError(
        f"there is no stage {after!r} in pipeline {assembly.pipeline.name!r}",
        hint=f"did you mean {close[0]!r}?" if close else f"stages: {', '.join(known)}",
    )
