"""The `community_id` enricher: the Community ID of each flow, version 1.

The Community ID Flow Hashing specification (Corelight, community-id-spec) gives both directions of
a connection one text, the same in every tool that follows it: "1:" and the SHA-1 of

    seed (2 bytes), lower address, higher address, protocol, 0, lower's port, higher's port

in network byte order, where the lower end is the one with the smaller address, then port.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
from pydantic import Field

from ktrans.api import ComponentConfig
from ktrans.enrichers.hashes.address_order import AddressTable, both_ends
from ktrans.enrichers.hashes.combinations import combined, first_rows
from ktrans.enrichers.hashes.digests import as_texts
from ktrans.enrichers.hashes.sha1 import BLOCK_WORDS, sha1
from ktrans.kit.column_enricher import ColumnEnricher
from ktrans.kit.columns import (
    MISSING,
    coded,
    option,
    plain_integers,
    require_flow,
    require_integer,
    text_field,
)

_FLOW = ("src_addr", "dst_addr", "src_port", "dst_port", "protocol")
PORT_PROTOCOLS = (6, 17, 132)
ICMP, ICMP_V6 = 1, 58
PAIRS = {
    ICMP: ((8, 0), (13, 14), (15, 16), (10, 9), (17, 18)),
    ICMP_V6: ((128, 129), (130, 131), (133, 134), (135, 136), (139, 140), (144, 145)),
}
"""Types that ask and answer each other, as Zeek pairs them; the specification refers to it."""

_CHUNK = 8192
"""Flows hashed at a time: their arrays stay in a core's own cache."""
_END = 0x8000
"""The bit that ends a message, as a half word."""
_PORTS = 1 << 16
_TYPES = 256


class CommunityIdEnricherConfig(ComponentConfig, type="community_id"):
    """Adds the Community ID (version 1), by which other tools name the same connection.

    Both directions have the same. It is made of addresses and ports for TCP, UDP and SCTP, of
    addresses and message type for ICMP, and of addresses alone for others. It is null if an
    address, the protocol, a port, or the message type of ICMP is missing. Most cloud flow logs do
    not have the type: name the columns that hold it, if there are any. An IPv4 address written as IPv6
    (`::ffff:10.0.0.1`) counts as IPv4.
    """

    seed: int = Field(
        0,
        ge=0,
        lt=_PORTS,
        description="The seed of the tools to compare with; their default is 0.",
        examples=[1],
    )
    column: str = Field(
        "community_id", min_length=1, description="The new column.", examples=["network_id"]
    )
    icmp_type_column: str | None = Field(
        None,
        description="An integer column with the ICMP message type; `derive` can make one.",
        examples=["icmp_type"],
    )
    icmp_code_column: str | None = Field(
        None,
        description="An integer column with the ICMP code; types that have no answer need it.",
        examples=["icmp_code"],
    )


