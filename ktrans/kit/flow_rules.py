"""Rules about flows that several components apply: servers, scopes, capture points, kinds of path.

The enrichers `services`, `labels`, `one_report` and `zones` apply them to batches, `ktrans report`
to a lake by SQL. Each rule stands here once, as data.
"""

from __future__ import annotations

from functools import cache

import numpy as np
import pyarrow as pa

from ktrans.expressions.prefixes import Addresses, PrefixIndex, parse_addresses, parse_prefix
from ktrans.flow.protocols import PROTOCOL_KEYWORDS, PROTOCOLS_WITH_PORTS
from ktrans.flow.services import registered_services

NO_FLOW_STATUSES = ("NODATA", "SKIPDATA")
"""Values of `log_status` in rows that are not flows."""

SIDES = ("src", "dst")

# -- which end is the server

PORT_PROTOCOLS = PROTOCOLS_WITH_PORTS
"""The protocols that have ports."""

SYSTEM_PORTS = 1024
"""Ports below are IANA's system ports: what listens there is a server (RFC 6335, section 6)."""


@cache
def port_claims() -> pa.Table:
    """Return what speaks for a port being a server's, by protocol and port.

    The end whose port has the higher claim is the server: 2 for a registered service, and 1 for a
    system port. With equal claims the server is not known; if both ports are the same, the service
    is. Ports without a claim are not listed.

    Returns:
        The columns `protocol`, `port`, `service` (may be null) and `claim`.
    """
    services = registered_services()
    ports = {(protocol, port) for protocol in PROTOCOLS_WITH_PORTS for port in range(SYSTEM_PORTS)}
    rows = sorted(ports | services.keys())
    claims = [2 * (row in services) + (row[1] < SYSTEM_PORTS) for row in rows]
    return pa.table(
        {
            "protocol": pa.array([protocol for protocol, _ in rows], pa.int64()),
            "port": pa.array([port for _, port in rows], pa.int64()),
            "service": pa.array([services.get(row) for row in rows], pa.string()),
            "claim": pa.array(claims, pa.int8()),
        }
    )


@cache
def protocol_keywords() -> pa.Table:
    """Return the keyword of each IP protocol, as the columns `protocol` and `keyword`."""
    numbers, words = list(PROTOCOL_KEYWORDS), list(PROTOCOL_KEYWORDS.values())
    return pa.table({"protocol": pa.array(numbers, pa.int64()), "keyword": pa.array(words)})


# -- which addresses are inside

_RANGES_OF = {
    "public": "0.0.0.0/0 64:ff9b::/96 2000::/3",
    "reserved": "0.0.0.0/8 192.0.0.0/24 240.0.0.0/4 ::/0 2001::/23",
    "unspecified": "0.0.0.0/32 ::/128",
    "private": "10.0.0.0/8 172.16.0.0/12 192.168.0.0/16",
    "shared": "100.64.0.0/10",
    "loopback": "127.0.0.0/8 ::1/128",
    "link_local": "169.254.0.0/16 fe80::/10",
    "documentation": "192.0.2.0/24 198.51.100.0/24 203.0.113.0/24 2001:db8::/32 3fff::/20",
    "benchmarking": "198.18.0.0/15 2001:2::/48",
    "multicast": "224.0.0.0/4 ff00::/8",
    "broadcast": "255.255.255.255/32",
    "unique_local": "fc00::/7",
}

ADDRESS_RANGES = {text: name for name, texts in _RANGES_OF.items() for text in texts.split()}
"""Classes of addresses: IANA's IPv4 and IPv6 Special-Purpose Address Registries (RFC 6890), and the
assignments of RFC 5771 and RFC 4291. The longest prefix counts."""

ADDRESS_CLASSES = tuple(sorted(set(ADDRESS_RANGES.values())))

INSIDE = frozenset({"private", "shared", "unique_local", "link_local", "loopback"})
"""Classes of addresses that are in one's own networks, unless these are named."""

LOCAL_GROUPS = frozenset({"multicast", "broadcast"})
"""Classes of destinations that are not routed beyond the own networks."""

SCOPES = ("external", "inbound", "outbound", "internal")
"""Where a flow goes; the position is (source inside) * 2 + (destination inside)."""

_CODE_OF_RANGE = np.array(
    [*(ADDRESS_CLASSES.index(name) for name in ADDRESS_RANGES.values()), -1], np.int32
)


@cache
def _ranges() -> PrefixIndex:
    return PrefixIndex([parse_prefix(text) for text in ADDRESS_RANGES])


def address_classes(addresses: Addresses | pa.Array) -> np.ndarray:
    """Return the class of each address as a position in `ADDRESS_CLASSES` (int32), -1 for no address.

    Args:
        addresses: distinct addresses, parsed or as a string array.
    """
    if not isinstance(addresses, Addresses):
        addresses = parse_addresses(addresses)
    # Each address is in a range, so the position -1 stands for a text that is not an address.
    return np.asarray(_CODE_OF_RANGE[_ranges().lookup(addresses)])


def is_class(codes: np.ndarray, names: frozenset[str]) -> np.ndarray:
    """Return which codes, as `address_classes` returns them, are of these classes."""
    wanted = np.array([*(name in names for name in ADDRESS_CLASSES), False])
    return np.asarray(wanted[codes])


# -- which report of a flow counts

PREFERRED_LOG_TYPES = ("azure.vnet", "azure.nsg", "aws.vpc", "aws.tgw", "aws.nfw")
"""Whose report of a flow to keep, the best first; then all other log types."""

PREFERRED_REPORTERS = (
    "source", "source_gateway", "destination", "destination_gateway", "interface", "firewall",
)  # fmt: skip
"""Whose report to keep among equal log types, the best first; then all others."""

REPORTER_SIDES = {"source": 0, "source_gateway": 0, "destination": 1, "destination_gateway": 1}
"""The end of the flow (a position in `SIDES`) at which a reporter is."""

DIRECTION_SIDES = {"egress": 0, "ingress": 1}
"""The end of the flow at which it was captured, by direction; where the reporter does not say."""

# -- kinds of path

PATH_CLASSES = (
    "same_zone", "inter_zone", "same_region", "inter_region", "inter_cloud", "internet_in",
    "internet_out", "internet", "internal_unknown",
)  # fmt: skip
"""Classes of the path between both ends of a flow; docs of the `zones` enricher define them."""
