"""The source and the decoder of a replay, which sends the raw bytes of rejects through a pipeline.

A replay is an epoch like any other, so one that is killed resumes, and rows arrive once. The replayed
files of rejects are deleted when the epoch is recorded; what is rejected again is in new files. Rows
that a sink refused are not records any more, and of some records only a part is stored: these are
written to the new files unchanged, and so are messages of a queue, which are deleted there. Objects that were rejected completely are read by the next run.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
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
)
from ktrans.decoders.carriers.decoder import CarrierDecoder
from ktrans.engine.assembly import Assembly
from ktrans.engine.rejects.read import RejectFiles, read_file, reject_files, reject_sink
from ktrans.engine.rejects.stored_form import SINK, raw_bytes
from ktrans.kit.notifications import NOT_A_NOTIFICATION


def with_rejects_as_source(assembly: Assembly) -> Assembly:
    """Return the same pipeline with its stored rejects as the source.

    Raises:
        UsageError: the rejects cannot be read back.
    """
    assert assembly.rejects is not None
    assert isinstance(assembly.decoder, CarrierDecoder)
    sink = reject_sink(assembly.rejects.sink)
    return msgspec.structs.replace(
        assembly,
        source=RejectSource(sink, assembly.source),
        decoder=ReplayDecoder(assembly.decoder, assembly.decoder_schema),
    )


class RejectSource(Source[Any]):
    """Reads the files of rejects that exist at the first plan; each is a split.

    Files that the replay itself writes are not read, or it would never end.
    """

    def __init__(self, sink: RejectFiles, source: Source[Any]) -> None:
        super().__init__(source.config, source.context)
        self._sink = sink
        self._files: list[Path] | None = None

    def plan(self, position: Any, memory: Memory, budget: Budget) -> Plan | None:
        """List the files of rejects that have records; position and memory do not change.

        Each split says which epoch wrote its file: `ktrans state rewind` needs it.
        """
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
            data = {"epoch": self._sink.epoch_of(path.name)}
            splits.append(Split(str(path), path.as_uri(), path.stat().st_size, data))
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
    """A block of the inner decoder, and the original positions of its records."""

    inner: Any
    uri: str
    positions: pa.Array

    @property
    def nbytes(self) -> int:
        return int(self.inner.nbytes)


@dataclass(frozen=True, slots=True)
class _Unchanged:
    """Rejects that no decoder can decode."""

    rejects: pa.RecordBatch

    @property
    def nbytes(self) -> int:
        return int(self.rejects.nbytes)


class ReplayDecoder(Decoder[Any]):
    """Passes raw records to the pipeline's decoder; rows keep their original object and position."""

    def __init__(self, inner: CarrierDecoder, schema: pa.Schema) -> None:
        super().__init__(inner.config, inner.context)
        self._inner = inner
        self._schema = schema

    def schema(self, columns: Sequence[str] | None) -> pa.Schema:
        """Return the schema of the pipeline's decoder."""
        return self._inner.schema(columns)

    def blocks(self, payload: Payload) -> Iterator[_Block | _Unchanged]:
        """Split a file of rejects into groups of the same object and layout."""
        table = read_file(Path(payload.split.key))
        unusable = _not_replayable(table)
        if pc.any(unusable).as_py():
            yield _Unchanged(_as_rejects(table.filter(unusable)))
        table = table.filter(pc.and_(pc.is_valid(table.column("source_pos")), pc.invert(unusable)))
        carried = pc.is_valid(table.column("carrier"))
        keys = ["source_uri", "layout"]
        for part, replay in (
            (table.filter(pc.invert(carried)), self._replay),
            (table.filter(carried), self._replay_carried),
        ):
            for group in part.group_by(keys, use_threads=False).aggregate([]).to_pylist():
                mask = pc.and_(*(_same(part.column(key), group[key]) for key in keys))
                rows = part.filter(mask)
                uri, layout = group["source_uri"], group["layout"]
                positions = rows.column("source_pos").combine_chunks()
                try:
                    blocks = list(replay(payload.split.key, uri, rows, layout))
                except RejectError:  # the decoder still cannot decode any of them
                    yield _Unchanged(_as_rejects(rows))
                    continue
                for block in blocks:
                    yield _Block(block, uri, positions)

    def _replay(self, key: str, uri: str, rows: pa.Table, layout: str | None) -> Iterator[Any]:
        """Return blocks of rejects that were records of an object themselves."""
        raw = b"\n".join(value or b"" for value in raw_bytes(rows).to_pylist())
        if rows.num_rows > 1:
            raw += b"\n"
        return self._inner.replay(BytesPayload(Split(key, uri, len(raw)), raw), layout)

    def _replay_carried(
        self, key: str, uri: str, rows: pa.Table, layout: str | None
    ) -> Iterator[Any]:
        """Return blocks of rejects that something carried, with what it said about them."""
        del key
        said = rows.column("carrier").to_pylist()
        raw = [value or b"" for value in raw_bytes(rows).to_pylist()]
        return self._inner.replay_carried(uri, list(zip(raw, said, strict=True)), layout)

    def decode(self, block: _Block | _Unchanged) -> Decoded:
        """Decode, and restore the original positions."""
        if isinstance(block, _Unchanged):
            none = pa.RecordBatch.from_pylist([], schema=self._schema)
            return Decoded(none, block.rejects.num_rows, block.rejects)
        decoded = self._inner.decode(block.inner)
        decoded.batch = _reposition(decoded.batch, block.positions)
        if decoded.rejects is not None:
            decoded.rejects = _reposition(decoded.rejects, block.positions)
        return decoded


def _has_records(path: Path) -> bool:
    table = read_file(path)
    records = pc.and_(pc.is_valid(table.column("source_pos")), pc.invert(_not_replayable(table)))
    return bool(pc.any(records).as_py())


def _not_replayable(table: pa.Table) -> pa.ChunkedArray:
    """Return which rejects are not whole records: rows of sinks, truncated records, messages."""
    rows = pc.fill_null(pc.starts_with(table.column("decoder"), SINK), False)
    placed = pc.is_valid(table.column("source_pos"))
    messages = pc.equal(table.column("reason"), NOT_A_NOTIFICATION)
    torn = pc.and_(placed, pc.invert(table.column("raw_complete")))
    return pc.or_(pc.or_(rows, messages), torn)


def _as_rejects(table: pa.Table) -> pa.RecordBatch:
    """Convert stored rejects back to REJECT_SCHEMA."""
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
