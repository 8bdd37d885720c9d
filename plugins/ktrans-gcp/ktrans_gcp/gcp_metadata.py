"""The `gcp_metadata` enricher: which instance, rule or reserved address of Google Cloud has an address."""

from __future__ import annotations

from typing import Any, ClassVar, Literal, Self

from pydantic import Field, model_validator

from ktrans.kit.inventory.enricher import InventoryEnricher
from ktrans.kit.inventory.options import InventoryConfig
from ktrans.kit.inventory.records import Snapshot
from ktrans.kit.inventory.table import Value
from ktrans_gcp.compute_inventory import READER, Interface, take
from ktrans_gcp.google_auth import GoogleConfig

Column = Literal[
    "name",
    "kind",
    "instance_id",
    "project",
    "region",
    "zone",
    "network",
    "subnetwork",
    "machine_type",
    "service_account",
    "network_tags",
]
_VALUES: dict[str, tuple[Value, str]] = {
    "name": (lambda one: one.name, "name of the instance, forwarding rule or reserved address"),
    "kind": (lambda one: one.kind, "what has the address: instance, forwarding_rule or address"),
    "instance_id": (lambda one: one.instance_id, "number of the instance"),
    "project": (lambda one: one.project, "project"),
    "region": (lambda one: one.region, "region"),
    "zone": (lambda one: one.zone, "zone of the instance"),
    "network": (lambda one: one.network, "VPC network"),
    "subnetwork": (lambda one: one.subnetwork, "subnet"),
    "machine_type": (lambda one: one.machine_type, "machine type"),
    "service_account": (lambda one: one.service_account, "service account of the instance"),
    "network_tags": (
        lambda one: ",".join(one.network_tags) or None,
        "network tags, sorted, with commas between",
    ),
}


class GcpMetadataEnricherConfig(InventoryConfig, GoogleConfig, type="gcp_metadata"):
    """Adds what Compute Engine knows about the addresses at both ends of a flow.

    From a snapshot file, an export of gcloud or Cloud Asset Inventory, the file of a folder that was in
    force when a row started, or from the API when a run begins. Unknown values are null.
    """

    example: ClassVar[dict[str, Any]] = {"projects": ["my-project"]}

    projects: list[str] = Field(
        default=[],
        description="Projects to ask, without `snapshot`.",
        examples=[["my-project", "my-host-project"]],
    )
    columns: list[Column] = Field(
        default=["name", "project", "subnetwork"],
        description="What to add.",
        examples=[["name", "zone"]],
    )

    @model_validator(mode="after")
    def _has_a_place_to_ask(self) -> Self:
        if self.snapshot is None and not self.projects:
            raise ValueError("give `snapshot` or `projects`")
        return self


class GcpMetadataEnricher(InventoryEnricher[GcpMetadataEnricherConfig]):
    """Looks addresses up in what Compute Engine knows."""

    cloud = "Compute Engine"
    values: ClassVar = _VALUES
    reader: ClassVar = READER

    @staticmethod
    def network(holder: Any) -> str | None:
        """Return the name of the network."""
        found: str | None = holder.network
        return found

    def ask(self) -> Snapshot[Interface]:
        """Ask Compute Engine."""
        return take(self.config, self.config.projects, self.context)
