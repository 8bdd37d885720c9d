"""The `aws_metadata` enricher: names, tags and locations of EC2 interfaces, by id and address."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from ktrans.kit.inventory.enricher import InventoryEnricher
from ktrans.kit.inventory.options import InventoryConfig
from ktrans.kit.inventory.records import Snapshot
from ktrans.kit.inventory.table import Value
from ktrans_aws.client import AwsConfig
from ktrans_aws.ec2_inventory import READER, Interface, take

Column = Literal[
    "name",
    "instance_id",
    "eni_id",
    "subnet_id",
    "subnet_name",
    "vpc_id",
    "zone",
    "security_groups",
    "interface_type",
    "description",
]
_VALUES: dict[str, tuple[Value, str]] = {
    "name": (lambda one: one.name, "Name tag of the instance, or else of the interface"),
    "instance_id": (lambda one: one.instance_id, "instance that has the interface"),
    "eni_id": (lambda one: one.id, "network interface"),
    "subnet_id": (lambda one: one.subnet_id, "subnet"),
    "subnet_name": (lambda one: one.subnet_name, "Name tag of the subnet"),
    "vpc_id": (lambda one: one.vpc_id, "VPC"),
    "zone": (lambda one: one.zone, "availability zone, by name"),
    "security_groups": (
        lambda one: ",".join(one.security_groups) or None,
        "names of the security groups, sorted, with commas between",
    ),
    "interface_type": (lambda one: one.interface_type, "kind of interface"),
    "description": (lambda one: one.description, "description of the interface"),
}


class AwsMetadataEnricherConfig(InventoryConfig, AwsConfig, type="aws_metadata"):
    """Adds data of EC2 about the interfaces at both ends of a flow.

    From a snapshot file, the snapshot that was in force when a row started, or from the API of EC2 when
    a run begins. Unknown values are null.
    """

    regions: list[str] | None = Field(
        None,
        min_length=1,
        description="Regions to ask; by default the one of `region` or the environment.",
        examples=[["eu-central-1", "us-east-1"]],
    )
    interface: str | None = Field(
        "interface_id",
        description="Column of the interface that made the record, or null to leave it out.",
        examples=["interface_id"],
    )
    columns: list[Column] = Field(
        default=["name", "instance_id", "subnet_id", "security_groups"],
        description="What to add.",
        examples=[["name", "zone"]],
    )


class AwsMetadataEnricher(InventoryEnricher[AwsMetadataEnricherConfig]):
    """Looks interfaces up by identifier and address."""

    cloud = "EC2"
    values: ClassVar = _VALUES
    reader: ClassVar = READER

    def ask(self) -> Snapshot[Interface]:
        """Ask EC2."""
        return take(self.config, self.config.regions)
