"""In words: which field of an Azure flow log each flow column is taken from, for the reference."""

from __future__ import annotations

_SHARED = {
    "start_time": "tuple field 1",
    "logged_at": "`time` of the record",
    "src_addr": "tuple field 2",
    "dst_addr": "tuple field 3",
    "src_port": "tuple field 4",
    "dst_port": "tuple field 5",
    "protocol": "tuple field 6",
    "ip_version": "tuple field 2",
    "direction": "tuple field 7: I, O",
    "packets": "tuple field 10",
    "bytes": "tuple field 11",
    "packets_rev": "tuple field 12",
    "bytes_rev": "tuple field 13",
}
NSG: dict[str, str] = {
    **_SHARED,
    "log_version": "`properties.Version`",
    "action": "tuple field 8: A, D",
    "flow_state": "tuple field 9: B, C, E",
    "rule": "`flows[].rule`",
    "acl_id": "`resourceId`",
    "account_id": "subscription in `resourceId`",
    "region": "network watcher in the object's path",
    "interface_id": "`flows[].flows[].mac`, or the object's path",
    "attrs": "all other fields of the record",
}
"""Network security group flow logs; version 1 has eight tuple fields."""

VNET: dict[str, str] = {
    **_SHARED,
    "log_version": "`flowLogVersion`",
    "action": "tuple field 8: D rejects, B, C and E accept",
    "action_reason": "tuple field 9, where no rule denied",
    "flow_state": "tuple field 8: B, C, E, D",
    "encryption": "tuple field 9",
    "rule": "`flowGroups[].rule`",
    "acl_id": "`flows[].aclID`",
    "account_id": "subscription in `flowLogResourceID`",
    "region": "network watcher in `flowLogResourceID`",
    "vpc_id": "virtual network in `targetResourceID`",
    "subnet_id": "subnet in `targetResourceID`",
    "interface_id": "`macAddress`",
    "attrs": "all other fields of the record",
}
"""Virtual network flow logs."""
