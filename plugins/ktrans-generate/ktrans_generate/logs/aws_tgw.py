"""AWS Transit Gateway flow logs (Amazon VPC Transit Gateways, "Flow log records")."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pyarrow as pa

from ktrans_generate.columns import Coded, Ints
from ktrans_generate.logs.aws import V2, Field, Make, SpacedLog, View
from ktrans_generate.world import World

_GATEWAY = "tgw-0fe8421e2da071c5f"
_ATTACHMENTS = 6
_OWN = ("version", "account-id", "interface-id", "action")


def _side(texts: Callable[[World], pa.Array], *, source: bool) -> Make:
    """Return a column of the host at one side; a dash for addresses outside."""

    def make(view: View) -> Coded:
        flows, world = view.flows, view.world
        peer = np.where(flows.internal, flows.peer, world.hosts)
        codes = np.where(flows.egress == source, flows.host, peer).astype(np.int32, copy=False)
        return Coded(pa.concat_arrays([texts(world), pa.array(["-"])]), codes)

    return make


def _attachment(shift: int) -> Make:
    def make(view: View) -> Coded:
        texts = [f"tgw-attach-0{(i + 1) * 0x9E3779B97F4A7C:015x}" for i in range(_ATTACHMENTS)]
        return Coded.of(texts, (view.flows.host + shift) % _ATTACHMENTS)

    return make


def _lost(every: int) -> Callable[[View], Ints]:
    def make(view: View) -> Ints:
        flows = view.flows
        return np.where(flows.peer % every == 0, flows.packets // 50, 0)

    return make


TGW = SpacedLog(
    6,
    (
        Field("resource-type", lambda _: "TransitGateway", always=True),
        Field("account-id", lambda v: v.world.account_names[0], always=True),
        Field("tgw-id", lambda _: _GATEWAY, always=True),
        Field("tgw-attachment-id", _attachment(0), always=True),
        Field("tgw-src-vpc-account-id", _side(lambda w: w.accounts, source=True)),
        Field("tgw-dst-vpc-account-id", _side(lambda w: w.accounts, source=False)),
        Field("tgw-src-vpc-id", _side(lambda w: w.vpcs, source=True)),
        Field("tgw-dst-vpc-id", _side(lambda w: w.vpcs, source=False)),
        Field("tgw-src-subnet-id", _side(lambda w: w.subnets, source=True)),
        Field("tgw-dst-subnet-id", _side(lambda w: w.subnets, source=False)),
        Field("tgw-src-eni", _side(lambda w: w.interfaces, source=True)),
        Field("tgw-dst-eni", _side(lambda w: w.interfaces, source=False)),
        Field("tgw-src-az-id", _side(lambda w: w.zones, source=True)),
        Field("tgw-dst-az-id", _side(lambda w: w.zones, source=False)),
        Field("tgw-pair-attachment-id", _attachment(1)),
        *(field for field in V2.fields if field.name not in _OWN),
        Field("type", lambda v: Coded.of(["IPv4", "IPv6"], v.flows.v6)),
        Field("packets-lost-no-route", _lost(31), "int64"),
        Field("packets-lost-blackhole", _lost(37), "int64"),
        Field("packets-lost-mtu-exceeded", _lost(41), "int64"),
        Field("packets-lost-ttl-expired", _lost(43), "int64"),
        Field("tcp-flags", lambda v: v.flows.flags, "int32"),
        Field("region", lambda v: str(v.world.regions[0])),
        Field("flow-direction", lambda v: Coded.of(["ingress", "egress"], v.flows.egress)),
        Field("pkt-src-aws-service", lambda v: v.service(source=True)),
        Field("pkt-dst-aws-service", lambda v: v.service(source=False)),
    ),
    row_bytes=520,
)
