"""How OCSF Network Activity records (class 4001) become flow rows.

Source: OCSF schema, class network_activity; Amazon Security Lake User Guide, "Open Cybersecurity
Schema Framework", for what its VPC flow logs look like (one-way counters in traffic.bytes, `-` in
texts, `Accepted` as reject reason).
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ktrans.decoders.mapped.table import Table, col, parse_path
from ktrans.decoders.partial_rows import PartialRows
from ktrans.decoders.read.raw_columns import RawColumns
from ktrans.decoders.values import text_of
from ktrans.flow.columns import coalesce_text, constant_text, recode
from ktrans.flow.schema import NAMES
from ktrans.flow.target_schemas.ocsf import OCSF_LEFTOVERS, OCSF_PRODUCTS

CLASS_UID = "4001"
_CLASS = ("class_uid",)
_PRODUCT = ("metadata", "product", "name")
_LOG = ("metadata", "log_name")
_PROVIDERS: Mapping[str, str | None] = {
    "google cloud": "gcp",
    "google": "gcp",
    "microsoft": "azure",
    "ms azure": "azure",
    "oracle": "oci",
    "kubernetes": "k8s",
    "unknown": None,
}
_VERDICTS: Mapping[str, str | None] = {
    **{str(number): None for number in range(100)},
    "1": "accept",
    "2": "reject",
    "6": "drop",
    "allowed": "accept",
    "denied": "reject",
    "blocked": "reject",
    "dropped": "drop",
    "unknown": None,
    "other": None,
}
_DIRECTIONS: Mapping[str, str | None] = {
    **{str(number): None for number in range(100)},
    "1": "ingress",
    "2": "egress",
    "inbound": "ingress",
    "outbound": "egress",
    "unknown": None,
    "lateral": None,
    "local": None,
    "other": None,
}
_OBSERVERS: Mapping[str, str | None] = {
    **{str(number): None for number in range(100)},
    "1": "source",
    "2": "destination",
    "3": "firewall",
}
_LOG_TYPES = {name.lower(): log for log, (name, _) in OCSF_PRODUCTS.items() if log != "tencent.ccn"}
_PLACES = {
    "vpc_id": "vpc_uid",
    "subnet_id": "subnet_uid",
    "interface_id": "interface_uid",
    "instance_id": "instance_uid",
}


def _other_records(native: RawColumns) -> np.ndarray | None:
    """Mark records of other classes, which a lake's tables may hold as well."""
    column = native.columns.get(_CLASS)
    if column is None:
        return None
    classes = text_of(column)
    strange = np.asarray(pc.not_equal(classes.dictionary, CLASS_UID).fill_null(False))
    rows: np.ndarray = np.append(strange, False)[
        np.asarray(classes.indices.fill_null(len(strange)))
    ]
    return rows


def _derive(work: PartialRows) -> None:
    _log_type(work)
    for side in ("src", "dst"):
        _packet_address(work, side)
    _places(work)
    direction = work.columns.get("direction")
    if "reporter" in work.wanted and direction is not None:
        told = recode(
            direction,
            pa.array(
                [
                    {"ingress": "destination", "egress": "source"}.get(word)
                    for word in direction.dictionary.to_pylist()
                ],
                pa.string(),
            ),
        )
        given = work.columns.get("reporter")
        work.columns["reporter"] = told if given is None else coalesce_text(given, told)


def _log_type(work: PartialRows) -> None:
    if "log_type" not in work.wanted:
        return
    answer = constant_text("ocsf.network_activity", work.rows)
    product = work.text(*_PRODUCT)
    if product is not None:
        known = [_LOG_TYPES.get((word or "").lower()) for word in product.dictionary.to_pylist()]
        answer = coalesce_text(recode(product, pa.array(known, pa.string())), answer)
    log = work.text(*_LOG)
    if log is not None:
        kept = [word if word in OCSF_PRODUCTS else None for word in log.dictionary.to_pylist()]
        answer = coalesce_text(recode(log, pa.array(kept, pa.string())), answer)
    work.columns["log_type"] = answer


def _packet_address(work: PartialRows, side: str) -> None:
    """Take the interface's address from the intermediate ones: the endpoint's is the packet's."""
    between = work.text(f"{side}_endpoint", "intermediate_ips")
    own = work.columns.get(f"{side}_addr")
    if between is None or own is None or between.null_count == work.rows:
        return
    first = pc.extract_regex(between.dictionary, r'^\["(?P<ip>[^"\\]+)"').field("ip")
    first = pc.if_else(pc.equal(first, ""), pa.scalar(None, pa.string()), first)
    addresses = recode(between, first)
    there = np.asarray(addresses.is_valid())
    codes = pc.if_else(pa.array(there), own.indices, pa.scalar(None, pa.int32()))
    if f"{side}_pkt_addr" in work.wanted:
        work.columns[f"{side}_pkt_addr"] = pa.DictionaryArray.from_arrays(codes, own.dictionary)
    work.columns[f"{side}_addr"] = coalesce_text(addresses, own)


