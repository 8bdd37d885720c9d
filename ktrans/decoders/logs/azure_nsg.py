"""Azure network security group (NSG) flow logs, versions 1 and 2.

Source: Azure Network Watcher, "Flow logging for network security groups". A tuple of version 1 has
8 fields, one of version 2 has 13; the counters are what was added since the flow's last tuple.
"""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from ktrans.api import ComponentConfig, Head, Sniff
from ktrans.decoders.azure.decoder import AzureDecoder, sniff_azure
from ktrans.decoders.azure.fields import SHARED_MAPPING
from ktrans.decoders.azure.records import Kind

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


class AzureNsgDecoderConfig(ComponentConfig):
    """Options of the `azure_nsg` decoder."""

    type: Literal["azure_nsg"] = Field(
        default="azure_nsg", description="Which component this is.", examples=["azure_nsg"]
    )


class AzureNsgDecoder(AzureDecoder[AzureNsgDecoderConfig]):
    """Decodes Azure NSG flow logs; records of virtual network flow logs are read as what they are."""

    kind: ClassVar[Kind] = "nsg"


def sniff(head: Head) -> Sniff | None:
    """Claim objects whose records are those of NSG flow logs."""
    return sniff_azure(head, "nsg")
