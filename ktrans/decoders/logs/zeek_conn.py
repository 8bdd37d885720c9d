"""Zeek's conn.log, one connection a record: tab-separated text or JSON.

A row has the counters of both directions: from the originator (source) and, in `bytes_rev` and
`packets_rev`, from the responder. Bytes are those of IP packets, as other flow logs count them; the
payload that Zeek found in them is kept in attrs (`orig_bytes`, `resp_bytes`) and counts only where the
log has no IP bytes. Zeek watches and decides nothing, so there is no action; `conn_state` and
`history`, in attrs, describe how a connection went. The ports of ICMP are its type and code, in attrs.

Source: Zeek documentation, "conn.log", "Zeek Log Formats and Inspection" and base/protocols/conn.
"""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

from ktrans.decoders.durations import end_from_duration, to_microseconds
from ktrans.decoders.log import LIKELY, Json, Log, ZeekText, col, first_of, keys, pattern, where
from ktrans.decoders.partial_rows import PartialRows
from ktrans.decoders.texts import where as only_where
from ktrans.flow.addresses import ip_versions

_ICMP, _ICMP6 = 1, 58
_IPV6 = 6


def _derive(rows: PartialRows) -> None:
    """Add the duration to the start, tell ICMPv6 from ICMP, and keep the types and codes of both."""
    end_from_duration(rows)
    protocol = rows.columns.get("protocol")
    if protocol is None:
        return
    if "src_addr" in rows.columns:
        is_v6 = pc.equal(ip_versions(rows.columns["src_addr"]), pa.scalar(_IPV6, pa.int8()))
        is_icmp6 = pc.and_(pc.equal(protocol, _ICMP), is_v6).fill_null(False)
        protocol = pc.if_else(is_icmp6, pa.scalar(_ICMP6, pa.int16()), protocol)
        rows.columns["protocol"] = protocol
    icmp = pc.is_in(protocol, value_set=pa.array([_ICMP, _ICMP6], pa.int16()))
    if "attrs" in rows.wanted and pc.any(icmp).as_py():
        for name in ("id.orig_p", "id.resp_p"):
            text = rows.text(name)
            if text is not None:
                rows.attrs[name] = only_where(text, icmp)


LOG = Log(
    "zeek_conn",
    provider="zeek",
    log_type="zeek.conn",
    frames=(Json(), ZeekText("conn")),
    columns=(
        col("record_id", "uid"),
        col("start_time", "ts"),
        col("end_time", "duration", convert=to_microseconds),
        col("src_addr", '"id.orig_h"'),
        col("dst_addr", '"id.resp_h"'),
        col("src_port", '"id.orig_p"'),
        col("dst_port", '"id.resp_p"'),
        col("protocol", "ip_proto", "proto", values={"unknown_transport": None}),
        col("packets", "orig_pkts"),
        col("packets_rev", "resp_pkts"),
        col("bytes", "orig_ip_bytes"),
        col("bytes", "orig_bytes", in_attrs=True),
        col("bytes_rev", "resp_ip_bytes"),
        col("bytes_rev", "resp_bytes", in_attrs=True),
    ),
    constants={"log_status": "OK", "reporter": "interface"},
    always=frozenset({"start_time", "src_addr", "protocol"}),
    skip=where("_path", not_="conn"),
    derive=_derive,
    sniff=first_of(
        pattern(rb"(?m)^#path[^\w\n]conn\r?$", "header line #path conn"),
        pattern(
            rb"(?m)^#fields[^\w\n].*\bid\.orig_h\b.*\bconn_state\b", "#fields of conn.log", LIKELY
        ),
        keys("id.orig_h", "id.resp_h", "conn_state", score=LIKELY),
    ),
)
