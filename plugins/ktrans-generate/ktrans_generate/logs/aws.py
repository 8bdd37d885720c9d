"""AWS VPC flow logs, versions 2 to 11 (AWS VPC User Guide, "Flow log records")."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ktrans_generate.catalogue import Log
from ktrans_generate.columns import Coded, Codes, Column, as_array, join, replace
from ktrans_generate.flows import Flows
from ktrans_generate.world import SERVICES

_NAT_EVERY = 16
"""One in this many hosts is a NAT gateway, whose packets have another host's address."""


class View:
    """Flows as AWS logs them; codes that several fields share are computed once."""

    def __init__(self, flows: Flows) -> None:
        self.flows = flows
        self.world = flows.world

    def by_host(self, values: pa.Array | Sequence[str]) -> Coded:
        """Make a column of a text that depends on the logging host."""
        return Coded(values if isinstance(values, pa.Array) else pa.array(values), self.flows.host)

    @cached_property
    def pool(self) -> pa.Array:
        """All addresses: hosts' IPv4, hosts' IPv6, remote IPv4, remote IPv6."""
        world = self.world
        return pa.concat_arrays([world.host_v4, world.host_v6, world.remote_v4, world.remote_v6])

    def _host_code(self, host: Codes) -> Codes:
        return np.where(self.flows.v6, host + self.world.hosts, host)

    @cached_property
    def _peer_code(self) -> Codes:
        flows, hosts = self.flows, self.world.hosts
        outside = flows.peer + 2 * hosts + np.where(flows.v6, len(self.world.remote_v4), 0)
        return np.where(flows.internal, self._host_code(flows.peer), outside)

    def address(self, *, source: bool, packet: bool = False) -> Coded:
        """Return the address at one side: of the interface, or of the packet behind a NAT."""
        host = self.flows.host
        if packet:
            host = np.where(host % _NAT_EVERY, host, (host + 1) % self.world.hosts)
        own = self._host_code(host)
        codes = np.where(self.flows.egress == source, own, self._peer_code)
        return Coded(self.pool, codes.astype(np.int32, copy=False))

    def service(self, *, source: bool) -> Coded:
        """Return the AWS service at one side."""
        flows = self.flows
        remote = self.world.remote_service[flows.peer]
        here = (flows.egress != source) & ~flows.internal
        return Coded.of(SERVICES, np.where(here, remote, 0))

    def some_hosts(self, every: int, make: Callable[[int], str]) -> Coded:
        """Return a text for one in `every` hosts, and a dash for the others."""
        texts = [make(i) if i % every == 0 else "-" for i in range(self.world.hosts)]
        return self.by_host(texts)

    def egress_only(self, make: Callable[[int], str]) -> Coded:
        """Return a text by host for egress, and a dash for ingress."""
        texts = ["-", *(make(i) for i in range(self.world.hosts))]
        return Coded.of(texts, np.where(self.flows.egress, self.flows.host + 1, 0))

    def arn(self, index: int, rest: str) -> str:
        """Return an ECS resource name."""
        region, account = self.world.regions[index], self.world.accounts[index]
        return f"arn:aws:ecs:{region}:{account}:{rest}"


Make = Callable[[View], Column]
Kind = Literal["text", "int32", "int64"]


@dataclass(frozen=True, slots=True)
class Field:
    """One field of a record.

    Attributes:
        name: as AWS writes it in a header.
        make: its column.
        kind: the type it has in Parquet.
        always: whether rows without data (NODATA, SKIPDATA) have it too.
    """

    name: str
    make: Make
    kind: Kind = "text"
    always: bool = False


def _ecs(every: int, make: Callable[[View, int], str]) -> Make:
    return lambda view: view.some_hosts(every, lambda i: make(view, i))


def _id(prefix: str, index: int) -> str:
    return f"{prefix}-0{index * 2_654_435_761 % (1 << 60):016x}"


def _traffic_path(view: View) -> Coded:
    flows = view.flows
    return Coded.of(["-", "1", "8"], np.where(flows.egress, np.where(flows.internal, 1, 2), 0))


_TAGS = ("web", "batch%20worker", "db%2Fprimary", "cache", "%C3%BCbersicht")

