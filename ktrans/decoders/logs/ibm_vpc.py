"""IBM Cloud VPC flow logs: one JSON document an object, a header and the flows of one interface.

Source: IBM Cloud documentation, VPC, "Analyzing flow logs" (format of objects, header and flows).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import lru_cache
from typing import Any, Literal
from urllib.parse import unquote

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field

from ktrans.api import (
    ComponentConfig,
    Head,
    Payload,
    RejectError,
    Sniff,
)
from ktrans.decoders.frames.block import Block, Refused
from ktrans.decoders.frames.ibm import Unreadable, read_document
from ktrans.decoders.frames.json_scan import one_line
from ktrans.decoders.mapped.decoder import MappedDecoder
from ktrans.decoders.mapped.frames import Json
from ktrans.decoders.mapped.table import Table, col
from ktrans.decoders.partial_rows import PartialRows
from ktrans.flow.columns import coalesce_text, recode
from ktrans.kit.text.inflate import Inflater, Problem, wait_for_more
from ktrans.kit.text.lines import shortened

_DOCUMENT_LINES = 64
"""A document may be as long as so many records."""

_KEY_PART = re.compile(r"(?:^|/)([a-z-]+)=([^/]*)")
_KEY = "key:"
_FACTS = ("account", "region", "vpc-id", "subnet-id", "instance-id", "vnic-id")
_CRN_REGION, _CRN_SCOPE = 5, 6
_STATES = {"ok": "OK", "skip data": "SKIPDATA"}
_ACTIONS = {"accepted": "accept", "rejected": "reject"}
_DIRECTIONS = {"i": "ingress", "o": "egress"}
_SKIPPED = "skip data"
_WINDOW = {"start_time": "capture_start_time", "end_time": "capture_end_time"}


@lru_cache(maxsize=1024)
def key_facts(uri: str) -> dict[str, str]:
    """Read what an object's key says: account=/region=/vpc-id=/subnet-id=/..., URL-encoded."""
    found = {name: unquote(value) for name, value in _KEY_PART.findall(uri)}
    return {_KEY + name: found[name] for name in _FACTS if found.get(name)}


def _derive(work: PartialRows) -> None:
    """Take account and region from a CRN where the key has none; tell begin and end of a flow."""
    for column, place in (("region", _CRN_REGION), ("account_id", _CRN_SCOPE)):
        crn = work.text("vpc_crn")
        if column in work.wanted and crn is not None:
            words = [_crn_part(word, place) for word in crn.dictionary.to_pylist()]
            found = recode(crn, pa.array(words, pa.string()))
            given = work.columns.get(column)
            work.columns[column] = found if given is None else coalesce_text(given, found)
    if "flow_state" in work.wanted:
        began, begin_told = _flag(work, "was_initiated")
        ended, end_told = _flag(work, "was_terminated")
        codes = np.where(ended, 2, np.where(began, 0, 1)).astype(np.int32)
        states = pa.array(["begin", "continue", "end"], pa.string())
        indices = pa.array(codes, mask=~(begin_told | end_told))
        work.columns["flow_state"] = pa.DictionaryArray.from_arrays(indices, states)


def _crn_part(crn: str | None, place: int) -> str | None:
    """Give a part of crn:version:cname:ctype:service:location:scope:instance:type:resource."""
    parts = (crn or "").split(":")
    return parts[place].removeprefix("a/") or None if len(parts) > place else None


def _flag(work: PartialRows, name: str) -> tuple[np.ndarray, np.ndarray]:
    """Give a flag, false where it is not there, and where it is there."""
    text = work.text(name)
    if text is None:
        nowhere = np.zeros(work.rows, bool)
        return nowhere, nowhere
    flags = pc.equal(text.cast(pa.string()), "true").fill_null(False)
    return np.asarray(flags), np.asarray(text.is_valid())


TABLE = Table(
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
        col("account_id", f"{_KEY}account"),
        col("region", f"{_KEY}region"),
        col("vpc_id", "vpc_crn", f"{_KEY}vpc-id"),
        col("subnet_id", f"{_KEY}subnet-id"),
        col("interface_id", "network_interface_id", f"{_KEY}vnic-id"),
        col("instance_id", "instance_crn", f"{_KEY}instance-id"),
    ),
    constants={"provider": "ibm", "log_type": "ibm.vpc", "reporter": "interface"},
    reads={
        ("vpc_crn",): ("account_id", "region"),
        ("was_initiated",): ("flow_state",),
        ("was_terminated",): ("flow_state",),
    },
    hidden=frozenset({("number_of_flow_logs",)} | {(_KEY + name,) for name in _FACTS}),
    derive=_derive,
)


