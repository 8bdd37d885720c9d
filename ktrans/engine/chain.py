"""What happens to rows between a block of bytes and the sinks' writers, and its ledger.

`work` is the part that any thread may do for any group of blocks: decode, enrich, choose each
sink's rows, encode. `settle` is the part that must keep the order: enrichers that see a task as a
whole, and the writers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from ktrans.api import Decoded, Enricher, Receipt, TaskId, Writer
from ktrans.engine.assemble import Assembly, BoundSink
from ktrans.engine.ledger import Ledger, StageLedger, Tally
from ktrans.engine.rejects import to_out

NODATA, SKIPDATA = pa.scalar("NODATA", pa.string()), pa.scalar("SKIPDATA", pa.string())
NO_FLOWS = pa.array([NODATA, SKIPDATA], pa.string())


class BlockError(Exception):
    """A decoder failed on a block, which it must not; the split it came from is set aside."""

    def __init__(self, index: int, cause: Exception) -> None:
        super().__init__(str(cause))
        self.index = index
        self.cause = cause


@dataclass(slots=True)
class Work:
    """A group of blocks after `Chain.work`."""

    ledger: Ledger
    batch: pa.RecordBatch | None
    tally: Tally
    encoded: list[Any] = field(default_factory=list)
    rejects: Any = None
    torn: list[str] = field(default_factory=list)


class Chain:
    """One attempt at a task: decoder, enrichers and writers in a row."""

    def __init__(self, assembly: Assembly, task: TaskId) -> None:
        self._decoder = assembly.decoder
        self._schema = assembly.decoder_schema
        names = [name for name, _ in assembly.enrichers]
        enrichers = [enricher for _, enricher in assembly.enrichers]
        ordered = [i for i, e in enumerate(enrichers) if e.scope != "batch"]
        self._cut = ordered[0] if ordered else len(enrichers)
        self._free: Sequence[Enricher[Any]] = enrichers[: self._cut]
        self._ordered = [enricher.begin(task) for enricher in enrichers[self._cut :]]
        self._sinks: list[BoundSink] = list(assembly.sinks)
        self._writers: list[Writer] = []
        self._reject_writer: Writer | None = None
        self.ledger = Ledger(stages=_stages(assembly, names))
        self.torn: list[str] = []
        self._open(assembly, task)

    def _open(self, assembly: Assembly, task: TaskId) -> None:
        try:
            for bound in self._sinks:
                self._writers.append(bound.sink.writer(task))
            assert assembly.rejects is not None
            self._reject_writer = assembly.rejects.sink.writer(task)
        except BaseException:
            self.abort()
            raise

    # -- in any thread ------------------------------------------------------------------------

    def work(self, blocks: Sequence[Any]) -> Work:
        """Decode a group of blocks and do all that needs no order."""
        ledger = Ledger(stages=[_like(stage) for stage in self.ledger.stages])
        batches, rejects = [], []
        for index, block in enumerate(blocks):
            decoded = self._decode(index, block)
            ledger.records += decoded.records
            ledger.skipped += decoded.skipped
            if decoded.batch.num_rows:
                batches.append(decoded.batch)
            if decoded.rejects is not None and decoded.rejects.num_rows:
                rejects.append(decoded.rejects)
        return self._from_rows(ledger, batches, rejects)

    def _decode(self, index: int, block: Any) -> Decoded:
        try:
            return self._decoder.decode(block)
        except Exception as error:
            raise BlockError(index, error) from error

    def reject(self, rejects: pa.RecordBatch) -> Work:
        """Take a reject that stands for a whole split."""
        ledger = Ledger(
            stages=[_like(stage) for stage in self.ledger.stages], records=rejects.num_rows
        )
        return self._from_rows(ledger, [], [rejects])

    def _from_rows(
        self, ledger: Ledger, batches: list[pa.RecordBatch], rejects: list[pa.RecordBatch]
    ) -> Work:
        work = Work(ledger, None, Tally())
        if rejects:
            self._take_rejects(work, pa.concat_batches(rejects))
        if not batches:
            return work
        batch = batches[0] if len(batches) == 1 else concat(batches)
        tally = measure(batch)
        ledger.decoded = tally
        _count_status(ledger, batch)
        for stage, enricher in zip(ledger.stages, self._free, strict=False):
            batch, tally = _apply(enricher, stage, batch, tally)
        work.batch, work.tally = batch, tally
        if not self._ordered:
            self._fan_out(work)
        return work

    def _take_rejects(self, work: Work, rejects: pa.RecordBatch) -> None:
        counts = pc.value_counts(rejects.column("reason"))
        for item in counts.to_pylist():
            work.ledger.rejected[item["values"]] = item["counts"]
        if "truncated" in work.ledger.rejected:
            torn = rejects.filter(pc.equal(rejects.column("reason"), "truncated"))
            work.torn = sorted(set(torn.column("source_uri").to_pylist()))
        work.ledger.stages[-1].came_in.rows += rejects.num_rows
        assert self._reject_writer is not None
        work.rejects = self._reject_writer.encode(to_out(rejects))

    def _fan_out(self, work: Work) -> None:
        """Choose and encode each sink's rows."""
        assert work.batch is not None
        stages = work.ledger.stages[-1 - len(self._sinks) : -1]
        for bound, writer, stage in zip(self._sinks, self._writers, stages, strict=True):
            stage.came_in.add(work.tally)
            rows = bound.filter(work.batch)
            if rows.num_rows != work.batch.num_rows:
                stage.filtered.add(work.tally.minus(measure(rows)))
            rows = bound.select(rows)
            work.encoded.append(writer.encode(rows) if rows.num_rows else None)

    # -- in the task's own thread, in order ---------------------------------------------------

    def settle(self, work: Work) -> None:
        """Do what must keep the order: the ordered enrichers, and writing."""
        self.torn.extend(uri for uri in work.torn if uri not in self.torn)
        if self._ordered and work.batch is not None:
            self._apply_ordered(work, 0)
        self._write(work)
        self.ledger.add(work.ledger)

    def _apply_ordered(self, work: Work, start: int) -> None:
        assert work.batch is not None
        stages = work.ledger.stages[self._cut + start :]
        for stage, enricher in zip(stages, self._ordered[start:], strict=False):
            work.batch, work.tally = _apply(enricher, stage, work.batch, work.tally)
        if work.batch.num_rows:
            self._fan_out(work)

    def _write(self, work: Work) -> None:
        for writer, encoded in zip(self._writers, work.encoded, strict=False):
            if encoded is not None:
                writer.write(encoded)
        if work.rejects is not None:
            assert self._reject_writer is not None
            self._reject_writer.write(work.rejects)

    def finish(self) -> list[Receipt]:
        """Let enrichers give what they held back, make the writers durable, close the ledger.

        Returns:
            A receipt for each sink, then one for the rejects.
        """
        for index, enricher in enumerate(self._ordered):
            for batch in enricher.finish():
                work = Work(
                    Ledger(stages=[_like(stage) for stage in self.ledger.stages]),
                    batch,
                    measure(batch),
                )
                work.ledger.stages[self._cut + index].went_out.add(work.tally)
                self._apply_ordered(work, index + 1)
                self._write(work)
                self.ledger.add(work.ledger)
        assert self._reject_writer is not None
        receipts = [writer.finish() for writer in (*self._writers, self._reject_writer)]
        self._close_ledger(receipts)
        return receipts

    def _close_ledger(self, receipts: list[Receipt]) -> None:
        sinks = self.ledger.stages[-len(receipts) :]
        for stage, receipt in zip(sinks, receipts, strict=True):
            kept = stage.came_in.minus(stage.filtered)
            stage.went_out = Tally(receipt.rows, kept.bytes, kept.packets)
        for stage in self.ledger.stages:
            if stage.kind == "enricher" and stage.may_drop:
                stage.filtered = stage.came_in.minus(stage.went_out)
        self.ledger.check()

    def abort(self) -> None:
        """Undo what the writers did; errors on the way do not keep the others from it."""
        errors: list[Exception] = []
        for writer in (*self._writers, self._reject_writer):
            try:
                if writer is not None:
                    writer.abort()
            except Exception as error:  # noqa: BLE001  collected, and raised below
                errors.append(error)
        if errors:
            raise errors[0]


