"""Azure virtual network (VNet) flow logs, version 4.

Source: Azure Network Watcher, "Virtual network flow logs". A tuple has 13 fields; the counters are
what was added since the flow's last tuple, and zeros of flows that begin or are denied mean that
nothing was measured.
"""

from __future__ import annotations

from ktrans.decoders.azure.fields import SHARED_MAPPING
from ktrans.decoders.azure.log import AzureLog

MAPPING: dict[str, str] = {
    **SHARED_MAPPING,
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
"""The flow columns, and the fields they are taken from, for the reference."""

LOG = AzureLog(name="azure_vnet", kind="vnet")
