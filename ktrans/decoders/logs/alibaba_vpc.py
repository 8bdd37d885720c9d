"""Alibaba Cloud VPC flow logs from Simple Log Service: JSON in which every value is a text.

Source: Alibaba Cloud documentation, "Log fields" of VPC flow logs (SLS).
"""

from __future__ import annotations

from functools import reduce

from ktrans.decoders.log import LIKELY, Json, Log, any_of, col, first_of, keys, where
from ktrans.decoders.partial_rows import PartialRows
from ktrans.flow.columns import coalesce_text

_PATH_NAMES = ("traffic_path", "traffic-path", "rafficPath", "TrafficPath", "trafficPath")
"""Spellings of one field in the documentation and in older logs."""

_KEYS = ("srcaddr", any_of("vswitch-id", "eni-id", "vswitch_id", "eni_id"))


def _derive(work: PartialRows) -> None:
    """Put the traffic path in attrs under one name; its codes differ from those of other clouds."""
    found = [text for name in _PATH_NAMES if (text := work.text(name)) is not None]
    if found:
        work.attrs["traffic_path"] = reduce(coalesce_text, found)


LOG = Log(
    "alibaba_vpc",
    provider="alibaba",
    log_type="alibaba.vpc",
    frames=(Json(),),
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
    constants={"reporter": "interface"},
    reads={(name,): ("attrs",) for name in _PATH_NAMES},
    hidden=frozenset({("__topic__",), *((name,) for name in _PATH_NAMES)}),
    skip=where("__topic__", not_="flow_log"),
    derive=_derive,
    all_text=True,
    sniff=first_of(keys("__topic__", *_KEYS), keys(*_KEYS, score=LIKELY)),
)
