"""The part of a task that any thread may do for any group of blocks: decode, enrich, encode."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.compute as pc

from ktrans.api import Decoded, Enricher, Refused, StatefulEnricher, Writer
from ktrans.api.rejects import STRANGE_REASONS
from ktrans.engine.assembly import Assembly, BoundSink
from ktrans.engine.byte_budget import memory_of
from ktrans.engine.ledger import Ledger, StageLedger, Tally
from ktrans.engine.ledger_counts import apply_counted, count_status, measure
from ktrans.engine.rejects.stored_form import to_stored
from ktrans.engine.rules import Found, find_rows, violating
from ktrans.engine.stage_times import StageTimes, now
from ktrans.kit.memory import out_of_memory
from ktrans.kit.rows.refuse import encode_rows


class BlockErrors(Exception):
    """A decoder raised on blocks, which it must not; the splits of the blocks are quarantined.

    `causes` has what it raised, by the index of the block.
    """

    def __init__(self, causes: dict[int, Exception]) -> None:
        super().__init__(str(next(iter(causes.values()))))
        self.causes = causes


class BlockResult(msgspec.Struct):
    """A group of blocks after processing.

    Attributes:
        ledger: the counts of this group.
        batch: its rows after the last enricher that was applied; None if there are none, or they
            are encoded.
        tally: the counts of `batch`.
        prepared: what a stateful enricher has prepared of `batch`.
        encoded: for each sink what its writer has encoded, once all enrichers were applied: usually
            one item, more or none if rows were refused.
        refused: for each sink the rows that its writer could not encode.
        rejects: the encoded rejects.
        torn: URIs of objects that end in the middle of a record.
        strange: for each block whether its records are not of the log at all; None if it has none.
        times: how long the stages took.
        took: the bytes of the rows and of what was encoded of them.
    """

    ledger: Ledger
    batch: pa.RecordBatch | None = None
    tally: Tally = msgspec.field(default_factory=Tally)
    prepared: Any = None
    encoded: list[list[Any]] = msgspec.field(default_factory=list)
    refused: list[list[Refused]] = msgspec.field(default_factory=list)
    rejects: Any = None
    torn: list[str] = msgspec.field(default_factory=list)
    strange: list[bool | None] = msgspec.field(default_factory=list)
    times: StageTimes = msgspec.field(default_factory=StageTimes)
    took: int = 0

    @property
    def nbytes(self) -> int:
        """What it still takes in memory."""
        return memory_of([self.batch, self.prepared, self.encoded, self.rejects])


class BlockProcessor:
    """Processes groups of blocks; safe to use from several threads.

    It applies the enrichers that need no order; `then` is the first one that does, if there is
    one.
    """

    def __init__(
        self,
        assembly: Assembly,
        enrichers: Sequence[Enricher[Any]],
        then: Enricher[Any] | None,
        writers: Sequence[Writer],
        reject_writer: Writer,
    ) -> None:
        self._decoder = assembly.decoder
        self._enrichers = enrichers
        self._then = then
        self._sinks = [*assembly.sinks, *assembly.violations]
        self._rules = assembly.rules
        self._writers = writers
        self._reject_writer = reject_writer
        self._stages = _stages(assembly)

    def new_ledger(self) -> Ledger:
        """Return an empty ledger of all stages."""
        return Ledger(stages=[stage.like() for stage in self._stages])

    def process(self, blocks: Sequence[Any]) -> BlockResult:
        """Decode a group of blocks and apply everything that needs no order.

        Raises:
            BlockErrors: the decoder failed on some of the blocks.
        """
        result = BlockResult(self.new_ledger())
        batches, rejects = [], []
        failed: dict[int, Exception] = {}
        began = now()
        for index, block in enumerate(blocks):
            try:
                decoded = self._decoder.decode(block)
            except Exception as error:
                if out_of_memory(error):
                    raise
                failed[index] = error
                continue
            result.ledger.records += decoded.records
            result.ledger.skipped += decoded.skipped
            result.ledger.add_foreign(decoded.foreign)
            for column, count in decoded.unread.items():
                result.ledger.unread[column] = result.ledger.unread.get(column, 0) + count
            result.strange.append(_is_strange(decoded))
            if decoded.batch.num_rows:
                batches.append(decoded.batch)
            if decoded.rejects is not None and decoded.rejects.num_rows:
                rejects.append(decoded.rejects)
        if failed:
            raise BlockErrors(failed)
        result.times.note("decode", "decoder", began, now())
        if rejects:
            self._add_rejects(result, pa.concat_batches(rejects))
        if batches:
            self._enrich(result, batches[0] if len(batches) == 1 else concat(batches))
        return result

    def process_reject(self, rejects: pa.RecordBatch) -> BlockResult:
        """Process the reject of a split of which nothing can be decoded."""
        result = BlockResult(self.new_ledger())
        result.ledger.records = rejects.num_rows
        self._add_rejects(result, rejects)
        return result

    def encode(self, result: BlockResult) -> None:
        """Filter, select and encode the rows of each sink; then the rows themselves are dropped."""
        assert result.batch is not None
        stages = result.ledger.stages[-1 - len(self._sinks) : -1]
        began = now()
        found = find_rows(self._rules, result.batch, result.ledger.expect)
        if self._rules:
            result.times.note("enrich", "expect", began, now())
        for bound, writer, stage in zip(self._sinks, self._writers, stages, strict=True):
            began = now()
            rows = self._rows_for(bound, stage, result, found)
            encoded, refused = encode_rows(writer.encode, bound.select(rows))
            result.encoded.append(encoded)
            result.refused.append(refused)
            result.times.note("encode", stage.name, began, now())
        result.took += memory_of(result.encoded)
        result.batch = None

    @staticmethod
    def _rows_for(
        bound: BoundSink, stage: StageLedger, result: BlockResult, found: Found
    ) -> pa.RecordBatch:
        """Return the rows that a sink gets, and count them."""
        assert result.batch is not None
        if bound.rules is not None:
            rows = violating(bound.rules, result.batch, found, concat)
            stage.came_in.add(measure(rows))
            return rows
        stage.came_in.add(result.tally)
        rows = bound.filter(result.batch)
        if rows.num_rows != result.batch.num_rows:
            stage.filtered.add(result.tally.minus(measure(rows)))
        return rows

    def _add_rejects(self, result: BlockResult, rejects: pa.RecordBatch) -> None:
        ledger = result.ledger
        for item in pc.value_counts(rejects.column("reason")).to_pylist():
            ledger.rejected[item["values"]] = item["counts"]
        if "truncated" in ledger.rejected:
            torn = rejects.filter(pc.equal(rejects.column("reason"), "truncated"))
            result.torn = sorted(set(torn.column("source_uri").to_pylist()))
        ledger.stages[-1].came_in.rows += rejects.num_rows
        result.rejects = self._reject_writer.encode(to_stored(rejects))

    def _enrich(self, result: BlockResult, batch: pa.RecordBatch) -> None:
        tally = result.ledger.decoded = measure(batch)
        count_status(result.ledger, batch)
        for stage, enricher in zip(result.ledger.stages, self._enrichers, strict=False):
            began = now()
            batch, tally = apply_counted(enricher, stage, batch, tally)
            result.times.note("enrich", stage.name, began, now())
        result.batch, result.tally = batch, tally
        result.took += batch.nbytes
        if self._then is None:
            self.encode(result)
        elif isinstance(self._then, StatefulEnricher):
            result.prepared = self._then.prepare(batch)


def _is_strange(decoded: Decoded) -> bool | None:
    """Return whether all records of a block are not of the decoder's log; None if it has none."""
    if decoded.batch.num_rows or decoded.foreign:
        return False
    if decoded.rejects is None or not decoded.rejects.num_rows:
        return None
    reasons = decoded.rejects.column("reason")
    return bool(pc.all(pc.is_in(reasons, pa.array(STRANGE_REASONS, pa.string()))).as_py())


