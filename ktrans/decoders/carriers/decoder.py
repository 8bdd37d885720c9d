"""The decoder of a pipeline, with whatever carries its records taken off first."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from ktrans.api import Decoded, Decoder, Payload, RejectError
from ktrans.decoders.auto import AutoDecoder
from ktrans.decoders.carriers.blocks import CarriedBlock, OwnBlock
from ktrans.decoders.carriers.chain import Chain
from ktrans.decoders.carriers.messages import from_json, to_json
from ktrans.decoders.carriers.peek import Peeked
from ktrans.decoders.carriers.strands import Strands
from ktrans.decoders.read.parquet import PARQUET_MAGIC
from ktrans.flow.columns import flow_batch
from ktrans.flow.schema import project

_POSITION = "source_pos"


class CarrierDecoder(Decoder[Any]):
    """Reads objects by another decoder, and what carriers hold by it as well."""

    def __init__(self, inner: Decoder[Any]) -> None:
        super().__init__(inner.config, inner.context)
        self._inner = inner
        self._schema = self._read = project(None)

    @property
    def version(self) -> str:  # type: ignore[override]
        """The version of the decoder."""
        return self._inner.version

    def schema(self, columns: Sequence[str] | None) -> pa.Schema:
        """Return the schema of the decoder; positions are always read, to find what was said."""
        self._schema = self._read = self._inner.schema(columns)
        if columns is not None and _POSITION not in self._schema.names:
            self._read = self._inner.schema([*columns, _POSITION])
        return self._schema

    def blocks(self, payload: Payload) -> Iterator[Any]:
        """Cut an object into blocks: its own, or those of the records that it carries."""
        with Peeked(payload) as peeked:
            chooses = isinstance(self._inner, AutoDecoder)
            limits = self.context.limits
            chain = Chain(self._inner, peeked, limits, chooses=chooses)
            items, begun = chain.items(), False
            if items is None:
                try:
                    for block in self._inner.blocks(peeked):
                        begun = True
                        yield block
                except RejectError as error:
                    if begun or not peeked.start.startswith(PARQUET_MAGIC):
                        raise
                    items = chain.items_after(error)
            if items is not None:
                yield from self._strands(payload.uri, first_position(payload)).blocks(items)

    def replay(self, payload: Payload, layout: str | None) -> Iterator[Any]:
        """Return blocks of the raw bytes of earlier rejects that were in no carrier."""
        return self._inner.replay(payload, layout)

    def replay_carried(
        self, uri: str, records: Sequence[tuple[bytes, str]], layout: str | None
    ) -> Iterator[Any]:
        """Return blocks of rejects that were in a carrier: their bytes, and what it said."""
        messages = [from_json(raw, carrier) for raw, carrier in records]
        return self._strands(uri, 1).replay(messages, layout)

    def _strands(self, uri: str, first: int) -> Strands:
        inner = self._inner
        if isinstance(inner, AutoDecoder):
            return Strands(uri, first, self.context.limits, inner.chosen, by_looks=True)
        return Strands(uri, first, self.context.limits, lambda *_: inner, by_looks=False)

    def decode(self, block: Any) -> Decoded:
        """Turn a block into rows and rejects, with what a carrier says about them."""
        if isinstance(block, OwnBlock):
            return self._own(block)
        if isinstance(block, CarriedBlock):
            decoded = self._carried(block)
        else:
            decoded = self._inner.decode(block)
        if self._read is not self._schema:
            decoded.batch = decoded.batch.select(self._schema.names)
        return decoded

    def choices(self) -> dict[str, str]:
        """Return what was chosen for which object."""
        return self._inner.choices()

    def close(self) -> None:
        """Close the decoder."""
        self._inner.close()

    def _own(self, block: OwnBlock) -> Decoded:
        rejects = block.block.rejects((), self.config.type, self.version)
        if rejects is not None:
            texts = [None if m is None else to_json(m.origin, m.id, m.micros) for m in block.said]
            rejects = _set(rejects, "carrier", pa.array(texts, pa.string()))
        own = block.block
        none = flow_batch(self._schema, 0, {})
        return Decoded(none, own.total, rejects, own.skipped, own.foreign)

    def _carried(self, block: CarriedBlock) -> Decoded:
        decoded = block.decoder.decode(block.inner)
        index, positions = block.places(np.asarray(decoded.batch.column(_POSITION)))
        batch = block.said.fill(decoded.batch, index)
        decoded.batch = _set(batch, _POSITION, pa.array(positions, pa.int64()))
        rejects = decoded.rejects
        if rejects is not None:
            index, positions = block.places(np.asarray(rejects.column(_POSITION)))
            rejects = _set(rejects, _POSITION, pa.array(positions, pa.int64()))
            decoded.rejects = _set(rejects, "carrier", block.said.texts(index))
        return decoded


def first_position(payload: Payload) -> int:
    """Return the position of a payload's first record.

    How many records the parts of a growing object before this one had is not known, so positions count on
    from the part's offset: no record is shorter than a byte.
    """
    return payload.offset + 1 if payload.offset else payload.first_line


def _set(batch: pa.RecordBatch, name: str, column: pa.Array) -> pa.RecordBatch:
    place = batch.schema.get_field_index(name)
    return batch.set_column(place, batch.schema.field(place), column)
