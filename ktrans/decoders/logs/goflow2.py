"""NetFlow, IPFIX and sFlow from the collector goflow2: JSON, one flow a line.

Counters stay as the exporter sent them, unless the option `scale` multiplies them by the sampling rate:
some exporters have done so already. The rate is kept in attrs.

Times come in seconds, milliseconds and nanoseconds, by the version of goflow2; the most exact one counts.

goflow2 writes every field, with 0, an empty text or an empty list for what the exporter did not send: these
are left out of attrs. Types and codes of ICMP are kept for rows of ICMP, where 0 is a value, unless there is
a destination port instead: type * 256 + code, in NetFlow.

The capture point is an interface of the exporter: the one that the flow came in by, or left by if its direction
is egress (1). A direction of 0 is ingress or not reported, so it is no direction.

Source: netsampler/goflow2, docs/protocols.md and pb/flow.proto (version 2, snake case) and its version 1 (camel case).
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ktrans.decoders.flow_rule import named_records
from ktrans.decoders.integers import to_integers
from ktrans.decoders.log import LIKELY, Json, Log, col, each_text, first_of, keys
from ktrans.decoders.mapped.table import Col
from ktrans.decoders.partial_rows import PartialRows
from ktrans.decoders.read.raw_columns import RawColumns
from ktrans.decoders.texts import marked, where
from ktrans.decoders.times import TimeUnit
from ktrans.decoders.values import Coerced, Convert, Rule, coerce, is_ip_type, text_of

_ZERO = ("", "0")
_NO_ADDRESS = ("", "0.0.0.0", "::")  # noqa: S104 - nothing is listened on
_NO_MAC = ("", "00:00:00:00:00:00", "0")
_NO_NET = ("", "0.0.0.0/0", "::/0", "invalid Prefix", "0")
_NO_LIST = ("", "[]")
_ICMP = pa.array([1, 58], pa.int16())
_ICMP_FIELDS = ("icmp_type", "icmp_code", "icmp_name", "IcmpType", "IcmpCode")
_PORTS = ("dst_port", "DstPort")
_NUMBERS = (
    "sampling_rate", "in_if", "out_if", "src_vlan", "dst_vlan", "vlan_id", "ip_tos", "forwarding_status",
    "ip_ttl", "ip_flags", "ipv6_flow_label", "fragment_id", "fragment_offset", "src_as", "dst_as",
    "next_hop_as", "observation_domain_id", "observation_point_id", "ipv6_routing_header_seg_left",
    "bi_flow_direction", "ingress_vrf_id", "egress_vrf_id", "mpls_count",
)  # fmt: skip
_LISTS = (
    "bgp_communities", "as_path", "mpls_ttl", "mpls_label", "mpls_ip", "layer_stack", "layer_size",
    "ipv6_routing_header_addresses",
)  # fmt: skip
_OLD_NAMES = {"SrcAS": _ZERO, "DstAS": _ZERO, "NextHopAS": _ZERO, "IPTos": _ZERO, "IPTTL": _ZERO,
              "IPv6FlowLabel": _ZERO, "VlanID": _ZERO, "ASPath": _NO_LIST}  # fmt: skip


def _both(names: tuple[str, ...], texts: tuple[str, ...]) -> dict[str, tuple[str, ...]]:
    """Return the texts that mean no value for fields under their names in both versions of goflow2."""
    old = ("".join(word.capitalize() for word in name.split("_")) for name in names)
    return dict.fromkeys((*names, *old), texts)


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


def _derive(rows: PartialRows) -> None:
    """Take the interface that egress flows left by, and keep the types and codes of ICMP."""
    direction = rows.columns.get("direction")
    if "interface_id" in rows.wanted and direction is not None:
        egress = marked(direction, lambda word: word == "egress")
        came_by = rows.columns.pop("interface_id", None)
        rows.fill("interface_id", None if came_by is None else where(came_by, ~egress))
        for name in ("out_if", "OutIf"):
            for _, column in rows.values(name):
                rows.fill("interface_id", where(text_of(column, _ZERO), egress))
    protocol = rows.columns.get("protocol")
    if "attrs" not in rows.wanted or protocol is None:
        return
    icmp = np.asarray(pc.is_in(protocol, value_set=_ICMP))
    if not icmp.any():
        return
    for name in _PORTS:
        for _, column in rows.values(name):
            rows.attrs[name] = where(text_of(column, _ZERO), icmp)
            icmp = icmp & np.asarray(rows.attrs[name].is_null())
    for name in _ICMP_FIELDS:
        text = rows.text(name)
        if text is not None:
            rows.attrs[name] = where(text, icmp)


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
        col(
            "direction",
            *("flow_direction", "FlowDirection"),
            convert=each_text(lambda text: "egress" if text == "1" else None),
            in_attrs=True,
        ),
        col("interface_id", "in_if", "InIf", nulls=_ZERO, in_attrs=True),
        col("instance_id", "sampler_address", "SamplerAddress", nulls=_NO_ADDRESS),
    ),
    reads=dict.fromkeys((("out_if",), ("OutIf",)), ("interface_id",)),
    always=frozenset({"direction"}),
    hidden=frozenset((name,) for name in _ICMP_FIELDS),
    derive=_derive,
    rate=(("sampling_rate",), ("SamplingRate",)),
    constants={"log_status": "OK", "reporter": "interface"},
    skip=_frames_without_ip,
    unset={
        **_both(_NUMBERS, _ZERO),
        **_both(_LISTS, _NO_LIST),
        **_both(("next_hop", "bgp_next_hop"), _NO_ADDRESS),
        **_both(("src_mac", "dst_mac"), _NO_MAC),
        **_both(("src_net", "dst_net"), _NO_NET),
        **_OLD_NAMES,
    },
    sniff=first_of(
        keys("time_flow_start_ns", "sampler_address", score=LIKELY),
        keys("TimeFlowStart", "SamplerAddress", "SrcAddr", score=LIKELY),
        keys("time_flow_start", "sampler_address", score=LIKELY),
    ),
)
