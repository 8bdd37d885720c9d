"""The protocols that logs name instead of numbering them."""

from __future__ import annotations

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
"""Numbers of the protocols that logs name (IANA, Assigned Internet Protocol Numbers), in the
spellings of IANA, Suricata, Hubble and goflow2."""