def concat(batches: Sequence[pa.RecordBatch]) -> pa.RecordBatch:
    """Put batches one after the other; their dictionaries are unified."""
    try:
        return pa.concat_batches(batches)
    except pa.ArrowInvalid:  # Arrow unifies no dictionaries that hold a null
        return pa.concat_batches([_without_null_words(batch) for batch in batches])


def _without_null_words(batch: pa.RecordBatch) -> pa.RecordBatch:
    for index, column in enumerate(batch.columns):
        if isinstance(column, pa.DictionaryArray) and column.dictionary.null_count:
            plain = column.cast(column.type.value_type).dictionary_encode()
            batch = batch.set_column(index, batch.schema.field(index), plain.cast(column.type))
    return batch


def measure(batch: pa.RecordBatch) -> Tally:
    """Count a batch's rows and sum its counters."""
    return Tally(batch.num_rows, _sum(batch, "bytes"), _sum(batch, "packets"))


def _sum(batch: pa.RecordBatch, name: str) -> int:
    index = batch.schema.get_field_index(name)
    return 0 if index < 0 else int(pc.sum(batch.column(index)).as_py() or 0)


def _apply(
    enricher: Enricher[Any], stage: StageLedger, batch: pa.RecordBatch, tally: Tally
) -> tuple[pa.RecordBatch, Tally]:
    """Run one enricher; its counters are summed again only if it may have touched them."""
    after = enricher.apply(batch)
    stage.came_in.add(tally)
    same = after.num_rows == batch.num_rows and _shares_counters(batch, after)
    measured = tally if same else measure(after)
    stage.went_out.add(measured)
    return after, measured


