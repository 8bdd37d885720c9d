"""Find the account, region, network and interface of an Azure flow-log record.

Sources: Azure Resource Manager resource ids, and the paths of the objects of Azure Network Watcher.
These are spelled in several ways, so only parts of them are matched.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

from ktrans.decoders.azure.records import Fields, Kind

_MAX_VERSION = 32767
_MAX_DIGITS = 18
"""Python itself refuses to read numbers of very many digits."""
_CONSUMED = frozenset(
    {"time", "category", "version", "flowlogversion", "macaddress", "mac"}
)  # fmt: skip

_MAC = re.compile(r"[0-9A-F]{12}")
_MAC_SEPARATORS = str.maketrans("", "", ":-. ")
_SUBSCRIPTION = re.compile(
    r"/subscriptions/([^/]+)|(?:^|[=/])([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})_",
    re.IGNORECASE,
)
_REGION = re.compile(r"NETWORKWATCHER_([A-Za-z0-9]+)", re.IGNORECASE)
_NETWORK = re.compile(r"/virtualNetworks/([^/]+)", re.IGNORECASE)
_SUBNET = re.compile(r"/virtualNetworks/[^/]+/subnets/([^/]+)", re.IGNORECASE)
_MAC_IN_PATH = re.compile(r"/macAddress=([^/]+)/", re.IGNORECASE)


@lru_cache(maxsize=1 << 14)
def normal_mac(text: str) -> str | None:
    """Return a MAC address as 12 upper-case hex digits; None if the text is not one."""
    bare = text.translate(_MAC_SEPARATORS).upper()
    return bare if _MAC.fullmatch(bare) else None


def _first(pattern: re.Pattern[str], *texts: str | None) -> str | None:
    for text in texts:
        match = pattern.search(text) if text else None
        if match is not None:
            return next(group for group in match.groups() if group)
    return None


@dataclass(frozen=True, slots=True)
class Place:
    """Where a record is from, and the fields that no column takes."""

    version: int | None
    account: str | None
    region: str | None
    vpc: str | None
    subnet: str | None
    acl: str | None
    mac: str | None
    attrs: dict[str, str]


@lru_cache(maxsize=4096)
def place_of(fields: Fields, uri: str, kind: Kind) -> Place:
    """Read the place of a record from its fields and the name of its object."""
    lower = {name.lower(): value for name, value in fields}
    target, log = lower.get("targetresourceid"), lower.get("flowlogresourceid")
    resource = lower.get("resourceid")
    version = lower.get("flowlogversion") or lower.get("version") or ""
    digits = version.isascii() and version.isdigit() and len(version) <= _MAX_DIGITS
    number = int(version) if digits and int(version) <= _MAX_VERSION else None
    account = _first(_SUBSCRIPTION, log, resource, target, uri)
    region = _first(_REGION, log, uri)
    mac = lower.get("macaddress") or lower.get("mac")
    if mac is None:
        mac = normal_mac(lower.get("systemid", "")) or _first(_MAC_IN_PATH, uri)
    left_out = _CONSUMED | {"resourceid"} if kind == "nsg" else _CONSUMED
    attrs = {name: value for name, value in fields if name.lower() not in left_out}
    if number is None and version:
        attrs["version"] = version
    return Place(
        version=number,
        account=account.lower() if account else None,
        region=region.lower() if region else None,
        vpc=_first(_NETWORK, target),
        subnet=_first(_SUBNET, target),
        acl=resource if kind == "nsg" else None,
        mac=mac,
        attrs=attrs,
    )
