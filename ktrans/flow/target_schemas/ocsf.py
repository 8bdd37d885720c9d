"""Where flow columns go in OCSF: class Network Activity (uid 4001).

Sources: OCSF schema 1.1.0 to 1.9.0, class network_activity with the objects that it refers to and
the profiles cloud, security_control and datetime (schema.ocsf.io); the schema's changelog for the
version that an attribute came with.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ktrans.flow.schema import ATTRS, TEXT, TIME
from ktrans.flow.target_schemas.attribute import (
    INT,
    LONG,
    ORIGINAL_NOTE,
    REPORTED,
    SIDES,
    TEXTS,
    TOTAL_NOTE,
    Attribute,
    at,
    constant,
    words,
)

OCSF_PRODUCTS: Mapping[str, tuple[str, str]] = {
    "aws.vpc": ("Amazon VPC", "AWS"),
    "aws.tgw": ("AWS Transit Gateway", "AWS"),
    "aws.nfw": ("AWS Network Firewall", "AWS"),
    "gcp.vpc": ("VPC Flow Logs", "Google Cloud"),
    "azure.nsg": ("Network Watcher NSG flow logs", "Microsoft"),
    "azure.vnet": ("Network Watcher virtual network flow logs", "Microsoft"),
    "oci.vcn": ("VCN Flow Logs", "Oracle"),
    "ibm.vpc": ("Flow Logs for VPC", "IBM"),
    "alibaba.vpc": ("VPC Flow Log", "Alibaba Cloud"),
    "huawei.vpc": ("VPC Flow Log", "Huawei Cloud"),
    "tencent.vpc": ("Flow Logs", "Tencent Cloud"),
    "tencent.ccn": ("Flow Logs", "Tencent Cloud"),
    "k8s.hubble": ("Hubble", "Cilium"),
    "cloudflare.network_analytics": ("Network Analytics", "Cloudflare"),
    "goflow2": ("GoFlow2", "NetSampler"),
}
"""Name and vendor of the product behind each log type; others are named by the log type itself."""

_OCSF_PROVIDERS = {
    "aws": "AWS", "gcp": "GCP", "azure": "Azure", "oci": "OCI", "ibm": "IBM", "alibaba": "Alibaba",
    "huawei": "Huawei", "tencent": "Tencent", "k8s": "Kubernetes", "cloudflare": "Cloudflare",
    None: "Unknown",
}  # fmt: skip
_OBSERVERS = {
    "source": (1, "Source"),
    "source_gateway": (1, "Source"),
    "destination": (2, "Destination"),
    "destination_gateway": (2, "Destination"),
    "firewall": (3, "Neither"),
    "interface": (0, "Unknown"),
    None: (0, "Unknown"),
}
OCSF_BOUNDARIES = {
    1: "Localhost", 2: "Internal", 3: "External", 4: "Same VPC", 5: "Internet/VPC Gateway",
    6: "Virtual Private Gateway", 7: "Intra-region VPC", 8: "Inter-region VPC", 9: "Local Gateway",
    10: "Gateway VPC", 11: "Internet Gateway", 99: "Other",
}  # fmt: skip
"""Captions of connection_info.boundary_id (OCSF dictionary)."""

OCSF_LEFTOVERS = ("encryption", "flow_state", "rtt_us", "packets_dropped", "bytes_dropped")
"""Flow columns without an attribute of their own: in `unmapped` under the flow column's name."""
OCSF_PLACES = ("vpc_id", "subnet_id", "interface_id", "instance_id")
"""What describes the capture point: of the endpoint it is on, in `unmapped` if that is not known."""


def _ocsf_endpoint(side: str) -> tuple[Attribute, ...]:
    end, (addr, packet) = f"{side}_endpoint", SIDES[side]
    placed: dict[str, Any] = {
        "rule": "placed",
        "by": REPORTED,
        "value": side,
        "note": f"where the capture point is the {side} side",
    }
    return (
        at(f"{end}.ip", TEXT, packet, addr, rule="first_text", note=ORIGINAL_NOTE),
        at(f"{end}.port", INT, f"{side}_port"),
        at(
            f"{end}.intermediate_ips",
            TEXTS,
            addr,
            packet,
            rule="intermediate",
            note="where it differs from the packet's own address",
        ),
        at(f"{end}.svc_name", TEXT, f"{side}_service"),
        at(f"{end}.vpc_uid", TEXT, "vpc_id", f"{side}_vpc", **placed),
        at(f"{end}.subnet_uid", TEXT, "subnet_id", **placed),
        at(f"{end}.interface_uid", TEXT, "interface_id", **placed),
        at(f"{end}.instance_uid", TEXT, "instance_id", **placed),
    )


def _millis(path: str, *columns: str, **more: Any) -> Attribute:
    return at(path, LONG, *columns, rule="millis", **{"note": "Unix milliseconds", **more})


