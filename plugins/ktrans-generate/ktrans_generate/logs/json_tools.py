"""Flows of firewalls, overlays and collectors as JSON: one template a log.

Sources: the documents named in the decoders of the same logs.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ktrans_generate.columns import Coded, Column, join
from ktrans_generate.flows import Flows
from ktrans_generate.logs.json_sheet import ICMP, MASKS, TCP, UDP, JsonLog, Sheet, stamps

_FLAGS = {"FIN": 1, "SYN": 2, "RST": 4, "PSH": 8, "ACK": 16, "URG": 32}


class AwsNetworkFirewall(JsonLog):
    """AWS Network Firewall: Suricata's netflow events, and some alerts."""

    row_bytes = 520
    _alert_every = 50

    def parts(self, sheet: Sheet) -> Sequence[Column]:
        """Fill the template."""
        flows = sheet.flows
        flags = [f"{number:02x}" for number in range(MASKS)]
        is_alert = sheet.number() % self._alert_every == self._alert_every - 1
        start, end = stamps(flows.start, ".500000+0000"), stamps(flows.end, ".250000+0000")
        return [
            '{"firewall_name":"', sheet.by_host(sheet.world.vpcs), '","availability_zone":"',
            sheet.by_host(sheet.world.zones), '","event_timestamp":"', flows.end,
            '","event":{"timestamp":"', end, '","flow_id":', 1_000_000_000_000_000 + sheet.number(),
            ',"event_type":"', Coded.of(["netflow", "alert"], is_alert), '","src_ip":"', sheet.src,
            '","src_port":', flows.src_port, ',"dest_ip":"', sheet.dst, '","dest_port":',
            flows.dst_port, ',"proto":"', sheet.protocol_name(), '","app_proto":"unknown"',
            Coded.of(["", *(f',"tcp":{{"tcp_flags":"{text}"}}' for text in flags)],
                     np.where(flows.protocol == TCP, flows.flags + 1, 0)),
            ',"netflow":{"pkts":', flows.packets, ',"bytes":', sheet.octets, ',"start":"', start,
            '","end":"', end, '","age":', flows.end - flows.start, "}}}",
        ]  # fmt: skip


class Hubble(JsonLog):
    """Cilium Hubble's exporter: an event a line, no counters."""

    row_bytes = 700

    def parts(self, sheet: Sheet) -> Sequence[Column]:
        """Fill the template."""
        flows = sheet.flows
        hosts = range(sheet.world.hosts)
        time = stamps(flows.start, ".046130001Z")
        own = sheet.by_host(
            [
                f'"namespace":"shop","pod_name":"web-{i}","workloads":[{{"name":"web"}}]'
                for i in hosts
            ]
        )
        other = '"identity":2,"labels":["reserved:world"]'
        node = sheet.by_host([f"node-{i % 7}" for i in hosts])
        return [
            '{"flow":{"time":"', time, '","uuid":"00000000-0000-4000-8000-', 100_000_000_000 + sheet.number(),
            '","verdict":"', sheet.verdict("FORWARDED", "DROPPED"), '","IP":{"source":"', sheet.src,
            '","destination":"', sheet.dst, '","ipVersion":"', Coded.of(["IPv4", "IPv6"], flows.v6),
            '"},"l4":{', self._l4(sheet), '},"source":{', _swapped(flows, own, other, 0), '},"destination":{',
            _swapped(flows, own, other, 1), '},"Type":"L3_L4","node_name":"', node,
            '","event_type":{"type":4},"traffic_direction":"', sheet.way("INGRESS", "EGRESS"),
            '","is_reply":', Coded.of(["false", "true"], flows.src_port < flows.dst_port),
            '},"node_name":"', node, '","time":"', time, '"}',
        ]  # fmt: skip

    def _l4(self, sheet: Sheet) -> pa.StringArray:
        flows = sheet.flows
        ports: list[Column] = [
            '"source_port":', flows.src_port, ',"destination_port":', flows.dst_port,
        ]  # fmt: skip
        set_flags = [
            ",".join(f'"{name}":true' for name, bit in _FLAGS.items() if mask & bit)
            for mask in range(MASKS)
        ]
        tcp = join(
            ['"TCP":{', *ports, ',"flags":{', Coded.of(set_flags, flows.flags), "}}"],
            len(flows),
            "",
        )
        udp = join(['"UDP":{', *ports, "}"], len(flows), "")
        icmp = Coded.of(['"ICMPv4":{"type":8}', '"ICMPv6":{"type":128}'], flows.v6).array()
        which = np.where(flows.protocol == TCP, 0, np.where(flows.protocol == UDP, 1, 2))
        return pc.choose(pa.array(which), tcp, udp, icmp)


