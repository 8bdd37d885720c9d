"""The table of Google Cloud VPC flow logs.

Source: Google Cloud documentation, "About VPC Flow Logs records" and "LogEntry".
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ktrans.decoders.mapped.table import Table, col, parse_path
from ktrans.decoders.partial_rows import PartialRows
from ktrans.decoders.read.raw_columns import Path, RawColumns
from ktrans.decoders.values import marked, text_of
from ktrans.flow.columns import coalesce_text, recode

LOG_NAME = re.compile(r"(?:compute|networkmanagement)\.googleapis\.com(?:%2F|%2f|/)vpc_flows$")
_PROJECT = re.compile(r"^projects/([^/]+)/logs/")
_ZONE = re.compile(r"^([a-z]+(?:-[a-z]+)*-[a-z]+[0-9]+)-[a-z]$")
_LOG_NAME_PATH = ("logName",)
_PAYLOAD = ("jsonPayload",)

REPORTERS: Mapping[str, tuple[str, str, str]] = {
    "SRC": ("source", "egress", "src"),
    "DEST": ("destination", "ingress", "dest"),
    "SRC_GATEWAY": ("source_gateway", "egress", "src"),
    "DEST_GATEWAY": ("destination_gateway", "ingress", "dest"),
}
"""Reporter, direction and own side of each native reporter."""

SIDED: Mapping[str, tuple[str, ...]] = {
    "zone": ("instance.zone",),
    "vpc_id": ("vpc.vpc_name", "gateway.vpc.vpc_name"),
    "subnet_id": ("vpc.subnetwork_name", "gateway.vpc.subnetwork_name"),
    "interface_id": ("gateway.name",),
    "instance_id": ("instance.vm_name",),
    "region": ("instance.region", "gateway.location"),
}
"""Columns that come from the reporter's side, and the values of that side to take them from."""


def _inside(path: str) -> Path:
    return _PAYLOAD + parse_path(path)


def _other_records(native: RawColumns) -> np.ndarray | None:
    """Mark entries of other logs, which sinks of Cloud Logging mix with flows."""
    names = native.columns.get(_LOG_NAME_PATH)
    return None if names is None else marked(text_of(names), lambda name: not LOG_NAME.search(name))


def _derive(work: PartialRows) -> None:
    reporter = work.text("jsonPayload", "reporter")
    _reporter(work, reporter)
    _sides(work, reporter)
    _place(work)
    _verdict(work)
    _older_rtt(work)
    if "account_id" in work.wanted:
        _fill(work, "account_id", work.text(*_LOG_NAME_PATH), _project)


def _reporter(work: PartialRows, reporter: pa.DictionaryArray | None) -> None:
    if reporter is None:
        return
    words = reporter.dictionary.to_pylist()
    for place, column in enumerate(("reporter", "direction")):
        if column in work.wanted:
            texts = [None if w is None else _known(w)[place] for w in words]
            work.columns[column] = recode(reporter, pa.array(texts, pa.string()))


def _known(word: str) -> tuple[str | None, str | None]:
    found = REPORTERS.get(word)
    return (word.lower(), None) if found is None else found[:2]


def _sides(work: PartialRows, reporter: pa.DictionaryArray | None) -> None:
    """Fill the columns that describe the capture point from the reporter's side."""
    if reporter is None:
        return
    words = [*reporter.dictionary.to_pylist(), None]
    codes = np.asarray(reporter.indices.fill_null(len(words) - 1))
    for side in ("src", "dest"):
        here = np.array([w in REPORTERS and REPORTERS[w][2] == side for w in words])[codes]
        if not here.any():
            continue
        mask = None if here.all() else pa.array(here)
        for column, paths in SIDED.items():
            if column not in work.wanted:
                continue
            for path in paths:
                found = work.text(*_inside(f"{side}_{path}"))
                if found is None:
                    continue
                if mask is not None:
                    codes_here = pc.if_else(mask, found.indices, pa.scalar(None, pa.int32()))
                    found = pa.DictionaryArray.from_arrays(codes_here, found.dictionary)
                _fill(work, column, found)


def _place(work: PartialRows) -> None:
    """Fill region, zone and subnet from the resource where the record has none."""
    location = work.text("resource", "labels", "location")
    if "zone" in work.wanted:
        _fill(work, "zone", location, lambda word: word if _ZONE.match(word) else None)
    if "region" in work.wanted and location is not None:
        own = work.columns.pop("region", None)
        _fill(work, "region", location, _region)
        _fill(work, "region", own)
    if "subnet_id" in work.wanted:
        _fill(work, "subnet_id", work.text("resource", "labels", "subnetwork_name"))


