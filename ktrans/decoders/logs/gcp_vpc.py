"""Google Cloud VPC flow logs: Cloud Logging entries as JSON lines, arrays, or Pub/Sub messages.

Source: Google Cloud documentation, "About VPC Flow Logs records".
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Literal

import pyarrow as pa
from pydantic import Field

from ktrans.api import (
    BytesPayload,
    ComponentConfig,
    Context,
    Decoded,
    Decoder,
    Head,
    Limits,
    Payload,
    Sniff,
    Split,
)
from ktrans.decoders.frames.json import cut_json
from ktrans.decoders.frames.json_block import JsonBlock, reject_rows
from ktrans.decoders.logs.gcp_table import TABLE
from ktrans.decoders.mapped.decoder import fault_rejects
from ktrans.decoders.read.faults import Faults
from ktrans.decoders.read.gcp import GcpReader
from ktrans.decoders.read.gcp_members import Wanted
from ktrans.decoders.rows import RowBuilder, joined
from ktrans.flow.columns import flow_batch
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


class GcpVpcDecoder(Decoder[GcpVpcDecoderConfig]):
    """Decodes Google Cloud VPC flow logs.

    Counters are Google's estimates from samples, and bytes those of the payload only. A flow is
    logged by each side and by each configuration that covers it; all of these are kept, told apart
    by `reporter` and the attribute `resource.labels.name`. Of a drop record whose attribute
    `jsonPayload.throughput_inclusion` is INCLUDED, the dropped amount is also part of another
    record's counters.
    """

    def __init__(self, config: GcpVpcDecoderConfig, context: Context | None = None) -> None:
        super().__init__(config, context)
        self.schema(None)

    def schema(self, columns: Sequence[str] | None) -> pa.Schema:
        """Give the flow schema, narrowed to `columns`; only these are built."""
        self._schema = project(columns)
        self._builder = RowBuilder(TABLE, self._schema)
        self._placed = RowBuilder(TABLE, project([*self._schema.names, "source_pos"]))
        everything = "attrs" in self._schema.names
        self._reader = GcpReader(Wanted(TABLE.needed(self._schema.names), everything=everything))
        return self._schema

    def blocks(self, payload: Payload) -> Iterator[JsonBlock]:
        """Cut an object into blocks of one log entry a line, taken out of Pub/Sub messages."""
        return cut_json(payload, self.context.limits, pubsub=True)

    def decode(self, block: JsonBlock) -> Decoded:
        """Turn log entries into rows and rejects."""
        native = self._reader.read(block.data, block.records) if block.records else None
        if native is not None:
            made = self._builder.build(native, block.uri, block.first_pos)
            return self._decoded(block, made.batch, made.faults, made.skipped)
        if not block.records:
            return self._decoded(block, flow_batch(self._schema, 0, {}), Faults(), 0)
        read = [native for native in self._reader.sort_out(block.data) if native is not None]
        rows = joined([self._placed.build(native, block.uri, block.first_pos) for native in read])
        batch = rows.batch.select(self._schema.names)
        return self._decoded(block, batch, rows.faults, rows.skipped)

    def _decoded(
        self, block: JsonBlock, batch: pa.RecordBatch, faults: Faults, skipped: int
    ) -> Decoded:
        bad = fault_rejects(faults, block.data, block.first_pos)
        rejects = reject_rows(block, self.config.type, self.version, bad)
        return Decoded(batch, block.records + len(block.rejects), rejects, skipped)


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
    """Give the first bytes, taken out of Pub/Sub messages if they are in any."""
    if b'"message"' not in head.data or b'"data"' not in head.data:
        return head.data
    payload = BytesPayload(Split(head.uri, head.uri), head.data)
    return b"".join(block.data for block in cut_json(payload, Limits(), pubsub=True))
