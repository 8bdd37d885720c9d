"""Google Cloud VPC flow logs: Cloud Logging entries as JSON lines, arrays, or Pub/Sub messages.

Source: Google Cloud documentation, "About VPC Flow Logs records".
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Literal

import pyarrow as pa
from pydantic import Field

from ktrans.api import (
    BytesPayload,
    ComponentConfig,
    Head,
    Limits,
    Payload,
    Sniff,
    Split,
)
from ktrans.decoders.base import FlowDecoder
from ktrans.decoders.frames.block import Block
from ktrans.decoders.frames.json import cut_json
from ktrans.decoders.logs.gcp_table import TABLE
from ktrans.decoders.read.gcp import GcpReader
from ktrans.decoders.read.gcp_members import Wanted
from ktrans.decoders.rows import DecodedRows, RowBuilder, joined
from ktrans.flow.schema import project

_NAMED = re.compile(
    rb'"logName"\s*:\s*"[^"]*(?:compute|networkmanagement)\.googleapis\.com(?:%2[Ff]|/)vpc_flows"'
)
_CONNECTION = re.compile(rb'"jsonPayload"\s*:\s*\{.{0,4096}?"connection"\s*:\s*\{', re.DOTALL)


class GcpVpcDecoderConfig(ComponentConfig):
    """Options of the `gcp_vpc` decoder."""

    type: Literal["gcp_vpc"] = Field(
        default="gcp_vpc", description="Which component this is.", examples=["gcp_vpc"]
    )


class GcpVpcDecoder(FlowDecoder[GcpVpcDecoderConfig]):
    """Decodes Google Cloud VPC flow logs.

    Counters are Google's estimates from samples, and bytes those of the payload only. A flow is
    logged by each side and by each configuration that covers it; all of these are kept, told apart
    by `reporter` and the attribute `resource.labels.name`. Of a drop record whose attribute
    `jsonPayload.throughput_inclusion` is INCLUDED, the dropped amount is also part of another
    record's counters.
    """

    def prepare(self, schema: pa.Schema) -> None:
        """Prepare to build the columns of this schema."""
        self._builder = RowBuilder(TABLE, schema)
        self._placed = RowBuilder(TABLE, project([*schema.names, "source_pos"]))
        everything = "attrs" in schema.names
        self._reader = GcpReader(Wanted(TABLE.needed(schema.names), everything=everything))

    def blocks(self, payload: Payload) -> Iterator[Block]:
        """Cut an object into blocks of one log entry a line, taken out of Pub/Sub messages."""
        return cut_json(payload, self.context.limits, pubsub=True)

    def rows(self, block: Block) -> DecodedRows:
        """Return the rows of log entries."""
        raw = self._reader.read(block.data, block.records)
        if raw is not None:
            return self._builder.build(raw, block.uri, block.first)
        read = [raw for raw in self._reader.sort_out(block.data) if raw is not None]
        rows = joined([self._placed.build(raw, block.uri, block.first) for raw in read])
        return replace(rows, batch=rows.batch.select(self._schema.names))


def sniff(head: Head) -> Sniff | None:
    """Claim JSON whose log names are those of VPC flow logs."""
    if head.columns is not None:
        return None
    data = _unwrapped(head)
    if _NAMED.search(data):
        return Sniff(100, "logName ends in vpc_flows")
    if b'"logName"' not in data and _CONNECTION.search(data):
        return Sniff(60, "jsonPayload.connection, without a log name")
    return None


def _unwrapped(head: Head) -> bytes:
    """Return the first bytes, without the Pub/Sub messages around them."""
    if b'"message"' not in head.data or b'"data"' not in head.data:
        return head.data
    payload = BytesPayload(Split(head.uri, head.uri), head.data)
    return b"".join(block.data for block in cut_json(payload, Limits(), pubsub=True))
