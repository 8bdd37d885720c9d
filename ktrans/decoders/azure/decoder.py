"""What the decoders of Azure flow logs share: an object's bytes to blocks, blocks to rows.

Each record says itself which kind it is, so either decoder reads both; the decoder's own kind
counts where a record does not tell.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any, ClassVar, TypeVar

import numpy as np
import pyarrow as pa

from ktrans.api import (
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
from ktrans.decoders.azure.model import Fault, Kind, Sheet, TupleBlock
from ktrans.decoders.azure.replay import replay_records, replay_tuples
from ktrans.decoders.azure.rows import NEEDS, layout_text, make_batch
from ktrans.decoders.frames.azure import Cutter
from ktrans.decoders.read.azure_tuples import read_carefully, read_fast
from ktrans.decoders.read.faults import Faults
from ktrans.flow.columns import flow_batch
from ktrans.flow.schema import project
from ktrans.kit.text.inflate import Inflater

_TROUBLED = 2
_SURE, _LIKELY = 100, 70
_CATEGORY = re.compile(rb'"category"\s*:\s*"(\w+)"')
_MARKS: dict[Kind, tuple[bytes, ...]] = {
    "nsg": (b'"properties"',),
    "vnet": (b'"flowrecords"', b'"flowgroups"', b'"flowlogversion"'),
}
_CATEGORIES: dict[Kind, bytes] = {
    "nsg": b"networksecuritygroupflowevent",
    "vnet": b"flowlogflowevent",
}
_PATHS: dict[Kind, str] = {
    "nsg": "insights-logs-networksecuritygroupflowevent",
    "vnet": "insights-logs-flowlogflowevent",
}
_EMPTY = re.compile(rb'\s*\{\s*"records"\s*:\s*(?:\[[\s\]}]*)?\Z')

T = TypeVar("T", bound=ComponentConfig)


class AzureDecoder(Decoder[T]):
    """Decodes Azure flow logs: whole objects, and parts of growing ones."""

    kind: ClassVar[Kind]

    def __init__(self, config: T, context: Context | None = None) -> None:
        super().__init__(config, context)
        self._trouble = 0
        self.schema(None)

    def schema(self, columns: Sequence[str] | None) -> pa.Schema:
        """Give the flow schema, narrowed to `columns`; only these are built."""
        self._schema = project(columns)
        self._fields = frozenset(f for name in self._schema.names for f in NEEDS.get(name, ()))
        return self._schema

    def blocks(self, payload: Payload) -> Iterator[TupleBlock]:
        """Cut an object, or a part of one, into blocks."""
        inflater = Inflater(payload.open, self.context.limits, payload.uri)
        cutter = Cutter(payload, self.context.limits, self.kind)
        yield from cutter.blocks(inflater.chunks())
        yield from cutter.end(inflater.problem)

    def replay(self, payload: Payload, layout: str | None) -> Iterator[TupleBlock]:
        """Give blocks for the raw bytes of rejects: tuples if there is a layout, else records."""
        with payload.open() as stream:
            lines = stream.read().removesuffix(b"\n").split(b"\n")
        if layout is None:
            yield from replay_records(payload, lines, self.kind)
            return
        try:
            yield from replay_tuples(payload, lines, layout, self.kind)
        except Fault as fault:
            raise RejectError(f"{payload.uri}: {fault}", code=fault.reason) from fault

    def decode(self, block: TupleBlock) -> Decoded:
        """Turn a block into rows and rejects."""
        rejects = self._refused(block)
        batch = flow_batch(self._schema, 0, {})
        lines = 0
        if block.sheet is not None:
            lines = block.sheet.lines
            batch, faulty = self._decode_sheet(block, block.sheet)
            rejects = faulty + rejects
        merged = pa.Table.from_batches(rejects).combine_chunks().to_batches() if rejects else []
        return Decoded(
            batch,
            lines + block.skipped + len(block.refused),
            merged[0] if merged else None,
            block.skipped,
        )

    def _decode_sheet(
        self, block: TupleBlock, sheet: Sheet
    ) -> tuple[pa.RecordBatch, list[pa.RecordBatch]]:
        tuples = None
        # After two bad blocks in a row the fast reading is not tried before a clean one: that
        # changes the speed, never the rows.
        if self._trouble < _TROUBLED:
            tuples = read_fast(sheet, self._fields)
        rejects: list[pa.RecordBatch] = []
        if tuples is None:
            tuples, faults, raw = read_carefully(sheet, self._fields)
            rejects = self._faulty(block, sheet, faults, raw)
            self._trouble = self._trouble + 1 if faults.lines else 0
        else:
            self._trouble = 0
        index = np.arange(sheet.lines) if tuples.lines is None else tuples.lines
        positions = self._positions(block, index)
        return make_batch(self._schema, block.uri, sheet, tuples, positions), rejects

    @staticmethod
    def _positions(block: TupleBlock, index: np.ndarray) -> np.ndarray:
        return np.full(len(index), block.first) if block.same_position else index + block.first

    def _faulty(
        self, block: TupleBlock, sheet: Sheet, faults: Faults, raw: Any
    ) -> list[pa.RecordBatch]:
        """Make the rejects of bad tuples, each with the record that it stood in."""
        lines, reasons, details = faults.ordered()
        if not lines:
            return []
        index = np.array(lines, dtype=np.int64)
        groups = np.searchsorted(np.cumsum(sheet.counts), index, side="right")
        distinct, which = np.unique(groups, return_inverse=True)
        layouts = pa.array([layout_text(sheet, group) for group in distinct.tolist()], pa.string())
        batch = reject_batch(
            block.uri,
            self._positions(block, index),
            reasons,
            [raw(line) for line in lines],
            details=details,
            decoder=self.config.type,
            version=self.version,
        )
        place = batch.schema.get_field_index("layout")
        return [batch.set_column(place, batch.schema.field(place), layouts.take(pa.array(which)))]

    def _refused(self, block: TupleBlock) -> list[pa.RecordBatch]:
        if not block.refused:
            return []
        return [
            reject_batch(
                block.uri,
                [refused.position for refused in block.refused],
                [refused.reason for refused in block.refused],
                [refused.raw for refused in block.refused],
                details=[refused.detail for refused in block.refused],
                decoder=self.config.type,
                version=self.version,
                complete=[refused.complete for refused in block.refused],
            )
        ]


def sniff_azure(head: Head, kind: Kind) -> Sniff | None:
    """Say how surely an object holds this kind of Azure flow log."""
    data = head.data.removeprefix(b"\xef\xbb\xbf").lstrip(b" \t\r\n,").lower()
    if head.columns is not None or not data.startswith((b"{", b"[")):
        return None
    category = _CATEGORY.search(data)
    if category is not None and category[1] in _CATEGORIES.values():
        if category[1] != _CATEGORIES[kind]:
            return None
        score = _SURE if b'"flowtuples"' in data else _LIKELY
        return Sniff(score, f"records of category {category[1].decode()}")
    if b'"flowtuples"' in data and any(mark in data for mark in _MARKS[kind]):
        return Sniff(_LIKELY, f"records with flowTuples in the shape of azure.{kind}")
    if _EMPTY.match(data) and _PATHS[kind] in head.uri.lower():
        return Sniff(_LIKELY, f"an empty list of records, in {_PATHS[kind]}")
    return None
