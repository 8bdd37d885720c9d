"""Alibaba Cloud VPC flow logs as Simple Log Service delivers them: JSON, every value a text.

Source: Alibaba Cloud documentation, "Log fields" of VPC flow logs (SLS).
"""

from __future__ import annotations

from functools import reduce
from typing import Literal

import numpy as np
from pydantic import Field

from ktrans.api import ComponentConfig, Head, Sniff
from ktrans.decoders.mapped.decoder import JsonMapDecoder
from ktrans.decoders.mapped.table import Table, col
from ktrans.decoders.partial_rows import PartialRows
from ktrans.decoders.read.raw_columns import RawColumns
from ktrans.decoders.values import marked, text_of
from ktrans.flow.columns import coalesce_text

_PATH_NAMES = ("traffic_path", "traffic-path", "rafficPath", "TrafficPath", "trafficPath")
"""How documentation and older logs spell the field."""

_MARKS = (b'"vswitch-id"', b'"eni-id"', b'"vswitch_id"', b'"eni_id"')


_TOPIC = "flow_log"


def _other_records(native: RawColumns) -> np.ndarray | None:
    """Mark the records of other topics, which share a log store with flows."""
    topics = native.columns.get(("__topic__",))
    return None if topics is None else marked(text_of(topics), lambda topic: topic != _TOPIC)


def _derive(work: PartialRows) -> None:
    """Bring the traffic path under one name; its codes are not those of other clouds."""
    found = [text for name in _PATH_NAMES if (text := work.text(name)) is not None]
    if found:
        work.attrs["traffic_path"] = reduce(coalesce_text, found)


TABLE = Table(
    columns=(
        col("log_version", "version"),
        col("start_time", "start"),
        col("end_time", "end"),
        col("logged_at", "__time__"),
        col("src_addr", "srcaddr"),
        col("dst_addr", "dstaddr"),
        col("src_port", "srcport"),
        col("dst_port", "dstport"),
        col("protocol", "protocol"),
        col("ip_version", "type"),
        col("packets", "packets"),
        col("bytes", "bytes"),
        col("tcp_flags", "tcp-flags", "tcp_flags"),
        col("direction", "direction", values={"in": "ingress", "out": "egress"}, lower=True),
        col("action", "action", lower=True),
        col("log_status", "log-status", "log_status"),
        col("account_id", "account-id", "account_id"),
        col("region", "region"),
        col("vpc_id", "vpc-id", "vpc_id"),
        col("subnet_id", "vswitch-id", "vswitch_id"),
        col("interface_id", "eni-id", "eni_id"),
        col("instance_id", "vm-id", "vm_id"),
        col("src_service", "srctype"),
        col("dst_service", "dsttype"),
    ),
    constants={"provider": "alibaba", "log_type": "alibaba.vpc", "reporter": "interface"},
    reads={("__topic__",): (), **{(name,): ("attrs",) for name in _PATH_NAMES}},
    hidden=frozenset({(name,) for name in _PATH_NAMES} | {("__topic__",)}),
    skip=_other_records,
    derive=_derive,
    all_text=True,
)


class AlibabaVpcDecoderConfig(ComponentConfig):
    """Options of the `alibaba_vpc` decoder."""

    type: Literal["alibaba_vpc"] = Field(
        default="alibaba_vpc", description="Which component this is.", examples=["alibaba_vpc"]
    )


class AlibabaVpcDecoder(JsonMapDecoder[AlibabaVpcDecoderConfig]):
    """Decodes Alibaba Cloud VPC flow logs; records of other topics are skipped and counted."""

    table = TABLE


def sniff(head: Head) -> Sniff | None:
    """Claim JSON with the topic of flow logs, or with their field names."""
    if head.columns is not None or head.data.lstrip()[:1] not in (b"{", b"["):
        return None
    if not any(mark in head.data for mark in _MARKS) or b'"srcaddr"' not in head.data:
        return None
    topic = b'"__topic__"' in head.data and b'"flow_log"' in head.data
    return Sniff(100 if topic else 90, "fields srcaddr, eni-id and vswitch-id of JSON records")
