"""The decoder of a pipeline, with whatever carries its records taken off first."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from ktrans.api import Decoded, Decoder, Payload
from ktrans.flow.schema import project

if TYPE_CHECKING:
    from ktrans.decoders.carriers.reader import CarrierReader

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
        return self._reader.blocks(payload)

    def replay(self, payload: Payload, layout: str | None) -> Iterator[Any]:
        """Return blocks of the raw bytes of earlier rejects that were in no carrier."""
        return self._inner.replay(payload, layout)

    def replay_carried(
        self, uri: str, records: Sequence[tuple[bytes, str]], layout: str | None
    ) -> Iterator[Any]:
        """Return blocks of rejects that were in a carrier: their bytes, and what it said."""
        return self._reader.replay_carried(uri, records, layout)

    def decode(self, block: Any) -> Decoded:
        """Turn a block into rows and rejects, with what a carrier says about them."""
        decoded = self._reader.decode(block, self._schema)
        if self._read is not self._schema:
            decoded.batch = decoded.batch.select(self._schema.names)
        return decoded

    def choices(self) -> dict[str, str]:
        """Return what was chosen for which object."""
        return self._inner.choices()

    def close(self) -> None:
        """Close the decoder."""
        self._inner.close()

    @cached_property
    def _reader(self) -> CarrierReader:
        """What reads; imported with the first object, which many runs do not have."""
        from ktrans.decoders.carriers.reader import CarrierReader

        return CarrierReader(self._inner)
