"""Google Cloud VPC flow logs as Cloud Logging exports them, one log entry a line.

Source: Google Cloud documentation, "About VPC Flow Logs records" and "LogEntry". Integers of 64 bits
are texts, keys are in alphabetical order, parts that do not apply are left out.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ktrans_generate.catalogue import Log
from ktrans_generate.columns import Coded, Column, join, replace
from ktrans_generate.flows import Flows
from ktrans_generate.logs.aws import View
from ktrans_generate.logs.json_sheet import stamps
from ktrans_generate.world import REMOTES

_REGIONS = ("europe-west1", "us-central1", "asia-south1")
_PLACES = (
    ("Frankfurt am Main", "Europe", "deu", "Hesse"),
    ("Ashburn", "America", "usa", "Virginia"),
    ("São Paulo", "America", "bra", "São Paulo"),
    ("Tokyo", "Asia", "jpn", "Tokyo"),
)
_GOOGLE = ("storage", "logging", "bigquery", "pubsub")
_REASONS = ("FIREWALL_DENY", "NO_MATCHING_ROUTE", "QUEUE_OVERFLOW")
_TCP, _ICMP, _ICMP6 = 6, 1, 58
_TEXT = pa.string()
_END = 1 << 31

_CHANGES: tuple[tuple[str, str], ...] = (
    ('"src_ip":"', '"src_ip":"300.'),
    ('"dest_ip":"', '"dest_ip":"::g'),
    ('"start_time":"', '"start_time":"yesterday '),
    ('"packets_', '"packets_sent":[1],"packets_'),
    ('"connection":', '"konnection":'),
)
_TORN = len(_CHANGES)
_NOT_UTF8 = _TORN + 1


def _members(content: dict[str, Any]) -> str:
    """Write the members of an object, each followed by a comma."""
    text = json.dumps(content, separators=(",", ":"), ensure_ascii=False)[1:-1]
    return f"{text}," if text else ""


class _Entries:
    """Flows as Google Cloud logs them."""

    def __init__(self, flows: Flows, first: int) -> None:
        self.flows = flows
        self.view = View(flows)
        self.first = first
        self.hosts = flows.world.hosts

    def project(self, host: int) -> str:
        """Return the project of a host."""
        account = str(self.flows.world.accounts[host])
        return f"net-{self.flows.world.account_names.index(account) + 1:02d}"

    def region(self, host: int) -> str:
        """Return the region of a host."""
        return _REGIONS[host % len(_REGIONS)]

    def vpc(self, host: int) -> dict[str, str]:
        """Describe the network of a host."""
        return {
            "project_id": self.project(host),
            "subnetwork_name": f"{self.region(host)}-apps",
            "subnetwork_region": self.region(host),
            "vpc_name": "shared-network",
        }

    def host_parts(self, side: str, host: int) -> str:
        """Describe a host at one side."""
        region = self.region(host)
        parts: dict[str, Any] = {}
        if host % 5 == 0:
            services = [{"service_name": "checkout", "service_namespace": "shop"}]
            parts[f"{side}_gke_details"] = {
                "cluster": {"cluster_location": region, "cluster_name": f"shop-{region}"},
                "pod": {
                    "pod_name": f"checkout-{host:05d}",
                    "pod_namespace": "shop",
                    "workload": {"workload_name": "checkout", "workload_type": "DEPLOYMENT"},
                },
                "service": services,
            }
        parts[f"{side}_instance"] = {
            "project_id": self.project(host),
            "region": region,
            "vm_name": f"vm-{host:05d}",
            "zone": f"{region}-{'bcd'[host % 3]}",
        }
        if host % 4 == 0:
            group = {"name": f"apps-{host % 7}", "region": region}
            parts[f"{side}_instance"]["managed_instance_group"] = group
        parts[f"{side}_vpc"] = self.vpc(host)
        return _members(parts)

    def remote_parts(self, side: str, remote: int) -> str:
        """Describe an address outside at one side."""
        number = int(self.flows.world.remote_service[remote])
        if number:
            name = f"{_GOOGLE[number % len(_GOOGLE)]}.googleapis.com"
            service = {"connectivity": "PUBLIC_IP", "service_name": name, "type": "GOOGLE_API"}
            return _members({f"{side}_google_service": service})
        city, continent, country, area = _PLACES[remote % len(_PLACES)]
        location = {
            "asn": 64_496 + remote % 16,
            "city": city,
            "continent": continent,
            "country": country,
            "region": area,
        }
        return _members({f"{side}_location": location})

    def parts(self, side: str) -> Coded:
        """Describe each row's source or destination; one row in 32 has no metadata."""
        flows = self.flows
        own = flows.egress == (side == "src")
        other = np.where(flows.internal, flows.peer, flows.peer + self.hosts)
        codes = np.where(own, flows.host, other)
        codes = np.where(flows.start % 32 == 0, self.hosts + REMOTES, codes)
        used, dense = np.unique(codes, return_inverse=True)
        texts = [
            ""
            if code == self.hosts + REMOTES
            else self.host_parts(side, code)
            if code < self.hosts
            else self.remote_parts(side, code - self.hosts)
            for code in used.tolist()
        ]
        return Coded.of(texts, dense)

    def by_host(self, make: Callable[[int], str]) -> Coded:
        """Make a text that depends on the logging host."""
        return self.view.by_host([make(host) for host in range(self.hosts)])

    def log_name(self, host: int) -> str:
        """Return the rest of an entry from its log name to the resource."""
        newer = host % 3 == 2  # noqa: PLR2004
        api = "networkmanagement" if newer else "compute"
        return f'"logName":"projects/{self.project(host)}/logs/{api}.googleapis.com%2Fvpc_flows"'

    def resource(self, host: int) -> str:
        """Describe the configuration that made the entry."""
        if host % 3 == 2:  # noqa: PLR2004
            labels = {
                "location": "global",
                "name": "all-networks",
                "resource_container": f"projects/{self.project(host)}",
            }
            return _members({"resource": {"labels": labels, "type": "vpc_flow_logs_config"}})
        labels = {
            "location": self.region(host) if host % 2 else f"{self.region(host)}-b",
            "project_id": self.project(host),
            "subnetwork_id": str(4_000_000_000 + host % 9),
            "subnetwork_name": f"{self.region(host)}-apps",
        }
        return _members({"resource": {"labels": labels, "type": "gce_subnetwork"}})

    def time(self, seconds: np.ndarray, salt: int, end: str = 'Z",') -> pa.Array:
        """Write times with nanoseconds."""
        nanos = (self.number * 7_919 + salt) * 104_729 % 1_000_000_000
        digits = pc.utf8_lpad(pa.array(nanos).cast(_TEXT), 9, "0")
        return pc.binary_join_element_wise(stamps(seconds, ".").array(), digits, end, "")

    @cached_property
    def number(self) -> np.ndarray:
        """Number the rows within their object."""
        return np.arange(self.first, self.first + len(self.flows))

    def amount(self, name: str, values: np.ndarray, where: np.ndarray) -> pa.Array:
        """Write a count as a text where there is one."""
        texts = pc.binary_join_element_wise(f'"{name}":"', pa.array(values).cast(_TEXT), '",', "")
        return texts if where.all() else pc.if_else(pa.array(where), texts, "")

    def ports(self, name: str, values: np.ndarray, end: str = "") -> pa.Array:
        """Write a port where the protocol has any."""
        icmp = np.isin(self.flows.protocol, (_ICMP, _ICMP6))
        texts = pc.binary_join_element_wise(f',"{name}":', pa.array(values).cast(_TEXT), "")
        texts = pc.if_else(pa.array(icmp), "", texts)
        return pc.binary_join_element_wise(texts, end, "") if end else texts

    def round_trip(self) -> Coded:
        """Write the round trip time of TCP; some hosts still have the older field."""
        flows = self.flows
        micros = 300 + (flows.octets * 37 + flows.packets) % 400
        codes = np.where((flows.protocol == _TCP) & ~flows.reject, micros, 0)
        codes = codes * 2 + flows.host % 2
        used, dense = np.unique(codes, return_inverse=True)
        texts = [
            ""
            if code < 2  # noqa: PLR2004
            else f'"rtt_msec":"{code // 20}",'
            if code % 2
            else f'"round_trip_time":{{"median_msec":{code // 2 / 100}}},'
            for code in used.tolist()
        ]
        return Coded.of(texts, dense)

    def lines(self) -> pa.Array:
        """Write the entries."""
        flows = self.flows
        drop = flows.reject
        dropped = [f'"disposition":"DROPPED","drop_reason":"{reason}",' for reason in _REASONS]
        columns: list[Column] = [
            '{"insertId":"',
            pa.array(flows.start * (1 << 20) + self.number).cast(_TEXT),
            '","jsonPayload":{',
            self.amount("bytes_dropped", flows.octets, drop),
            self.amount("bytes_sent", flows.octets, ~drop),
            '"connection":{"dest_ip":"',
            self.view.address(source=False),
            '"',
            self.ports("dest_port", flows.dst_port),
            ',"protocol":',
            flows.protocol,
            ',"src_ip":"',
            self.view.address(source=True),
            '"',
            self.ports("src_port", flows.src_port, "},"),
            self.parts("dest"),
            Coded.of(["", *dropped], np.where(drop, 1 + flows.dst_port % len(_REASONS), 0)),
            '"end_time":"',
            self.time(flows.end, 1),
            self.amount("packets_dropped", flows.packets, drop),
            self.amount("packets_sent", flows.packets, ~drop),
            Coded.of(['"reporter":"DEST",', '"reporter":"SRC",'], flows.egress),
            self.round_trip(),
            self.parts("src"),
            '"start_time":"',
            self.time(flows.start, 0, 'Z"'),
            Coded.of(["},", ',"throughput_inclusion":"EXCLUDED"},'], drop),
            self.by_host(self.log_name),
            ',"receiveTimestamp":"',
            self.time(flows.end + 9, 5),
            self.by_host(self.resource),
            '"timestamp":"',
            self.time(flows.end + 8, 3, 'Z"}\n'),
        ]
        return join(columns, len(flows), "").cast(pa.binary())


