"""The base of the decoders of Azure flow logs.

Each record names the kind of log that it is from, so either decoder reads both; the decoder's own
kind counts where a record names none.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import ClassVar, TypeVar

import numpy as np
import pyarrow as pa

from ktrans.api import (
    REJECT_SCHEMA,
    ComponentConfig,
    Context,
    Decoded,
    Decoder,
    Head,
    Payload,
    RejectError,
    Sniff,
    reject_batch,
)
from ktrans.decoders.azure.records import CATEGORIES, Fault, Kind, Records, TupleBlock
from ktrans.decoders.azure.rows import NEEDS, AzureRows, layout_text
from ktrans.decoders.frames.azure import Cutter
from ktrans.decoders.frames.json_block import JsonBlock, JsonReject, reject_rows
from ktrans.decoders.read.azure_lines import tuple_lines
from ktrans.decoders.read.azure_loose import decode_or_fault, read_loosely
from ktrans.decoders.read.azure_tuples import read_carefully, read_fast
from ktrans.decoders.read.faults import Faults
from ktrans.flow.columns import flow_batch
from ktrans.flow.schema import project
from ktrans.kit.text.inflate import Inflater

_MAX_BAD = 2
_SURE, _LIKELY = 100, 70
_CATEGORY = re.compile(rb'"category"\s*:\s*"(\w+)"')
_MARKS: dict[Kind, tuple[bytes, ...]] = {
    "nsg": (b'"properties"',),
    "vnet": (b'"flowrecords"', b'"flowgroups"', b'"flowlogversion"'),
}
_EMPTY = re.compile(rb'\s*\{\s*"records"\s*:\s*(?:\[[\s\]}]*)?\Z')

T = TypeVar("T", bound=ComponentConfig)


class AzureDecoder(Decoder[T]):
    """Decodes Azure flow logs: whole objects, and parts of growing ones."""

    kind: ClassVar[Kind]

    def __init__(self, config: T, context: Context | None = None) -> None:
        super().__init__(config, context)
        self._bad_blocks = 0
        self.schema(None)

    def schema(self, columns: Sequence[str] | None) -> pa.Schema:
        """Return the flow schema, narrowed to `columns`, and build only these from now on."""
        self._schema = project(columns)
        self._fields = frozenset(f for name in self._schema.names for f in NEEDS.get(name, ()))
        return self._schema

    def blocks(self, payload: Payload) -> Iterator[TupleBlock]:
        """Cut an object, or a part of one, into blocks of whole records."""
        inflater = Inflater(payload.open, self.context.limits, payload.uri)
        cutter = Cutter(payload, self.context.limits, self.kind)
        yield from cutter.blocks(inflater.chunks())
        yield from cutter.end(inflater.problem)

    def replay(self, payload: Payload, layout: str | None) -> Iterator[TupleBlock]:
        """Return blocks for rejects, one a line: tuples if there is a layout, else records."""
        with payload.open() as stream:
            lines = stream.read().removesuffix(b"\n").split(b"\n")
        if layout is not None:
            try:
                yield self._replay_tuples(payload.uri, lines, layout)
            except Fault as fault:
                raise RejectError(f"{payload.uri}: {fault}", code=fault.reason) from fault
            return
        for number, line in enumerate(lines, 1):
            try:
                parts, skipped = read_loosely(decode_or_fault(line), self.kind)
            except Fault as fault:
                reject = JsonReject(number, fault.reason, line, str(fault))
                yield TupleBlock(payload.uri, None, number, rejects=(reject,))
                continue
            for records in parts:
                if records.tuples:
                    yield TupleBlock(payload.uri, records, number, same_position=True)
            if skipped:
                yield TupleBlock(payload.uri, None, number, skipped)

    def _replay_tuples(self, uri: str, lines: list[bytes], layout: str) -> TupleBlock:
        """Return a block of tuples; the layout is the record that they were in, without tuples."""
        parts, _ = read_loosely(decode_or_fault(layout.encode()), self.kind)
        if len(parts) != 1 or len(parts[0].lists) != 1:
            raise Fault("bad_layout", "the layout is not a record with one group of tuples")
        records = parts[0]
        records.lists = [[line.decode("utf-8", "surrogateescape") for line in lines]]
        records.tuples = len(lines)
        return TupleBlock(uri, records, 1)

    def decode(self, block: TupleBlock) -> Decoded:
        """Decode the tuples of a block into rows and rejects."""
        batch, tuples = flow_batch(self._schema, 0, {}), 0
        rejects: list[pa.RecordBatch] = []
        if block.records is not None:
            tuples = block.records.tuples
            batch, rejects = self._decode_tuples(block, block.records)
        if block.rejects:
            refused = JsonBlock(block.uri, b"", block.first, 0, block.rejects)
            rejects += [reject_rows(refused, self.config.type, self.version)]
        merged = pa.Table.from_batches(rejects, REJECT_SCHEMA).combine_chunks().to_batches()
        count = tuples + block.skipped + len(block.rejects)
        return Decoded(batch, count, merged[0] if merged else None, block.skipped)

    def _decode_tuples(
        self, block: TupleBlock, records: Records
    ) -> tuple[pa.RecordBatch, list[pa.RecordBatch]]:
        lines = tuple_lines(records)
        # The fast reader is not tried after two blocks with bad tuples in a row, until a block is
        # clean: that changes the speed, never the rows.
        tuples = None
        if self._bad_blocks < _MAX_BAD:
            tuples = read_fast(lines, records.kind, self._fields)
        rejects: list[pa.RecordBatch] = []
        if tuples is None:
            tuples, faults, raw = read_carefully(lines, records.kind, self._fields)
            self._bad_blocks = self._bad_blocks + 1 if faults.lines else 0
            if faults.lines:
                rejects = [self._tuple_rejects(block, records, lines.counts, faults, raw)]
        else:
            self._bad_blocks = 0
        index = np.arange(records.tuples) if tuples.lines is None else tuples.lines
        positions = _positions(block, index)
        rows = AzureRows(self._schema, block.uri, records, lines.counts, tuples, positions)
        return rows.batch(), rejects

    def _tuple_rejects(
        self,
        block: TupleBlock,
        records: Records,
        counts: np.ndarray,
        faults: Faults,
        raw: list[bytes],
    ) -> pa.RecordBatch:
        """Return the rejects of bad tuples, each with the record that it was in as its layout."""
        lines, reasons, details = faults.ordered()
        index = np.array(lines, dtype=np.int64)
        groups = np.searchsorted(np.cumsum(counts), index, side="right")
        distinct, which = np.unique(groups, return_inverse=True)
        layouts = pa.array([layout_text(records, group) for group in distinct.tolist()])
        return reject_batch(
            block.uri,
            _positions(block, index),
            reasons,
            raw,
            details=details,
            decoder=self.config.type,
            version=self.version,
            layout=layouts.take(pa.array(which)),
        )


def _positions(block: TupleBlock, index: np.ndarray) -> np.ndarray:
    """Return the positions of tuples in the object, by their index in the block."""
    return np.full(len(index), block.first) if block.same_position else index + block.first


def sniff_azure(head: Head, kind: Kind) -> Sniff | None:
    """Return how surely an object holds this kind of Azure flow log."""
    data = head.data.removeprefix(b"\xef\xbb\xbf").lstrip(b" \t\r\n,").lower()
    if head.columns is not None or not data.startswith((b"{", b"[")):
        return None
    category = _CATEGORY.search(data)
    named = CATEGORIES.get(category[1].decode()) if category is not None else None
    if category is not None and named is not None:
        if named != kind:
            return None
        score = _SURE if b'"flowtuples"' in data else _LIKELY
        return Sniff(score, f"records of category {category[1].decode()}")
    if b'"flowtuples"' in data and any(mark in data for mark in _MARKS[kind]):
        return Sniff(_LIKELY, f"records with flowTuples in the shape of azure.{kind}")
    folder = next(f"insights-logs-{name}" for name, each in CATEGORIES.items() if each == kind)
    if _EMPTY.match(data) and folder in head.uri.lower():
        return Sniff(_LIKELY, f"an empty list of records, in {folder}")
    return None
