"""The decoder of JSON logs after a table: what all of them share."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Protocol, TypeVar

import pyarrow as pa

from ktrans.api import ComponentConfig, Context, Decoded, Decoder, Limits, Payload
from ktrans.decoders.frames.json_block import JsonBlock, JsonReject, reject_rows
from ktrans.decoders.mapped.table import Table
from ktrans.decoders.read.faults import Faults, line_bounds
from ktrans.decoders.read.json_fast import Parser
from ktrans.decoders.rows import RowBuilder
from ktrans.flow.columns import constant_text, flow_batch
from ktrans.flow.schema import project

C = TypeVar("C", bound=ComponentConfig)


class Frame(Protocol):
    """Cuts objects into blocks of one JSON record a line."""

    def blocks(self, payload: Payload, limits: Limits) -> Iterator[JsonBlock]:
        """Cut an object into blocks."""


class JsonMapDecoder(Decoder[C]):
    """Decodes JSON records by a table.

    Attributes:
        table: maps values of the records to flow columns.
        frame: how the records are stored.
        row_builder: builds the flow rows.
    """

    table: Table
    frame: Frame
    row_builder: type[RowBuilder] = RowBuilder

    def __init__(self, config: C, context: Context | None = None) -> None:
        super().__init__(config, context)
        self._prepare(project(None))

    def _prepare(self, schema: pa.Schema) -> None:
        self._schema = schema
        self._builder = self.row_builder(self.table, schema)
        self._parser = Parser(self._builder.shape)

    def schema(self, columns: Sequence[str] | None) -> pa.Schema:
        """Return the flow schema, narrowed to `columns`; only these are built."""
        schema = project(columns)
        self._prepare(schema)
        return schema

    def blocks(self, payload: Payload) -> Iterator[Any]:
        """Cut an object into blocks of one JSON record a line."""
        return self.frame.blocks(payload, self.context.limits)

    def decode(self, block: Any) -> Decoded:
        """Turn a block into rows and rejects."""
        return self.decode_json(block)

    def decode_json(self, block: JsonBlock, header: Mapping[str, str] | None = None) -> Decoded:
        """Turn JSON lines into rows and rejects.

        Args:
            block: the lines.
            header: values that all records share, for those that do not have them.
        """
        if not block.records:
            rejects = reject_rows(block, self.config.type, self.version)
            return Decoded(flow_batch(self._schema, 0, {}), len(block.rejects), rejects)
        native = self._parser.read(block.data, block.records)
        for name, text in (header or {}).items():
            native.columns.setdefault((name,), constant_text(text, native.rows))
        made = self._builder.build(native, block.uri, block.first_pos)
        bad = fault_rejects(made.faults, block.data, block.first_pos)
        rejects = reject_rows(block, self.config.type, self.version, bad)
        return Decoded(made.batch, block.records + len(block.rejects), rejects, made.skipped)


def fault_rejects(faults: Faults, data: bytes, first_pos: int) -> list[JsonReject]:
    """Give the bad lines of a block with their bytes."""
    if not faults.lines:
        return []
    starts, ends = line_bounds(data)
    return [
        JsonReject(first_pos + line, reason, data[starts[line] : ends[line]], detail)
        for line, reason, detail in zip(*faults.ordered(), strict=True)
    ]
