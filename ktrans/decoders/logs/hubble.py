"""Cilium Hubble flows: JSON, one event a record, as `hubble observe -o json` and its exporter write.

Hubble has no counters, so a row is an event without packets and bytes. Where Hubble lost events, it
writes how many (`lost_events`): that is a row with the status SKIPDATA.

Source: Cilium documentation, "Network Observability with Hubble"; cilium/cilium, api/v1/flow.
"""

from __future__ import annotations

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ktrans.decoders.log import LIKELY, Json, Log, any_of, col, keys
from ktrans.decoders.partial_rows import REPORTERS, PartialRows
from ktrans.decoders.read.raw_columns import RawColumns
from ktrans.decoders.texts import changed
from ktrans.flow.columns import coalesce_text
from ktrans.flow.tcp_flags import TCP_FLAGS
from ktrans.kit.text.json_errors import UNREADABLE_JSON

_ENVELOPES = (("flow",), ("flow", "flow"), ("result", "flow"), ("result",), ())
_LOST = "lost_events"
_OTHER_EVENTS = ("agent_event", "debug_event", "node_status")
_PROTOCOLS = {"TCP": 6, "UDP": 17, "SCTP": 132, "ICMPv4": 1, "ICMPv6": 58}
_VERDICTS = {
    "forwarded": "accept",
    "redirected": "accept",
    "audit": "accept",
    "dropped": "drop",
    "error": None,
    "traced": None,
    "translated": None,
    "verdict_unknown": None,
}
"""An audited flow was not dropped. Traces and translations are no verdicts."""

_DIRECTIONS = {"ingress": "ingress", "egress": "egress", "traffic_direction_unknown": None}


def _other_records(native: RawColumns) -> pa.DictionaryArray | None:
    """Name the events that the exporter writes besides flows."""
    codes = np.full(native.rows, -1, dtype=np.int32)
    for code, name in enumerate(_OTHER_EVENTS):
        for envelope in ((), ("result",)):
            for path, column in native.columns.items():
                if path[: len(envelope) + 1] == (*envelope, name):
                    codes[np.asarray(column.is_valid())] = code
    if not (codes >= 0).any():
        return None
    events = pa.array(codes, mask=codes < 0)
    return pa.DictionaryArray.from_arrays(events, pa.array(_OTHER_EVENTS, pa.string()))


def _derive(work: PartialRows) -> None:
    """Fill status, protocol, flags, services and reporter, each from several values."""
    lost = np.zeros(work.rows, dtype=bool)
    for _, column in work.values(_LOST):
        lost |= np.asarray(column.is_valid())
    work.columns["log_status"] = pa.DictionaryArray.from_arrays(
        pa.array(np.zeros(work.rows, dtype=np.int32), mask=~lost), pa.array(["SKIPDATA"])
    )
    _protocol(work)
    if "tcp_flags" in work.wanted:
        _tcp_flags(work)
    for side, column in zip(("source", "destination"), _SERVICES, strict=True):
        service = _service(work, side) if column in work.wanted else None
        if service is not None:
            work.columns[column] = service
    direction = work.columns.get("direction")
    if "reporter" in work.wanted and direction is not None:
        work.columns["reporter"] = changed(direction, REPORTERS.get)


def _protocol(work: PartialRows) -> None:
    """Fill the protocol by the member of `l4` that the record has."""
    numbers = np.zeros(work.rows, dtype=np.int16)
    for envelope in _ENVELOPES:
        start = (*envelope, "l4")
        for path, column in work.raw.columns.items():
            if path[: len(start)] == start and len(path) > len(start):
                number = _PROTOCOLS.get(path[len(start)])
                if number is not None:
                    numbers[np.asarray(column.is_valid())] = number
    work.columns["protocol"] = pa.array(numbers, mask=numbers == 0)


def _tcp_flags(work: PartialRows) -> None:
    """Fill the mask of TCP flags; a record has only those that are set."""
    numbers = np.zeros(work.rows, dtype=np.int16)
    for name, bit in TCP_FLAGS.items():
        for _, column in work.values("l4", "TCP", "flags", name):
            if pa.types.is_boolean(column.type):
                numbers |= np.asarray(column.fill_null(False)).astype(np.int16) * np.int16(bit)
    is_tcp = pc.equal(work.columns["protocol"], 6).fill_null(False)
    work.columns["tcp_flags"] = pa.array(numbers, mask=~np.asarray(is_tcp))


def _service(work: PartialRows, side: str) -> pa.DictionaryArray | None:
    """Return the workload of a side, or else its pod, with the namespace."""
    found = None
    workloads = work.text(side, "workloads")
    if workloads is not None:
        found = changed(workloads, _workload)
    pods = work.text(side, "pod_name")
    if pods is not None:
        found = pods if found is None else coalesce_text(found, pods)
    namespace = work.text(side, "namespace")
    if found is None or namespace is None:
        return found
    spaced = pc.binary_join_element_wise(
        namespace.cast(pa.string()), found.cast(pa.string()), "/"
    ).dictionary_encode()
    return coalesce_text(spaced, found)


def _workload(text: str) -> str | None:
    try:
        some = msgspec.json.decode(text)
    except UNREADABLE_JSON:
        return None
    first = some[0] if isinstance(some, list) and some else None
    name = first.get("name") if isinstance(first, dict) else None
    return name if isinstance(name, str) else None


_SIDES = tuple((side, name) for side in ("source", "destination")
               for name in ("workloads", "pod_name", "namespace"))  # fmt: skip
_SERVICES = ("src_service", "dst_service")

LOG = Log(
    "hubble",
    provider="k8s",
    log_type="k8s.hubble",
    frames=(Json(),),
    columns=(
        col("record_id", "uuid"),
        col("start_time", "time"),
        col("src_addr", "IP.source"),
        col("dst_addr", "IP.destination"),
        col("ip_version", "IP.ipVersion"),
        col("src_port", "l4.TCP.source_port", "l4.UDP.source_port", "l4.SCTP.source_port"),
        col(
            "dst_port",
            "l4.TCP.destination_port",
            "l4.UDP.destination_port",
            "l4.SCTP.destination_port",
        ),
        col("direction", "traffic_direction", values=_DIRECTIONS),
        col("action", "verdict", values=_VERDICTS, in_attrs=True),
        col("action_reason", "drop_reason_desc"),
        col("instance_id", "node_name"),
        col("interface_id", "interface.name"),
    ),
    defaults={"log_status": "OK", "reporter": "interface"},
    envelopes=_ENVELOPES,
    objects=(("source",), ("destination",), ("ethernet",), ("l4", "TCP", "flags")),
    reads={
        **dict.fromkeys(_SIDES, _SERVICES),
        **{("l4", "TCP", "flags", name): () for name in TCP_FLAGS},
        **{("l4", name): () for name in ("ICMPv4", "ICMPv6")},
        **{(name,): () for name in (_LOST, *_OTHER_EVENTS)},
    },
    always=frozenset({"direction", "src_port", "dst_port"}),
    hidden=frozenset(("l4", "TCP", "flags", name) for name in TCP_FLAGS),
    skip=_other_records,
    derive=_derive,
    sniff=keys(
        "verdict",
        any_of("IP", "l4", "traffic_direction", "trace_observation_point", least=2),
        any_of("node_name", "is_reply"),
        score=LIKELY,
    ),
)