def _shares_counters(before: pa.RecordBatch, after: pa.RecordBatch) -> bool:
    """Tell whether the counters of two batches are the very same memory."""
    for name in ("bytes", "packets"):
        old, new = before.schema.get_field_index(name), after.schema.get_field_index(name)
        if (old < 0) != (new < 0):
            return False
        if old >= 0 and _address(before.column(old)) != _address(after.column(new)):
            return False
    return True


def _address(column: pa.Array) -> tuple[Any, ...]:
    return (column.offset, *(buffer and buffer.address for buffer in column.buffers()))


def _count_status(ledger: Ledger, batch: pa.RecordBatch) -> None:
    """Count rows that are no flows; looked for in the dictionary first, since most have none."""
    index = batch.schema.get_field_index("log_status")
    if index < 0:
        return
    column = batch.column(index)
    if isinstance(column, pa.DictionaryArray):
        words = column.dictionary
        if not pc.any(pc.is_in(words, NO_FLOWS)).as_py():
            return
    ledger.nodata = int(pc.sum(pc.equal(column, NODATA)).as_py() or 0)
    ledger.skipdata = int(pc.sum(pc.equal(column, SKIPDATA)).as_py() or 0)


def _stages(assembly: Assembly, names: list[str]) -> list[StageLedger]:
    stages = [
        StageLedger(name, "enricher", may_drop=e.drops_rows, may_change=e.changes_counters)
        for name, (_, e) in zip(names, assembly.enrichers, strict=True)
    ]
    stages += [StageLedger(b.entry.id, "sink", may_drop=True) for b in assembly.sinks]
    return [*stages, StageLedger("rejects", "rejects")]


def _like(stage: StageLedger) -> StageLedger:
    return StageLedger(stage.name, stage.kind, may_drop=stage.may_drop, may_change=stage.may_change)
