"""The `sample` enricher: keeps one flow in N, always the same ones, with a weight."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field

from ktrans.api import ComponentConfig, Enricher
from ktrans.enrichers.hashes.hashing import combine, hash_column, mix
from ktrans.kit.columns import rebuild, require_flow, require_integer

_SEED = 0x6B7472616E73  # part of the result: another seed keeps other flows


class SampleEnricherConfig(ComponentConfig, type="sample"):
    """Keeps 1 in `one_in` flows by a hash of addresses, ports and protocol.

    All rows of a flow stay or go together, in both directions, in every run and on every machine.
    Multiply a counter by the weight to estimate the total.
    """

    one_in: int = Field(
        ge=1, le=1_000_000_000, description="Keep one flow in this many.", examples=[100]
    )
    weight_column: str = Field(
        "sample_weight",
        min_length=1,
        description=(
            "The column for the weight, how many flows a row stands for. "
            "One that exists already is multiplied."
        ),
        examples=["sample_weight"],
    )


class SampleEnricher(Enricher[SampleEnricherConfig]):
    """Keeps 1 flow in N, with a weight."""

    drops_rows = True
    _schema: pa.Schema

    def needs(self) -> Sequence[str]:
        """Name the flow's key."""
        return ["src_addr", "dst_addr", "src_port", "dst_port", "protocol"]

    def adds(self) -> Sequence[str]:
        """Name the weight."""
        return [self.config.weight_column]

    def bind(self, schema: pa.Schema) -> pa.Schema:
        """Check the key's columns and add the weight."""
        require_flow(schema, self.needs(), "sample")
        name = self.config.weight_column
        field = pa.field(
            name, pa.int64(), metadata={"description": "How many flows this row stands for"}
        )
        if name in schema.names:
            require_integer(schema, [name], "sample")
            self._schema = schema.set(schema.get_field_index(name), field)
        else:
            self._schema = schema.append(field)
        return self._schema

    def apply(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """Keep the rows whose key's hash is in the lowest N-th of all hashes."""
        highest = np.uint64((2**64 - 1) // self.config.one_in)
        keep = _flow_hash(batch) <= highest
        kept = batch if keep.all() else batch.filter(pa.array(keep))
        name, factor = self.config.weight_column, pa.scalar(self.config.one_in, pa.int64())
        if name in batch.schema.names:
            before = kept.column(name).cast(pa.int64()).fill_null(pa.scalar(1, pa.int64()))
            weight = pc.multiply(before, factor)
        else:
            weight = pa.repeat(factor, kept.num_rows)
        return rebuild(kept, self._schema, {name: weight})


def _flow_hash(batch: pa.RecordBatch) -> np.ndarray:
    """Hash the 5-tuple so that both directions of a flow have the same hash."""
    source, destination = (
        combine(
            hash_column(batch.column(f"{side}_addr"), _SEED),
            hash_column(batch.column(f"{side}_port"), _SEED),
        )
        for side in ("src", "dst")
    )
    return mix(source + destination + hash_column(batch.column("protocol"), _SEED))
