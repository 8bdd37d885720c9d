"""Flows of Kentik's KTranslate in its formats `flat_json` and `json`: arrays of records, or one a line.

`json` has the fields that a source adds in three objects (`custom_str`, `custom_int`, `custom_bigint`);
`flat_json` has them at the top. Go writes 0 and empty texts for what it does not know: they are no values.

Counters: a record counts in `in_bytes`, or in `out_bytes` if it was seen on the way out. Where it counts
in both, the second is the other direction. They stay as they are, unless the option `scale` multiplies them by
`sample_rate`.

The time of a record is when it was received; of AWS, its start. Times come in seconds and in nanoseconds,
by the version of KTranslate. Of its other records (SNMP, synthetic tests) none is a flow.

Source: kentik/ktranslate, `pkg/kt/types.go` (JCHF), `pkg/formats/json`, and what its inputs fill in:
`pkg/inputs/flow/format.go`, `pkg/inputs/vpc/aws/aws.go`, `pkg/inputs/vpc/gcp/types.go`, `pkg/cat/jchf.go`.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ktrans.decoders.integers import to_integers
from ktrans.decoders.log import Json, Log, col, each_text, keys, where
from ktrans.decoders.partial_rows import PartialRows
from ktrans.decoders.texts import where as where_true
from ktrans.decoders.values import Coerced, Convert, Rule, coerce
from ktrans.flow.columns import constant_text

_NO_ADDRESS = ("", "-", "<nil>")
_NO_HOP = (*_NO_ADDRESS, "0.0.0.0", "::")  # noqa: S104 - nothing is listened on
_ZERO = ("", "0")
_NO_MAC = ("", "00:00:00:00:00:00", "00:00:00:00:00:00:00:00")
_NO_GEO = ("", "--")
_STATUSES = ("OK", "NODATA", "SKIPDATA")


def _unless_zero(rule: Rule) -> Convert:
    """Return a conversion of numbers in which 0 means that there is none."""

    def read(column: pa.Array) -> Coerced:
        numbers, bad = to_integers(column)
        if bad is None:
            column = pc.if_else(pc.equal(numbers, 0), pa.scalar(None, pa.int64()), numbers)
        return coerce(rule, column)

    return read


def _one_direction(rows: PartialRows) -> None:
    """Take what was counted on the way out as the flow's, unless both ways were counted."""
    columns = rows.columns
    zero = pa.scalar(0, pa.int64())
    counts = [columns.get(name) for name in ("bytes", "packets", "bytes_rev", "packets_rev")]
    into, out = (
        pc.greater(pc.add(*(zero if one is None else pc.coalesce(one, zero) for one in pair)), zero)
        for pair in (counts[:2], counts[2:])
    )
    only_out = pc.and_(out, pc.invert(into))
    if not isinstance(only_out, pa.Array):
        return  # the record counts nothing
    none = pa.scalar(None, pa.int64())
    for name in ("bytes", "packets"):
        back = columns.get(f"{name}_rev")
        if back is None:
            continue
        there = columns.get(name)
        there = pa.nulls(rows.rows, pa.int64()) if there is None else there
        columns[name] = pc.if_else(only_out, back, there)
        columns[f"{name}_rev"] = pc.if_else(pc.and_(out, into), back, none)
    if "direction" in rows.wanted and pc.any(only_out).as_py():
        rows.fill("direction", where_true(constant_text("egress", rows.rows), np.asarray(only_out)))


LOG = Log(
    "ktranslate",
    provider="ktranslate",
    log_type="ktranslate",
    frames=(Json(),),
    envelopes=((), ("custom_str",), ("custom_int",), ("custom_bigint",)),
    columns=(
        col("start_time", "TimeFlowStart", "start_time", convert=_unless_zero(Rule("time"))),
        col("end_time", "TimeFlowEnd", "end_time", convert=_unless_zero(Rule("time"))),
        col("logged_at", "timestamp", convert=_unless_zero(Rule("time"))),
        col("src_addr", "src_addr", nulls=_NO_ADDRESS),
        col("dst_addr", "dst_addr", nulls=_NO_ADDRESS),
        col("src_pkt_addr", "source_pkt_addr", nulls=_NO_ADDRESS),
        col("dst_pkt_addr", "dest_pkt_addr", nulls=_NO_ADDRESS),
        col("src_port", "l4_src_port"),
        col("dst_port", "l4_dst_port"),
        col("protocol", "protocol"),
        col("bytes", "in_bytes"),
        col("packets", "in_pkts"),
        col("bytes_rev", "out_bytes"),
        col("packets_rev", "out_pkts"),
        col("tcp_flags", "tcp_flags"),
        col("direction", "flow_direction", "FlowDirection", lower=True),
        col("reporter", "reporter", values={"src": "source", "dest": "destination"}),
        col("action", "action", lower=True),
        col("log_status", "status", convert=each_text(lambda t: t if t in _STATUSES else None)),
        col("rtt_us", "rtt_msec", convert=_unless_zero(Rule("count", multiply=1000))),
        col("account_id", "account_id"),
        col("src_vpc", "source_vpc"),
        col("dst_vpc", "dest_vpc"),
        col("src_service", "source_pkt_service"),
        col("dst_service", "dest_pkt_service"),
    ),
    defaults={"log_status": "OK", "reporter": "interface"},
    always=frozenset({"bytes", "packets", "bytes_rev", "packets_rev"}),
    hidden=frozenset({("eventType",), ("src_endpoint",), ("dst_endpoint",)}),
    skip=where("eventType", not_="KFlow"),
    derive=_one_direction,
    rate=(("sample_rate",),),
    unset={
        **dict.fromkeys(
            (
                "dst_as", "src_as", "header_len", "input_port", "output_port", "ip_size",
                "sampled_packet_size", "tos", "vlan_in", "vlan_out", "mpls_type", "tcp_rx", "device_id",
                "company_id", "src_nexthop_as", "dst_nexthop_as", "src_second_asn", "dst_second_asn",
                "src_third_asn", "dst_third_asn", "input_int_capacity", "output_int_capacity",
                "input_interface_capacity", "output_interface_capacity", "sample_rate",
            ),
            _ZERO,
        ),
        **dict.fromkeys(("src_eth_mac", "dst_eth_mac"), _NO_MAC),
        **dict.fromkeys(("src_geo", "dst_geo"), _NO_GEO),
        **dict.fromkeys(
            (
                "next_hop", "src_nexthop", "dst_nexthop", "src_route_prefix", "dst_route_prefix",
                "input_int_ip", "output_int_ip", "input_interface_ip", "output_interface_ip",
            ),
            _NO_HOP,
        ),
    },
    sniff=keys("in_bytes", "l4_dst_port", "eventType"),
)  # fmt: skip
