"""Google Cloud firewall rules logs: Cloud Logging entries as JSON lines, arrays, or Pub/Sub messages.

A record is one connection that a VPC firewall rule or a firewall policy rule allowed or denied, at the
machine where the rule applies. There are no counters. The verdict is `disposition`: INTERCEPTED
connections went on to inspection, so they have no action yet.

Source: Google Cloud documentation, "VPC firewall rules logging format", "Firewall policy rules logging
format" and "LogEntry".
"""

from __future__ import annotations

import re
from dataclasses import replace

import pyarrow as pa
import pyarrow.compute as pc

from ktrans.api import Head, Sniff
from ktrans.decoders.log import LIKELY, Json, Log, col, each_text, first_of, keys, pattern, where
from ktrans.decoders.partial_rows import PartialRows

_NAME = r"compute\.googleapis\.com(?:%2F|%2f|/)firewall"
_ZONE = re.compile(r"^([a-z]+(?:-[a-z]+)*-[a-z]+[0-9]+)-[a-z]$")
_VERDICTS = {"allowed": "accept", "denied": "reject", "intercepted": None}


def _zone(location: str) -> str | None:
    """Return a location if it is a zone."""
    return location if _ZONE.match(location) else None


def _region(location: str) -> str | None:
    """Return the region of a zone, or the location itself."""
    zone = _ZONE.match(location)
    return location if zone is None else zone[1]


def _derive(rows: PartialRows) -> None:
    """Fill the networks of both sides: the rule's own machine is at the end its direction names."""
    own, remote = (rows.text("jsonPayload", vpc, "vpc_name") for vpc in ("vpc", "remote_vpc"))
    direction = rows.columns.get("direction")
    if own is None or remote is None or direction is None:
        return
    inbound = pc.equal(direction.cast(pa.string()), "ingress")
    both = pc.and_(own.is_valid(), remote.is_valid())
    nothing = pa.scalar(None, pa.string())
    own, remote = own.cast(pa.string()), remote.cast(pa.string())
    for column, ingress, egress in (("src_vpc", remote, own), ("dst_vpc", own, remote)):
        if column in rows.wanted:
            names = pc.if_else(both, pc.if_else(inbound, ingress, egress), nothing)
            rows.columns[column] = names.dictionary_encode()


_BY_NAME = first_of(
    pattern(rb'"logName"\s*:\s*"[^"]*' + _NAME.encode() + b'"', "logName ends in firewall"),
    keys("jsonPayload", "connection", "disposition", "rule_details", score=LIKELY),
)


def _sniff(head: Head) -> Sniff | None:
    """Claim firewall entries; objects that mix them with VPC flow logs are left to `gcp_vpc`."""
    claim = _BY_NAME(head)
    if claim is None or b"vpc_flows" not in head.data:
        return claim
    return replace(claim, score=claim.score - 1)


LOG = Log(
    "gcp_firewall",
    provider="gcp",
    log_type="gcp.firewall",
    frames=(Json(),),
    columns=(
        col("record_id", "insertId"),
        col("start_time", "timestamp"),
        col("logged_at", "receiveTimestamp"),
        col("src_addr", "jsonPayload.connection.src_ip"),
        col("dst_addr", "jsonPayload.connection.dest_ip"),
        col("src_port", "jsonPayload.connection.src_port"),
        col("dst_port", "jsonPayload.connection.dest_port"),
        col("protocol", "jsonPayload.connection.protocol"),
        col("direction", "jsonPayload.rule_details.direction", lower=True),
        col("action", "jsonPayload.disposition", values=_VERDICTS, in_attrs=True),
        col("rule", "jsonPayload.rule_details.reference"),
        col("account_id", "resource.labels.project_id"),
        col("region", "jsonPayload.instance.region"),
        col("region", "resource.labels.location", convert=each_text(_region), in_attrs=True),
        col("zone", "jsonPayload.instance.zone"),
        col("zone", "resource.labels.location", convert=each_text(_zone), in_attrs=True),
        col("vpc_id", "jsonPayload.vpc.vpc_name"),
        col("subnet_id", "jsonPayload.vpc.subnetwork_name"),
        col("subnet_id", "resource.labels.subnetwork_name", in_attrs=True),
        col("instance_id", "jsonPayload.instance.vm_name"),
    ),
    constants={"log_status": "OK", "reporter": "firewall"},
    reads={
        ("jsonPayload", side, "vpc_name"): ("src_vpc", "dst_vpc") for side in ("vpc", "remote_vpc")
    },
    always=frozenset({"direction"}),
    skip=where("logName", unlike=_NAME + "$"),
    derive=_derive,
    sniff=_sniff,
)
