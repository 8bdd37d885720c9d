"""NetFlow, IPFIX and sFlow from the collector goflow2: JSON, one flow a line.

Counters stay as the exporter sent them, unless the option `scale` multiplies them by the sampling rate:
some exporters have done so already. The rate is kept in attrs.

Times come in seconds, milliseconds and nanoseconds, by the version of goflow2; the most exact one counts.

Source: netsampler/goflow2, docs/protocols.md (version 2, snake case) and its version 1 (camel case).
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ktrans.decoders.flow_rule import named_records
from ktrans.decoders.integers import to_integers
from ktrans.decoders.log import LIKELY, Json, Log, col, first_of, keys
from ktrans.decoders.mapped.table import Col
from ktrans.decoders.read.raw_columns import RawColumns
from ktrans.decoders.texts import where
from ktrans.decoders.times import TimeUnit
from ktrans.decoders.values import Coerced, Convert, Rule, coerce, is_ip_type, text_of


def _time(unit: TimeUnit) -> Convert:
    """Return a conversion of times in which 0 means that the exporter sent none."""

    def read(column: pa.Array) -> Coerced:
        numbers, bad = to_integers(column)
        if bad is None:
            column = pc.if_else(pc.equal(numbers, 0), pa.scalar(None, pa.int64()), numbers)
        return coerce(Rule("time", unit=unit), column)

    return read


def _times(column: str, name: str, old: str) -> tuple[Col, ...]:
    """Map a time to its names in both versions of goflow2, the most exact unit first."""
    return (
        col(column, f"{name}_ns", f"{old}Ns", convert=_time("ns")),
        col(column, f"{name}_ms", f"{old}Ms", convert=_time("ms")),
        col(column, name, old, convert=_time("auto")),
    )


def _frames_without_ip(raw: RawColumns) -> pa.DictionaryArray | None:
    """Name the samples of frames that are not IP, such as ARP, by their type."""
    addressed = np.zeros(raw.rows, dtype=bool)
    names = None
    for path, column in raw.columns.items():
        if path[0] in ("src_addr", "SrcAddr", "dst_addr", "DstAddr"):
            addressed |= np.asarray(text_of(column).is_valid())
        elif path[0] in ("etype", "Etype"):
            names = named_records(text_of(column), path[0], lambda word: not is_ip_type(word))
    if names is None or addressed.all():
        return None
    found = where(names, ~addressed)
    return found if found.null_count < raw.rows else None


LOG = Log(
    "goflow2",
    provider="goflow2",
    log_type="goflow2",
    frames=(Json(),),
    columns=(
        *_times("start_time", "time_flow_start", "TimeFlowStart"),
        *_times("end_time", "time_flow_end", "TimeFlowEnd"),
        *_times("logged_at", "time_received", "TimeReceived"),
        col("src_addr", "src_addr", "SrcAddr"),
        col("dst_addr", "dst_addr", "DstAddr"),
        col("src_port", "src_port", "SrcPort"),
        col("dst_port", "dst_port", "DstPort"),
        col("protocol", "proto", "Proto"),
        col("ip_version", "etype", "Etype"),
        col("packets", "packets", "Packets"),
        col("bytes", "bytes", "Bytes"),
        col("tcp_flags", "tcp_flags", "TCPFlags", "TcpFlags"),
    ),
    rate=(("sampling_rate",), ("SamplingRate",)),
    constants={"log_status": "OK", "reporter": "interface"},
    skip=_frames_without_ip,
    sniff=first_of(
        keys("time_flow_start_ns", "sampler_address", score=LIKELY),
        keys("TimeFlowStart", "SamplerAddress", score=LIKELY),
        keys("time_flow_start", "sampler_address", score=LIKELY),
    ),
)
