"""Flow columns that are computed from several values of an OCSF record."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ktrans.decoders.partial_rows import PartialRows
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
        observed = recode(
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
        work.columns["reporter"] = observed if given is None else coalesce_text(given, observed)


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
    """Fill the address of the interface from the intermediate addresses, and the packet's from the endpoint."""
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
