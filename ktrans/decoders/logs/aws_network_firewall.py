"""AWS Network Firewall flow logs: Suricata's EVE JSON, of which the netflow events are flows.

Records come as JSON lines, or as the messages of log events from CloudWatch Logs.

Source: AWS Network Firewall Developer Guide, "Contents of a firewall log"; Suricata User Guide,
"EVE JSON Format".
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal

import numpy as np
import pyarrow as pa
from pydantic import Field

from ktrans.api import ComponentConfig, Head, Payload, Sniff
from ktrans.decoders.frames.json_log_events import cut_events, is_wrapped, messages_of
from ktrans.decoders.mapped.decoder import JsonMapDecoder
from ktrans.decoders.mapped.table import Table, col
from ktrans.decoders.read.raw_columns import RawColumns
from ktrans.decoders.values import Coerced, Wrong, marked, text_of

_MARKS = (b"firewall_name", b"event_timestamp", b"event", b"event_type")
_CONTROL = b'{"event":{"event_type":"control message"}}'
_HEX = 16
_MAX_FLAGS = 255


def _other_records(native: RawColumns) -> np.ndarray | None:
    """Mark alerts, TLS and other events that share the stream."""
    kinds = native.columns.get(("event", "event_type"))
    return None if kinds is None else marked(text_of(kinds), lambda kind: kind != "netflow")


def _flags(column: pa.Array) -> Coerced:
    """Read flags printed in hexadecimal without a prefix."""
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


TABLE = Table(
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
    constants={
        "provider": "aws",
        "log_type": "aws.nfw",
        "reporter": "firewall",
        "log_status": "OK",
    },
    reads={("event", "event_type"): ()},
    hidden=frozenset({("event", "event_type")}),
    skip=_other_records,
)


class AwsNetworkFirewallDecoderConfig(ComponentConfig):
    """Options of the `aws_network_firewall` decoder."""

    type: Literal["aws_network_firewall"] = Field(
        default="aws_network_firewall",
        description="Which component this is.",
        examples=["aws_network_firewall"],
    )


class AwsNetworkFirewallDecoder(JsonMapDecoder[AwsNetworkFirewallDecoderConfig]):
    """Decodes AWS Network Firewall flow logs; alert and TLS events are skipped and counted."""

    table = TABLE

    def blocks(self, payload: Payload) -> Iterator[Any]:
        """Cut an object into blocks of one record a line, taken out of log events if need be."""
        if is_wrapped(payload, b"firewall_name"):
            return cut_events(payload, self.context.limits, control=_CONTROL)
        return super().blocks(payload)


def sniff(head: Head) -> Sniff | None:
    """Claim JSON records of a firewall with a Suricata event."""
    if head.columns is not None:
        return None
    if all(b'"%s"' % mark in head.data for mark in _MARKS):
        return Sniff(100, "firewall_name and Suricata events")
    if head.data.lstrip()[:1] != b"{":
        return None
    escaped = all(b'\\"%s\\"' % mark in head.data for mark in _MARKS)
    texts = [] if escaped else messages_of(head.data)[:1]
    if escaped or any(all(b'"%s"' % mark in text for mark in _MARKS) for text in texts):
        return Sniff(100, "firewall_name and Suricata events within log events")
    return None
