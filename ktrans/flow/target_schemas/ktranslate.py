"""Where flow columns go in records of Kentik's KTranslate.

Source: kentik/ktranslate, `pkg/kt/types.go` (JCHF, its fields in this order and their JSON names), and the
names under which its inputs put other fields into `custom_str` and `custom_bigint`: `pkg/inputs/vpc/aws/aws.go`,
`pkg/inputs/vpc/gcp/types.go`, `pkg/inputs/flow/format.go`; names of protocols: `pkg/util/ic/proto.go`.
"""

from __future__ import annotations

from dataclasses import replace

from ktrans.flow.protocols import PROTOCOL_KEYWORDS
from ktrans.flow.schema import ATTRS, TEXT
from ktrans.flow.target_schemas.attribute import LONG, REPORTED, Attribute, at, constant, words

_IN_ITS_CASE = {
    name.lower(): name
    for name in ("IPv4", "IPv6", "IPv6-Route", "IPv6-Frag", "IPv6-ICMP", "IPv6-NoNxt", "IPv6-Opts",
                 "IPComp", "UDPLite", "MPLS-in-IP", "manet", "Shim6", "Ethernet")
}  # fmt: skip
_PROTOCOLS = {
    str(number): _IN_ITS_CASE.get(word, word.upper()) for number, word in PROTOCOL_KEYWORDS.items()
}
_DEVICES = dict.fromkeys(("goflow2", "ktranslate", "zeek"), "kentik-flow-device")
_UPPER = {"accept": "ACCEPT", "reject": "REJECT", "drop": "DROP"}
_REPORTERS = {"source": "SRC", "destination": "DEST"}


def _sides(name: str, own: str, *both: str) -> tuple[Attribute, ...]:
    """Return what is known of both ends, or of the capture point's own."""
    return tuple(
        at(f"{side}_{name}", TEXT, *both[place : place + 1], own, by=REPORTED, rule="sided",
           value=side, note=f"of the capture point, if it is at the {end}")
        for place, (side, end) in enumerate((("source", "source"), ("dest", "destination")))
    )  # fmt: skip


CUSTOM_TEXTS: tuple[Attribute, ...] = (
    words("action", TEXT, "action", _UPPER, other=...),
    at("status", TEXT, "log_status"),
    at("reject_reason", TEXT, "action_reason"),
    at("rule", TEXT, "rule"),
    at("acl_id", TEXT, "acl_id"),
    at("flow_state", TEXT, "flow_state"),
    at("encryption", TEXT, "encryption"),
    at("flow_direction", TEXT, "direction"),
    words("reporter", TEXT, "reporter", _REPORTERS, other=...),
    at("account_id", TEXT, "account_id"),
    at("source_pkt_addr", TEXT, "src_pkt_addr"),
    at("dest_pkt_addr", TEXT, "dst_pkt_addr"),
    at("source_pkt_service", TEXT, "src_service"),
    at("dest_pkt_service", TEXT, "dst_service"),
    *_sides("vpc", "vpc_id", "src_vpc", "dst_vpc"),
    *_sides("subnet", "subnet_id"),
    *_sides("instance", "instance_id"),
    *_sides("interface", "interface_id"),
    *_sides("az", "zone"),
    *_sides("region", "region"),
    at("type", TEXT, "log_type"),
    at("insert_id", TEXT, "record_id"),
)
"""Further texts: in `custom_str`, or at the top of a flat record."""

_CUSTOM_NUMBERS: tuple[Attribute, ...] = (
    at("start_time", LONG, "start_time", rule="seconds", note="Unix seconds"),
    at("end_time", LONG, "end_time", rule="seconds", note="Unix seconds"),
    at("rtt_msec", LONG, "rtt_us", rule="thousandth", note="milliseconds"),
    at("bytes_dropped", LONG, "bytes_dropped"),
    at("packets_dropped", LONG, "packets_dropped"),
    at("version", LONG, "log_version"),
    at("ip_version", LONG, "ip_version"),
)
_WAY_NOTE = "if the flow was seen on the way in, or both ways were counted; else 0"
_OUT_NOTE = "if the flow was seen on the way out; else 0"


def _counter(name: str, column: str) -> tuple[Attribute, Attribute]:
    back = f"{column}_rev"
    return (
        at(f"in_{name}", LONG, column, by=(back, "direction"), rule="way_in", note=_WAY_NOTE),
        at(f"out_{name}", LONG, back, column, by=("direction",), rule="way_out", note=_OUT_NOTE),
    )


_IN_BYTES, _OUT_BYTES = _counter("bytes", "bytes")
_IN_PKTS, _OUT_PKTS = _counter("pkts", "packets")

KTRANSLATE: tuple[Attribute, ...] = (
    at("timestamp", LONG, "start_time", "end_time", "logged_at", rule="seconds",
       note="Unix seconds; the first of these that is there"),
    _IN_BYTES,
    _IN_PKTS,
    at("dst_addr", TEXT, "dst_addr"),
    at("src_addr", TEXT, "src_addr"),
    at("l4_dst_port", LONG, "dst_port"),
    at("l4_src_port", LONG, "src_port"),
    words("protocol", TEXT, "protocol", _PROTOCOLS, note="IANA keyword"),
    at("tcp_flags", LONG, "tcp_flags"),
    _OUT_BYTES,
    _OUT_PKTS,
    constant("sample_rate", LONG, "sample_rate"),
    at("device_name", TEXT, "vpc_id", "instance_id", "interface_id", rule="first_text"),
    Attribute(("custom_str",), ATTRS, ("attrs",), tuple(
        dict.fromkeys(name for each in CUSTOM_TEXTS for name in (*each.columns, *each.by))
    ), rule="custom", note="under its native name", part="nested"),
    *(replace(each, path=("custom_str", *each.path), part="shown") for each in CUSTOM_TEXTS),
    *(replace(each, path=("custom_bigint", *each.path), part="nested") for each in _CUSTOM_NUMBERS),
    *(replace(each, part="flat") for each in (*CUSTOM_TEXTS, *_CUSTOM_NUMBERS)),
    constant("eventType", TEXT, "KFlow"),
    words("provider", TEXT, "provider", _DEVICES, other="kentik-vpc",
          note="kentik-flow-device for NetFlow and Zeek, else kentik-vpc"),
)  # fmt: skip
