"""The stages of one attempt at a task, from blocks of bytes to the sinks' writers, and its ledger.

`processor` has what any thread may do; everything here keeps the order of the blocks: enrichers
that see a task as a whole, and the writers.
"""

from __future__ import annotations

from typing import Any

from ktrans.api import Enricher, Receipt, Refused, StatefulEnricher, StateUpdate, TaskId, Writer
from ktrans.engine.assembly import Assembly
from ktrans.engine.block_processor import BlockProcessor, BlockResult
from ktrans.engine.ledger import StageLedger, Tally
from ktrans.engine.ledger_counts import add_accounting, apply_counted, measure
from ktrans.engine.rejects.stored_form import refused_rows, to_stored
from ktrans.engine.stage_times import StageTimes, now
from ktrans.engine.task_kinds import TaskKind


class TaskPipeline:
    """The decoder, enrichers and writers of one attempt.

    The ledger has the counts of everything written so far. `torn` has the URIs of objects that
    end in the middle of a record, `strange` what those objects look like, by URI, of which nothing
    could be read. `partial` is the partial result, if the task makes one, after `finish`.
    """

    def __init__(self, assembly: Assembly, task: TaskId, kind: TaskKind) -> None:
        enrichers = [enricher for _, enricher in assembly.enrichers]
        self._kind = kind
        self._first_ordered = kind.first_ordered(assembly)
        self._ordered = kind.begin(assembly, task)
        *self._sinks, rejects = kind.sinks(assembly)
        self._writers: list[Writer] = []
        self.torn: list[str] = []
        self.strange: dict[str, str] = {}
        self.partial: bytes | None = None
        self.times = StageTimes()
        try:
            for bound in (*self._sinks, rejects):
                self._writers.append(bound.sink.writer(task))
        except BaseException:
            self.abort()
            raise
        *writers, self._reject_writer = self._writers
        self.processor = BlockProcessor(
            assembly,
            enrichers[: self._first_ordered],
            self._ordered[0] if self._ordered else None,
            writers,
            self._reject_writer,
        )
        self.ledger = self.processor.new_ledger()

    def write_in_order(self, result: BlockResult) -> None:
        """Apply the ordered enrichers to a processed group of blocks, and write it."""
        self.torn.extend(uri for uri in result.torn if uri not in self.torn)
        if self._ordered and result.batch is not None:
            self._apply_ordered(result, 0)
        self._write(result)

    def finish(self) -> list[Receipt]:
        """Write what enrichers have held back, make the output durable, and check the ledger.

        Returns:
            A receipt for each sink that the task writes to, then one for the rejects.

        Raises:
            LedgerError: rows in and rows out do not agree.
        """
        for partial in self._kind.partials():
            self._merge(partial)
        for index in range(len(self._ordered) - self._kind.makes_partial):
            self._finish_enricher(index)
        if self._kind.makes_partial:
            self.partial = self._make_partial()
        receipts = []
        for bound, writer in zip(self._sinks, self._writers, strict=False):
            with self.times.timed("finish", bound.entry.id):
                receipts.append(writer.finish())
        stages = self.ledger.stages[-len(self._writers) : -1]
        for writer, stage in zip(self._writers[:-1], stages, strict=True):
            for refused in writer.refused():
                self._reject_refused(stage.name, stage, refused)
        with self.times.timed("finish", "rejects"):
            receipts.append(self._reject_writer.finish())
        self._close_ledger(receipts)
        return receipts

    def _merge(self, partial: bytes) -> None:
        """Pass the partial result of a task to the enricher that merges them."""
        merging, stage = self._ordered[0], self.ledger.stages[self._first_ordered]
        assert isinstance(merging, StatefulEnricher)
        with self.times.timed("enrich", stage.name):
            merging.merge(partial)
        self._reject_refused_by(merging, stage)

    def _make_partial(self) -> bytes:
        """Take the partial result of the last enricher, which has no other result."""
        part, stage = self._ordered.pop(), self.ledger.stages[self._kind.merge_at or 0]
        assert isinstance(part, StatefulEnricher)
        with self.times.timed("enrich", stage.name):
            return part.partial()

    def _finish_enricher(self, index: int) -> None:
        """Write the rows that an enricher has held back."""
        enricher, at = self._ordered[index], self._first_ordered + index
        for batch in enricher.finish():
            result = BlockResult(self.processor.new_ledger(), batch, measure(batch))
            result.ledger.stages[at].went_out.add(result.tally)
            self._apply_ordered(result, index + 1)
            self._write(result)
        if isinstance(enricher, StatefulEnricher):
            add_accounting(self.ledger.stages[at], enricher)

    def state_updates(self) -> dict[str, StateUpdate]:
        """Return what stateful enrichers want stored, by the name of their state; after `finish`."""
        updates = {
            e.state_id: e.state_update() for e in self._ordered if isinstance(e, StatefulEnricher)
        }
        return {name: update for name, update in updates.items() if update is not None}

    def abort(self) -> None:
        """Undo what the writers did; an error of one does not keep the others from it."""
        errors: list[Exception] = []
        for writer in self._writers:
            try:
                writer.abort()
            except Exception as error:  # noqa: BLE001 - collected, and raised below
                errors.append(error)
        if errors:
            raise errors[0]

    def _apply_ordered(self, result: BlockResult, start: int) -> None:
        """Apply the ordered enrichers from number `start` on, then encode."""
        assert result.batch is not None
        first = self._first_ordered
        for index, enricher in enumerate(self._ordered[start:], first + start):
            stage = result.ledger.stages[index]
            began = now()
            result.batch, result.tally = apply_counted(
                enricher, stage, result.batch, result.tally, result.prepared
            )
            result.prepared = None
            self._reject_refused_by(enricher, self.ledger.stages[index])
            result.times.note("enrich", stage.name, began, now())
        if result.batch.num_rows:
            self.processor.encode(result)

    def _write(self, result: BlockResult) -> None:
        for bound, writer, encoded in zip(self._sinks, self._writers, result.encoded, strict=False):
            began = now()
            for each in encoded:
                writer.write(each)
            result.times.note("write", bound.entry.id, began, now())
        if result.rejects is not None:
            self._reject_writer.write(result.rejects)
        self.ledger.add(result.ledger)
        stages = self.ledger.stages[-len(self._writers) : -1]
        for stage, items in zip(stages, result.refused, strict=False):
            for refused in items:
                self._reject_refused(stage.name, stage, refused)
        self.times.add(result.times)

    def _reject_refused_by(self, enricher: Enricher[Any], stage: StageLedger) -> None:
        if isinstance(enricher, StatefulEnricher):
            for refused in enricher.refused():
                self._reject_refused(stage.name, stage, refused)

    def _reject_refused(self, name: str, stage: StageLedger, refused: Refused) -> None:
        """Write rows that a sink or a rollup could not take to the rejects."""
        count = refused.rows.num_rows
        stage.refused.add(measure(refused.rows))
        self.ledger.refused[refused.reason] = self.ledger.refused.get(refused.reason, 0) + count
        self.ledger.stages[-1].came_in.rows += count
        rejects = to_stored(refused_rows(name, refused))
        self._reject_writer.write(self._reject_writer.encode(rejects))

    def _close_ledger(self, receipts: list[Receipt]) -> None:
        for stage, receipt in zip(self.ledger.stages[-len(receipts) :], receipts, strict=True):
            written = stage.came_in.minus(stage.filtered).minus(stage.refused)
            stage.went_out = Tally(receipt.rows, written.bytes, written.packets)
        for stage in self.ledger.stages:
            if stage.kind == "enricher" and stage.may_drop and not stage.sums_up:
                stage.filtered = stage.came_in.minus(stage.went_out)
        self.ledger.check(apart=self._kind.merge_at)
