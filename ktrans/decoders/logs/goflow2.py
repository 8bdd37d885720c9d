"""NetFlow, IPFIX and sFlow as the collector goflow2 writes them: JSON, one flow a line.

Source: netsampler/goflow2, docs/protocols.md (version 2, snake case) and its version 1 (camel case).
"""

from __future__ import annotations

from typing import Literal

import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field

from ktrans.api import ComponentConfig, Head, Sniff
from ktrans.decoders.integers import to_integers
from ktrans.decoders.mapped.decoder import JsonMapDecoder
from ktrans.decoders.mapped.table import Table, col
from ktrans.decoders.times import TimeUnit
from ktrans.decoders.values import Coerced, Convert, Rule, coerce


def _time(unit: TimeUnit) -> Convert:
    """Read times of which 0 means that the exporter gave none."""

    def read(column: pa.Array) -> Coerced:
        numbers, bad = to_integers(column)
        if bad is None:
            column = pc.if_else(pc.equal(numbers, 0), pa.scalar(None, pa.int64()), numbers)
        return coerce(Rule("time", unit=unit), column)

    return read


TABLE = Table(
    columns=(
        col("start_time", "time_flow_start_ns", convert=_time("ns")),
        col("start_time", "time_flow_start", "TimeFlowStart", convert=_time("auto")),
        col("end_time", "time_flow_end_ns", convert=_time("ns")),
        col("end_time", "time_flow_end", "TimeFlowEnd", convert=_time("auto")),
        col("logged_at", "time_received_ns", convert=_time("ns")),
        col("logged_at", "time_received", "TimeReceived", convert=_time("auto")),
        col("src_addr", "src_addr", "SrcAddr"),
        col("dst_addr", "dst_addr", "DstAddr"),
        col("src_port", "src_port", "SrcPort"),
        col("dst_port", "dst_port", "DstPort"),
        col("protocol", "proto", "Proto"),
        col("ip_version", "etype", "Etype"),
        col("packets", "packets", "Packets"),
        col("bytes", "bytes", "Bytes"),
        col("tcp_flags", "tcp_flags", "TCPFlags"),
    ),
    constants={
        "provider": "goflow2",
        "log_type": "goflow2",
        "log_status": "OK",
        "reporter": "interface",
    },
)


class Goflow2DecoderConfig(ComponentConfig):
    """Options of the `goflow2` decoder."""

    type: Literal["goflow2"] = Field(
        default="goflow2", description="Which component this is.", examples=["goflow2"]
    )


class Goflow2Decoder(JsonMapDecoder[Goflow2DecoderConfig]):
    """Decodes the JSON of goflow2.

    Counters stay as the exporter sent them; `sampling_rate` is kept in attrs, since some exporters
    have multiplied by it already.
    """

    table = TABLE


def sniff(head: Head) -> Sniff | None:
    """Claim JSON with the names that goflow2 gives to a flow's times."""
    if head.columns is None and head.data.lstrip()[:1] == b"{":
        line = head.data.lstrip().partition(b"\n")[0]
        if b'"time_flow_start_ns"' in line and b'"sampler_address"' in line:
            return Sniff(95, "fields time_flow_start_ns and sampler_address of goflow2")
        if b'"TimeFlowStart"' in line and b'"SamplerAddress"' in line:
            return Sniff(95, "fields TimeFlowStart and SamplerAddress of goflow2 version 1")
    return None
