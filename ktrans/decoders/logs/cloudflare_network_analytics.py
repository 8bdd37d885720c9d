"""Cloudflare Network Analytics (Magic Transit, Spectrum) by Logpush: JSON of sampled packets.

A record is a packet that represents SampleInterval packets: packets and bytes are scaled up, so that
sums estimate the whole traffic; SampleInterval is kept in attrs.

Source: Cloudflare documentation, Logpush datasets, "Network Analytics Logs".
"""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

from ktrans.decoders.log import Json, Log, col, keys
from ktrans.decoders.partial_rows import PartialRows
from ktrans.decoders.sampling import sampling_rates, scale
from ktrans.decoders.texts import where
from ktrans.decoders.values import Coerced, Rule, coerce

_OUTCOMES = {"pass": "accept", "drop": "drop"}
_APPLIES = {"TCP": (6,), "UDP": (17,), "ICMP": (1, 58), "GRE": (47,)}
"""Protocols by the prefix of their fields, which are 0 in records of other protocols."""

_COUNT = Rule("count")
_INTERVAL = ("SampleInterval",)


def _derive(work: PartialRows) -> None:
    """Scale sampled packets up by their interval, and null the fields that do not apply to them."""
    interval = sampling_rates(work, [_INTERVAL])
    work.columns["packets"] = interval
    scale(work, interval, {"bytes": "IPTotalLength"})
    if interval.null_count:
        _blank_unscaled(work, interval)
    protocol = work.columns.get("protocol")
    if protocol is None:
        return
    if "tcp_flags" in work.columns:
        flags = work.columns["tcp_flags"]
        is_tcp = pc.equal(protocol, 6).fill_null(False)
        work.columns["tcp_flags"] = pc.if_else(is_tcp, flags, pa.scalar(None, flags.type))
    for prefix, numbers in _APPLIES.items():
        _keep(work, prefix, pc.is_in(protocol, value_set=pa.array(numbers, pa.int16())))
    version = work.columns.get("ip_version")
    for prefix, number in (("IPv4", 4), ("IPv6", 6)) if version is not None else ():
        _keep(work, prefix, pc.equal(version, pa.scalar(number, pa.int8())).fill_null(True))


def _blank_unscaled(work: PartialRows, interval: pa.Int64Array) -> None:
    """Null the bytes of packets that stand for an unknown number, and keep the length in attrs."""
    if "bytes" in work.columns:
        none = pa.scalar(None, pa.int64())
        work.columns["bytes"] = pc.if_else(interval.is_null(), none, work.columns["bytes"])
    length = work.text("IPTotalLength")
    if length is not None and "attrs" in work.wanted:
        work.attrs["IPTotalLength"] = where(length, interval.is_null())


def _keep(work: PartialRows, prefix: str, applies: pa.BooleanArray) -> None:
    """Null the fields of a protocol or version in the packets to which they do not apply."""
    for path, column in work.raw.columns.items():
        if path[0].startswith(prefix) and len(path) == 1:
            nothing = pa.scalar(None, column.type)
            work.raw.columns[path] = pc.if_else(applies, column, nothing)


def _length(column: pa.Array) -> Coerced:
    """Convert the length of a packet; 0 means that it is not known."""
    numbers, wrong = coerce(_COUNT, column)
    return pc.if_else(pc.equal(numbers, 0), pa.scalar(None, pa.int64()), numbers), wrong


LOG = Log(
    "cloudflare_network_analytics",
    provider="cloudflare",
    log_type="cloudflare.network_analytics",
    frames=(Json(),),
    columns=(
        col("start_time", "Datetime"),
        col("src_addr", "IPSourceAddress"),
        col("dst_addr", "IPDestinationAddress"),
        col("src_port", "SourcePort"),
        col("dst_port", "DestinationPort"),
        col("protocol", "IPProtocol"),
        col("ip_version", "IPVersion"),
        col("bytes", "IPTotalLength", convert=_length),
        col("tcp_flags", "TCPFlags"),
        col("direction", "Direction", lower=True),
        col("action", "Outcome", "Verdict", values=_OUTCOMES, lower=True),
        col("action_reason", "MitigationReason"),
        col("rule", "RuleID"),
        col("acl_id", "RulesetID"),
        col("region", "ColoCountry"),
        col("zone", "ColoCode"),
        col("account_id", "AccountID"),
    ),
    constants={"log_status": "OK", "reporter": "firewall"},
    reads={_INTERVAL: ()},
    always=frozenset({"protocol"}),
    derive=_derive,
    sniff=keys("SampleInterval", "IPSourceAddress"),
)
