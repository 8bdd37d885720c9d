"""The `azure_metadata` enricher: which virtual machine, gateway or public address has an address."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, Literal

from pydantic import Field

from ktrans.kit.inventory.enricher import InventoryEnricher
from ktrans.kit.inventory.options import InventoryConfig
from ktrans.kit.inventory.records import Snapshot
from ktrans.kit.inventory.table import Value
from ktrans_azure.network_inventory import READER, Interface, plain_mac
from ktrans_azure.resource_graph import ResourceGraphConfig, take

Column = Literal[
    "name",
    "kind",
    "resource",
    "resource_id",
    "vm_size",
    "subscription",
    "resource_group",
    "location",
    "zone",
    "vnet",
    "subnet",
    "security_group",
]
_VALUES: dict[str, tuple[Value, str]] = {
    "name": (lambda one: one.name, "name of the virtual machine, or else of the resource"),
    "kind": (lambda one: one.kind, "kind of resource, such as networkInterfaces or loadBalancers"),
    "resource": (
        lambda one: one.resource,
        "name of the interface, load balancer or public address",
    ),
    "resource_id": (lambda one: one.id, "id of the interface, load balancer or public address"),
    "vm_size": (lambda one: one.vm_size, "size of the virtual machine"),
    "subscription": (lambda one: one.subscription, "id of the subscription"),
    "resource_group": (lambda one: one.resource_group, "resource group"),
    "location": (lambda one: one.location, "region"),
    "zone": (lambda one: one.zone, "number of the availability zone"),
    "vnet": (lambda one: one.vnet, "virtual network"),
    "subnet": (lambda one: one.subnet, "subnet"),
    "security_group": (lambda one: one.security_group, "network security group of the interface"),
}


class AzureMetadataEnricherConfig(InventoryConfig, ResourceGraphConfig, type="azure_metadata"):
    """Adds what Azure knows about the interfaces and addresses at both ends of a flow.

    From a snapshot file, from what `az` printed, from the file of a folder that was in force when a row
    started, or from Azure Resource Graph when a run begins. Unknown values are null.
    """

    subscriptions: list[str] | None = Field(
        None,
        min_length=1,
        description="Subscriptions to ask, without `snapshot`; by default all that the identity may "
        "read.",
        examples=[["00000000-0000-0000-0000-000000000000"]],
    )
    interface: str | None = Field(
        "interface_id",
        description="Column with the MAC address of the interface that made the record, or null to "
        "leave it out.",
        examples=["interface_id"],
    )
    columns: list[Column] = Field(
        default=["name", "resource_group", "subnet"],
        description="What to add.",
        examples=[["name", "vnet"]],
    )


class AzureMetadataEnricher(InventoryEnricher[AzureMetadataEnricherConfig]):
    """Looks interfaces up by MAC address, and everything by address."""

    cloud = "Azure Resource Graph"
    values: ClassVar = _VALUES
    reader: ClassVar = READER

    @staticmethod
    def identifiers(holder: Any) -> Sequence[str]:
        """Return the MAC address."""
        return (holder.mac,) if holder.mac else ()

    @staticmethod
    def identifier(text: str) -> str:
        """Return a MAC address as snapshots have it."""
        return plain_mac(text)

    @staticmethod
    def network(holder: Any) -> str | None:
        """Return the name of the virtual network."""
        found: str | None = holder.vnet
        return found

    def ask(self) -> Snapshot[Interface]:
        """Ask Azure Resource Graph."""
        return take(self.config, self.config.subscriptions, self.context)
