"""Network interfaces of EC2: read from its API, kept in a snapshot file.

Fields: Amazon EC2 API Reference, DescribeNetworkInterfaces, DescribeInstances, DescribeSubnets.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec

from ktrans.api import AccessError, ConfigError
from ktrans.kit.text.json_errors import UNREADABLE_JSON
from ktrans_aws.client import AwsConfig, make_client, pages

_NO_SNAPSHOT: tuple[type[Exception], ...] = (OSError, *UNREADABLE_JSON)


class Interface(msgspec.Struct, omit_defaults=True, frozen=True, kw_only=True):
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

    id: str
    addresses: tuple[str, ...] = ()
    instance_id: str | None = None
    name: str | None = None
    subnet_id: str | None = None
    subnet_name: str | None = None
    vpc_id: str | None = None
    zone: str | None = None
    security_groups: tuple[str, ...] = ()
    interface_type: str | None = None
    description: str | None = None
    tags: dict[str, str] = {}


class Snapshot(msgspec.Struct, frozen=True):
    """All interfaces at one time. `version` is that of the file's shape."""

    taken: datetime
    interfaces: list[Interface]
    version: int = 1


def take(config: AwsConfig, regions: Sequence[str] | None = None) -> Snapshot:
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


def load(path: Path) -> Snapshot:
    """Read a snapshot file.

    Raises:
        ConfigError: it does not exist, or is not a snapshot.
        AccessError: it may not be read.
    """
    hint = "write one with: python -m ktrans_aws.snapshot FILE --region REGION"
    try:
        snapshot = msgspec.json.decode(path.read_bytes(), type=Snapshot)
    except FileNotFoundError:
        raise ConfigError(f"there is no file {path}", field="snapshot", hint=hint) from None
    except PermissionError as error:
        raise AccessError(f"not allowed to read {path}") from error
    except _NO_SNAPSHOT as error:
        message = f"{path} is not a snapshot of interfaces: {error}"
        raise ConfigError(message, field="snapshot", hint=hint) from error
    if snapshot.version != 1:
        raise ConfigError(
            f"{path} has version {snapshot.version} of the snapshot's shape; 1 is known",
            field="snapshot",
            hint="update ktrans-aws",
        )
    if snapshot.taken.tzinfo is None:
        raise ConfigError(f"{path}: `taken` has no time zone", field="snapshot")
    return snapshot


def save(snapshot: Snapshot, path: Path) -> None:
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    temporary.write_bytes(msgspec.json.format(msgspec.json.encode(snapshot), indent=1))
    temporary.replace(path)


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
            tags=tags | of_instance,
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