def _swapped(flows: Flows, own: Coded, other: str, side: int) -> Coded:
    """Return the logging host's texts at its side of the flow, and the others at the other side."""
    here = flows.egress if side == 0 else ~flows.egress
    values = pa.concat_arrays([pa.array([other], pa.string()), own.values])
    return Coded(values, np.where(here, own.codes + 1, 0).astype(np.int32))


class Cloudflare(JsonLog):
    """Cloudflare Network Analytics: sampled packets."""

    row_bytes = 400

    def parts(self, sheet: Sheet) -> Sequence[Column]:
        """Fill the template."""
        flows = sheet.flows
        length: Column = np.maximum(flows.octets // flows.packets, 40)
        if isinstance(sheet.octets, str):
            length = sheet.octets
        return [
            '{"Datetime":"', stamps(flows.start, "Z"), '","SampleInterval":',
            Coded.of(["1", "100", "10000"], flows.host % 3), ',"ColoCode":"FRA","ColoCountry":"DE",',
            '"Direction":"', sheet.way("ingress", "egress"), '","IPSourceAddress":"', sheet.src,
            '","IPDestinationAddress":"', sheet.dst, '","IPProtocol":', flows.protocol,
            ',"IPTotalLength":', length, ',"SourcePort":', flows.src_port, ',"DestinationPort":',
            flows.dst_port, ',"TCPFlags":', flows.flags, ',"ICMPType":',
            Coded.of(["0", "8"], flows.protocol == ICMP), ',"UDPChecksum":0,"Outcome":"',
            sheet.verdict("pass", "drop"), '","RuleID":"', Coded.of(["", "rule-7"], flows.reject), '"}',
        ]  # fmt: skip


class Goflow2(JsonLog):
    """The collector goflow2, version 2."""

    row_bytes = 430

    def parts(self, sheet: Sheet) -> Sequence[Column]:
        """Fill the template."""
        flows = sheet.flows
        return [
            '{"type":"NETFLOW_V9","time_received_ns":', flows.end * 1_000_000_000 + 7,
            ',"sequence_num":', sheet.number(), ',"sampling_rate":0,"sampler_address":"192.0.2.1",',
            '"time_flow_start_ns":', flows.start * 1_000_000_000, ',"time_flow_end_ns":',
            flows.end * 1_000_000_000, ',"bytes":', sheet.octets, ',"packets":', flows.packets,
            ',"src_addr":"', sheet.src, '","dst_addr":"', sheet.dst, '","etype":"',
            Coded.of(["IPv4", "IPv6"], flows.v6), '","proto":"', sheet.protocol_name(),
            '","src_port":', flows.src_port, ',"dst_port":', flows.dst_port, ',"in_if":',
            flows.host.astype(np.int64) % 48, ',"out_if":1,"ip_tos":0,"tcp_flags":', flows.flags, "}",
        ]  # fmt: skip


class Ktranslate(JsonLog):
    """Kentik's KTranslate, format flat_json, a record a line."""

    row_bytes = 500

    def parts(self, sheet: Sheet) -> Sequence[Column]:
        """Fill the template."""
        flows = sheet.flows
        return [
            '{"timestamp":', flows.end, ',"dst_as":0,"dst_geo":"","in_bytes":', sheet.octets,
            ',"in_pkts":', flows.packets, ',"input_port":', flows.host.astype(np.int64) % 48,
            ',"dst_addr":"', sheet.dst, '","src_addr":"', sheet.src, '","l4_dst_port":',
            flows.dst_port, ',"l4_src_port":', flows.src_port, ',"output_port":1,"protocol":"',
            sheet.protocol_name(), '","src_as":0,"src_geo":"","tcp_flags":', flows.flags,
            ',"tos":0,"out_bytes":0,"out_pkts":0,"sample_rate":1,"device_id":0,"device_name":"',
            sheet.by_host(sheet.world.vpcs), '","start_time":', flows.start, ',"end_time":',
            flows.end, ',"eventType":"KFlow","provider":"kentik-flow-device"}',
        ]  # fmt: skip


AWS_NETWORK_FIREWALL = AwsNetworkFirewall()
HUBBLE = Hubble()
CLOUDFLARE = Cloudflare()
GOFLOW2 = Goflow2()
KTRANSLATE = Ktranslate()
