"""Where flow columns go in the Elastic Common Schema.

Source: Elastic Common Schema, field reference.
"""

from __future__ import annotations

from ktrans.flow.schema import ATTRS, TEXT, TIME
from ktrans.flow.target_schemas.attribute import (
    INT,
    LONG,
    ORIGINAL_NOTE,
    SIDES,
    TEXTS,
    TOTAL_NOTE,
    Attribute,
    at,
    constant,
    words,
)

ECS_LABELS = (
    "log_status", "flow_state", "encryption", "rtt_us", "packets_dropped", "bytes_dropped",
    "tcp_flags", "log_version", "reporter", "vpc_id", "subnet_id", "src_vpc", "dst_vpc",
    "src_service", "dst_service",
)  # fmt: skip
"""Flow columns without a field of their own: in `labels` under the flow column's name."""


def _ecs_side(end: str, side: str, byte_column: str, packet_column: str) -> tuple[Attribute, ...]:
    addr, packet = SIDES[side]
    return (
        at(f"{end}.address", TEXT, packet, addr, rule="first_text", note=ORIGINAL_NOTE),
        at(f"{end}.ip", TEXT, packet, addr, rule="first_text", note=ORIGINAL_NOTE),
        at(f"{end}.port", INT, f"{side}_port"),
        at(f"{end}.nat.ip", TEXT, addr, packet, rule="translated",
            note="where it differs from the packet's own address"),
        at(f"{end}.bytes", LONG, byte_column),
        at(f"{end}.packets", LONG, packet_column),
    )  # fmt: skip


ECS: tuple[Attribute, ...] = (
    at("@timestamp", TIME, "end_time", "start_time", "logged_at", rule="first_time",
        note="the first of these that is there"),
    constant("ecs.version", TEXT, "version"),
    constant("event.kind", TEXT, "event"),
    constant("event.category", TEXTS, ("network",)),
    at("event.type", TEXTS, "action", rule="event_type",
        note="connection; and allowed (accept) or denied (reject, drop)"),
    at("event.action", TEXT, "action"),
    words("event.outcome", TEXT, "action",
           {"accept": "success", "reject": "failure", "drop": "failure"}),
    at("event.reason", TEXT, "action_reason"),
    at("event.start", TIME, "start_time"),
    at("event.end", TIME, "end_time"),
    at("event.duration", LONG, "end_time", "start_time", rule="nanos_between",
        note="nanoseconds, 0 if they are the wrong way round"),
    at("event.created", TIME, "logged_at"),
    at("event.id", TEXT, "record_id"),
    at("event.module", TEXT, "provider"),
    at("event.dataset", TEXT, "log_type"),
    *_ecs_side("source", "src", "bytes", "packets"),
    *_ecs_side("destination", "dst", "bytes_rev", "packets_rev"),
    at("network.transport", TEXT, "protocol", rule="protocol_name", note="IANA keyword"),
    words("network.type", TEXT, "ip_version", {"4": "ipv4", "6": "ipv6"}),
    at("network.iana_number", TEXT, "protocol", rule="number_text"),
    at("network.bytes", LONG, "bytes", "bytes_rev", rule="total", note=TOTAL_NOTE),
    at("network.packets", LONG, "packets", "packets_rev", rule="total", note=TOTAL_NOTE),
    at("network.direction", TEXT, "direction"),
    at("network.community_id", TEXT, "community_id"),
    at("cloud.provider", TEXT, "provider"),
    at("cloud.account.id", TEXT, "account_id"),
    at("cloud.region", TEXT, "region"),
    at("cloud.availability_zone", TEXT, "zone"),
    at("cloud.instance.id", TEXT, "instance_id"),
    at("observer.ingress.interface.id", TEXT, "interface_id", by=("direction",), rule="by_direction",
        value="ingress", note="of ingress rows, and of rows without a direction"),
    at("observer.egress.interface.id", TEXT, "interface_id", by=("direction",), rule="by_direction",
        value="egress", note="of egress rows"),
    at("related.ip", TEXTS, "src_addr", "dst_addr", "src_pkt_addr", "dst_pkt_addr",
        rule="distinct", note="each address once", part="related"),
    at("rule.name", TEXT, "rule"),
    at("rule.ruleset", TEXT, "acl_id"),
    at("log.file.path", TEXT, "source_uri", part="lineage"),
    at("labels", ATTRS, "attrs", *ECS_LABELS, rule="labels",
        note="under its native name with dots as underscores; flow columns under their own",
        part="labels"),
)  # fmt: skip
