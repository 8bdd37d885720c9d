"""Network interfaces of EC2: read from its API, kept in a snapshot file.

Fields: Amazon EC2 API Reference, DescribeNetworkInterfaces, DescribeInstances, DescribeSubnets.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

from ktrans.kit.inventory.files import SnapshotReader
from ktrans.kit.inventory.records import Holder, Snapshot
from ktrans_aws.client import AwsConfig, make_client, pages


class Interface(Holder, frozen=True, kw_only=True):
    """A network interface.

    Attributes:
        id: `eni-...`.
        addresses: all of its addresses, private and public, as flow logs write them.
        instance_id: of the instance that it is attached to.
        name: the Name tag of the instance, or else of the interface.
        subnet_id, subnet_name, vpc_id, zone: where it is; the zone by name.
        security_groups: names of its groups, sorted.
        interface_type: "interface", "nat_gateway" and so on.
        description: as AWS or its maker wrote it.
        tags: of the interface, and over them those of the instance.
    """

    instance_id: str | None = None
    name: str | None = None
    subnet_id: str | None = None
    subnet_name: str | None = None
    vpc_id: str | None = None
    zone: str | None = None
    security_groups: tuple[str, ...] = ()
    interface_type: str | None = None
    description: str | None = None


def take(config: AwsConfig, regions: Sequence[str] | None = None) -> Snapshot[Interface]:
    """Read all interfaces from EC2, page by page.

    Raises:
        AccessError, RetryableError, ConfigError: as `aws_errors` makes them.
    """
    taken = datetime.now(UTC).replace(microsecond=0)
    found: list[Interface] = []
    asked: Sequence[str | None] = regions or [config.region]
    for region in asked:
        client = make_client(config.model_copy(update={"region": region}), "ec2")
        try:
            found += _of_region(client)
        finally:
            client.close()
    return Snapshot(taken, sorted(found, key=lambda one: one.id))


READER = SnapshotReader(
    Interface, None, "write one with: python -m ktrans_aws.snapshot FILE --region REGION"
)


def _of_region(client: Any) -> Iterator[Interface]:
    instances = {
        one["InstanceId"]: _tags(one, "Tags")
        for reservation in _all(client, "describe_instances", "Reservations")
        for one in reservation["Instances"]
    }
    subnets = {
        one["SubnetId"]: _tags(one, "Tags").get("Name")
        for one in _all(client, "describe_subnets", "Subnets")
    }
    for one in _all(client, "describe_network_interfaces", "NetworkInterfaces"):
        instance = one.get("Attachment", {}).get("InstanceId")
        of_instance = instances.get(instance, {})
        tags = _tags(one, "TagSet")
        yield Interface(
            id=one["NetworkInterfaceId"],
            addresses=tuple(dict.fromkeys(_addresses(one))),
            instance_id=instance,
            name=of_instance.get("Name") or tags.get("Name"),
            subnet_id=one.get("SubnetId"),
            subnet_name=subnets.get(one.get("SubnetId", "")),
            vpc_id=one.get("VpcId"),
            zone=one.get("AvailabilityZone"),
            security_groups=tuple(sorted(group["GroupName"] for group in one.get("Groups", ()))),
            interface_type=one.get("InterfaceType"),
            description=one.get("Description") or None,
            tags={**tags, **of_instance},
        )


def _addresses(one: dict[str, Any]) -> Iterator[str]:
    for private in one.get("PrivateIpAddresses", ()):
        yield private["PrivateIpAddress"]
        public = private.get("Association", {}).get("PublicIp")
        if public:
            yield public
    for address in one.get("Ipv6Addresses", ()):
        yield address["Ipv6Address"]


def _tags(one: dict[str, Any], name: str) -> dict[str, str]:
    return {tag["Key"]: tag["Value"] for tag in one.get(name, ())}


def _all(client: Any, operation: str, member: str) -> Iterator[dict[str, Any]]:
    options = {"PaginationConfig": {"PageSize": 1000}}
    for page in pages(client, operation, f"ask EC2 ({operation})", **options):
        yield from page.get(member, ())
