"""IBM Cloud VPC flow logs: one JSON document an object, a header and the flows of one interface.

Counters are those of the window; the cumulative ones go to attrs and must not be added up. A document
whose flows were skipped (`skip data`) and that holds none becomes one row with the status SKIPDATA and
the times of the capture.

Source: IBM Cloud documentation, VPC, "Analyzing flow logs" (format of objects, header and flows).
"""

from __future__ import annotations

from functools import partial

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ktrans.decoders.frames.ibm import KEY, KEY_FACTS, IbmDocument
from ktrans.decoders.log import Log, col, keys
from ktrans.decoders.partial_rows import PartialRows
from ktrans.decoders.texts import changed

_CRN_REGION, _CRN_SCOPE = 5, 6
_STATES = {"ok": "OK", "skip data": "SKIPDATA"}
_ACTIONS = {"accepted": "accept", "rejected": "reject"}
_DIRECTIONS = {"i": "ingress", "o": "egress"}


def _derive(work: PartialRows) -> None:
    """Fill account and region from a CRN where the key has none, and the state of a flow."""
    for column, place in (("region", _CRN_REGION), ("account_id", _CRN_SCOPE)):
        crn = work.text("vpc_crn")
        if column in work.wanted and crn is not None:
            work.fill(column, changed(crn, partial(_crn_part, place=place)))
    if "flow_state" in work.wanted:
        began, begin_known = _flag(work, "was_initiated")
        ended, end_known = _flag(work, "was_terminated")
        codes = np.where(ended, 2, np.where(began, 0, 1)).astype(np.int32)
        states = pa.array(["begin", "continue", "end"], pa.string())
        indices = pa.array(codes, mask=~(begin_known | end_known))
        work.columns["flow_state"] = pa.DictionaryArray.from_arrays(indices, states)


def _crn_part(crn: str, place: int) -> str | None:
    """Return a part of crn:version:cname:ctype:service:location:scope:instance:type:resource."""
    parts = crn.split(":")
    return parts[place].removeprefix("a/") or None if len(parts) > place else None


def _flag(work: PartialRows, name: str) -> tuple[np.ndarray, np.ndarray]:
    """Return a flag, false where it is missing, and a mask of where it is present."""
    text = work.text(name)
    if text is None:
        nowhere = np.zeros(work.rows, bool)
        return nowhere, nowhere
    flags = pc.equal(text.cast(pa.string()), "true").fill_null(False)
    return np.asarray(flags), np.asarray(text.is_valid())


LOG = Log(
    "ibm_vpc",
    provider="ibm",
    log_type="ibm.vpc",
    frames=(IbmDocument(),),
    columns=(
        col("start_time", "start_time"),
        col("end_time", "end_time"),
        col("logged_at", "capture_end_time"),
        col("src_addr", "initiator_ip"),
        col("dst_addr", "target_ip"),
        col("src_port", "initiator_port"),
        col("dst_port", "target_port"),
        col("protocol", "transport_protocol"),
        col("ip_version", "ether_type"),
        col("packets", "packets_from_initiator"),
        col("bytes", "bytes_from_initiator"),
        col("packets_rev", "packets_from_target"),
        col("bytes_rev", "bytes_from_target"),
        col("direction", "direction", values=_DIRECTIONS),
        col("action", "action", values=_ACTIONS, lower=True),
        col("acl_id", "collector_crn"),
        col("log_status", "state", values=_STATES),
        col("account_id", f"{KEY}account"),
        col("region", f"{KEY}region"),
        col("vpc_id", "vpc_crn", f"{KEY}vpc-id"),
        col("subnet_id", f"{KEY}subnet-id"),
        col("interface_id", "network_interface_id", f"{KEY}vnic-id"),
        col("instance_id", "instance_crn", f"{KEY}instance-id"),
    ),
    constants={"reporter": "interface"},
    reads={
        ("vpc_crn",): ("account_id", "region"),
        ("was_initiated",): ("flow_state",),
        ("was_terminated",): ("flow_state",),
    },
    hidden=frozenset({("number_of_flow_logs",)} | {(KEY + name,) for name in KEY_FACTS}),
    derive=_derive,
    sniff=keys("collector_crn", "capture_start_time"),
)
