"""The decoder of logs that a table maps to flow columns."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeVar

import pyarrow as pa
from pydantic import Field

from ktrans.api import ComponentConfig, Context, Payload
from ktrans.decoders.base import FlowDecoder, refuse_parquet
from ktrans.decoders.flow_rule import ADDRESSES, TIMES
from ktrans.decoders.frames.block import Block
from ktrans.decoders.frames.csv import DelimitedLayout
from ktrans.decoders.frames.head import first_bytes
from ktrans.decoders.mapped.config import MappingConfig
from ktrans.decoders.mapped.frames import Frame, Parquet
from ktrans.decoders.mapped.table import Table
from ktrans.decoders.read.csv import CsvParser
from ktrans.decoders.read.json_fast import Parser
from ktrans.decoders.read.key_value import KeyValueLayout, KeyValueParser
from ktrans.decoders.read.parquet import parquet_blocks
from ktrans.decoders.read.parquet_values import leaf_name, values_by_path
from ktrans.decoders.read.raw_columns import Path, RawColumns, added_column
from ktrans.decoders.rows import DecodedRows, RowBuilder
from ktrans.decoders.time_limits import TimeLimits
from ktrans.flow.schema import with_other_values

C = TypeVar("C", bound=ComponentConfig)


class MappedDecoder(FlowDecoder[C]):
    """Decodes records by a table.

    Attributes:
        table: maps values of the records to flow columns.
        frames: how the records may be stored; the first that accepts an object is used, or the last.
    """

    table: Table
    frames: tuple[Frame, ...]

    def schema(self, columns: Sequence[str] | None) -> pa.Schema:
        """Return the flow schema, narrowed to `columns`; only these are built."""
        schema = super().schema(columns)
        if isinstance(self.config, MappingConfig):  # the log's own words, unless they are mapped
            schema = with_other_values(schema, [*self.config.fields, *self.config.constants])
            self._schema = schema
        return schema

    def prepare(self, schema: pa.Schema) -> None:
        """Prepare to build the columns of this schema."""
        self._builder = RowBuilder(self.table, schema, TimeLimits.of(self.context.limits))
        self._json = Parser(self._builder.shape)
        self._delimited: dict[DelimitedLayout, CsvParser] = {}

    def blocks(self, payload: Payload) -> Iterator[Block]:
        """Cut an object into blocks."""
        frame = self.frame_of(payload)
        if isinstance(frame, Parquet):
            limits = self.context.limits
            return parquet_blocks(payload, self.config.type, self._parquet_columns, limits)
        refuse_parquet(payload, self.config.type)
        return frame.blocks(payload, self.context.limits)

    def _parquet_columns(self, schema: pa.Schema) -> tuple[list[str], None]:
        """Return the columns of a Parquet file to read: those of the table, or all if attrs are."""
        names = schema.names
        known = {path[0] for each in self.table.columns for path in each.paths}
        if not all(self._has(names, *needed) for needed in (("src_addr",), ("dst_addr",), TIMES)):
            return [], None
        paths = self._builder.shape.paths
        if paths is None:
            hidden = {path[0] for path in self.table.hidden if len(path) == 1}
            hidden -= {path[0] for path in self.table.reads}
            return [name for name in names if name not in hidden or name in known], None
        found = [leaf_name(schema, path) for path in paths if path[0] in names]
        return list(dict.fromkeys(found)) or names[:1], None

    def _has(self, names: Sequence[str], *columns: str) -> bool:
        """Return whether a file has what one of these flow columns is read from."""
        paths = [path[0] for c in self.table.columns if c.column in columns for path in c.paths]
        return not set(paths).isdisjoint(names)

    def replay(self, payload: Payload, layout: str | None) -> Iterator[Block]:
        """Cut the raw bytes of rejects into blocks."""
        if layout is None:
            return self.blocks(payload)
        return self.frame_of(payload).replay(payload, self.context.limits, layout)

    @property
    def json_records(self) -> bool:  # type: ignore[override]
        """Whether records may be JSON objects."""
        return any(frame.json for frame in self.frames)

    @property
    def line_records(self) -> bool:  # type: ignore[override]
        """Whether each line is a record."""
        return all(frame.lines for frame in self.frames)

    def is_record(self, value: Mapping[str, Any]) -> bool:
        """Return whether a JSON object has a value that an address is read from."""
        return any(
            _has(value, envelope + path)
            for each in self.table.columns
            if each.column in ADDRESSES
            for path in each.paths
            for envelope in self.table.envelopes
        )

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
        elif isinstance(block.layout, KeyValueLayout):
            raw, skipped = KeyValueParser(block.layout, self._names()).read(block.data)
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
            needed = self._names()
            types = self.table.needed(self._builder.schema.names)
            numbers = frozenset(path[0] for path, kind in types.items() if kind == pa.int64())
            parser = CsvParser(layout.dialect, layout.names, needed, numbers)
            self._delimited[layout] = parser
        return parser

    def _names(self) -> frozenset[str] | None:
        """Return the names of the values to read; None means all."""
        paths = self._builder.shape.paths
        return None if paths is None else frozenset(path[0] for path in paths)

    def layout_of(self, block: Block) -> str | None:
        """Return the layout that a replay of this block's bad records needs."""
        layout = block.layout
        if isinstance(layout, DelimitedLayout | KeyValueLayout):
            return layout.text
        return layout if isinstance(layout, str) else None


class SampledConfig(ComponentConfig):
    """Options of logs whose records may have a sampling rate."""

    scale: bool = Field(
        default=False,
        description=(
            "Multiply packets and bytes by the sampling rate of the record, where it has one. "
            "Leave it off if the exporter has multiplied them already."
        ),
        examples=[True],
    )


class SampledDecoder(MappedDecoder[SampledConfig]):
    """Decodes records that may have a sampling rate."""

    def __init__(self, config: SampledConfig, context: Context | None = None) -> None:
        self.table = replace(self.table, scale=config.scale)
        super().__init__(config, context)


def _has(value: Any, path: Path) -> bool:
    """Return whether a JSON object has a value at a path."""
    for name in path:
        value = value.get(name) if isinstance(value, dict) else None
    return value is not None