class VpcFlows(Log):
    """Log entries; records without data become entries of another log."""

    ending = ".json"
    row_bytes = 1150

    def rows(self, flows: Flows, bad: np.ndarray, kinds: np.ndarray, first: int) -> pa.Array:
        """Write lines."""
        lines = _Entries(flows, first).lines()
        foreign = flows.status != 0
        if foreign.any():
            lines = replace(lines, foreign, _foreign(flows.pick(foreign)))
        if bad.any():
            lines = replace(lines, bad, _damaged(lines.filter(pa.array(bad)), kinds[bad]))
        return lines


def _foreign(flows: Flows) -> pa.Array:
    """Write entries of another log, which a sink mixes with flows."""
    ids = pa.array(flows.start).cast(_TEXT)
    rest = (
        '","logName":"projects/net-01/logs/cloudaudit.googleapis.com%2Factivity",'
        '"protoPayload":{"methodName":"v1.compute.instances.list"},"severity":"NOTICE"}\n'
    )
    return pc.binary_join_element_wise('{"insertId":"a', ids, rest, "").cast(pa.binary())


def _damaged(lines: pa.Array, kinds: np.ndarray) -> pa.Array:
    kinds = kinds % (_NOT_UTF8 + 1)
    for number in np.unique(kinds).tolist():
        mask = kinds == number
        some = lines.filter(pa.array(mask))
        if number == _TORN:
            some = pc.binary_replace_slice(some, start=-60, stop=_END, replacement=b"\n")
        elif number == _NOT_UTF8:
            some = pc.binary_replace_slice(some, start=14, stop=16, replacement=b"\xff\xfe")
        else:
            pattern, new = _CHANGES[number]
            some = pc.replace_substring(some, pattern, new, max_replacements=1)
        lines = replace(lines, mask, some)
    return lines


VPC = VpcFlows()
