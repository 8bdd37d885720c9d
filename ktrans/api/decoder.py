"""Decoders: bytes into record batches of the flow schema.

A decoder works in two steps so that one large object can keep every core busy. `blocks` runs in one
thread and only does what must be done in order: inflate, cut at record borders, follow headers,
count positions. `decode` turns one block into rows; it is pure and runs in any thread, several
blocks at a time.
"""

from __future__ import annotations

import abc
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from ktrans.api.component import C, Component

if TYPE_CHECKING:
    import pyarrow as pa

    from ktrans.api.payload import Payload


@dataclass(frozen=True, slots=True)
class Head:
    """What a sniffer may look at: the object's name and its first bytes, already inflated.

    Attributes:
        uri: the object's name; a hint at best, since names lie.
        data: up to 64 KiB from the start of the object, inflated.
        columns: names of the columns, when the object is a Parquet file.
    """

    uri: str
    data: bytes
    columns: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class Sniff:
    """A sniffer's claim on an object.

    Attributes:
        score: 0 to 100; 100 means the format names itself, 50 that it merely looks like it.
        why: what was seen, for people: "header line names 14 known fields".
        options: config values for the decoder that follow from what was seen.
    """

    score: int
    why: str
    options: dict[str, Any] | None = None


@dataclass(slots=True)
class Decoded:
    """What one block became.

    records is counted apart from the rows, so that the ledger has something to check:
    records = rows + rejects + skipped.

    Attributes:
        batch: rows, in the order of the input; may have no rows.
        records: how many records the block held (lines, tuples, JSON objects).
        rejects: records that could not become rows (REJECT_SCHEMA), or None.
        skipped: records that are not flows and are not meant to be: headers, blank and comment
            lines, foreign log entries, control messages.
    """

    batch: pa.RecordBatch
    records: int
    rejects: pa.RecordBatch | None = None
    skipped: int = 0


class Decoder(Component[C], abc.ABC):
    """Turns the bytes of a payload into rows of the flow schema."""

    version: ClassVar[str] = "1"
    """Changed when the same bytes decode differently; recorded with each reject."""

    @abc.abstractmethod
    def schema(self, columns: Sequence[str] | None) -> pa.Schema:
        """Give the schema of the batches, and build only `columns` from now on (None: all).

        Called once, before any block. Unknown names are left out of the answer.
        """

    @abc.abstractmethod
    def blocks(self, payload: Payload) -> Iterator[Any]:
        """Cut a payload into blocks that decode on their own, in order; one thread.

        A block has an attribute `nbytes`, so that the engine can bound what is in flight.

        Raises:
            TruncatedError: the stream ends early and `payload.final_attempt` is False.
            RejectError: nothing of this payload can be decoded.
        """

    @abc.abstractmethod
    def decode(self, block: Any) -> Decoded:
        """Turn a block into rows. Pure: the same block always gives the same rows; any thread.

        Bad records become rejects; only a defect raises.
        """

    def replay(self, payload: Payload, layout: str | None) -> Iterator[Any]:
        """Give blocks for the raw bytes of earlier rejects, one record a line, of this layout."""
        del layout
        return self.blocks(payload)

    def choices(self) -> dict[str, str]:
        """Say what was chosen for which object, for the receipt (`auto` does)."""
        return {}
