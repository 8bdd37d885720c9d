"""Replaying rejects after a fix: their raw bytes go through the pipeline again, as an epoch.

It is an epoch like any other, so a replay that is killed resumes, and rows arrive once. The files
of rejects that were replayed are deleted when the epoch is recorded; what is still wrong lies in
new ones. Rows that a sink could not place are not records any more, and of some records there is but
a part: these stay as they are. Objects that were rejected whole are forgotten, so that the next run
reads them again.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from ktrans.api import (
    REJECT_SCHEMA,
    Budget,
    BytesPayload,
    Decoded,
    Decoder,
    Memory,
    Payload,
    Plan,
    RejectError,
    Source,
    Split,
    SplitChangedError,
    WritesFolder,
)
from ktrans.config.model import Pipeline
from ktrans.engine.assemble import Assembly
from ktrans.engine.observer import Observer
from ktrans.engine.receipt import RunReceipt
from ktrans.engine.rejects.stored import read_file, reject_files, reject_sink
from ktrans.engine.rejects.writer import SINK, raw_bytes
from ktrans.registry.catalogue import Catalogue


def replay(
    pipeline: Pipeline,
    catalogue: Catalogue,
    observer: Observer | None = None,
    stop: threading.Event | None = None,
) -> RunReceipt:
    """Send a pipeline's stored rejects through it again.

    Raises:
        UsageError: the rejects are not files.
        ConfigError, PluginError: the pipeline does not fit together.
    """
    from ktrans.engine.cancellation import Cancellation
    from ktrans.engine.run import Run
    from ktrans.engine.run_options import RunOptions

    cancellation = Cancellation() if stop is None else Cancellation(stop)
    run = Run(pipeline, catalogue, RunOptions(), observer or Observer(), cancellation)
    return run.run(replay=True)


def replaying(assembly: Assembly) -> Assembly:
    """Give the same pipeline with its rejects as the source."""
    assert assembly.rejects is not None
    sink = reject_sink(assembly.rejects.sink)
    return replace(
        assembly,
        source=RejectSource(sink, assembly.source),
        decoder=ReplayDecoder(assembly.decoder, assembly.decoder_schema),
    )


class RejectSource(Source[Any]):
    """The files of rejects that there are at the first plan, as splits.

    Those that the replay itself writes are left for the next one, or it would never end.
    """

    def __init__(self, sink: WritesFolder, source: Source[Any]) -> None:
        super().__init__(source.config, source.context)
        self._sink = sink
        self._files: list[Path] | None = None

    def plan(self, position: Any, memory: Memory, budget: Budget) -> Plan | None:
        """List the files of rejects that hold raw bytes; position and memory stay as they are."""
        del memory
        if self._files is None:
            self._files = [path for path in reject_files(self._sink) if _has_records(path)]
        splits: list[Split] = []
        size = 0
        for path in self._files:
            if budget.full(len(splits), size):
                break
            if str(path) in budget.skip or not path.exists():
                continue
            splits.append(Split(str(path), path.as_uri(), path.stat().st_size))
            size += path.stat().st_size
        return Plan(tuple(splits), position) if splits else None

    def open(self, split: Split) -> Payload:
        """Open a file of rejects."""
        try:
            return BytesPayload(split, Path(split.key).read_bytes())
        except FileNotFoundError as error:
            raise SplitChangedError(f"{split.key} is gone", code="split_vanished") from error

    def commit(self, plan: Plan) -> None:
        """Delete the files that were replayed."""
        for split in plan.splits:
            Path(split.key).unlink(missing_ok=True)


@dataclass(frozen=True, slots=True)
class _Block:
    """A block of the inner decoder, and where its records once were."""

    inner: Any
    uri: str
    positions: pa.Array

    @property
    def nbytes(self) -> int:
        return int(self.inner.nbytes)


@dataclass(frozen=True, slots=True)
class _Kept:
    """Rejects that no decoder can do anything about."""

    rejects: pa.RecordBatch

    @property
    def nbytes(self) -> int:
        return int(self.rejects.nbytes)


class ReplayDecoder(Decoder[Any]):
    """The pipeline's decoder, fed with raw records; rows keep their first object and position."""

    def __init__(self, inner: Decoder[Any], schema: pa.Schema) -> None:
        super().__init__(inner.config, inner.context)
        self._inner = inner
        self._schema = schema

    def schema(self, columns: Sequence[str] | None) -> pa.Schema:
        """Leave it to the decoder."""
        return self._inner.schema(columns)

    def blocks(self, payload: Payload) -> Iterator[_Block | _Kept]:
        """Cut a file of rejects into groups that shared an object and a layout."""
        table = read_file(Path(payload.split.key))
        placed = _of_no_use(table)
        if pc.any(placed).as_py():
            yield _Kept(_as_rejects(table.filter(placed)))
        table = table.filter(pc.and_(pc.is_valid(table.column("source_pos")), pc.invert(placed)))
        keys = ["source_uri", "layout"]
        for group in table.group_by(keys, use_threads=False).aggregate([]).to_pylist():
            mask = pc.and_(*(_same(table.column(key), group[key]) for key in keys))
            rows = table.filter(mask)
            raw = b"\n".join(value or b"" for value in raw_bytes(rows).to_pylist())
            if rows.num_rows > 1:
                raw += b"\n"
            split = Split(payload.split.key, group["source_uri"], len(raw))
            positions = rows.column("source_pos").combine_chunks()
            try:
                blocks = list(self._inner.replay(BytesPayload(split, raw), group["layout"]))
            except RejectError:  # it knows no more than before what these are
                yield _Kept(_as_rejects(rows))
                continue
            for block in blocks:
                yield _Block(block, group["source_uri"], positions)

    def decode(self, block: _Block | _Kept) -> Decoded:
        """Decode, and put the first positions back."""
        if isinstance(block, _Kept):
            none = pa.RecordBatch.from_pylist([], schema=self._schema)
            return Decoded(none, block.rejects.num_rows, block.rejects)
        decoded = self._inner.decode(block.inner)
        decoded.batch = _reposition(decoded.batch, block.positions)
        if decoded.rejects is not None:
            decoded.rejects = _reposition(decoded.rejects, block.positions)
        return decoded