def concat(batches: Sequence[pa.RecordBatch]) -> pa.RecordBatch:
    """Concatenate batches, with unified dictionaries."""
    try:
        return pa.concat_batches(batches)
    except pa.ArrowInvalid:  # Arrow does not unify dictionaries that contain a null
        return pa.concat_batches([_without_null_words(batch) for batch in batches])


def _without_null_words(batch: pa.RecordBatch) -> pa.RecordBatch:
    for index, column in enumerate(batch.columns):
        if isinstance(column, pa.DictionaryArray) and column.dictionary.null_count:
            plain = column.cast(column.type.value_type).dictionary_encode()
            batch = batch.set_column(index, batch.schema.field(index), plain.cast(column.type))
    return batch


def _stages(assembly: Assembly) -> list[StageLedger]:
    stages = [
        StageLedger(
            name,
            "enricher",
            may_drop=enricher.drops_rows,
            may_change=enricher.changes_counters,
            sums_up=isinstance(enricher, StatefulEnricher),
        )
        for name, enricher in assembly.enrichers
    ]
    stages += [StageLedger(bound.entry.id, "sink", may_drop=True) for bound in assembly.sinks]
    stages += [
        StageLedger(b.entry.id, "violations", may_drop=True, may_change=True, rules=b.rules or [])
        for b in assembly.violations
    ]
    return [*stages, StageLedger("rejects", "rejects")]
