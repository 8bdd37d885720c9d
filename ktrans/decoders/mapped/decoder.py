"""The decoder of logs that a table maps to flow columns."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import TypeVar

import pyarrow as pa

from ktrans.api import ComponentConfig, Payload
from ktrans.decoders.base import FlowDecoder
from ktrans.decoders.frames.block import Block
from ktrans.decoders.frames.csv import DelimitedLayout
from ktrans.decoders.frames.head import first_bytes
from ktrans.decoders.mapped.frames import Frame, Parquet
from ktrans.decoders.mapped.table import Table
from ktrans.decoders.read.csv import CsvParser
from ktrans.decoders.read.json_fast import Parser
from ktrans.decoders.read.parquet import parquet_blocks
from ktrans.decoders.read.parquet_values import leaf_name, values_by_path
from ktrans.decoders.read.raw_columns import RawColumns, added_column
from ktrans.decoders.rows import DecodedRows, RowBuilder

C = TypeVar("C", bound=ComponentConfig)


class MappedDecoder(FlowDecoder[C]):
    """Decodes records by a table.

    Attributes:
        table: maps values of the records to flow columns.
        frames: how the records may be stored; the first that accepts an object is used, or the last.
    """

    table: Table
    frames: tuple[Frame, ...]

    def prepare(self, schema: pa.Schema) -> None:
        """Prepare to build the columns of this schema."""
        self._builder = RowBuilder(self.table, schema)
        self._json = Parser(self._builder.shape)
        self._delimited: dict[DelimitedLayout, CsvParser] = {}

    def blocks(self, payload: Payload) -> Iterator[Block]:
        """Cut an object into blocks."""
        frame = self.frame_of(payload)
        if isinstance(frame, Parquet):
            limits = self.context.limits
            return parquet_blocks(payload, self.config.type, self._parquet_columns, limits)
        return frame.blocks(payload, self.context.limits)

    def _parquet_columns(self, schema: pa.Schema) -> tuple[list[str], None]:
        """Return the columns of a Parquet file to read: those of the table, or all if attrs are."""
        names = schema.names
        known = {path[0] for each in self.table.columns for path in each.paths}
        if not known & set(names):
            return [], None
        paths = self._builder.shape.paths
        if paths is None:
            hidden = {path[0] for path in self.table.hidden if len(path) == 1}
            hidden -= {path[0] for path in self.table.reads}
            return [name for name in names if name not in hidden or name in known], None
        found = [leaf_name(schema, path) for path in paths if path[0] in names]
        return list(dict.fromkeys(found)) or names[:1], None

    def replay(self, payload: Payload, layout: str | None) -> Iterator[Block]:
        """Cut the raw bytes of rejects into blocks."""
        if layout is None:
            return self.blocks(payload)
        return self.frame_of(payload).replay(payload, self.context.limits, layout)

    def frame_of(self, payload: Payload) -> Frame:
        """Return how the records of an object are stored."""
        if len(self.frames) > 1:
            head = first_bytes(payload)
            for frame in self.frames:
                if frame.accepts(head):
                    return frame
        return self.frames[-1]

    def rows(self, block: Block) -> DecodedRows:
        """Return the rows of a block."""
        if isinstance(block.layout, DelimitedLayout):
            raw, skipped = self._parser(block.layout).read(block.data, block.records)
        elif block.table is not None:
            raw, skipped = RawColumns(block.records, None, values_by_path(block.table)), 0
        else:
            raw, skipped = self._json.read(block.data, block.records), 0
        for name, value in block.added.items():
            raw.columns.setdefault((name,), added_column(value, raw))
        rows = self._builder.build(raw, block.uri, block.first)
        return replace(rows, skipped=rows.skipped + skipped)

    def _parser(self, layout: DelimitedLayout) -> CsvParser:
        """Return the reader of a layout; blocks of one layout share what it has learnt."""
        parser = self._delimited.get(layout)
        if parser is None:
            paths = self._builder.shape.paths
            needed = None if paths is None else frozenset(path[0] for path in paths)
            types = self.table.needed(self._builder.schema.names)
            numbers = frozenset(path[0] for path, kind in types.items() if kind == pa.int64())
            parser = CsvParser(layout.dialect, layout.names, needed, numbers)
            self._delimited[layout] = parser
        return parser

    def layout_of(self, block: Block) -> str | None:
        """Return the layout that a replay of this block's bad records needs."""
        layout = block.layout
        if isinstance(layout, DelimitedLayout):
            return layout.text
        return layout if isinstance(layout, str) else None
