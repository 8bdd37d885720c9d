"""Google Cloud VPC flow logs: Cloud Logging entries as JSON lines, arrays, or Pub/Sub messages.

Counters are Google's estimates from samples, and bytes those of the payload only. A flow is logged by
each side and by each configuration that covers it; all of these are kept, and differ in `reporter` and
the attribute `resource.labels.name`. Of a drop record whose attribute
`jsonPayload.throughput_inclusion` is INCLUDED, the dropped amount is also part of another record's
counters.

Source: Google Cloud documentation, "About VPC Flow Logs records" and "LogEntry".
"""

from __future__ import annotations

from dataclasses import replace

import pyarrow as pa
import pyarrow.compute as pc

from ktrans.api import ComponentConfig, Head, Sniff
from ktrans.decoders.frames.block import Block
from ktrans.decoders.log import WEAK, Json, Log, col, pattern, where
from ktrans.decoders.logs.gcp_derived import HIDDEN, READS, derive
from ktrans.decoders.mapped.decoder import MappedDecoder
from ktrans.decoders.read.gcp import GcpReader
from ktrans.decoders.read.gcp_members import Wanted
from ktrans.decoders.rows import DecodedRows, RowBuilder, joined
from ktrans.decoders.time_limits import TimeLimits
from ktrans.flow.schema import project

_NAME = r"(?:compute|networkmanagement)\.googleapis\.com(?:%2F|%2f|/)vpc_flows"
_BY_NAME = pattern(rb'"logName"\s*:\s*"[^"]*' + _NAME.encode() + b'"', "logName ends in vpc_flows")
_BY_CONNECTION = pattern(
    rb'(?s)"jsonPayload"\s*:\s*\{.{0,4096}?"connection"\s*:\s*\{',
    "jsonPayload.connection, without a log name",
    score=WEAK,
)


class GcpVpcDecoder(MappedDecoder[ComponentConfig]):
    """Decodes log entries by a reader that parses repeated metadata once."""

    def prepare(self, schema: pa.Schema) -> None:
        """Prepare to build the columns of this schema."""
        times = TimeLimits.of(self.context.limits)
        self._builder = RowBuilder(self.table, schema, times)
        self._placed = RowBuilder(self.table, project([*schema.names, "source_pos"]), times)
        everything = "attrs" in schema.names
        self._reader = GcpReader(Wanted(self.table.needed(schema.names), everything=everything))

    def rows(self, block: Block) -> DecodedRows:
        """Return the rows of log entries."""
        raw = self._reader.read(block.data, block.records)
        if raw is not None:
            return self._builder.build(raw, block.uri, block.first)
        read = [raw for raw in self._reader.sort_out(block.data) if raw is not None]
        rows = joined([self._placed.build(raw, block.uri, block.first) for raw in read])
        order = pc.sort_indices(rows.batch["source_pos"])
        return replace(rows, batch=rows.batch.take(order).select(self._schema.names))


def _sniff(head: Head) -> Sniff | None:
    """Claim entries of VPC flow logs, or weakly entries with a connection and no log name."""
    return _BY_NAME(head) or (None if b'"logName"' in head.data else _BY_CONNECTION(head))


def _service(side: str) -> tuple[str, ...]:
    return (
        f"jsonPayload.{side}_google_service.service_name",
        f"jsonPayload.{side}_gke_details.pod.workload.workload_name",
        f"jsonPayload.{side}_gke_details.pod.pod_workload.workload_name",
    )


LOG = Log(
    "gcp_vpc",
    provider="gcp",
    log_type="gcp.vpc",
    frames=(Json(),),
    columns=(
        col("record_id", "insertId"),
        col("start_time", "jsonPayload.start_time"),
        col("end_time", "jsonPayload.end_time"),
        col("logged_at", "timestamp"),
        col("src_addr", "jsonPayload.connection.src_ip"),
        col("dst_addr", "jsonPayload.connection.dest_ip"),
        col("src_port", "jsonPayload.connection.src_port"),
        col("dst_port", "jsonPayload.connection.dest_port"),
        col("protocol", "jsonPayload.connection.protocol"),
        col("packets", "jsonPayload.packets_sent"),
        col("bytes", "jsonPayload.bytes_sent"),
        col("packets_dropped", "jsonPayload.packets_dropped"),
        col("bytes_dropped", "jsonPayload.bytes_dropped"),
        col("action_reason", "jsonPayload.drop_reason"),
        col(
            "rtt_us",
            "jsonPayload.round_trip_time.median_msec",
            "jsonPayload.rtt_msec",
            multiply=1000,
        ),
        col("account_id", "resource.labels.project_id"),
        col("src_vpc", "jsonPayload.src_vpc.vpc_name"),
        col("dst_vpc", "jsonPayload.dest_vpc.vpc_name"),
        col("src_service", *_service("src")),
        col("dst_service", *_service("dest")),
    ),
    constants={"log_status": "OK"},
    reads=READS,
    hidden=HIDDEN,
    skip=where("logName", unlike=_NAME + "$"),
    derive=derive,
    sniff=_sniff,
    base=GcpVpcDecoder,
)