_V2 = (
    Field("account-id", lambda v: v.by_host(v.world.accounts), always=True),
    Field("interface-id", lambda v: v.by_host(v.world.interfaces), always=True),
    Field("srcaddr", lambda v: v.address(source=True)),
    Field("dstaddr", lambda v: v.address(source=False)),
    Field("srcport", lambda v: v.flows.src_port, "int32"),
    Field("dstport", lambda v: v.flows.dst_port, "int32"),
    Field("protocol", lambda v: v.flows.protocol, "int32"),
    Field("packets", lambda v: v.flows.packets, "int64"),
    Field("bytes", lambda v: v.flows.octets, "int64"),
    Field("start", lambda v: v.flows.start, "int64", always=True),
    Field("end", lambda v: v.flows.end, "int64", always=True),
    Field("action", lambda v: Coded.of(["ACCEPT", "REJECT"], v.flows.reject)),
    Field(
        "log-status",
        lambda v: Coded.of(["OK", "NODATA", "SKIPDATA"], v.flows.status),
        always=True,
    ),
)
_V3_TO_V5 = (
    Field("vpc-id", lambda v: v.by_host(v.world.vpcs)),
    Field("subnet-id", lambda v: v.by_host(v.world.subnets)),
    Field("instance-id", lambda v: v.by_host(v.world.instances)),
    Field("tcp-flags", lambda v: v.flows.flags, "int32"),
    Field("type", lambda v: Coded.of(["IPv4", "IPv6"], v.flows.v6)),
    Field("pkt-srcaddr", lambda v: v.address(source=True, packet=True)),
    Field("pkt-dstaddr", lambda v: v.address(source=False, packet=True)),
    Field("region", lambda v: v.by_host(v.world.regions)),
    Field("az-id", lambda v: v.by_host(v.world.zones)),
    Field("sublocation-type", lambda _: "-"),
    Field("sublocation-id", lambda _: "-"),
    Field("pkt-src-aws-service", lambda v: v.service(source=True)),
    Field("pkt-dst-aws-service", lambda v: v.service(source=False)),
    Field("flow-direction", lambda v: Coded.of(["ingress", "egress"], v.flows.egress)),
    Field("traffic-path", _traffic_path, "int32"),
)
_V7 = (
    Field("ecs-cluster-arn", _ecs(5, lambda v, _i: v.arn(0, "cluster/shop"))),
    Field("ecs-cluster-name", _ecs(5, lambda _v, _i: "shop")),
    Field(
        "ecs-container-instance-arn",
        _ecs(10, lambda v, i: v.arn(i, f"container-instance/shop/{i:032x}")),
    ),
    Field("ecs-container-instance-id", _ecs(10, lambda _v, i: f"{i:032x}")),
    Field("ecs-container-id", _ecs(5, lambda _v, i: f"{i:032x}-{i:010d}")),
    Field("ecs-second-container-id", lambda _: "-"),
    Field("ecs-service-name", _ecs(5, lambda _v, i: ("checkout", "search")[i % 2])),
    Field(
        "ecs-task-definition-arn",
        _ecs(5, lambda v, i: v.arn(i, f"task-definition/shop:{i % 9}")),
    ),
    Field("ecs-task-arn", _ecs(5, lambda v, i: v.arn(i, f"task/shop/{i:032x}"))),
    Field("ecs-task-id", _ecs(5, lambda _v, i: f"{i:032x}")),
)
_V8_TO_V11 = (
    Field(
        "reject-reason",
        lambda v: Coded.of(["-", "BPA", "EC"], np.where(v.flows.reject, v.flows.dst_port % 3, 0)),
    ),
    Field("resource-id", lambda _: "-"),
    Field(
        "encryption-status",
        lambda v: Coded.of(["0", "1", "2", "3", "-"], v.flows.peer % 5),
        "int32",
    ),
    Field("instance-tag", lambda v: v.by_host([_TAGS[i % 5] for i in range(v.world.hosts)])),
    Field("instance-tag-2", lambda _: "-"),
    Field("interface-tag", lambda v: v.some_hosts(3, lambda i: _TAGS[i % 5])),
    Field("interface-tag-2", lambda _: "-"),
    Field("asg-tag", lambda v: v.some_hosts(4, lambda i: f"asg-{i % 12}")),
    Field("asg-tag-2", lambda _: "-"),
    Field("interface-type", lambda v: v.some_hosts(_NAT_EVERY, lambda _i: "nat_gateway")),
    Field("next-hop-interface-type", lambda v: v.egress_only(lambda _i: "vpc_endpoint")),
    Field("next-hop-interface-id", lambda v: v.egress_only(lambda i: _id("eni", i % 7))),
    Field("next-hop-subnet-id", lambda v: v.egress_only(lambda i: _id("subnet", i % 3))),
    Field("next-hop-az-id", lambda v: v.egress_only(lambda i: str(v.world.zones[i]))),
    Field("next-hop-vpc-id", lambda v: v.egress_only(lambda i: str(v.world.vpcs[i]))),
)

