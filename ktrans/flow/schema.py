"""The flow schema: one row is one observation of one 5-tuple at one capture point in one window.

This table is the only definition. The Arrow schema, the reference page, the projection and the
checks derive from it. Null always means "not reported", never 0, an empty text or a dash.

Text columns are dictionaries with int32 codes in every batch: that is what the CSV reader makes at
no extra cost, what enrichers look up by distinct value, and what Parquet stores anyway.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec
import pyarrow as pa

VALUES, KNOWN_VALUES = "values", "known_values"
"""Metadata of a text field: its only values, or some besides which there are others; words."""
SCHEMA_VERSION = "1"
"""Raised when a column changes its meaning or type; new columns at the end do not raise it."""

TEXT = pa.dictionary(pa.int32(), pa.string())
TIME = pa.timestamp("us", tz="UTC")
ATTRS = pa.map_(pa.string(), pa.string())


class Column(msgspec.Struct, frozen=True):
    """One column of the flow schema.

    Attributes:
        name: as in every batch and output.
        type: its Arrow type.
        unit: the unit, or the set of values.
        description: what it means.
        source: where AWS, as the most common cloud, has it; other decoders document their own.
        role: "counter" for what the ledger sums, "lineage" for where the row came from, or "".
        values: the only values that the column has; empty if they cannot be listed.
        known: values that the column has, among others.
    """

    name: str
    type: pa.DataType
    unit: str
    description: str
    source: str = ""
    role: str = ""
    values: tuple[str, ...] = ()
    known: tuple[str, ...] = ()


COLUMNS: tuple[Column, ...] = (
    Column("provider", TEXT, "aws, gcp, azure, oci, ibm, alibaba, huawei, tencent, k8s, cloudflare",
        "Who wrote the log", known=("aws", "gcp", "azure", "oci", "ibm", "alibaba", "huawei",
        "tencent", "k8s", "cloudflare", "zeek", "goflow2")),
    Column("log_type", TEXT,
        "aws.vpc, aws.tgw, aws.nfw, gcp.vpc, azure.nsg, azure.vnet, oci.vcn, ibm.vpc, ...",
        "Which log of that provider"),
    Column("log_version", pa.int16(), "number",
        "As printed in the record; advisory, it does not identify a layout", "version"),
    Column("record_id", TEXT, "text", "The provider's id of the record; not unique by itself",
        "CloudWatch event id"),
    Column("start_time", TIME, "UTC, microseconds", "First packet in the window", "start"),
    Column("end_time", TIME, "UTC, microseconds", "Last packet in the window", "end"),
    Column("logged_at", TIME, "UTC, microseconds", "The provider's time of the record",
        "CloudWatch timestamp"),
    Column("src_addr", TEXT, "IPv4 or RFC 5952 text", "Source address of the logged 5-tuple",
        "srcaddr"),
    Column("dst_addr", TEXT, "IPv4 or RFC 5952 text", "Destination address of the logged 5-tuple",
        "dstaddr"),
    Column("src_port", pa.int32(), "0 to 65535", "Source port; null when the protocol has none",
        "srcport"),
    Column("dst_port", pa.int32(), "0 to 65535",
        "Destination port; null when the protocol has none", "dstport"),
    Column("protocol", pa.int16(), "0 to 255, IANA", "Internet protocol number", "protocol"),
    Column("ip_version", pa.int8(), "4 or 6",
        "From the address; the record's own type only as a fallback", "type"),
    Column("src_pkt_addr", TEXT, "IPv4 or RFC 5952 text",
        "Original source behind NAT, load balancer or transit gateway", "pkt-srcaddr"),
    Column("dst_pkt_addr", TEXT, "IPv4 or RFC 5952 text",
        "Original destination behind NAT, load balancer or transit gateway", "pkt-dstaddr"),
    Column("packets", pa.int64(), "packets", "From source to destination in this row's window",
        "packets", "counter"),
    Column("bytes", pa.int64(), "bytes", "From source to destination in this row's window", "bytes",
        "counter"),
    Column("packets_rev", pa.int64(), "packets",
        "From destination to source, where the log reports it"),
    Column("bytes_rev", pa.int64(), "bytes",
        "From destination to source, where the log reports it"),
    Column("packets_dropped", pa.int64(), "packets", "Lost at the capture point",
        "sum of packets-lost-* (transit gateway)"),
    Column("bytes_dropped", pa.int64(), "bytes", "Lost at the capture point"),
    Column("tcp_flags", pa.int16(), "bit mask: FIN 1, SYN 2, RST 4, PSH 8, ACK 16, URG 32",
        "OR over the window; 0 means that none was reported, not that there was no packet",
        "tcp-flags"),
    Column("direction", TEXT, "ingress, egress", "As seen by the capture point", "flow-direction",
        values=("ingress", "egress")),
    Column("reporter", TEXT,
        "source, destination, source_gateway, destination_gateway, interface, firewall",
        "Which side of the flow the capture point is on", "flow-direction",
        values=("source", "destination", "source_gateway", "destination_gateway", "interface",
        "firewall")),
    Column("action", TEXT, "accept, reject, drop", "The verdict, where the log has one", "action",
        values=("accept", "reject", "drop")),
    Column("action_reason", TEXT, "BPA, EC, FIREWALL_DENY, ...", "Why, in the provider's own code",
        "reject-reason"),
    Column("rule", TEXT, "text", "The rule that decided"),
    Column("acl_id", TEXT, "text", "Network security group, access list or firewall"),
    Column("flow_state", TEXT, "begin, continue, end, deny", "Where in its life the flow is",
        values=("begin", "continue", "end", "deny")),
    Column("log_status", TEXT, "OK, NODATA, SKIPDATA",
        "NODATA and SKIPDATA rows are not flows; SKIPDATA says that records were lost",
        "log-status", values=("OK", "NODATA", "SKIPDATA")),
    Column("encryption", TEXT, "the provider's code", "Encryption in transit", "encryption-status"),
    Column("rtt_us", pa.int64(), "microseconds", "Round trip time"),
    Column("account_id", TEXT, "text, zeros kept", "Account, project, subscription or compartment",
        "account-id"),
    Column("region", TEXT, "text", "Region of the capture point", "region"),
    Column("zone", TEXT, "text", "Availability zone of the capture point", "az-id"),
    Column("vpc_id", TEXT, "text", "Network of the capture point", "vpc-id"),
    Column("subnet_id", TEXT, "text", "Subnet of the capture point", "subnet-id"),
    Column("interface_id", TEXT, "text",
        "Network interface, MAC or attachment of the capture point",
        "interface-id, else resource-id"),
    Column("instance_id", TEXT, "text", "Machine that the interface belongs to", "instance-id"),
    Column("src_vpc", TEXT, "text", "Network of the source, when the log names both sides",
        "tgw-src-vpc-id"),
    Column("dst_vpc", TEXT, "text", "Network of the destination, when the log names both sides",
        "tgw-dst-vpc-id"),
    Column("src_service", TEXT, "text", "Cloud service or workload at the source",
        "pkt-src-aws-service"),
    Column("dst_service", TEXT, "text", "Cloud service or workload at the destination",
        "pkt-dst-aws-service"),
    Column("attrs", ATTRS, "native name to text",
        "Every other field of the record under its native name, unknown future ones included",
        "all other fields"),
    Column("source_uri", TEXT, "URI", "The object that the record came from", "object", "lineage"),
    Column("source_pos", pa.int64(), "1-based ordinal", "Line or record in that object",
        "line number", "lineage"),
)  # fmt: skip

BY_NAME: dict[str, Column] = {column.name: column for column in COLUMNS}
NAMES: tuple[str, ...] = tuple(BY_NAME)
COUNTERS: tuple[str, ...] = tuple(c.name for c in COLUMNS if c.role == "counter")
"""The columns whose sums the ledger follows; a decoder always builds them."""


def _field(column: Column) -> pa.Field:
    metadata = {"description": column.description, "unit": column.unit}
    if column.source:
        metadata["source"] = column.source
    if column.values:
        metadata[VALUES] = " ".join(column.values)
    if column.known:
        metadata[KNOWN_VALUES] = " ".join(column.known)
    return pa.field(column.name, column.type, metadata=metadata)


FLOW_SCHEMA: pa.Schema = pa.schema(
    [_field(column) for column in COLUMNS], metadata={"ktrans.flow.version": SCHEMA_VERSION}
)


def with_other_values(schema: pa.Schema, names: Iterable[str]) -> pa.Schema:
    """Return a schema in which these columns may have other values than the flow schema's."""
    for name in names:
        at = schema.get_field_index(name)
        metadata = {} if at < 0 else dict(schema.field(at).metadata or {})
        values = metadata.pop(VALUES.encode(), None)
        if values is not None:
            metadata[KNOWN_VALUES.encode()] = values
            schema = schema.set(at, schema.field(at).with_metadata(metadata))
    return schema


def project(columns: Iterable[str] | None) -> pa.Schema:
    """Return the flow schema with only these columns, in the schema's own order.

    Args:
        columns: names; those that are not flow columns are left out. None means all.
    """
    if columns is None:
        return FLOW_SCHEMA
    wanted = set(columns)
    return pa.schema(
        [field for field in FLOW_SCHEMA if field.name in wanted], metadata=FLOW_SCHEMA.metadata
    )
