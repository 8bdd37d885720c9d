"""The base of decoders: a frame cuts blocks, a reader finds raw columns, a row builder makes rows."""

from __future__ import annotations

import abc
from collections.abc import Sequence
from typing import TypeVar

import pyarrow as pa

from ktrans.api import ComponentConfig, Context, Decoded, Decoder, Payload, RejectError
from ktrans.decoders.flow_rule import added
from ktrans.decoders.frames.block import Block
from ktrans.decoders.read.faults import Faults
from ktrans.decoders.read.ragged import part_lines
from ktrans.decoders.rows import DecodedRows, joined
from ktrans.flow.columns import flow_batch
from ktrans.flow.schema import project

C = TypeVar("C", bound=ComponentConfig)

_PARQUET = b"PAR1"


def refuse_parquet(payload: Payload, decoder: str) -> None:
    """Raise an error if an object is a Parquet file, for a decoder that cannot read it.

    Raises:
        RejectError: it is one.
    """
    if payload.offset == 0 and payload.head(len(_PARQUET)) == _PARQUET:
        raise RejectError(
            f"{payload.uri}: this is Parquet, which {decoder} does not read",
            code="unknown_format",
            hint="the decoders ktrans, ocsf, aws_vpc and aws_tgw read Parquet, and `auto` chooses",
        )


class FlowDecoder(Decoder[C], abc.ABC):
    """Decodes blocks of records into flow rows and rejects."""

    def __init__(self, config: C, context: Context | None = None) -> None:
        super().__init__(config, context)
        self._schema = project(None)
        self.prepare(self._schema)

    def schema(self, columns: Sequence[str] | None) -> pa.Schema:
        """Return the flow schema, narrowed to `columns`; only these are built."""
        self._schema = project(columns)
        self.prepare(self._schema)
        return self._schema

    @abc.abstractmethod
    def prepare(self, schema: pa.Schema) -> None:
        """Prepare to build the columns of this schema."""

    @abc.abstractmethod
    def rows(self, block: Block) -> DecodedRows:
        """Return the rows of a block that has records."""

    def layout_of(self, block: Block) -> str | None:
        """Return the layout that a replay of this block's bad records needs."""
        del block
        return None

    def _bounded_rows(self, block: Block) -> DecodedRows:
        """Return the rows of a block; of records with names that do not repeat, by small parts."""
        if "attrs" not in self._schema.names or not block.data.startswith(b"{"):
            return self.rows(block)
        size = part_lines(block.data, block.records)
        if size >= block.records:
            return self.rows(block)
        parts = [self.rows(part) for part in block.parts(size)]
        for number, part in enumerate(parts):
            part.faults.lines = [line + number * size for line in part.faults.lines]
        return joined(parts)

    def decode(self, block: Block) -> Decoded:
        """Turn a block into rows and rejects."""
        if block.records:
            rows = self._bounded_rows(block)
        else:
            rows = DecodedRows(flow_batch(self._schema, 0, {}), Faults())
        bad = block.bad_records(rows.faults, self.layout_of(block)) if rows.faults.lines else []
        rejects = block.rejects(bad, self.config.type, self.version)
        return Decoded(
            rows.batch,
            block.total,
            rejects,
            block.skipped + rows.skipped,
            added(block.foreign, rows.foreign),
            dict(rows.unread),
        )
