"""The decoder of JSON logs after a table: what all of them share."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol, TypeVar

import pyarrow as pa

from ktrans.api import ComponentConfig, Limits, Payload
from ktrans.decoders.base import FlowDecoder
from ktrans.decoders.frames.block import Block
from ktrans.decoders.mapped.table import Table
from ktrans.decoders.read.json_fast import Parser
from ktrans.decoders.read.raw_columns import added_column
from ktrans.decoders.rows import DecodedRows, RowBuilder

C = TypeVar("C", bound=ComponentConfig)


class Frame(Protocol):
    """Cuts objects into blocks of one JSON record a line."""

    def blocks(self, payload: Payload, limits: Limits) -> Iterator[Block]:
        """Cut an object into blocks."""


class JsonMapDecoder(FlowDecoder[C]):
    """Decodes JSON records by a table.

    Attributes:
        table: maps values of the records to flow columns.
        frame: how the records are stored.
        row_builder: builds the flow rows.
    """

    table: Table
    frame: Frame
    row_builder: type[RowBuilder] = RowBuilder

    def prepare(self, schema: pa.Schema) -> None:
        """Prepare to build the columns of this schema."""
        self._builder = self.row_builder(self.table, schema)
        self._parser = Parser(self._builder.shape)

    def blocks(self, payload: Payload) -> Iterator[Block]:
        """Cut an object into blocks of one JSON record a line."""
        return self.frame.blocks(payload, self.context.limits)

    def rows(self, block: Block) -> DecodedRows:
        """Return the rows of a block of JSON lines."""
        raw = self._parser.read(block.data, block.records)
        for name, value in block.added.items():
            raw.columns.setdefault((name,), added_column(value, raw))
        return self._builder.build(raw, block.uri, block.first)
