"""IP protocols that carry ports, and what to do with the ports of those that do not."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ktrans.flow.columns import raw_values

PROTOCOLS_WITH_PORTS: tuple[int, ...] = (6, 17, 33, 132, 136)
"""TCP, UDP, DCCP, SCTP, UDP-Lite (IANA, Assigned Internet Protocol Numbers)."""

PROTOCOL_NAMES: dict[str, str] = {
    "hopopt": "0",
    "icmp": "1",
    "icmpv4": "1",
    "igmp": "2",
    "ipip": "4",
    "ipv4": "4",
    "tcp": "6",
    "egp": "8",
    "igp": "9",
    "udp": "17",
    "dccp": "33",
    "ipv6": "41",
    "ipv6-route": "43",
    "ipv6-frag": "44",
    "rsvp": "46",
    "gre": "47",
    "esp": "50",
    "ah": "51",
    "icmp6": "58",
    "icmpv6": "58",
    "ipv6-icmp": "58",
    "ipv6-nonxt": "59",
    "ipv6-opts": "60",
    "eigrp": "88",
    "ospf": "89",
    "ospfigp": "89",
    "ipencap": "94",
    "etherip": "97",
    "pim": "103",
    "ipcomp": "108",
    "vrrp": "112",
    "l2tp": "115",
    "sctp": "132",
    "udplite": "136",
    "mpls-in-ip": "137",
}
"""The number of each protocol that logs name (IANA, Assigned Internet Protocol Numbers), as text, in the
spellings of IANA, Suricata, Hubble and goflow2."""

_HAS_PORTS = np.zeros(256, dtype=bool)
_HAS_PORTS[list(PROTOCOLS_WITH_PORTS)] = True


def portless(protocol: pa.Array) -> pa.Array | None:
    """Mark the rows whose protocol has no ports; None if there is none.

    Args:
        protocol: integer array of 0 to 255. A null leaves the row alone.
    """
    numbers = raw_values(protocol).astype(np.uint8, copy=False)
    mask = ~_HAS_PORTS[numbers]
    if protocol.null_count:
        mask &= np.asarray(protocol.is_valid())
    return pa.array(mask) if mask.any() else None


def blank_ports(port: pa.Array, without: pa.Array | None) -> pa.Array:
    """Give the ports with null where the protocol has none.

    Logs disagree on what to print there (0, nothing), so joins would not meet.

    Args:
        port: integer array.
        without: what `portless` gave for the same rows.
    """
    return port if without is None else pc.if_else(without, pa.scalar(None, port.type), port)
