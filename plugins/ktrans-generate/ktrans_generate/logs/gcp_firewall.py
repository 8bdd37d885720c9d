"""Google Cloud firewall rules logs as Cloud Logging exports them, one log entry a line.

Source: Google Cloud documentation, "VPC firewall rules logging format" and "LogEntry".
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from ktrans_generate.columns import Coded, Column
from ktrans_generate.flows import Flows
from ktrans_generate.logs.json_sheet import TCP, UDP, JsonLog, Sheet, stamps

_RULES = (
    ('"ALLOW"', "INGRESS", "allow-web", 1000),
    ('"ALLOW"', "EGRESS", "allow-out", 1000),
    ('"DENY"', "INGRESS", "deny-rest", 65_000),
    ('"DENY"', "EGRESS", "deny-out", 65_000),
)


class GcpFirewall(JsonLog):
    """Connections that a firewall rule allowed or denied; some entries have no metadata."""

    row_bytes = 980

    def prepared(self, flows: Flows) -> Flows:
        """Keep to protocols with ports."""
        known = np.isin(flows.protocol, (TCP, UDP))
        return replace(flows, protocol=np.where(known, flows.protocol, UDP))

    def parts(self, sheet: Sheet) -> Sequence[Column]:
        """Fill the template."""
        flows, hosts = sheet.flows, range(sheet.world.hosts)
        rules = [
            f'"rule_details":{{"action":{action},"direction":"{direction}","ip_port_info":'
            f'[{{"ip_protocol":"ALL"}}],"priority":{priority},"reference":"network:shared/firewall:{name}"}}'
            for action, direction, name, priority in _RULES
        ]
        regions = [("europe-west1", "us-central1")[host % 2] for host in hosts]
        projects = [f"net-{host % 3:02d}" for host in hosts]
        machines = [
            f'"instance":{{"project_id":"{project}","region":"{region}","vm_name":"vm-{host:05d}",'
            f'"zone":"{region}-b"}},'
            for host, (project, region) in enumerate(zip(projects, regions, strict=True))
        ]
        networks = [
            f',"vpc":{{"project_id":"{project}","subnetwork_name":"{region}-apps","vpc_name":"shared"}}'
            for project, region in zip(projects, regions, strict=True)
        ]
        labels = [
            f'"location":"{region}-b","project_id":"{project}","subnetwork_id":"{4_000_000_000 + host % 9}",'
            f'"subnetwork_name":"{region}-apps"'
            for host, (project, region) in enumerate(zip(projects, regions, strict=True))
        ]
        has_metadata = flows.host % 8 != 0
        return [
            '{"insertId":"', flows.start * (1 << 20) + sheet.number(),
            '","jsonPayload":{"connection":{"dest_ip":"', sheet.dst, '","dest_port":', flows.dst_port,
            ',"protocol":', flows.protocol, ',"src_ip":"', sheet.src, '","src_port":', flows.src_port,
            '},"disposition":"', sheet.verdict("ALLOWED", "DENIED"), '",',
            Coded.of(["", *machines], np.where(has_metadata, flows.host + 1, 0)),
            Coded.of(rules, flows.egress + 2 * flows.reject),
            Coded.of(["", *networks], np.where(has_metadata, flows.host + 1, 0)),
            '},"logName":"projects/', sheet.by_host(projects),
            '/logs/compute.googleapis.com%2Ffirewall","receiveTimestamp":"',
            stamps(flows.start + 4, ".283300449Z"), '","resource":{"labels":{', sheet.by_host(labels),
            '},"type":"gce_subnetwork"},"timestamp":"', stamps(flows.start, ".191988835Z"), '"}',
        ]  # fmt: skip


FIREWALL = GcpFirewall()