_OVERRIDES: tuple[dict[str, str], ...] = (
    {"bytes": "1.5"},
    {"packets": "0x1F"},
    {"srcaddr": "10.0.0.300"},
    {"dstaddr": "2001:db8::g"},
    {"start": "yesterday"},
)
DAMAGES: tuple[Callable[[pa.Array], pa.Array], ...] = (
    lambda lines: pc.replace_substring_regex(lines, r" \S+ \S+$", ""),
    lambda lines: pc.binary_join_element_wise(lines, b"one too many", b" "),
    lambda lines: pc.binary_replace_slice(lines, start=2, stop=4, replacement=b"\xff\xfe"),
)
"""Too few fields, too many, bytes that are not UTF-8."""


class SpacedLog(Log):
    """Records of named fields, one a line, with a space between them and a header line."""

    def __init__(self, version: int, fields: Sequence[Field], row_bytes: int) -> None:
        self.fields = (Field("version", lambda _: str(version), "int32", always=True), *fields)
        self.row_bytes = row_bytes

    def head(self) -> bytes:
        """Return the header line."""
        return " ".join(field.name for field in self.fields).encode() + b"\n"

    def rows(self, flows: Flows, bad: np.ndarray, kinds: np.ndarray, first: int) -> pa.Array:
        """Write lines."""
        del first
        ends = pa.scalar("\n", pa.string())
        if not bad.any() and not flows.status.any():
            return self._lines(View(flows), len(flows), {}, end="\n").cast(pa.binary())
        lines = self.records(flows, bad, kinds, damages=DAMAGES)
        return pc.binary_join_element_wise(lines, ends.cast(pa.binary()), b"")

    def records(
        self,
        flows: Flows,
        bad: np.ndarray,
        kinds: np.ndarray,
        damages: Sequence[Callable[[pa.Array], pa.Array]],
    ) -> pa.Array:
        """Write records without line ends, as binary: good ones, those without data, bad ones."""
        lines = self._lines(View(flows), len(flows), {})
        empty = flows.status != 0
        if empty.any():
            blank = {field.name: "-" for field in self.fields if not field.always}
            picked = flows.pick(empty)
            lines = replace(lines, empty, self._lines(View(picked), len(picked), blank))
        lines = lines.cast(pa.binary())
        known = {field.name for field in self.fields}
        overrides = [o for o in _OVERRIDES if known.issuperset(o)]
        kinds = np.where(bad, kinds % (len(overrides) + len(damages)), -1)
        for number in np.unique(kinds[bad]).tolist():
            mask = kinds == number
            picked = flows.pick(mask)
            changes = overrides[number] if number < len(overrides) else {}
            broken = self._lines(View(picked), len(picked), changes).cast(pa.binary())
            if number >= len(overrides):
                broken = damages[number - len(overrides)](broken)
            lines = replace(lines, mask, broken)
        return lines

    def _lines(self, view: View, rows: int, changes: Mapping[str, str], end: str = "") -> pa.Array:
        columns = [changes.get(field.name) or field.make(view) for field in self.fields]
        if end:
            last = columns[-1]
            columns[-1] = (
                Coded(pc.binary_join_element_wise(last.values, end, ""), last.codes)
                if isinstance(last, Coded)
                else pc.binary_join_element_wise(as_array(last, rows).cast(pa.string()), end, "")
            )
        return join(columns, rows, " ")

    def table(self, flows: Flows) -> pa.Table:
        """Return rows with the types and names of AWS's Parquet files.

        Numbers that do not apply are null, texts are a dash.
        """
        view = View(flows)
        empty = pa.array(flows.status != 0)
        arrays = []
        for field in self.fields:
            array = as_array(field.make(view), len(flows))
            text = field.kind == "text"
            if not text and pa.types.is_string(array.type):
                array = pc.if_else(pc.equal(array, "-"), None, array)
            if not field.always:
                array = pc.if_else(empty, pa.scalar("-" if text else None, array.type), array)
            arrays.append(array if text else array.cast(field.kind))
        return pa.table(arrays, names=[field.name.replace("-", "_") for field in self.fields])


V2 = SpacedLog(2, _V2, 115)
V5 = SpacedLog(5, (*_V2, *_V3_TO_V5), 260)
V7 = SpacedLog(7, (*_V2, *_V3_TO_V5, *_V7), 450)
V11 = SpacedLog(11, (*_V2, *_V3_TO_V5, *_V7, *_V8_TO_V11), 600)
