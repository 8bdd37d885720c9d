"""How the records of a log are stored in an object, as a log declares it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Protocol

from ktrans.api import BytesPayload, Decoder, Head, Limits, Payload, Split
from ktrans.decoders.frames.block import Block
from ktrans.decoders.frames.json import cut_json
from ktrans.decoders.frames.json_log_events import cut_events, is_wrapped, messages_of
from ktrans.decoders.mapped.decoder import JsonMapDecoder
from ktrans.decoders.read.parquet_mapped import TableDecoder


class Frame(Protocol):
    """How the records of a log are stored."""

    @property
    def decoder(self) -> type[Decoder[Any]]:
        """The decoder of such records by a table."""

    def without_carrier(self, head: Head) -> Head:
        """Return the first bytes of an object as those of the records in it."""


@dataclass(frozen=True, slots=True)
class Json:
    """JSON objects: one a line, one after the other, in an array, or in an array of a document.

    Attributes:
        arrays: keys of the arrays that hold the records of a document.
        pubsub: whether records also come in the body of Pub/Sub push requests.
        log_events: a key of every record, if records also come as messages of CloudWatch log events.
        control: the record to put in the place of a control message among log events.
        parquet: whether records also come as rows of Parquet files.
    """

    arrays: tuple[str, ...] = ()
    pubsub: bool = False
    log_events: str | None = None
    control: bytes = b"{}"
    parquet: bool = False

    @property
    def decoder(self) -> type[Decoder[Any]]:
        """The decoder of JSON records by a table."""
        return TableDecoder if self.parquet else JsonMapDecoder

    def blocks(self, payload: Payload, limits: Limits) -> Iterator[Block]:
        """Cut an object into blocks of one record a line."""
        if self.log_events is not None and is_wrapped(payload, self.log_events.encode()):
            return cut_events(payload, limits, control=self.control)
        return cut_json(payload, limits, unwrap=self.arrays, pubsub=self.pubsub)

    def without_carrier(self, head: Head) -> Head:
        """Return the first bytes of an object as those of the records in it."""
        data = head.data
        if head.columns is not None:
            return head
        if self.pubsub and b'"message"' in data and b'"data"' in data:
            payload = BytesPayload(Split(head.uri, head.uri), data)
            return Head(head.uri, b"".join(b.data for b in self.blocks(payload, Limits())))
        if self.log_events is not None and data.lstrip()[:1] == b"{":
            own = b'"%s"' % self.log_events.encode()
            if own not in data:
                escaped = data.replace(b'\\"', b'"')
                return Head(head.uri, escaped if own in escaped else b"\n".join(messages_of(data)))
        return head