class IbmVpcDecoderConfig(ComponentConfig):
    """Options of the `ibm_vpc` decoder."""

    type: Literal["ibm_vpc"] = Field(
        default="ibm_vpc", description="Which component this is.", examples=["ibm_vpc"]
    )


class IbmVpcDecoder(MappedDecoder[IbmVpcDecoderConfig]):
    """Decodes IBM Cloud VPC flow logs.

    Counters are those of the window; the cumulative ones go to attrs and must not be added up.
    A document whose flows were skipped (`skip data`) and that holds none becomes one row with the
    status SKIPDATA and the times of the capture.
    """

    table = TABLE
    frames = (Json(),)

    def blocks(self, payload: Payload) -> Iterator[Any]:
        """Read the document; its flows become lines, its header goes with each block."""
        data, problem = self._document(payload)
        if not data.strip() and problem is None:
            return
        try:
            document = read_document(data, problem)
        except Unreadable as error:
            yield self._refuse(payload, payload.first_line, error.reason, data, error.detail)
            return
        header = {**key_facts(payload.uri), **document.header}
        rows = document.rows
        if not rows and header.get("state", "").lower() == _SKIPPED:
            rows = [_skipped(header)]
        lines: list[bytes] = []
        size, first = 0, payload.first_line
        for number, row in enumerate(rows, payload.first_line):
            lines.append(one_line(row))
            size += len(lines[-1]) + 1
            if size >= self.context.limits.block_bytes:
                yield _block(payload.uri, lines, first, header)
                lines, size, first = [], 0, number + 1
        if lines:
            yield _block(payload.uri, lines, first, header)
        if document.torn is not None:
            reason, raw, detail = document.torn
            yield self._refuse(payload, payload.first_line + len(rows), reason, raw, detail)

    def _refuse(
        self, payload: Payload, position: int, reason: str, raw: bytes, detail: str
    ) -> Block:
        raw, detail, complete = shortened(raw, detail, self.context.limits.max_line_bytes)
        refused = Refused(position, reason, raw, detail, complete)
        return Block(payload.uri, position, refused=(refused,))

    def _document(self, payload: Payload) -> tuple[bytes, Problem | None]:
        """Inflate the whole object, within bounds; tell why it ends early, if it does.

        Raises:
            RejectError: it is larger than any that IBM writes.
            TruncatedError: it ends early and may still grow.
        """
        limits = self.context.limits
        inflater = Inflater(payload.open, limits, payload.uri)
        longest = max(limits.max_line_bytes, limits.block_bytes) * _DOCUMENT_LINES
        pieces: list[bytes] = []
        size = 0
        for piece in inflater.chunks():
            pieces.append(piece)
            size += len(piece)
            if size > longest:
                raise RejectError(
                    f"{payload.uri}: a document of more than {longest} bytes",
                    code="document_too_long",
                    hint="raise limits.max_line_size if it is what it should be",
                )
        problem = inflater.problem
        if problem is not None:
            wait_for_more(payload, problem)
        return b"".join(pieces).removeprefix(b"\xef\xbb\xbf"), problem

    def replay(self, payload: Payload, layout: str | None) -> Iterator[Any]:
        """Give blocks for rejected flows, one a line, whose layout is their document's header."""
        if layout is None:
            yield from self.blocks(payload)
            return
        header = msgspec.json.decode(layout, type=dict[str, str])
        for block in super().blocks(payload):
            yield replace(block, added=header)

    def layout_of(self, block: Block) -> str | None:
        """Return the header of the document, by which its flows are read again."""
        return msgspec.json.encode(block.added).decode() if block.added else None


def _skipped(header: Mapping[str, str]) -> bytes:
    """Make the record that stands for the flows that were skipped."""
    window = {name: header.get(place) for name, place in _WINDOW.items()}
    return msgspec.json.encode(window)


def _block(uri: str, lines: list[bytes], first: int, header: Mapping[str, str]) -> Block:
    return Block(uri, first, len(lines), b"\n".join(lines) + b"\n", added=header)


def sniff(head: Head) -> Sniff | None:
    """Claim a document with a collector's header."""
    if head.columns is not None or head.data.lstrip()[:1] != b"{":
        return None
    if b'"collector_crn"' in head.data and b'"capture_start_time"' in head.data:
        return Sniff(100, "a header with collector_crn and capture_start_time")
    return None
