"""Addresses of Azure: from Azure Resource Graph, or from what `az` prints.

Sources: Microsoft Learn, "Azure Resource Graph REST API: Resources", "Microsoft.Network networkInterfaces",
"publicIPAddresses", "loadBalancers" and "Microsoft.Compute virtualMachines". `az network nic list` and the
like print the same resources without the level `properties`. Interfaces of scale sets in uniform mode are
not in Resource Graph.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import msgspec

from ktrans.kit.inventory.files import SnapshotReader
from ktrans.kit.inventory.records import Holder

_PUBLIC = "publicipaddresses"
_MACHINE = "virtualmachines"


class Interface(Holder, frozen=True, kw_only=True):
    """A network interface, a load balancer or gateway, or a public address.

    Attributes:
        kind: the last word of its type, such as "networkInterfaces" or "loadBalancers".
        name: the name of the virtual machine, or else of the resource.
        resource: the name of the resource itself.
        vm_size: such as `Standard_B2s`.
        mac: without separators.
        subscription, resource_group, location, zone: where it is.
        vnet, subnet: their names.
        security_group: name of the network security group of the interface.
        tags: of the resource, and over them those of the virtual machine.
    """

    kind: str
    name: str | None = None
    resource: str | None = None
    vm_size: str | None = None
    mac: str | None = None
    subscription: str | None = None
    resource_group: str | None = None
    location: str | None = None
    zone: str | None = None
    vnet: str | None = None
    subnet: str | None = None
    security_group: str | None = None


def plain_mac(text: str) -> str:
    """Return a MAC address as flow logs write it, without separators."""
    return text.translate(str.maketrans("", "", "-:.")).upper()


def interfaces(resources: Iterable[Any]) -> list[Interface]:
    """Return the holders that resources describe; public addresses are those of what uses them."""
    known = [one for one in resources if isinstance(one, dict) and one.get("id")]
    by_id = {str(one["id"]).lower(): one for one in known}
    used: set[str] = set()
    found: list[Interface] = []
    for one in known:
        parts = [*_some(one, "ipConfigurations"), *_some(one, "frontendIPConfigurations")]
        if parts and _kind(one).lower() != _PUBLIC:
            used.update(public for part in parts if (public := _link(part, "publicIPAddress")))
            found += _of_parts(one, parts, by_id)
    for one in known:
        address = _value(one, "ipAddress")
        if _kind(one).lower() == _PUBLIC and address and str(one["id"]).lower() not in used:
            found.append(_holder(one, [address], None, {}))
    return sorted(found, key=lambda holder: holder.id)


def exported(data: bytes) -> list[Interface] | None:
    """Return the holders in what `az graph query`, `az network nic list` and the like print.

    The output of several commands may follow each other in one file.

    Returns:
        None for anything else, such as a snapshot of ours.
    """
    if not data.strip():
        return None
    resources: list[Any] = []
    for document in _documents(data):
        if isinstance(document, dict):
            if "taken" in document:
                return None
            given = document.get("data", document.get("value", [document]))
            if not isinstance(given, list):
                return None
            resources += given
        elif isinstance(document, list):
            resources += document
        else:
            return None
    found = interfaces(resources)
    return found or (None if resources else [])


READER = SnapshotReader(
    Interface, exported, "write one with: python -m ktrans_azure.snapshot FILE --subscription ID"
)


def _documents(data: bytes) -> Iterator[Any]:
    """Yield JSON values that follow each other."""
    text, at = data.decode("utf-8-sig"), 0
    decoder = json.JSONDecoder()
    while at < len(text):
        if text[at].isspace():
            at += 1
            continue
        document, at = decoder.raw_decode(text, at)
        yield document


def _of_parts(
    one: dict[str, Any], parts: Sequence[dict[str, Any]], by_id: Mapping[str, dict[str, Any]]
) -> Iterator[Interface]:
    """Yield a holder for each subnet of a resource; most have one."""
    machine = by_id.get(_link(one, "virtualMachine") or "", {})
    by_subnet: dict[str | None, list[str]] = {}
    first = next((subnet for part in parts if (subnet := _path(part, "subnet"))), None)
    for part in parts:
        addresses = by_subnet.setdefault(_path(part, "subnet") or first, [])
        public = by_id.get(_link(part, "publicIPAddress") or "", {})
        given = (_value(part, "privateIPAddress"), _value(public, "ipAddress"))
        addresses += [address for address in given if address]
    for subnet, addresses in by_subnet.items():
        if addresses:
            yield _holder(one, addresses, subnet, machine)


def _holder(
    one: dict[str, Any], addresses: Sequence[str], subnet: str | None, machine: dict[str, Any]
) -> Interface:
    path = str(one["id"])
    mac = _value(one, "macAddress")
    zones = one.get("zones") or machine.get("zones") or ()
    machine_name = machine.get("name") or _last(_path(one, "virtualMachine"))
    return Interface(
        id=path,
        addresses=tuple(dict.fromkeys(addresses)),
        kind=_kind(one),
        name=machine_name or one.get("name"),
        resource=one.get("name"),
        vm_size=_value(_value(machine, "hardwareProfile") or {}, "vmSize"),
        mac=plain_mac(mac) if mac else None,
        subscription=_part(path, "subscriptions"),
        resource_group=_part(path, "resourceGroups"),
        location=one.get("location"),
        zone=",".join(map(str, zones)) or None,
        vnet=_part(subnet or "", "virtualNetworks"),
        subnet=_last(subnet),
        security_group=_last(_path(one, "networkSecurityGroup")),
        tags=(one.get("tags") or {}) | (machine.get("tags") or {}),
    )


def _value(one: Mapping[str, Any], name: str) -> Any:
    """Return a property, below `properties` or not, whatever the case of its letters."""
    properties = one.get("properties")
    for holder in (properties if isinstance(properties, dict) else {}, one):
        if name in holder:
            return holder[name]
        for key, value in holder.items():
            if key.lower() == name.lower():
                return value
    return None


def _some(one: Mapping[str, Any], name: str) -> list[dict[str, Any]]:
    given = _value(one, name)
    return [part for part in given if isinstance(part, dict)] if isinstance(given, list) else []


def _path(one: Mapping[str, Any], name: str) -> str | None:
    """Return the id of the resource that a property refers to."""
    given = _value(one, name)
    found = given.get("id") if isinstance(given, dict) else None
    return found if isinstance(found, str) else None


def _link(one: Mapping[str, Any], name: str) -> str | None:
    found = _path(one, name)
    return found.lower() if found else None


def _kind(one: Mapping[str, Any]) -> str:
    """Return the last word of a resource's type, from its type or id."""
    if isinstance(one.get("type"), str):
        return str(one["type"]).rpartition("/")[2]
    parts = str(one["id"]).split("/")
    return parts[-2] if len(parts) > 1 else ""


def _part(path: str, name: str) -> str | None:
    parts = path.split("/")
    lower = [part.lower() for part in parts]
    at = lower.index(name.lower()) + 1 if name.lower() in lower else len(parts)
    return parts[at] if at < len(parts) else None


def _last(path: str | None) -> str | None:
    return path.rpartition("/")[2] or None if path else None


def decoded(answer: bytes) -> dict[str, Any]:
    """Return an answer of Resource Graph."""
    page: dict[str, Any] = msgspec.json.decode(answer, type=dict[str, Any])
    return page
