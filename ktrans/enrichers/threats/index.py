"""Looks distinct addresses and domains up in all entries of all lists.

Entries may lie inside each other. They are put into layers: an entry that lies inside others is in the
layer below theirs, so those of one layer are apart, and an address that is in none of a layer is in none
of the layers below it.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from ktrans.enrichers.threats.entries import domain
from ktrans.expressions.prefixes import Addresses, Prefix, PrefixIndex, nested, parse_addresses

Hits = tuple[np.ndarray, np.ndarray]
"""Positions of values, and the entry of each; a value that is in several entries occurs several times."""


class AddressIndex:
    """Finds all entries that hold an address.

    Args:
        entries: the network of each entry, or None if it is none.
    """

    def __init__(self, entries: Sequence[Prefix | None]) -> None:
        layers: list[tuple[list[Prefix], list[int]]] = []
        given = [(one, entry) for entry, one in enumerate(entries) if one is not None]
        for at, around in nested([prefix for prefix, _ in given]):
            if len(around) == len(layers):
                layers.append(([], []))
            prefix, entry = given[at]
            layers[len(around)][0].append(prefix)
            layers[len(around)][1].append(entry)
        self._layers = [(PrefixIndex(some), np.array(which)) for some, which in layers]

    def find(self, values: pa.Array) -> Hits:
        """Return the entries of distinct addresses, in the order of the values."""
        addresses = parse_addresses(values)
        at = np.arange(len(values))
        found: list[Hits] = []
        for index, entries in self._layers:
            rows = index.lookup(addresses)
            hit = rows >= 0
            at, addresses = at[hit], _taken(addresses, hit)
            if not len(at):
                break
            found.append((at, entries[rows[hit]]))
        return _sorted(found)


class DomainIndex:
    """Finds all entries that are a domain or one above it.

    Args:
        entries: the domain of each entry, or None if it is none.
    """

    def __init__(self, entries: Sequence[str | None]) -> None:
        self._entries: dict[str, list[int]] = {}
        for entry, name in enumerate(entries):
            if name is not None:
                self._entries.setdefault(name, []).append(entry)

    def find(self, values: pa.Array) -> Hits:
        """Return the entries of distinct domains, in the order of the values."""
        at: list[int] = []
        entries: list[int] = []
        for position, text in enumerate(values.to_pylist()):
            name = domain(text) if text else None
            while name:
                some = self._entries.get(name, ())
                at += [position] * len(some)
                entries += some
                name = name.partition(".")[2]
        return np.array(at, np.int64), np.array(entries, np.int64)


def _taken(addresses: Addresses, keep: np.ndarray) -> Addresses:
    v6 = None if addresses.v6 is None else addresses.v6[keep]
    return Addresses(addresses.family[keep], addresses.v4[keep], v6)


def _sorted(found: list[Hits]) -> Hits:
    if not found:
        return np.empty(0, np.int64), np.empty(0, np.int64)
    at = np.concatenate([one[0] for one in found])
    entries = np.concatenate([one[1] for one in found])
    order = np.lexsort((entries, at))
    return at[order], entries[order]