def _region(location: str) -> str | None:
    """Return the region of a location; None if it is neither a region nor a zone."""
    zone = _ZONE.match(location)
    if zone is not None:
        return zone[1]
    return None if location in ("global", "-") else location


def _verdict(work: PartialRows) -> None:
    """Fill the action of drop records; others have no verdict."""
    disposition = work.text("jsonPayload", "disposition")
    if disposition is None:
        return
    words = disposition.dictionary.to_pylist()
    if "action" in work.wanted:
        dropped = pa.array(["drop" if w == "DROPPED" else None for w in words], pa.string())
        work.columns["action"] = recode(disposition, dropped)
    if "attrs" in work.wanted and any(word != "DROPPED" for word in words):
        others = pa.array([None if w == "DROPPED" else w for w in words], pa.string())
        work.attrs["jsonPayload.disposition"] = recode(disposition, others)


def _older_rtt(work: PartialRows) -> None:
    """Keep the coarse round trip time where the record has the exact one as well."""
    exact = work.raw.columns.get(_inside("round_trip_time.median_msec"))
    coarse = work.text("jsonPayload", "rtt_msec")
    if exact is None or coarse is None or "attrs" not in work.wanted:
        return
    codes = pc.if_else(exact.is_valid(), coarse.indices, pa.scalar(None, pa.int32()))
    work.attrs["jsonPayload.rtt_msec"] = pa.DictionaryArray.from_arrays(codes, coarse.dictionary)


def _fill(
    work: PartialRows,
    column: str,
    text: pa.DictionaryArray | None,
    change: Callable[[str], str | None] | None = None,
) -> None:
    """Fill a column where it is null with a text, changed by distinct value if asked for."""
    given = work.columns.get(column)
    if text is None or (given is not None and given.null_count == 0):
        return
    if change is not None:
        words = [None if word is None else change(word) for word in text.dictionary.to_pylist()]
        text = recode(text, pa.array(words, pa.string()))
    work.columns[column] = text if given is None else coalesce_text(given, text)


def _project(name: str) -> str | None:
    match = _PROJECT.match(name)
    return None if match is None else match[1]


def _uses() -> dict[Path, tuple[str, ...]]:
    uses: dict[Path, tuple[str, ...]] = {
        _LOG_NAME_PATH: (),
        ("resource", "labels", "location"): ("region", "zone"),
        ("resource", "labels", "subnetwork_name"): ("subnet_id",),
        _inside("reporter"): ("reporter", "direction", *SIDED),
        _inside("disposition"): ("action",),
    }
    for column, paths in SIDED.items():
        for path in paths:
            for side in ("src", "dest"):
                uses[_inside(f"{side}_{path}")] = (column,)
    return uses


def _service(side: str) -> tuple[str, ...]:
    return (
        f"jsonPayload.{side}_google_service.service_name",
        f"jsonPayload.{side}_gke_details.pod.workload.workload_name",
        f"jsonPayload.{side}_gke_details.pod.pod_workload.workload_name",
    )


TABLE = Table(
    columns=(
        col("record_id", "insertId"),
        col("start_time", "jsonPayload.start_time"),
        col("end_time", "jsonPayload.end_time"),
        col("logged_at", "timestamp"),
        col("src_addr", "jsonPayload.connection.src_ip"),
        col("dst_addr", "jsonPayload.connection.dest_ip"),
        col("src_port", "jsonPayload.connection.src_port"),
        col("dst_port", "jsonPayload.connection.dest_port"),
        col("protocol", "jsonPayload.connection.protocol"),
        col("packets", "jsonPayload.packets_sent"),
        col("bytes", "jsonPayload.bytes_sent"),
        col("packets_dropped", "jsonPayload.packets_dropped"),
        col("bytes_dropped", "jsonPayload.bytes_dropped"),
        col("action_reason", "jsonPayload.drop_reason"),
        col(
            "rtt_us",
            "jsonPayload.round_trip_time.median_msec",
            "jsonPayload.rtt_msec",
            multiply=1000,
        ),
        col("account_id", "resource.labels.project_id"),
        col("src_vpc", "jsonPayload.src_vpc.vpc_name"),
        col("dst_vpc", "jsonPayload.dest_vpc.vpc_name"),
        col("src_service", *_service("src")),
        col("dst_service", *_service("dest")),
    ),
    constants={"provider": "gcp", "log_type": "gcp.vpc", "log_status": "OK"},
    evidence=("src_addr", "dst_addr"),
    reads=_uses(),
    hidden=frozenset({_inside("disposition")} | {path for path in _uses() if path[:1] == _PAYLOAD}),
    skip=_other_records,
    derive=_derive,
)
