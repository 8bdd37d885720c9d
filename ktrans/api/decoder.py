"""Decoders turn bytes into record batches of the flow schema.

`blocks` runs in one thread and does only what needs order: decompress, cut at record ends, follow
headers, count positions. `decode` turns one block into rows; it is pure and runs in many threads.

>>> from ktrans.api import BytesPayload, Decoded, Decoder, ComponentConfig, Split
>>> import pyarrow as pa
>>> class PortDecoder(Decoder[ComponentConfig]):
...     def schema(self, columns):
...         return pa.schema({"dst_port": pa.int32()})
...     def blocks(self, payload):
...         with payload.open() as stream:
...             yield memoryview(stream.read())
...     def decode(self, block):
...         ports = [int(line) for line in bytes(block).split()]
...         return Decoded(pa.record_batch({"dst_port": pa.array(ports, pa.int32())}), len(ports))
>>> decoder = PortDecoder(ComponentConfig(type="ports"))
>>> [block] = decoder.blocks(BytesPayload(Split("a", "a"), b"22 443"))
>>> decoder.decode(block).batch["dst_port"].to_pylist()
[22, 443]
"""

from __future__ import annotations

import abc
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

from ktrans.api.component import C, Component
from ktrans.api.payload import Payload

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True, slots=True)
class Head:
    """The part of an object that a sniffer may look at.

    Attributes:
        uri: the object's name; only a hint.
        data: up to 64 KiB from the start of the object, decompressed.
        columns: the names of the columns, if the object is a Parquet file.
    """

    uri: str
    data: bytes
    columns: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class Sniff:
    """A sniffer's answer that its decoder can read an object.

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
    """The result of one block. The ledger checks that records = rows + rejects + skipped.

    Attributes:
        batch: rows in the order of the input; may be empty.
        records: how many records the block held (lines, tuples, JSON objects), counted apart.
        rejects: records that could not become rows (REJECT_SCHEMA), or None.
        skipped: records that are no flows by design: headers, blank and comment lines, records of
            another kind.
        foreign: how many of these are records of another kind (alerts, control messages, entries of
            another log), by what they are.
        unread: how many values could not be read and became null, by column. A value without
            which there is no flow is not among them: its record is a reject.
    """

    batch: pa.RecordBatch
    records: int
    rejects: pa.RecordBatch | None = None
    skipped: int = 0
    foreign: Mapping[str, int] = field(default_factory=dict)
    unread: Mapping[str, int] = field(default_factory=dict)


class Decoder(Component[C], abc.ABC):
    """Turns the bytes of a payload into rows of the flow schema."""

    version: ClassVar[str] = "1"
    """Changed when the same bytes decode differently; recorded with each reject."""

    line_records: ClassVar[bool] = True
    """Whether each line of text that is not blank is one record, and its number the position. Otherwise
    records that something else carries (log events, say) are decoded one by one."""

    json_records: ClassVar[bool] = True
    """Whether records may be JSON objects. If not, each JSON object carries records, or is refused."""

    @abc.abstractmethod
    def schema(self, columns: Sequence[str] | None) -> pa.Schema:
        """Return the schema of the batches, restricted to `columns` from now on (None: all).

        Called once, before any block. Unknown names are ignored.
        """

    @abc.abstractmethod
    def blocks(self, payload: Payload) -> Iterator[Any]:
        """Cut a payload into blocks that decode independently, in order; one thread.

        A block has an attribute `nbytes`, by which the engine limits the memory in flight.

        Raises:
            TruncatedError: the stream ends early and `payload.final_attempt` is False.
            RejectError: nothing of this payload can be decoded.
        """

    @abc.abstractmethod
    def decode(self, block: Any) -> Decoded:
        """Turn a block into rows. Pure, any thread. Bad records become rejects, not errors."""

    def is_record(self, value: Mapping[str, Any]) -> bool:
        """Return whether a JSON object is a record, rather than an object with one as text in it.

        Objects with a text named `message`, `log` or the like are opened unless this is true.
        """
        del value
        return self.json_records

    def replay(self, payload: Payload, layout: str | None) -> Iterator[Any]:
        """Return blocks of the raw bytes of earlier rejects, one record a line, of this layout."""
        del layout
        return self.blocks(payload)

    def choices(self) -> dict[str, str]:
        """Return what was chosen for which object, for the receipt (used by `auto`).

        The key `...` may count objects that are not listed.
        """
        return {}
