"""Reads objects by a decoder, and what carriers hold by it as well."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from ktrans.api import Decoded, Decoder, Payload, RejectError
from ktrans.decoders.carriers.blocks import CarriedBlock, OwnBlock
from ktrans.decoders.carriers.chain import Chain
from ktrans.decoders.carriers.messages import from_json, to_json
from ktrans.decoders.carriers.peek import Peeked
from ktrans.decoders.carriers.strands import Choose, Strands
from ktrans.flow.columns import flow_batch
from ktrans.kit.text.magic import PARQUET_MAGIC

_POSITION = "source_pos"


class CarrierReader:
    """Cuts objects and what they carry into blocks, and decodes these."""

    def __init__(self, inner: Decoder[Any]) -> None:
        self._inner = inner
        self._limits = inner.context.limits
        self._choose: Choose | None = getattr(inner, "chosen", None)  # `auto` has it

    def blocks(self, payload: Payload) -> Iterator[Any]:
        """Cut an object into blocks: its own, or those of the records that it carries."""
        with Peeked(payload) as peeked:
            chooses = self._choose is not None
            chain = Chain(self._inner, peeked, self._limits, chooses=chooses)
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

    def replay_carried(
        self, uri: str, records: Sequence[tuple[bytes, str]], layout: str | None
    ) -> Iterator[Any]:
        """Return blocks of rejects that were in a carrier: their bytes, and what it said."""
        messages = [from_json(raw, carrier) for raw, carrier in records]
        return self._strands(uri, 1).replay(messages, layout)

    def _strands(self, uri: str, first: int) -> Strands:
        choose = self._choose or (lambda *_: self._inner)
        return Strands(uri, first, self._limits, choose, by_looks=self._choose is not None)

    def decode(self, block: Any, schema: pa.Schema) -> Decoded:
        """Turn a block into rows and rejects, with what a carrier says; rows that are none have `schema`."""
        if isinstance(block, OwnBlock):
            return self._own(block, schema)
        if isinstance(block, CarriedBlock):
            return self._carried(block)
        return self._inner.decode(block)

    def _own(self, block: OwnBlock, schema: pa.Schema) -> Decoded:
        own = block.block
        rejects = own.rejects((), self._inner.config.type, self._inner.version)
        if rejects is not None:
            texts = [None if m is None else to_json(m.origin, m.id, m.micros) for m in block.said]
            rejects = _set(rejects, "carrier", pa.array(texts, pa.string()))
        none = flow_batch(schema, 0, {})
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
