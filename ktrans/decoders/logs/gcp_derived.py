"""Flow columns that are computed from several values of a Google Cloud VPC flow log entry.

Source: Google Cloud documentation, "About VPC Flow Logs records" and "LogEntry".
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache

import pyarrow as pa

from ktrans.decoders.mapped.table import parse_path
from ktrans.decoders.partial_rows import PartialRows
from ktrans.decoders.read.raw_columns import Path
from ktrans.decoders.texts import changed, marked, where

_PROJECT = re.compile(r"^projects/([^/]+)/logs/")
_ZONE = re.compile(r"^([a-z]+(?:-[a-z]+)*-[a-z]+[0-9]+)-[a-z]$")
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


@cache
def _inside(path: str) -> Path:
    return _PAYLOAD + parse_path(path)


def derive(work: PartialRows) -> None:
    """Fill reporter, direction, places, verdict and account, each from several values."""
    reporter = work.text("jsonPayload", "reporter")
    _reporter(work, reporter)
    _sides(work, reporter)
    _place(work)
    _verdict(work)
    _older_rtt(work)
    name = work.text("logName")
    if "account_id" in work.wanted and name is not None:
        work.fill("account_id", changed(name, _project))


def _reporter(work: PartialRows, reporter: pa.DictionaryArray | None) -> None:
    if reporter is None:
        return
    if "reporter" in work.wanted:
        work.columns["reporter"] = changed(reporter, lambda word: _known(word)[0])
    if "direction" in work.wanted:
        work.columns["direction"] = changed(reporter, lambda word: _known(word)[1])


def _known(word: str) -> tuple[str | None, str | None]:
    found = REPORTERS.get(word)
    return (word.lower(), None) if found is None else found[:2]


def _sides(work: PartialRows, reporter: pa.DictionaryArray | None) -> None:
    """Fill the columns that describe the capture point from the reporter's side."""
    if reporter is None:
        return
    for side in ("src", "dest"):
        sided = {word for word, found in REPORTERS.items() if found[2] == side}
        here = marked(reporter, sided.__contains__)
        if not here.any():
            continue
        for column, paths in SIDED.items():
            if column not in work.wanted:
                continue
            for path in paths:
                found = work.text(*_inside(f"{side}_{path}"))
                if found is not None:
                    work.fill(column, found if here.all() else where(found, here))


def _place(work: PartialRows) -> None:
    """Fill region, zone and subnet from the resource where the record has none."""
    location = work.text("resource", "labels", "location")
    if "zone" in work.wanted and location is not None:
        work.fill("zone", changed(location, lambda word: word if _ZONE.match(word) else None))
    if "region" in work.wanted and location is not None:
        own = work.columns.pop("region", None)
        work.fill("region", changed(location, _region))
        work.fill("region", own)
    if "subnet_id" in work.wanted:
        work.fill("subnet_id", work.text("resource", "labels", "subnetwork_name"))


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
    if "action" in work.wanted:
        work.columns["action"] = changed(disposition, {"DROPPED": "drop"}.get)
    others = changed(disposition, lambda word: None if word == "DROPPED" else word)
    if "attrs" in work.wanted and others.null_count < len(others):
        work.attrs["jsonPayload.disposition"] = others


def _older_rtt(work: PartialRows) -> None:
    """Keep the coarse round trip time where the record has the exact one as well."""
    exact = work.raw.columns.get(_inside("round_trip_time.median_msec"))
    coarse = work.text("jsonPayload", "rtt_msec")
    if exact is None or coarse is None or "attrs" not in work.wanted:
        return
    work.attrs["jsonPayload.rtt_msec"] = where(coarse, exact.is_valid())


def _project(name: str) -> str | None:
    match = _PROJECT.match(name)
    return None if match is None else match[1]


def _reads() -> dict[Path, tuple[str, ...]]:
    reads: dict[Path, tuple[str, ...]] = {
        ("resource", "labels", "location"): ("region", "zone"),
        ("resource", "labels", "subnetwork_name"): ("subnet_id",),
        _inside("reporter"): ("reporter", "direction", *SIDED),
        _inside("disposition"): ("action",),
    }
    for column, paths in SIDED.items():
        for path in paths:
            for side in ("src", "dest"):
                reads[_inside(f"{side}_{path}")] = (column,)
    return reads


READS = _reads()
"""Values that `derive` reads, with the flow columns that depend on them."""

HIDDEN = frozenset({_inside("disposition")} | {path for path in READS if path[:1] == _PAYLOAD})
"""Those that are not put in attrs."""
