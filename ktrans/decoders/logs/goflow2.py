"""NetFlow, IPFIX and sFlow from the collector goflow2: JSON, one flow a line.

Counters stay as the exporter sent them; `sampling_rate` is kept in attrs, since some exporters have
already multiplied by it.

Source: netsampler/goflow2, docs/protocols.md (version 2, snake case) and its version 1 (camel case).
"""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

from ktrans.decoders.integers import to_integers
from ktrans.decoders.log import LIKELY, Json, Log, col, first_of, keys
from ktrans.decoders.times import TimeUnit
from ktrans.decoders.values import Coerced, Convert, Rule, coerce


def _time(unit: TimeUnit) -> Convert:
    """Return a conversion of times in which 0 means that the exporter sent none."""

    def read(column: pa.Array) -> Coerced:
        numbers, bad = to_integers(column)
        if bad is None:
            column = pc.if_else(pc.equal(numbers, 0), pa.scalar(None, pa.int64()), numbers)
        return coerce(Rule("time", unit=unit), column)

    return read


LOG = Log(
    "goflow2",
    provider="goflow2",
    log_type="goflow2",
    frames=(Json(),),
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
    constants={"log_status": "OK", "reporter": "interface"},
    sniff=first_of(
        keys("time_flow_start_ns", "sampler_address", score=LIKELY),
        keys("TimeFlowStart", "SamplerAddress", score=LIKELY),
    ),
)
