"""The base of the decoders of Azure flow logs.

Each record names the kind of log that it is from, so either decoder reads both; the decoder's own
kind counts where a record names none.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa

from ktrans.api import ComponentConfig, Context, Head, Payload, RejectError, Sniff
from ktrans.decoders.azure.block import TupleBlock
from ktrans.decoders.azure.fields import COLUMN_OF
from ktrans.decoders.azure.records import CATEGORIES, Fault, Kind
from ktrans.decoders.azure.rows import AzureRows
from ktrans.decoders.base import FlowDecoder, refuse_parquet
from ktrans.decoders.frames.azure import Cutter
from ktrans.decoders.frames.block import Block, Refused
from ktrans.decoders.read.azure_lines import tuple_lines
from ktrans.decoders.read.azure_loose import decode_or_fault, read_loosely
from ktrans.decoders.read.azure_tuples import read_carefully, read_fast
from ktrans.decoders.read.faults import Faults
from ktrans.decoders.rows import DecodedRows
from ktrans.decoders.time_limits import TimeLimits
from ktrans.kit.text.inflate import Inflater

_MAX_BAD = 2
_SURE, _LIKELY = 100, 70
_CATEGORY = re.compile(rb'"category"\s*:\s*"(\w+)"')
_MARKS: dict[Kind, tuple[bytes, ...]] = {
    "nsg": (b'"properties"',),
    "vnet": (b'"flowrecords"', b'"flowgroups"', b'"flowlogversion"'),
}
_MEMBERS = ("records", "category", "properties", "flowrecords")
_PACKED = ("data", "Data", "kinesis")
"""Members of what Firehose and Kinesis put around a record; their arrays have the same name."""
_EMPTY = re.compile(rb'\s*\{\s*"records"\s*:\s*(?:\[[\s\]}]*)?\Z')


class AzureDecoder(FlowDecoder[ComponentConfig]):
    """Decodes Azure flow logs: whole objects, and parts of growing ones."""

    line_records = False
    kind: ClassVar[Kind]

    def __init__(self, config: ComponentConfig, context: Context | None = None) -> None:
        super().__init__(config, context)
        self._bad_blocks = 0

    def prepare(self, schema: pa.Schema) -> None:
        """Prepare to build the columns of this schema."""
        # What could not be read goes to attrs, whether or not its column is wanted.
        wanted = COLUMN_OF.values() if "attrs" in schema.names else schema.names
        self._times = TimeLimits.of(self.context.limits)
        self._fields = frozenset(name for name, column in COLUMN_OF.items() if column in wanted)

    def blocks(self, payload: Payload) -> Iterator[Block]:
        """Cut an object, or a part of one, into blocks of whole records."""
        refuse_parquet(payload, self.config.type)
        inflater = Inflater(payload.open, self.context.limits, payload.uri)
        cutter = Cutter(payload, self.context.limits, self.kind)
        yield from cutter.blocks(inflater.chunks())
        yield from cutter.end(inflater.problem)

    def is_record(self, value: Mapping[str, Any]) -> bool:
        """Return whether a JSON object is a record, or a document of them."""
        found = {name.lower(): each for name, each in value.items()}
        records = found.get("records")
        inside = records[0] if isinstance(records, list) and records else value
        if not isinstance(inside, dict) or any(name in inside for name in _PACKED):
            return False
        return any(name in found for name in _MEMBERS)

    def replay(self, payload: Payload, layout: str | None) -> Iterator[Block]:
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
                parts, foreign = read_loosely(decode_or_fault(line), self.kind)
            except Fault as fault:
                refused = Refused(number, fault.reason, line, str(fault))
                yield Block(payload.uri, number, refused=(refused,))
                continue
            for groups in parts:
                yield TupleBlock(
                    payload.uri, number, groups.tuples, groups=groups, same_position=True
                )
            if foreign:
                skipped = sum(foreign.values())
                yield Block(payload.uri, number, skipped=skipped, foreign=foreign)

    def _replay_tuples(self, uri: str, lines: list[bytes], layout: str) -> Block:
        """Return a block of tuples; the layout is the record that they were in, without tuples."""
        parts, _ = read_loosely(decode_or_fault(layout.encode()), self.kind)
        if len(parts) != 1 or len(parts[0].lists) != 1:
            raise Fault("bad_layout", "the layout is not a record with one group of tuples")
        groups = parts[0]
        groups.lists = [[line.decode("utf-8", "surrogateescape") for line in lines]]
        groups.tuples = len(lines)
        return TupleBlock(uri, 1, groups.tuples, groups=groups)

    def rows(self, block: Block) -> DecodedRows:
        """Return the rows of the tuples of a block."""
        assert isinstance(block, TupleBlock)
        groups, faults = block.groups, Faults()
        lines = tuple_lines(groups)
        # The fast reader is not tried after two blocks with bad tuples in a row, until a block is
        # clean: that changes the speed, never the rows.
        tuples = None
        if self._bad_blocks < _MAX_BAD:
            tuples = read_fast(lines, groups.kind, self._fields, self._times)
        if tuples is None:
            tuples, faults = read_carefully(lines, groups.kind, self._fields, self._times)
        self._bad_blocks = self._bad_blocks + 1 if faults.lines else 0
        index = np.arange(groups.tuples) if tuples.lines is None else tuples.lines
        positions = block.positions(index)
        rows = AzureRows(
            self._schema, block.uri, groups, lines.counts, tuples, positions, self._times
        )
        return DecodedRows(rows.batch(), faults, unread=tuples.unread_values())


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
