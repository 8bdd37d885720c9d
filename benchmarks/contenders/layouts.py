"""The columns of the inputs, and which of them a conversion writes."""

from __future__ import annotations

TEXT = "TEXT"

_V2 = {
    "version": "INTEGER",
    "account-id": TEXT,
    "interface-id": TEXT,
    "srcaddr": TEXT,
    "dstaddr": TEXT,
    "srcport": "INTEGER",
    "dstport": "INTEGER",
    "protocol": "INTEGER",
    "packets": "BIGINT",
    "bytes": "BIGINT",
    "start": "BIGINT",
    "end": "BIGINT",
    "action": TEXT,
    "log-status": TEXT,
}
_V5 = _V2 | {
    "vpc-id": TEXT,
    "subnet-id": TEXT,
    "instance-id": TEXT,
    "tcp-flags": "INTEGER",
    "type": TEXT,
    "pkt-srcaddr": TEXT,
    "pkt-dstaddr": TEXT,
    "region": TEXT,
    "az-id": TEXT,
    "sublocation-type": TEXT,
    "sublocation-id": TEXT,
    "pkt-src-aws-service": TEXT,
    "pkt-dst-aws-service": TEXT,
    "flow-direction": TEXT,
    "traffic-path": "INTEGER",
}
_TEN = (
    "start",
    "end",
    "srcaddr",
    "dstaddr",
    "srcport",
    "dstport",
    "protocol",
    "packets",
    "bytes",
    "action",
)

LAYOUTS: dict[str, tuple[dict[str, str], tuple[str, ...]]] = {
    "v2": (_V2, tuple(_V2)),
    "v5": (_V5, tuple(_V5)),
    "v5-ten": (_V5, _TEN),
}
"""By name: every field of the input with its type, and the fields to write."""
