"""Where flow columns go in OpenTelemetry log records.

Sources: OpenTelemetry logs data model; semantic conventions (source, destination, network, cloud,
host, log); for what these leave open, the attribute names of the OpenTelemetry Collector's AWS and
Google Cloud log encodings.
"""

from __future__ import annotations

from typing import Any

import pyarrow as pa

from ktrans.flow.schema import ATTRS, TEXT, TIME
from ktrans.flow.target_schemas.attribute import (
    INT,
    LONG,
    ORIGINAL_NOTE,
    Attribute,
    at,
    under,
    words,
)

_OTEL_PROVIDERS = {
    "aws": "aws",
    "gcp": "gcp",
    "azure": "azure",
    "oci": "oracle_cloud",
    "ibm": "ibm_cloud",
    "alibaba": "alibaba_cloud",
    "tencent": "tencent_cloud",
}
_OTEL_DIRECTIONS = {"ingress": "receive", "egress": "transmit"}
_UPPER = {"accept": "ACCEPT", "reject": "REJECT", "drop": "DROP"}


def _only(provider: str, path: str, kind: pa.DataType, *columns: str, **more: Any) -> Attribute:
    more = {"note": f"of {provider} rows", **more}
    return at(
        path, kind, *columns, by=("provider",), rule=f"only_{provider}", part="vendor", **more
    )


OTEL: tuple[Attribute, ...] = (
    Attribute(("timeUnixNano",), LONG, ("start_time", "end_time", "logged_at"), rule="nanos",
              note="Unix nanoseconds; the first of these that is there"),
    Attribute(("observedTimeUnixNano",), LONG, ("logged_at",), rule="nanos",
              note="Unix nanoseconds"),
    Attribute(("severityNumber",), INT, rule="constant", value=9),
    Attribute(("severityText",), TEXT, rule="constant", value="INFO"),
    Attribute(("body",), ATTRS, ("attrs",), part="attrs", note="under its native name"),
    *under("resource", (
        words("cloud.provider", TEXT, "provider", _OTEL_PROVIDERS, other=...),
        at("cloud.account.id", TEXT, "account_id"),
        at("cloud.region", TEXT, "region"),
        at("cloud.availability_zone", TEXT, "zone"),
        at("host.id", TEXT, "instance_id"),
    )),
    *under("attributes", (
        at("source.address", TEXT, "src_pkt_addr", "src_addr", rule="first_text",
            note=ORIGINAL_NOTE),
        at("source.port", INT, "src_port"),
        at("destination.address", TEXT, "dst_pkt_addr", "dst_addr", rule="first_text",
            note=ORIGINAL_NOTE),
        at("destination.port", INT, "dst_port"),
        at("network.local.address", TEXT, "src_addr", "src_pkt_addr", "dst_addr", "dst_pkt_addr",
            rule="middle", note="the address in between, where it differs from the packet's own"),
        at("network.transport", TEXT, "protocol", rule="protocol_name", note="IANA keyword"),
        words("network.type", TEXT, "ip_version", {"4": "ipv4", "6": "ipv6"}),
        words("network.io.direction", TEXT, "direction", _OTEL_DIRECTIONS),
        at("network.interface.name", TEXT, "interface_id"),
        at("network.tcp.flags", TEXT, "tcp_flags", rule="number_text"),
        at("log.record.uid", TEXT, "record_id"),
        at("log.file.path", TEXT, "source_uri", part="lineage"),
        _only("aws", "aws.vpc.flow.log.version", INT, "log_version"),
        _only("aws", "aws.vpc.flow.packets", LONG, "packets"),
        _only("aws", "aws.vpc.flow.bytes", LONG, "bytes"),
        _only("aws", "aws.vpc.flow.start", LONG, "start_time", value="seconds",
              note="of aws rows, Unix seconds"),
        _only("aws", "aws.vpc.flow.action", TEXT, "action", words=_UPPER,
              note="of aws rows, in upper case"),
        _only("aws", "aws.vpc.flow.status", TEXT, "log_status"),
        _only("aws", "aws.vpc.flow.source.service", TEXT, "src_service"),
        _only("aws", "aws.vpc.flow.destination.service", TEXT, "dst_service"),
        _only("aws", "aws.vpc.flow.reject_reason", TEXT, "action_reason"),
        _only("aws", "aws.vpc.id", TEXT, "vpc_id"),
        _only("aws", "aws.vpc.subnet.id", TEXT, "subnet_id"),
        _only("aws", "aws.az.id", TEXT, "zone"),
        _only("gcp", "gcp.vpc.flow.packets_sent", LONG, "packets"),
        _only("gcp", "gcp.vpc.flow.bytes_sent", LONG, "bytes"),
        _only("gcp", "gcp.vpc.flow.start_time", TIME, "start_time"),
        _only("gcp", "gcp.vpc.flow.end_time", TIME, "end_time"),
        _only("gcp", "gcp.vpc.flow.reporter", TEXT, "reporter",
              words={"source": "SRC", "destination": "DEST", "source_gateway": "SRC_GATEWAY",
                     "destination_gateway": "DEST_GATEWAY"},
              note="of gcp rows, as SRC, DEST and so on"),
        _only("gcp", "gcp.vpc.flow.network.rtt_ms", LONG, "rtt_us", value="thousandth",
              note="of gcp rows, milliseconds"),
        _only("gcp", "gcp.vpc.flow.source.vpc.name", TEXT, "src_vpc"),
        _only("gcp", "gcp.vpc.flow.destination.vpc.name", TEXT, "dst_vpc"),
        *(
            at(f"flow.{name}", kind, column, part="flow")
            for name, kind, column in (
                ("log.type", TEXT, "log_type"),
                ("start", TIME, "start_time"),
                ("end", TIME, "end_time"),
                ("bytes", LONG, "bytes"),
                ("packets", LONG, "packets"),
                ("reverse.bytes", LONG, "bytes_rev"),
                ("reverse.packets", LONG, "packets_rev"),
                ("dropped.bytes", LONG, "bytes_dropped"),
                ("dropped.packets", LONG, "packets_dropped"),
                ("action", TEXT, "action"),
                ("reason", TEXT, "action_reason"),
                ("rule", TEXT, "rule"),
                ("acl.id", TEXT, "acl_id"),
                ("state", TEXT, "flow_state"),
                ("status", TEXT, "log_status"),
                ("encryption", TEXT, "encryption"),
                ("rtt_us", LONG, "rtt_us"),
                ("reporter", TEXT, "reporter"),
                ("vpc.id", TEXT, "vpc_id"),
                ("subnet.id", TEXT, "subnet_id"),
                ("source.vpc", TEXT, "src_vpc"),
                ("destination.vpc", TEXT, "dst_vpc"),
                ("source.service", TEXT, "src_service"),
                ("destination.service", TEXT, "dst_service"),
            )
        ),
    )),
)  # fmt: skip