class CommunityIdEnricher(ColumnEnricher[CommunityIdEnricherConfig]):
    """Adds Community IDs of flows."""

    replaces = ()
    names_option = "column"

    def reads(self) -> Sequence[str]:
        """Name the 5-tuple, and the columns for ICMP."""
        icmp = (self.config.icmp_type_column, self.config.icmp_code_column)
        return [*_FLOW, *(name for name in icmp if name)]

    def columns(self) -> dict[str, pa.Field]:
        """Name the new column."""
        name = self.config.column
        return {name: text_field(name, "Community ID of the flow, version 1")}

    def bind(self, schema: pa.Schema) -> pa.Schema:
        """Check the columns and add the new one."""
        require_flow(schema, _FLOW, "community_id")
        for name in ("icmp_type_column", "icmp_code_column"):
            if column := getattr(self.config, name):
                with option(name):
                    require_integer(schema, [column], "community_id")
        return super().bind(schema)

    def compute(self, batch: pa.RecordBatch) -> dict[str, pa.Array]:
        """Hash the distinct flows of both families, and return each row's ID."""
        lower, higher, table = both_ends(batch)
        flow, valid = self._flow(batch, lower, higher)
        codes = np.full(batch.num_rows, MISSING, np.int32)
        texts = []
        done = 0
        for family, halves in ((4, 2), (6, 8)):
            rows = np.flatnonzero(valid & (table.family[flow[0]] == family))
            if rows.size:
                numbers, ids = self._hashed(flow[:, rows], table, halves)
                codes[rows] = numbers + done
                texts.append(ids)
                done += len(ids)
        values = pa.concat_arrays(texts) if texts else pa.array([], pa.string())
        return {self.config.column: coded(codes, values)}

    def _flow(
        self, batch: pa.RecordBatch, src: np.ndarray, dst: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Put the lower end first, and find out which rows can have an ID.

        Returns:
            Six numbers a row: lower end, higher end, what is hashed as their ports, the protocol,
            and whether ports are hashed; and which rows can have an ID.
        """
        protocol, _ = plain_integers(batch.column("protocol"))
        ports = [plain_integers(batch.column(name))[0] for name in ("src_port", "dst_port")]
        ported = np.isin(protocol, PORT_PROTOCOLS)
        one_way = np.zeros(batch.num_rows, bool)
        icmp = np.flatnonzero((protocol == ICMP) | (protocol == ICMP_V6))
        if icmp.size:
            asked, answered, one_way[icmp] = self._icmp(batch, icmp, protocol[icmp])
            ports[0][icmp], ports[1][icmp] = asked, answered
            ported[icmp] = True
        first, second = (np.where(ported, side, 0) for side in ports)
        valid = (src >= 0) & (dst >= 0) & (protocol >= 0) & (protocol < _TYPES)
        valid &= (first >= 0) & (first < _PORTS) & (second >= 0) & (second < _PORTS)
        swap = ((src > dst) | ((src == dst) & (first > second))) & ~one_way
        ends = (np.where(swap, dst, src), np.where(swap, src, dst))
        ports = [np.where(swap, second, first), np.where(swap, first, second)]
        return np.stack([*ends, *ports, protocol, ported]), valid

    def _icmp(
        self, batch: pa.RecordBatch, rows: np.ndarray, protocol: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return what is hashed in place of the ports, -1 if not known, and whether nothing answers."""
        kind, code = (
            np.full(rows.size, -1)
            if name is None
            else plain_integers(batch.column(name).take(pa.array(rows)))[0]
            for name in (self.config.icmp_type_column, self.config.icmp_code_column)
        )
        kind = np.where((kind >= 0) & (kind < _TYPES), kind, -1)
        answer = _ANSWERS[(protocol == ICMP_V6).astype(np.intp), kind]
        return kind, np.where(answer >= 0, answer, code), answer < 0

    def _hashed(
        self, flow: np.ndarray, table: AddressTable, halves: int
    ) -> tuple[np.ndarray, pa.Array]:
        """Number the distinct flows of rows of one family, and write their IDs.

        Returns:
            The number of each row's flow, and a text for each number.
        """
        lower, higher, first, second, protocol, _ = flow
        count = len(table.family)
        kinds = np.unique(protocol)
        parts = [
            (lower * count + higher, count * count),
            ((first << 16) | second, 1 << 32),
            (np.searchsorted(kinds, protocol), len(kinds)),
        ]
        numbers = combined(parts)
        flow = flow[:, first_rows(numbers)]
        digests = [
            sha1(self._message(flow[:, start : start + _CHUNK], table, halves))
            for start in range(0, flow.shape[1], _CHUNK)
        ]
        return numbers, as_texts(np.concatenate(digests, axis=1))

    def _message(self, flow: np.ndarray, table: AddressTable, halves: int) -> np.ndarray:
        """Write the block that each flow is hashed from: uint32, 16 words by as many flows."""
        lower, higher, first, second, protocol, ported = flow
        end = 1 + 2 * halves
        # In 16-bit halves, since the seed puts everything off the 32-bit boundary.
        parts: list[np.ndarray | np.uint32] = [
            np.uint32(self.config.seed),
            *table.halves[:halves, lower],
            *table.halves[:halves, higher],
            (protocol << 8).astype(np.uint32),
            np.where(ported, first, _END).astype(np.uint32),
            np.where(ported, second, 0).astype(np.uint32),
            np.where(ported, np.uint32(_END), np.uint32(0)),
            np.uint32(0),
        ]
        words = np.zeros((BLOCK_WORDS, flow.shape[1]), np.uint32)
        for i in range(len(parts) // 2):
            words[i] = (parts[2 * i] << np.uint32(16)) | parts[2 * i + 1]
        words[-1] = 16 * np.where(ported, end + 3, end + 1)  # the message's length in bits
        return words


def _answers() -> np.ndarray:
    """Return for ICMP and ICMPv6, by type, the type that answers it or that it answers."""
    table = np.full((2, _TYPES), -1, np.int64)
    for row, pairs in enumerate((PAIRS[ICMP], PAIRS[ICMP_V6])):
        for ask, answer in pairs:
            table[row, ask], table[row, answer] = answer, ask
    return table


_ANSWERS = _answers()
