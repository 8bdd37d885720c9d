"""Flow columns that are computed from several values of an OCSF record."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ktrans.decoders.partial_rows import REPORTERS, PartialRows
from ktrans.decoders.texts import changed, marked, where
from ktrans.flow.columns import coalesce_text, constant_text, recode
from ktrans.flow.target_schemas.ocsf import OCSF_PRODUCTS

_PRODUCT = ("metadata", "product", "name")
_LOG = ("metadata", "log_name")
_LOG_TYPES = {name.lower(): log for log, (name, _) in OCSF_PRODUCTS.items() if log != "tencent.ccn"}
_PLACES = {
    "vpc_id": "vpc_uid",
    "subnet_id": "subnet_uid",
    "interface_id": "interface_uid",
    "instance_id": "instance_uid",
}


def derive(work: PartialRows) -> None:
    """Fill the log type, packet addresses, places and reporter."""
    _log_type(work)
    for side in ("src", "dst"):
        _packet_address(work, side)
    _places(work)
    direction = work.columns.get("direction")
    if "reporter" in work.wanted and direction is not None:
        work.fill("reporter", changed(direction, REPORTERS.get))


def _log_type(work: PartialRows) -> None:
    if "log_type" not in work.wanted:
        return
    answer = constant_text("ocsf.network_activity", work.rows)
    product = work.text(*_PRODUCT)
    if product is not None:
        known = changed(product, lambda word: _LOG_TYPES.get(word.lower()))
        answer = coalesce_text(known, answer)
    log = work.text(*_LOG)
    if log is not None:
        kept = changed(log, lambda word: word if word in OCSF_PRODUCTS else None)
        answer = coalesce_text(kept, answer)
    work.columns["log_type"] = answer


def _packet_address(work: PartialRows, side: str) -> None:
    """Fill the address of the interface from the intermediate addresses, and the packet's from the endpoint."""
    between = work.text(f"{side}_endpoint", "intermediate_ips")
    own = work.columns.get(f"{side}_addr")
    if between is None or own is None or between.null_count == work.rows:
        return
    first = pc.extract_regex(between.dictionary, r'^\["(?P<ip>[^"\\]+)"').field("ip")
    first = pc.if_else(pc.equal(first, ""), pa.scalar(None, pa.string()), first)
    addresses = recode(between, first)
    if f"{side}_pkt_addr" in work.wanted:
        work.columns[f"{side}_pkt_addr"] = where(own, addresses.is_valid())
    work.columns[f"{side}_addr"] = coalesce_text(addresses, own)


def _places(work: PartialRows) -> None:
    """Fill the place of the capture point from the side that it is on, or the only side that has one."""
    src, dst = (
        {
            column: constant_text(None, work.rows) if text is None else text
            for column, name in _PLACES.items()
            for text in [work.text(f"{side}_endpoint", name)]
        }
        for side in ("src", "dst")
    )
    at_src, at_dst = (_any_valid(list(side.values()), work.rows) for side in (src, dst))
    direction = work.columns.get("direction")
    inbound = False if direction is None else marked(direction, "ingress".__eq__)
    take_dst = at_dst & (inbound | ~at_src)
    for column in _PLACES:
        if column in work.wanted:
            work.columns[column] = coalesce_text(
                where(dst[column], take_dst), where(src[column], ~take_dst)
            )
    both = np.asarray(src["vpc_id"].is_valid()) & np.asarray(dst["vpc_id"].is_valid())
    for column, values in (("src_vpc", src["vpc_id"]), ("dst_vpc", dst["vpc_id"])):
        if column in work.wanted and both.any():
            work.columns[column] = where(values, both)


def _any_valid(columns: list[pa.DictionaryArray], rows: int) -> np.ndarray:
    found = np.zeros(rows, bool)
    for column in columns:
        found |= np.asarray(column.is_valid())
    return found


READS: dict[tuple[str, ...], tuple[str, ...]] = {
    _PRODUCT: ("log_type",),
    _LOG: ("log_type",),
    ("src_endpoint", "intermediate_ips"): ("src_addr", "src_pkt_addr"),
    ("dst_endpoint", "intermediate_ips"): ("dst_addr", "dst_pkt_addr"),
    **{
        (f"{side}_endpoint", name): (*_PLACES, "src_vpc", "dst_vpc")
        for name in _PLACES.values()
        for side in ("src", "dst")
    },
}
"""Values that `derive` reads, with the flow columns that depend on them."""
