"""The columns of the report, and their names in flow rows, totals of `rollup`, OCSF and ECS.

The first name that a lake has is used. Dots lead into structures.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Kind = Literal["text", "whole", "real", "time"]


@dataclass(frozen=True, slots=True)
class Wanted:
    """A column of the report.

    Attributes:
        name: as the charts call it.
        kind: the kind of its values.
        names: its names in lakes, the best first.
    """

    name: str
    kind: Kind
    names: tuple[str, ...]


def _text(name: str, *others: str) -> Wanted:
    return Wanted(name, "text", (name, *others))


def _whole(name: str, *others: str) -> Wanted:
    return Wanted(name, "whole", (name, *others))


TIMES = (
    Wanted("start_time", "time", ("start_time", "event.start")),
    Wanted("window_start", "time", ("window_start",)),
    Wanted("end_time", "time", ("end_time", "event.end", "@timestamp", "time")),
    Wanted("logged_at", "time", ("logged_at", "metadata.logged_time")),
)
"""The time of a row is the first of these that is not null."""

_ADDED = ("zone", "region", "country", "name")
"""What enrichers add about both ends."""

WANTED = (
    _text("provider", "cloud.provider"),
    _text("log_type", "event.dataset", "metadata.log_name"),
    _text("src_addr", "src_endpoint.ip", "source.ip"),
    _text("dst_addr", "dst_endpoint.ip", "destination.ip"),
    _whole("src_port", "src_endpoint.port", "source.port"),
    _whole("dst_port", "dst_endpoint.port", "destination.port"),
    _whole("protocol", "connection_info.protocol_num", "network.iana_number"),
    _whole("bytes", "traffic.bytes_out", "source.bytes", "traffic.bytes", "network.bytes"),
    _whole("bytes_rev", "traffic.bytes_in", "destination.bytes"),
    _whole("packets", "traffic.packets_out", "source.packets", "traffic.packets"),
    _whole("packets_rev", "traffic.packets_in", "destination.packets"),
    _whole("flows"),
    _whole("sample_weight"),
    _whole("tcp_flags", "connection_info.tcp_flags", "labels.tcp_flags"),
    _text("direction", "network.direction", "connection_info.direction"),
    _text("reporter", "labels.reporter"),
    _text("action", "event.action", "action_reported"),
    _text("action_reason", "event.reason"),
    _text("rule", "rule.name", "firewall_rule.name"),
    _text("acl_id", "rule.ruleset"),
    _text("log_status", "status_code", "labels.log_status"),
    _text("account_id", "cloud.account.uid", "cloud.account.id"),
    _text("region", "cloud.region"),
    _text("zone", "cloud.zone", "cloud.availability_zone"),
    _text("vpc_id", "labels.vpc_id"),
    _text("interface_id", "observer.ingress.interface.id", "observer.egress.interface.id",
        "src_endpoint.interface_uid", "dst_endpoint.interface_uid"),
    _text("instance_id", "cloud.instance.id", "src_endpoint.instance_uid",
        "dst_endpoint.instance_uid"),
    _text("src_vpc", "src_endpoint.vpc_uid"),
    _text("dst_vpc", "dst_endpoint.vpc_uid"),
    *(_text(f"{side}_{what}") for what in _ADDED for side in ("src", "dst")),
    _text("src_service", "src_endpoint.svc_name"),
    _text("dst_service", "dst_endpoint.svc_name"),
    _text("service"),
    _text("server"),
    _whole("server_port"),
    _text("flow_scope"),
    _text("path_class"),
    Wanted("cost_estimate", "real", ("cost_estimate",)),
    _text("source_uri"),
    _whole("source_pos"),
)  # fmt: skip
"""All other columns; `flows` and `sample_weight` are the number of flows that a row stands for."""