def _places(work: PartialRows) -> None:
    """Take what describes the capture point from one side: where it is, or else where it can be."""
    src, dst = (
        {
            column: constant_text(None, work.rows) if text is None else text
            for column, name in _PLACES.items()
            for text in [work.text(f"{side}_endpoint", name)]
        }
        for side in ("src", "dst")
    )
    at_src, at_dst = (_any_valid(list(side.values()), work.rows) for side in (src, dst))
    take_dst = at_dst & (_inbound(work) | ~at_src)
    for column in _PLACES:
        if column in work.wanted:
            work.columns[column] = coalesce_text(
                _where(dst[column], take_dst), _where(src[column], ~take_dst)
            )
    both = np.asarray(src["vpc_id"].is_valid()) & np.asarray(dst["vpc_id"].is_valid())
    for column, values in (("src_vpc", src["vpc_id"]), ("dst_vpc", dst["vpc_id"])):
        if column in work.wanted and both.any():
            work.columns[column] = _where(values, both)


def _inbound(work: PartialRows) -> np.ndarray:
    direction = work.columns.get("direction")
    if direction is None:
        return np.zeros(work.rows, bool)
    words = [word == "ingress" for word in direction.dictionary.to_pylist()]
    rows: np.ndarray = np.array([*words, False])[
        np.asarray(direction.indices.fill_null(len(words)))
    ]
    return rows


def _any_valid(columns: list[pa.DictionaryArray], rows: int) -> np.ndarray:
    found = np.zeros(rows, bool)
    for column in columns:
        found |= np.asarray(column.is_valid())
    return found


def _where(column: pa.DictionaryArray, mask: np.ndarray) -> pa.DictionaryArray:
    codes = pc.if_else(pa.array(mask), column.indices, pa.scalar(None, pa.int32()))
    return pa.DictionaryArray.from_arrays(codes, column.dictionary)


_PLACE_PATHS: dict[tuple[str, ...], tuple[str, ...]] = {
    (f"{side}_endpoint", name): (*_PLACES, "src_vpc", "dst_vpc")
    for name in _PLACES.values()
    for side in ("src", "dst")
}
_CAPTIONS = (
    "activity_name",
    "activity_id",
    "category_name",
    "category_uid",
    "class_name",
    "class_uid",
    "severity",
    "severity_id",
    "type_name",
    "type_uid",
    "observables",
    "observation_point",
    "metadata.version",
    "metadata.profiles",
    "metadata.product.vendor_name",
    "metadata.product.feature.name",
    "connection_info.boundary",
    "connection_info.boundary_id",
    "connection_info.protocol_name",
    "duration",
)

TABLE = Table(
    columns=(
        col("provider", "cloud.provider", lower=True, values=_PROVIDERS),
        col("log_version", "metadata.log_version", "metadata.product.version"),
        col("record_id", "metadata.uid"),
        col("start_time", "start_time", "start_time_dt", "time", "time_dt"),
        col("end_time", "end_time", "end_time_dt"),
        col("logged_at", "metadata.logged_time", "metadata.logged_time_dt"),
        col("src_addr", "src_endpoint.ip"),
        col("dst_addr", "dst_endpoint.ip"),
        col("src_port", "src_endpoint.port"),
        col("dst_port", "dst_endpoint.port"),
        col("src_service", "src_endpoint.svc_name"),
        col("dst_service", "dst_endpoint.svc_name"),
        col("protocol", "connection_info.protocol_num", "connection_info.protocol_name"),
        col("ip_version", "connection_info.protocol_ver_id", "connection_info.protocol_ver"),
        col("tcp_flags", "connection_info.tcp_flags"),
        col("packets", "traffic.packets_out", "traffic.packets"),
        col("bytes", "traffic.bytes_out", "traffic.bytes"),
        col("packets_rev", "traffic.packets_in"),
        col("bytes_rev", "traffic.bytes_in"),
        col(
            "direction",
            "connection_info.direction_id",
            "connection_info.direction",
            values=_DIRECTIONS,
        ),
        col("reporter", "observation_point_id", values=_OBSERVERS),
        col("action", "disposition_id", "action_id", "disposition", "action", values=_VERDICTS),
        col(
            "action_reason",
            "status_detail",
            "unmapped.reject_reason",
            "unmapped.reject-reason",
            values={"accepted": None},
        ),
        col("rule", "firewall_rule.name"),
        col("acl_id", "policy.uid"),
        col("log_status", "status_code"),
        col(
            "account_id",
            "cloud.account.uid",
            "cloud.account.uuid",
            "cloud.account_uid",
            "accountid",
        ),
        col("region", "cloud.region", "region"),
        col("zone", "cloud.zone"),
        *(col(name, f"unmapped.{name}") for name in OCSF_LEFTOVERS if name in NAMES),
    ),
    objects=(("unmapped",),),
    reads={
        _CLASS: (),
        _PRODUCT: ("log_type",),
        _LOG: ("log_type",),
        ("src_endpoint", "intermediate_ips"): ("src_addr", "src_pkt_addr"),
        ("dst_endpoint", "intermediate_ips"): ("dst_addr", "dst_pkt_addr"),
        **_PLACE_PATHS,
    },
    always=frozenset({"direction"}),
    hidden=frozenset(
        {
            *(parse_path(path) for path in _CAPTIONS),
            _PRODUCT,
            _LOG,
            *_PLACE_PATHS,
            ("src_endpoint", "intermediate_ips"),
            ("dst_endpoint", "intermediate_ips"),
        }
    ),
    skip=_other_records,
    derive=_derive,
)
"""Attributes without a flow column go to attrs under their path; those of `unmapped` under theirs."""