def _has_records(path: Path) -> bool:
    table = read_file(path)
    records = pc.and_(pc.is_valid(table.column("source_pos")), pc.invert(_of_no_use(table)))
    return bool(pc.any(records).as_py())


def _of_no_use(table: pa.Table) -> pa.ChunkedArray:
    """Tell which rejects are no whole records: rows of sinks, and what was torn or shortened."""
    rows = pc.fill_null(pc.starts_with(table.column("decoder"), SINK), False)
    placed = pc.is_valid(table.column("source_pos"))
    return pc.or_(rows, pc.and_(placed, pc.invert(table.column("raw_complete"))))


def _as_rejects(table: pa.Table) -> pa.RecordBatch:
    """Turn stored rejects back into a batch of REJECT_SCHEMA."""
    columns = [
        raw_bytes(table) if name == "raw" else table.column(name).combine_chunks()
        for name in REJECT_SCHEMA.names
    ]
    return pa.RecordBatch.from_arrays(columns, schema=REJECT_SCHEMA)


def _same(column: pa.ChunkedArray, value: str | None) -> pa.ChunkedArray:
    return pc.is_null(column) if value is None else pc.fill_null(pc.equal(column, value), False)


def _reposition(batch: pa.RecordBatch, positions: pa.Array) -> pa.RecordBatch:
    index = batch.schema.get_field_index("source_pos")
    if index < 0:
        return batch
    first = positions.take(pc.subtract(batch.column(index), 1))
    return batch.set_column(index, batch.schema.field(index), first)
