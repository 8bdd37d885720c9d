"""The base of decoders: a frame cuts blocks, a reader finds raw columns, a row builder makes rows."""

from __future__ import annotations

import abc
from collections.abc import Sequence
from typing import TYPE_CHECKING, TypeVar

import pyarrow as pa

from ktrans.api import ComponentConfig, Context, Decoded, Decoder, Payload, RejectError
from ktrans.flow.schema import project
from ktrans.kit.text.magic import PARQUET_MAGIC

if TYPE_CHECKING:
    from ktrans.decoders.frames.block import Block
    from ktrans.decoders.rows import DecodedRows

C = TypeVar("C", bound=ComponentConfig)


def refuse_parquet(payload: Payload, decoder: str) -> None:
    """Raise an error if an object is a Parquet file, for a decoder that cannot read it.

    Raises:
        RejectError: it is one.
    """
    if payload.offset == 0 and payload.head(len(PARQUET_MAGIC)) == PARQUET_MAGIC:
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

    def decode(self, block: Block) -> Decoded:
        """Turn a block into rows and rejects."""
        from ktrans.decoders.decode_block import decode_block

        return decode_block(
            block, self._schema, self.rows, self.layout_of, self.config.type, self.version
        )
