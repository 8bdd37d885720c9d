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

from ktrans.api import (
    Decoded,
    Enricher,
    Receipt,
    Refused,
    StatefulEnricher,
    StateUpdate,
    TaskId,
    Writer,
)
from ktrans.engine.assemble import Assembly, BoundSink
from ktrans.engine.counting import account_for, applied, count_status, measure, taken
from ktrans.engine.enricher_state import Carry
from ktrans.engine.ledger import Ledger, StageLedger, Tally
from ktrans.engine.rejects.writer import to_out, undelivered
from ktrans.engine.timing import StageTimes, now


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
    prepared: Any = None
    encoded: list[Any] = field(default_factory=list)
    rejects: Any = None
    torn: list[str] = field(default_factory=list)
    times: StageTimes = field(default_factory=StageTimes)


class Chain:
    """One attempt at a task: decoder, enrichers and writers in a row."""

    def __init__(self, assembly: Assembly, task: TaskId, carry: Carry) -> None:
        self._decoder = assembly.decoder
        self._schema = assembly.decoder_schema
        names = [name for name, _ in assembly.enrichers]
        enrichers = [enricher for _, enricher in assembly.enrichers]
        ordered = [i for i, e in enumerate(enrichers) if e.scope != "batch"]
        self._cut = ordered[0] if ordered else len(enrichers)
        self._free: Sequence[Enricher[Any]] = enrichers[: self._cut]
        self._ordered = [carry.begin(enricher, task) for enricher in enrichers[self._cut :]]
        self._sinks: list[BoundSink] = list(assembly.sinks)
        self._writers: list[Writer] = []
        self._reject_writer: Writer | None = None
        self.ledger = Ledger(stages=_stages(assembly, names))
        self.torn: list[str] = []
        self.times = StageTimes()
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
        ledger = Ledger(stages=[stage.like() for stage in self.ledger.stages])
        batches, rejects = [], []
        began = now()
        for index, block in enumerate(blocks):
            decoded = self._decode(index, block)
            ledger.records += decoded.records
            ledger.skipped += decoded.skipped
            if decoded.batch.num_rows:
                batches.append(decoded.batch)
            if decoded.rejects is not None and decoded.rejects.num_rows:
                rejects.append(decoded.rejects)
        work = Work(ledger, None, Tally())
        work.times.note("decode", "decoder", began, now())
        return self._from_rows(work, batches, rejects)

    def _decode(self, index: int, block: Any) -> Decoded:
        try:
            return self._decoder.decode(block)
        except Exception as error:
            raise BlockError(index, error) from error

    def reject(self, rejects: pa.RecordBatch) -> Work:
        """Take a reject that stands for a whole split."""
        ledger = Ledger(
            stages=[stage.like() for stage in self.ledger.stages], records=rejects.num_rows
        )
        return self._from_rows(Work(ledger, None, Tally()), [], [rejects])

    def _from_rows(
        self, work: Work, batches: list[pa.RecordBatch], rejects: list[pa.RecordBatch]
    ) -> Work:
        ledger = work.ledger
        if rejects:
            self._take_rejects(work, pa.concat_batches(rejects))
        if not batches:
            return work
        batch = batches[0] if len(batches) == 1 else concat(batches)
        tally = measure(batch)
        ledger.decoded = tally
        count_status(ledger, batch)
        for stage, enricher in zip(ledger.stages, self._free, strict=False):
            began = now()
            batch, tally = applied(enricher, stage, batch, tally)
            work.times.note("enrich", stage.name, began, now())
        work.batch, work.tally = batch, tally
        if not self._ordered:
            self._fan_out(work)
        elif isinstance(first := self._ordered[0], StatefulEnricher):
            work.prepared = first.prepare(batch)
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
            began = now()
            stage.came_in.add(work.tally)
            rows = bound.filter(work.batch)
            if rows.num_rows != work.batch.num_rows:
                stage.filtered.add(work.tally.minus(measure(rows)))
            rows = bound.select(rows)
            work.encoded.append(writer.encode(rows) if rows.num_rows else None)
            work.times.note("encode", stage.name, began, now())

    # -- in the task's own thread, in order ---------------------------------------------------

    def settle(self, work: Work) -> None:
        """Do what must keep the order: the ordered enrichers, and writing."""
        self.torn.extend(uri for uri in work.torn if uri not in self.torn)
        if self._ordered and work.batch is not None:
            self._apply_ordered(work, 0)
        self._write(work)
        self.ledger.add(work.ledger)
        self.times.add(work.times)

    def _apply_ordered(self, work: Work, start: int) -> None:
        assert work.batch is not None
        stages = work.ledger.stages[self._cut + start :]
        for stage, enricher in zip(stages, self._ordered[start:], strict=False):
            began = now()
            if work.prepared is not None:
                work.batch, work.tally = taken(enricher, stage, work.prepared, work.tally)
                work.prepared = None
            else:
                work.batch, work.tally = applied(enricher, stage, work.batch, work.tally)
            if isinstance(enricher, StatefulEnricher):
                self._refuse(stage, enricher)
            work.times.note("enrich", stage.name, began, now())
        if work.batch.num_rows:
            self._fan_out(work)

    def _write(self, work: Work) -> None:
        for bound, writer, encoded in zip(self._sinks, self._writers, work.encoded, strict=False):
            if encoded is not None:
                began = now()
                writer.write(encoded)
                work.times.note("write", bound.entry.id, began, now())
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
                    Ledger(stages=[stage.like() for stage in self.ledger.stages]),
                    batch,
                    measure(batch),
                )
                work.ledger.stages[self._cut + index].went_out.add(work.tally)
                self._apply_ordered(work, index + 1)
                self._write(work)
                self.ledger.add(work.ledger)
                self.times.add(work.times)
            if isinstance(enricher, StatefulEnricher):
                account_for(self.ledger.stages[self._cut + index], enricher)
        assert self._reject_writer is not None
        receipts = []
        for bound, writer in zip(self._sinks, self._writers, strict=True):
            with self.times.timed("finish", bound.entry.id):
                receipts.append(writer.finish())
        for bound, writer, stage in zip(
            self._sinks, self._writers, self.ledger.stages[-1 - len(self._sinks) : -1], strict=True
        ):
            for refused in writer.refused():
                self._take_refused(bound.entry.id, stage, refused)
        with self.times.timed("finish", "rejects"):
            receipts.append(self._reject_writer.finish())
        self._close_ledger(receipts)
        return receipts

    def changes(self) -> dict[str, StateUpdate]:
        """Give what stateful enrichers want stored, by the name of their state; after `finish`."""
        found = {
            e.state_id: e.state_update() for e in self._ordered if isinstance(e, StatefulEnricher)
        }
        return {name: change for name, change in found.items() if change is not None}

    def _refuse(self, stage: StageLedger, enricher: StatefulEnricher[Any]) -> None:
        """Send rows that no total can take to the rejects."""
        mine = self.ledger.stages[self._cut + self._ordered.index(enricher)]
        for refused in enricher.refused():
            self._take_refused(stage.name, mine, refused)

    def _take_refused(self, place: str, stage: StageLedger, refused: Refused) -> None:
        """Send rows that a sink or a total could not take to the rejects."""
        assert self._reject_writer is not None
        stage.refused.add(measure(refused.rows))
        count = refused.rows.num_rows
        self.ledger.refused[refused.reason] = self.ledger.refused.get(refused.reason, 0) + count
        self.ledger.stages[-1].came_in.rows += count
        rejects = to_out(undelivered(place, refused))
        self._reject_writer.write(self._reject_writer.encode(rejects))

    def _close_ledger(self, receipts: list[Receipt]) -> None:
        sinks = self.ledger.stages[-len(receipts) :]
        for stage, receipt in zip(sinks, receipts, strict=True):
            kept = stage.came_in.minus(stage.filtered).minus(stage.refused)
            stage.went_out = Tally(receipt.rows, kept.bytes, kept.packets)
        for stage in self.ledger.stages:
            if stage.kind == "enricher" and stage.may_drop and not stage.sums_up:
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


def _stages(assembly: Assembly, names: list[str]) -> list[StageLedger]:
    stages = [
        StageLedger(
            name,
            "enricher",
            may_drop=e.drops_rows,
            may_change=e.changes_counters,
            sums_up=isinstance(e, StatefulEnricher),
        )
        for name, (_, e) in zip(names, assembly.enrichers, strict=True)
    ]
    stages += [StageLedger(b.entry.id, "sink", may_drop=True) for b in assembly.sinks]
    return [*stages, StageLedger("rejects", "rejects")]
