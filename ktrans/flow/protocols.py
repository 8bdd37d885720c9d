"""IP protocols: their names, which of them have ports, and the ports of those that have none.

Source: IANA, Assigned Internet Protocol Numbers.
"""

from __future__ import annotations

import re

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ktrans.flow.columns import raw_values

PROTOCOLS_WITH_PORTS: tuple[int, ...] = (6, 17, 33, 132, 136)
"""TCP, UDP, DCCP, SCTP, UDP-Lite."""

_KEYWORDS_FROM_0 = """
hopopt icmp igmp ggp ipv4 st tcp cbt egp igp bbn-rcc-mon nvp-ii pup argus emcon xnet chaos udp mux
dcn-meas hmp prm xns-idp trunk-1 trunk-2 leaf-1 leaf-2 rdp irtp iso-tp4 netblt mfe-nsp merit-inp
dccp 3pc idpr xtp ddp idpr-cmtp tp++ il ipv6 sdrp ipv6-route ipv6-frag idrp rsvp gre dsr bna esp ah
i-nlsp swipe narp min-ipv4 tlsp skip ipv6-icmp ipv6-nonxt ipv6-opts - cftp - sat-expak kryptolan
rvd ippc - sat-mon visa ipcv cpnx cphb wsn pvp br-sat-mon sun-nd wb-mon wb-expak iso-ip vmtp
secure-vmtp vines iptm nsfnet-igp dgp tcf eigrp ospfigp sprite-rpc larp mtp ax.25 ipip micp scc-sp
etherip encap - gmtp ifmp pnni pim aris scps qnx a/n ipcomp snp compaq-peer ipx-in-ip vrrp pgm -
l2tp ddx iatp stp srp uti smp sm ptp isis fire crtp crudp sscopmce iplt sps pipe sctp fc
rsvp-e2e-ignore mobility-header udplite mpls-in-ip manet hip shim6 wesp rohc ethernet aggfrag nsh
homa bit-emu
"""

PROTOCOL_KEYWORDS: dict[int, str] = {
    number: word for number, word in enumerate(_KEYWORDS_FROM_0.split()) if word != "-"
}
"""Keywords in lower case by protocol number; numbers without a keyword are not listed."""

_ALIASES: dict[int, str] = {
    0: "hopopts hop-by-hop",
    1: "icmpv4 icmp4",
    4: "ip-in-ip ipencap ip-encap 4in4",
    5: "st2",
    9: "igrp",
    41: "sit 6in4 ipv6-in-ipv4",
    47: "gre-encap",
    50: "ipsec-esp",
    51: "ipsec-ah",
    54: "nhrp",
    55: "mobile",
    58: "icmpv6 icmp6",
    60: "dstopts",
    61: "any-host-internal-protocol",
    63: "any-local-network",
    68: "any-distributed-file-system",
    84: "ttp",
    89: "ospf ospfv2 ospfv3",
    99: "any-private-encryption-scheme",
    103: "pimv2",
    112: "carp",
    114: "any-0-hop-protocol",
    115: "l2tpv3",
    124: "isis-over-ipv4",
    135: "mobility mh",
    136: "udp-lite",
    137: "mpls-over-ip",
}
"""Other names: of protocols without a keyword, and those that operating systems and tools write."""

_STRANGE = re.compile(r"[^a-z0-9+]")


def _bare(name: str) -> str:
    return _STRANGE.sub("", name.lower())


_NUMBERS: dict[str, int] = {
    _bare(word): number
    for names in (_ALIASES, PROTOCOL_KEYWORDS)
    for number, words in names.items()
    for word in words.split()
}


def protocol_number(name: str) -> int | None:
    """Return the number of a protocol by its name; None if it is not known.

    Names are compared by their letters and digits only, in lower case.
    """
    return _NUMBERS.get(_bare(name))


_HAS_PORTS = np.zeros(256, dtype=bool)
_HAS_PORTS[list(PROTOCOLS_WITH_PORTS)] = True


def portless(protocol: pa.Array) -> pa.Array | None:
    """Mark the rows whose protocol has no ports; None if there are no such rows.

    Args:
        protocol: integer array of 0 to 255. A null leaves the row alone.
    """
    numbers = raw_values(protocol).astype(np.uint8, copy=False)
    mask = ~_HAS_PORTS[numbers]
    if protocol.null_count:
        mask &= np.asarray(protocol.is_valid())
    return pa.array(mask) if mask.any() else None


def blank_ports(port: pa.Array, without: pa.Array | None) -> pa.Array:
    """Set ports to null where the protocol has none.

    Logs disagree on what to print there (0, nothing), so joins would not match.

    Args:
        port: integer array.
        without: the result of `portless` for the same rows.
    """
    return port if without is None else pc.if_else(without, pa.scalar(None, port.type), port)
