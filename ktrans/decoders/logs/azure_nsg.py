"""Azure network security group (NSG) flow logs, versions 1 and 2.

Source: Azure Network Watcher, "Flow logging for network security groups". A tuple of version 1 has
8 fields, one of version 2 has 13; the counters are what was added since the flow's last tuple.
"""

from __future__ import annotations

from ktrans.decoders.azure.fields import SHARED_MAPPING
from ktrans.decoders.azure.log import AzureLog

MAPPING: dict[str, str] = {
    **SHARED_MAPPING,
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
"""The flow columns, and the fields they are taken from, for the reference."""

LOG = AzureLog(name="azure_nsg", kind="nsg")
