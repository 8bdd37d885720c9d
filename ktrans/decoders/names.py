"""Names of fields as other tools write them, and the flow columns that they are for.

Names are compared by their letters and digits only, in lower case: `srcaddr`, `src_addr`, `src-addr`
and `srcAddr` are one name.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

ALIASES: Mapping[str, str] = {
    "src_addr": "src_address src_ip src_ip_addr source source_addr source_address source_ip sa saddr",
    "dst_addr": "dst_address dst_ip dst_ip_addr dest_addr dest_address dest_ip destination"
    " destination_addr destination_address destination_ip da daddr",
    "src_port": "source_port sport src_pt sp",
    "dst_port": "dest_port destination_port dport dst_pt dp",
    "protocol": "proto ip_protocol protocol_number protocol_num",
    "packets": "pkts packet_count num_packets",
    "bytes": "octets byte_count num_bytes",
    "start_time": "start start_timestamp window_start first first_seen flow_start",
    "end_time": "end end_timestamp window_end last last_seen flow_end",
    "account_id": "account",
    "interface_id": "interface eni eni_id",
    "log_status": "status",
    "tcp_flags": "flags",
    "direction": "flow_direction",
}
"""Other names of flow columns."""

_OTHER = re.compile(r"[^a-z0-9]")


def plain_name(name: str) -> str:
    """Return a name in the form in which names are compared."""
    return _OTHER.sub("", name.lower())


COLUMN_OF: Mapping[str, str] = {
    plain_name(word): column
    for column, words in ALIASES.items()
    for word in (column, *words.split())
}
"""The flow column of each name, in the form in which names are compared."""


def shown(names: Iterable[str], most: int = 20) -> str:
    """Return names for a message."""
    listed = list(names)
    rest = len(listed) - most
    return ", ".join(listed[:most]) + (f" and {rest} more" if rest > 0 else "")
