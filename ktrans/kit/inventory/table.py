"""A snapshot, indexed for lookups by columns."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

import numpy as np
import pyarrow as pa

from ktrans.expressions.prefixes import Prefix, PrefixIndex, nested, parse_addresses, parse_prefix
from ktrans.kit.columns import MISSING, coded, distinct, spread
from ktrans.kit.inventory.records import Holder

_SHARED = np.int32(-2)
"""The position of an address that several holders have, themselves or in a range."""

Value = Callable[[Any], str | None]


class HolderTable:
    """The holders of a snapshot by address and identifier, and their values.

    Args:
        taken: when the snapshot was taken.
        holders: its holders.
        values: how to get each column from a holder.
        identifiers: returns the identifiers of a holder, and `identifier` the one that a text means.
        network: returns the network of a holder, which separates equal addresses.
    """

    def __init__(
        self,
        taken: datetime,
        holders: Sequence[Holder],
        values: Mapping[str, Value],
        identifiers: Callable[[Any], Sequence[str]],
        network: Value,
    ) -> None:
        self.taken = taken
        self._by_id = {name: at for at, one in enumerate(holders) for name in identifiers(one)}
        self._networks = [network(one) for one in holders]
        having: dict[Prefix, list[int]] = {}
        for at, one in enumerate(holders):
            for text in one.addresses:
                prefix = _prefix(text)
                if prefix is not None and at not in having.setdefault(prefix, []):
                    having[prefix].append(at)
        _add_ranges_around(having, self._networks)
        self._index = PrefixIndex(list(having))
        self._having = list(having.values())
        only = [some[0] if len(some) == 1 else _SHARED for some in self._having]
        self._only = np.array([*only, MISSING], np.int32)  # -1 is in no prefix
        self._columns = {}
        for name, value in values.items():
            made = pa.array([*map(value, holders), None], pa.string()).dictionary_encode()
            codes = np.asarray(made.indices.fill_null(MISSING)).astype(np.int32)
            self._columns[name] = (codes, made.dictionary)

    def column(self, name: str, holders: np.ndarray) -> pa.Array:
        """Return a column's value of each row's holder; -1 has none."""
        codes, texts = self._columns[name]
        return coded(codes[holders], texts)

    def by_identifier(self, column: pa.Array, identifier: Callable[[str], str]) -> np.ndarray:
        """Return the position of each row's holder, -1 if it is unknown."""
        texts, rows = distinct(column)
        found = [
            self._by_id.get(identifier(text), -1) if text is not None else -1
            for text in texts.to_pylist()
        ]
        return spread(np.array(found, np.int32), rows)

    def by_address(self, column: pa.Array, networks: pa.Array | None) -> np.ndarray:
        """Return the position of each row's holder, -1 if it is unknown or ambiguous.

        Args:
            column: the addresses.
            networks: the network of each row, which decides between holders of one address.
        """
        texts, rows = distinct(column)
        prefixes = self._index.lookup(parse_addresses(texts))
        found = self._only[prefixes]
        shared = np.flatnonzero(found == _SHARED)
        if not len(shared):
            return spread(found, rows)
        found[shared] = MISSING
        result = spread(found, rows)
        if networks is not None:
            wanted = np.zeros(len(texts) + 1, bool)
            wanted[shared] = True
            at = np.flatnonzero(wanted[rows])
            result[at] = self._decided(prefixes[rows[at]], networks.take(pa.array(at)))
        return result

    def _decided(self, prefixes: np.ndarray, networks: pa.Array) -> np.ndarray:
        """Return the only holder of each address in a network, for distinct pairs of them."""
        names, indices = distinct(networks)
        known = [*names.to_pylist(), None]
        pairs, rows = np.unique(
            prefixes.astype(np.int64) * len(known) + indices, return_inverse=True
        )
        found = []
        for pair in pairs.tolist():
            prefix, network = divmod(pair, len(known))
            here = [
                one
                for one in self._having[prefix]
                if known[network] is not None and self._networks[one] == known[network]
            ]
            found.append(here[0] if len(here) == 1 else -1)
        return np.array(found, np.int32)[rows]


def _add_ranges_around(having: dict[Prefix, list[int]], networks: Sequence[str | None]) -> None:
    """Add to the holders of each prefix those of the ranges around it in other networks."""
    prefixes = list(having)
    for at, around in nested(prefixes):
        holders = having[prefixes[at]]
        own = {networks[one] for one in holders}
        if around and None not in own:
            decided = own | {None}
            wider = having[prefixes[around[-1]]]
            holders += [one for one in wider if networks[one] not in decided]


def _prefix(text: str) -> Prefix | None:
    try:
        return parse_prefix(text, exact=False)
    except ValueError:
        return None