OCSF: tuple[Attribute, ...] = (
    at("activity_id", INT, "action", "flow_state", rule="activity", value="id",
        note="reject, drop: 5; begin: 1; end: 2; otherwise 6"),
    at("activity_name", TEXT, "action", "flow_state", rule="activity", value="name"),
    constant("category_uid", INT, 4),
    constant("category_name", TEXT, "Network Activity"),
    constant("class_uid", INT, 4001),
    constant("class_name", TEXT, "Network Activity"),
    at("type_uid", LONG, "action", "flow_state", rule="activity", value="type",
        note="400100 + activity_id"),
    at("type_name", TEXT, "action", "flow_state", rule="activity", value="type_name"),
    constant("severity_id", INT, 1),
    constant("severity", TEXT, "Informational"),
    _millis("time", "start_time", "end_time", "logged_at",
            note="Unix milliseconds; the first of these that is there"),
    _millis("start_time", "start_time"),
    _millis("end_time", "end_time"),
    at("time_dt", TIME, "start_time", "end_time", "logged_at", rule="first_time",
        part="datetime"),
    at("start_time_dt", TIME, "start_time", part="datetime"),
    at("end_time_dt", TIME, "end_time", part="datetime"),
    constant("metadata.version", TEXT, "version"),
    words("metadata.product.name", TEXT, "log_type",
           {log: name for log, (name, _) in OCSF_PRODUCTS.items()} | {None: "unknown"},
           other=..., note="the product's name"),
    words("metadata.product.vendor_name", TEXT, "log_type",
           {log: vendor for log, (_, vendor) in OCSF_PRODUCTS.items()} | {None: "unknown"},
           other=..., note="the vendor's name"),
    constant("metadata.profiles", TEXTS, "profiles"),
    at("metadata.log_name", TEXT, "log_type"),
    at("metadata.log_version", TEXT, "log_version", rule="number_text"),
    at("metadata.uid", TEXT, "record_id"),
    _millis("metadata.logged_time", "logged_at"),
    words("cloud.provider", TEXT, "provider", _OCSF_PROVIDERS, other=..., part="cloud"),
    at("cloud.account.uid", TEXT, "account_id", part="cloud"),
    at("cloud.region", TEXT, "region", part="cloud"),
    at("cloud.zone", TEXT, "zone", part="cloud"),
    *_ocsf_endpoint("src"),
    *_ocsf_endpoint("dst"),
    at("connection_info.protocol_num", INT, "protocol"),
    at("connection_info.protocol_name", TEXT, "protocol", rule="protocol_name",
        note="IANA keyword"),
    at("connection_info.protocol_ver_id", INT, "ip_version", rule="integer_or_zero",
        note="0 if not known"),
    at("connection_info.tcp_flags", INT, "tcp_flags"),
    words("connection_info.direction_id", INT, "direction",
           {"ingress": 1, "egress": 2, None: 0}, other=0),
    words("connection_info.direction", TEXT, "direction",
           {"ingress": "Inbound", "egress": "Outbound", None: "Unknown"}, other="Unknown",
           note="caption of direction_id"),
    at("connection_info.boundary_id", INT, "attrs", by=("provider",), rule="boundary", value="id",
        note="AWS traffic-path + 3"),
    at("connection_info.boundary", TEXT, "attrs", by=("provider",), rule="boundary", value="name",
        note="caption of boundary_id"),
    at("connection_info.community_uid", TEXT, "community_id", since=(1, 4)),
    at("traffic.bytes_out", LONG, "bytes"),
    at("traffic.packets_out", LONG, "packets"),
    at("traffic.bytes_in", LONG, "bytes_rev"),
    at("traffic.packets_in", LONG, "packets_rev"),
    at("traffic.bytes", LONG, "bytes", "bytes_rev", rule="total", note=TOTAL_NOTE),
    at("traffic.packets", LONG, "packets", "packets_rev", rule="total", note=TOTAL_NOTE),
    words("action_id", INT, "action", {"accept": 1, "reject": 2, "drop": 2, None: 0}, other=0,
           part="security_control"),
    words("action", TEXT, "action",
           {"accept": "Allowed", "reject": "Denied", "drop": "Denied", None: "Unknown"},
           other="Unknown", note="caption of action_id", part="security_control"),
    words("disposition_id", INT, "action", {"accept": 1, "reject": 2, "drop": 6, None: 0},
           other=0, part="security_control"),
    words("disposition", TEXT, "action",
           {"accept": "Allowed", "reject": "Blocked", "drop": "Dropped", None: "Unknown"},
           other="Unknown", note="caption of disposition_id", part="security_control"),
    at("firewall_rule.name", TEXT, "rule", part="security_control"),
    at("policy.uid", TEXT, "acl_id", part="security_control", since=(1, 4)),
    at("status_code", TEXT, "log_status"),
    at("status_detail", TEXT, "action_reason"),
    words("observation_point_id", INT, "reporter",
           {word: number for word, (number, _) in _OBSERVERS.items()}, other=0, since=(1, 6)),
    words("observation_point", TEXT, "reporter",
           {word: name for word, (_, name) in _OBSERVERS.items()}, other="Unknown",
           note="caption of observation_point_id", since=(1, 6)),
    at("unmapped", ATTRS, "attrs", *OCSF_LEFTOVERS, *OCSF_PLACES, by=REPORTED, rule="leftovers",
        note="under its native name; flow columns under their own", part="unmapped"),
)  # fmt: skip
