"""The fields of AWS flow logs: one table for each log, which decoding and reference are made from.

Source: AWS VPC User Guide, "Flow log records" (versions 2 to 11); AWS Transit Gateway Guide,
"Transit Gateway Flow Log records".
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from ktrans.decoders.values import Kind


class Field(msgspec.Struct, frozen=True):
    """One native field.

    Attributes:
        name: as AWS prints it, with hyphens; Parquet has underscores.
        kind: how its text is read and checked.
        column: the flow column it becomes; None sends it to `attrs`.
        since: the version of the log that brought it.
        also: other flow columns that draw on it.
        note: how the value changes on the way.
    """

    name: str
    kind: Kind = "text"
    column: str | None = None
    since: int = 2
    also: tuple[str, ...] = ()
    note: str = ""


def _group(since: int, fields: Iterable[Field | str]) -> tuple[Field, ...]:
    return tuple(
        Field(field, since=since)
        if isinstance(field, str)
        else Field(field.name, field.kind, field.column, since, field.also, field.note)
        for field in fields
    )


_TIME_NOTE = "seconds, or milliseconds and finer by size, to UTC microseconds"
_PORT_NOTE = "null when the protocol has no ports"
_VERSION = Field("version", "small", "log_version")
_FIVE_TUPLE = (
    Field("srcaddr", "address", "src_addr", also=("ip_version",)),
    Field("dstaddr", "address", "dst_addr", also=("ip_version",)),
    Field("srcport", "port", "src_port", note=_PORT_NOTE),
    Field("dstport", "port", "dst_port", note=_PORT_NOTE),
    Field("protocol", "protocol", "protocol", also=("src_port", "dst_port")),
    Field("packets", "count", "packets"),
    Field("bytes", "count", "bytes"),
    Field("start", "time", "start_time", note=_TIME_NOTE),
    Field("end", "time", "end_time", note=_TIME_NOTE),
)
_STATUS = Field("log-status", "text", "log_status")
_TYPE = Field(
    "type",
    also=("ip_version", "attrs"),
    note="ip_version when no address is there; kept in attrs when neither IPv4 nor IPv6",
)
_FLAGS = Field("tcp-flags", "flags", "tcp_flags")
_REGION = Field("region", "text", "region")
_DIRECTION = Field(
    "flow-direction",
    "text",
    "direction",
    also=("reporter",),
    note="reporter is destination for ingress, source for egress",
)
_SERVICES = (
    Field("pkt-src-aws-service", "text", "src_service"),
    Field("pkt-dst-aws-service", "text", "dst_service"),
)

_FIRST = 2

VPC_FIELDS: tuple[Field, ...] = (
    *_group(
        2,
        (
            _VERSION,
            Field("account-id", "text", "account_id"),
            Field("interface-id", "text", "interface_id", note="resource-id when not reported"),
            *_FIVE_TUPLE,
            Field("action", "text", "action", note="in lower case"),
            _STATUS,
        ),
    ),
    *_group(
        3,
        (
            Field("vpc-id", "text", "vpc_id"),
            Field("subnet-id", "text", "subnet_id"),
            Field("instance-id", "text", "instance_id"),
            _FLAGS,
            _TYPE,
            Field("pkt-srcaddr", "address", "src_pkt_addr"),
            Field("pkt-dstaddr", "address", "dst_pkt_addr"),
        ),
    ),
    *_group(
        4,
        (_REGION, Field("az-id", "text", "zone"), "sublocation-type", "sublocation-id"),
    ),
    *_group(5, (*_SERVICES, _DIRECTION, "traffic-path")),
    *_group(
        7,
        (
            "ecs-cluster-arn",
            "ecs-cluster-name",
            "ecs-container-instance-arn",
            "ecs-container-instance-id",
            "ecs-container-id",
            "ecs-second-container-id",
            "ecs-service-name",
            "ecs-task-definition-arn",
            "ecs-task-arn",
            "ecs-task-id",
        ),
    ),
    Field("reject-reason", "text", "action_reason", since=8),
    Field(
        "resource-id",
        since=9,
        also=("interface_id",),
        note="interface_id when interface-id is not reported",
    ),
    Field("encryption-status", "text", "encryption", since=10),
    *_group(
        11,
        (
            *(
                Field(name, note="percent-decoded")
                for name in (
                    "instance-tag",
                    "instance-tag-2",
                    "interface-tag",
                    "interface-tag-2",
                    "asg-tag",
                    "asg-tag-2",
                )
            ),
            "interface-type",
            "next-hop-interface-type",
            "next-hop-interface-id",
            "next-hop-subnet-id",
            "next-hop-az-id",
            "next-hop-vpc-id",
        ),
    ),
)

_LOST = tuple(
    Field(
        f"packets-lost-{why}",
        "count",
        also=("packets_dropped", "attrs"),
        note="summed into packets_dropped",
    )
    for why in ("no-route", "blackhole", "mtu-exceeded", "ttl-expired")
)

TGW_FIELDS: tuple[Field, ...] = (
    *_group(2, (_VERSION,)),
    *_group(6, ("resource-type",)),
    *_group(2, (Field("account-id", "text", "account_id"),)),
    *_group(
        6,
        (
            "tgw-id",
            Field("tgw-attachment-id", "text", "interface_id"),
            "tgw-src-vpc-account-id",
            "tgw-dst-vpc-account-id",
            Field("tgw-src-vpc-id", "text", "src_vpc"),
            Field("tgw-dst-vpc-id", "text", "dst_vpc"),
            "tgw-src-subnet-id",
            "tgw-dst-subnet-id",
            "tgw-src-eni",
            "tgw-dst-eni",
            "tgw-src-az-id",
            "tgw-dst-az-id",
            "tgw-pair-attachment-id",
        ),
    ),
    *_group(2, (*_FIVE_TUPLE, _STATUS)),
    *_group(3, (_TYPE,)),
    *_group(6, _LOST),
    *_group(3, (_FLAGS,)),
    *_group(4, (_REGION,)),
    *_group(5, (_DIRECTION, *_SERVICES)),
)

TAG_FIELDS = frozenset(field.name for field in VPC_FIELDS if field.note == "percent-decoded")
LOST_FIELDS = tuple(field.name for field in _LOST)
VPC_DEFAULT = tuple(field.name for field in VPC_FIELDS if field.since == _FIRST)
"""The default format of VPC flow logs: version 2, which cannot be changed."""
TGW_DEFAULT = tuple(field.name for field in TGW_FIELDS)
"""The default format of Transit Gateway flow logs: all 36 fields in the order of their table."""
