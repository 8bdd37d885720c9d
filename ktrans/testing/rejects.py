"""Collects the rejects of a decoder for a test."""

from __future__ import annotations

from typing import Any

import pyarrow as pa

from ktrans.api import REJECT_SCHEMA, BytesPayload, Decoded, Decoder, Split


class CollectedRejects:
    """The rejects of some blocks, in their order.

    >>> from ktrans.api import reject_batch
    >>> found = CollectedRejects()
    >>> found.add(reject_batch("mem://a", [3], ["bad_number"], [b"x"], decoder="acme"))
    >>> found.reasons, found.positions, found.raw
    (['bad_number'], [3], [b'x'])
    """

    def __init__(self) -> None:
        self._batches: list[pa.RecordBatch] = []

    def add(self, what: Decoded | pa.RecordBatch | None) -> None:
        """Add the rejects of a block, if it has any."""
        batch = what.rejects if isinstance(what, Decoded) else what
        if batch is not None:
            assert batch.schema.equals(REJECT_SCHEMA), "not of REJECT_SCHEMA: use reject_batch"
            self._batches.append(batch)

    def decode(self, decoder: Decoder[Any], data: bytes, uri: str = "mem://object") -> pa.Table:
        """Decode an object, collect its rejects, return its rows."""
        schema = decoder.schema(None)
        rows = []
        for block in decoder.blocks(BytesPayload(Split(uri, uri), data)):
            decoded = decoder.decode(block)
            self.add(decoded)
            rows.append(decoded.batch)
        return pa.Table.from_batches(rows, schema)

    @property
    def table(self) -> pa.Table:
        """All of them, of REJECT_SCHEMA."""
        return pa.Table.from_batches(self._batches, REJECT_SCHEMA)

    @property
    def reasons(self) -> list[str]:
        """Their reason codes."""
        return list(self.table["reason"].to_pylist())

    @property
    def positions(self) -> list[int | None]:
        """Their positions in their objects."""
        return list(self.table["source_pos"].to_pylist())

    @property
    def raw(self) -> list[bytes | None]:
        """Their bytes."""
        return list(self.table["raw"].to_pylist())

    def __len__(self) -> int:
        return int(self.table.num_rows)
