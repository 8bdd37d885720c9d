"""Oracle Cloud VCN flow logs: JSON, with or without the envelope of search and Connector Hub.

A record's time is that of its data; `datetime` (milliseconds) of search results, `source` and other
values go to attrs. Ids are kept but are not unique.

Source: Oracle Cloud Infrastructure Documentation, "Details for VCN Flow Logs".
"""

from __future__ import annotations

import re

import pyarrow as pa

from ktrans.decoders.log import Json, Log, col, texts, where
from ktrans.decoders.oci_regions import REGIONS
from ktrans.decoders.partial_rows import PartialRows
from ktrans.decoders.texts import changed, marked
from ktrans.decoders.values import Coerced, Wrong, text_of

_EVENT = "com.oraclecloud.vcn.flowlogs."
_NAME = re.compile(r"[A-Za-z][\w-]*(?:\.[\w-]+)+$")
_STATUSES = {"NoData": "NODATA", "SkipData": "SKIPDATA", "DataEvent": "OK"}


def _is_other_event(kind: str) -> bool:
    """Return whether an event type belongs to another log."""
    return not kind.startswith(_EVENT) and _is_name(kind)


def _is_name(kind: str) -> bool:
    """Return whether a text is the name of an event, such as com.oraclecloud.audit.event."""
    return _NAME.match(kind) is not None


def _read_type(column: pa.Array) -> Coerced:
    """Convert an event type to a status; a text that is not the name of an event is wrong."""
    kinds = text_of(column)
    wrong = marked(kinds, lambda kind: not _is_name(kind))
    status = changed(kinds, lambda kind: _STATUSES.get(kind.rpartition(".")[2]))
    return status, Wrong.of(wrong, "wrong_type")


def _derive(work: PartialRows) -> None:
    """Fill the status from the event type where the data has none, and the region from an OCID."""
    for place, kinds in work.values("type"):
        work.fill("log_status", work.take(place, _read_type, kinds, "log_status"))
    if "region" in work.wanted:
        for name in ("vnicocid", "logid"):
            ocid = work.text("oracle", name)
            if ocid is not None:
                work.fill("region", changed(ocid, _region))


def _region(ocid: str) -> str | None:
    """Return the region in an OCID: ocid1.<type>.<realm>.<region or its short key>.<unique>."""
    parts = ocid.split(".")
    if len(parts) < 5 or not parts[3]:  # noqa: PLR2004
        return None
    return REGIONS.get(parts[3].lower(), parts[3])


LOG = Log(
    "oci_vcn",
    provider="oci",
    log_type="oci.vcn",
    frames=(Json(arrays=(("results",),)),),
    columns=(
        col("log_version", "data.version"),
        col("record_id", "id"),
        col("start_time", "data.startTime", "time"),
        col("end_time", "data.endTime"),
        col("logged_at", "oracle.ingestedtime"),
        col("src_addr", "data.sourceAddress"),
        col("dst_addr", "data.destinationAddress"),
        col("src_port", "data.sourcePort"),
        col("dst_port", "data.destinationPort"),
        col("protocol", "data.protocol", "data.protocolName"),
        col("packets", "data.packets"),
        col("bytes", "data.bytesOut"),
        col("action", "data.action", lower=True),
        col("log_status", "data.status"),
        col("account_id", "oracle.compartmentid"),
        col("subnet_id", "oracle.vnicsubnetocid"),
        col("interface_id", "oracle.vnicocid"),
        col("instance_id", "oracle.resourceId"),
    ),
    constants={"reporter": "interface"},
    envelopes=(("logContent",), ()),
    reads={("oracle", "vnicocid"): ("region",), ("oracle", "logid"): ("region",)},
    hidden=frozenset({("specversion",)}),
    skip=where("type", test=_is_other_event),
    derive=_derive,
    sniff=texts('"com.oraclecloud.vcn.flowlogs.'),
)
