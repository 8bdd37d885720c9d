"""AWS Network Firewall flow logs: Suricata's EVE JSON, of which the netflow events are flows.

Records come as JSON lines, or as the messages of log events from CloudWatch Logs.

Source: AWS Network Firewall Developer Guide, "Contents of a firewall log"; Suricata User Guide,
"EVE JSON Format".
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from ktrans.decoders.log import Json, Log, col, keys, where
from ktrans.decoders.values import Coerced, Wrong, text_of

_HEX = 16
_MAX_FLAGS = 255


def _flags(column: pa.Array) -> Coerced:
    """Convert flags in hexadecimal without a prefix."""
    text = text_of(column)
    values = [_hex(word) for word in text.dictionary.to_pylist()]
    flags = pa.array(values, pa.int16()).take(text.indices)
    bad = np.asarray(flags.is_null()) & np.asarray(text.is_valid())
    return flags, Wrong.of(bad, "wrong_type")


def _hex(word: str | None) -> int | None:
    if word is None or not word.isalnum():
        return None
    try:
        value = int(word, _HEX)
    except ValueError:
        return None
    return value if value <= _MAX_FLAGS else None


LOG = Log(
    "aws_network_firewall",
    provider="aws",
    log_type="aws.nfw",
    frames=(Json(),),
    columns=(
        col("start_time", "event.netflow.start"),
        col("end_time", "event.netflow.end"),
        col("logged_at", "event.timestamp", "event_timestamp"),
        col("src_addr", "event.src_ip"),
        col("dst_addr", "event.dest_ip"),
        col("src_port", "event.src_port"),
        col("dst_port", "event.dest_port"),
        col("protocol", "event.proto"),
        col("packets", "event.netflow.pkts"),
        col("bytes", "event.netflow.bytes"),
        col("tcp_flags", "event.tcp.tcp_flags", convert=_flags),
        col("acl_id", "firewall_name"),
        col("zone", "availability_zone"),
    ),
    constants={"reporter": "firewall", "log_status": "OK"},
    hidden=frozenset({("event", "event_type")}),
    skip=where("event.event_type", not_="netflow"),
    sniff=keys("firewall_name", "event_timestamp", "event", "event_type"),
)
"""Alerts, TLS and other events share the stream and are skipped."""
