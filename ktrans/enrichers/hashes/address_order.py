"""The addresses of both ends of a batch's flows as numbers in one order."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from ktrans.expressions.prefixes import Addresses, parse_addresses
from ktrans.kit.columns import MISSING, distinct, spread


@dataclass(slots=True)
class AddressTable:
    """The distinct addresses of a batch, in order within each family, and one for "none" last.

    Attributes:
        family: 4, 6 or 0.
        halves: 16 bits each, as uint32 of 8 by n: an IPv6 address, or an IPv4 address in the first two.
    """

    family: np.ndarray
    halves: np.ndarray


def both_ends(batch: pa.RecordBatch) -> tuple[np.ndarray, np.ndarray, AddressTable]:
    """Return each row's source and destination as positions in a table of addresses.

    A row whose ends are not addresses of one family has -1 for both.
    """
    sources, src_index = distinct(batch.column("src_addr"))
    destinations, dst_index = distinct(batch.column("dst_addr"))
    parsed = parse_addresses(pa.concat_arrays([sources, destinations]))
    places, table = _rank(parsed)
    src = spread(places[: len(sources)], src_index).astype(np.int64)
    dst = spread(places[len(sources) :], dst_index).astype(np.int64)
    apart = table.family[src] != table.family[dst]  # -1 finds the entry that is no address
    src[apart] = dst[apart] = -1
    return src, dst, table


def _rank(parsed: Addresses) -> tuple[np.ndarray, AddressTable]:
    """Sort addresses by their numbers, each once."""
    places = np.full(len(parsed.family), MISSING, np.int32)
    four = np.flatnonzero(parsed.family == 4)  # noqa: PLR2004
    v4, at = np.unique(parsed.v4[four], return_inverse=True)
    places[four] = at
    six = np.flatnonzero(parsed.family == 6)  # noqa: PLR2004
    packed = np.zeros(0, "S16") if parsed.v6 is None else parsed.v6[six]
    v6, at = np.unique(packed, return_inverse=True)
    places[six] = at + len(v4)
    family = np.repeat(np.array([4, 6, 0], np.uint8), [len(v4), len(v6), 1])
    halves = np.zeros((8, len(family)), np.uint32)
    halves[0, : len(v4)] = v4 >> 16
    halves[1, : len(v4)] = v4 & 0xFFFF
    halves[:, len(v4) : -1] = v6.view(">u2").reshape(-1, 8).T
    return places, AddressTable(family, halves)
