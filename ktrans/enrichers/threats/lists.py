"""All lists of an enricher, ready to be looked up by columns."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import numpy as np
import pyarrow as pa

from ktrans.enrichers.threats.entries import ALWAYS, FOREVER, Entry, micros
from ktrans.enrichers.threats.index import AddressIndex, DomainIndex, Hits
from ktrans.expressions.prefixes import Prefix

NEVER = FOREVER
"""The date of a row that is on no list, in microseconds since 1970."""


class Matches:
    """What some units (distinct values, or rows) are on.

    Attributes:
        codes: the position of each unit's texts, -1 if it is on no list.
        names, labels: the texts.
        dates: the date of the oldest list of each text, in microseconds since 1970.
    """

    def __init__(self, codes: np.ndarray, facts: Sequence[tuple[int, ...]], of: Lists) -> None:
        self.codes = codes
        lists = [[of.facts[fact][0] for fact in some] for some in facts]
        labels = [[of.facts[fact][1] for fact in some] for some in facts]
        names = [",".join(of.names[one] for one in sorted(set(some))) for some in lists]
        self.names = pa.array(names, pa.string())
        known = [dict.fromkeys(one for one in some if one) for some in labels]
        self.labels = pa.array(["; ".join(some) or None for some in known], pa.string())
        self.dates = np.array([min(of.dates[one] for one in some) for some in lists], np.int64)


class Lists:
    """Several lists, indexed.

    Attributes:
        names, dates: of each list; dates in microseconds since 1970.
        facts: what entries say: the list and the label.
        dated: whether some entries count for a time only.
    """

    def __init__(self) -> None:
        self.names: list[str] = []
        self.dates: list[int] = []
        self.facts: list[tuple[int, str | None]] = []
        self.dated = False
        self._known: dict[tuple[int, str | None], int] = {}
        self._entries: dict[tuple[Prefix | str, int, int, int], None] = {}

    def add(
        self, name: str, entries: Sequence[Entry], as_of: datetime, category: str | None
    ) -> None:
        """Add a list."""
        at = len(self.names)
        self.names.append(name)
        self.dates.append(micros(as_of, ALWAYS))
        for one in entries:
            key = (at, one.label or category)
            fact = self._known.setdefault(key, len(self._known))
            self._entries[one.value, fact, one.since, one.until] = None

    def finish(self) -> None:
        """Index the entries."""
        self.facts = list(self._known)
        values = [value for value, *_ in self._entries]
        more = np.array([rest for _, *rest in self._entries], np.int64).reshape(-1, 3)
        self._facts, self._since, self._until = more.T
        self.dated = bool(((self._since > ALWAYS) | (self._until < FOREVER)).any())
        self.addresses = AddressIndex([one if isinstance(one, Prefix) else None for one in values])
        self.domains = DomainIndex([one if isinstance(one, str) else None for one in values])
        self._entries.clear()

    def of_values(self, hits: Hits, count: int) -> Matches:
        """Return what each of `count` distinct values is on, at any time."""
        return self._matches(*hits, count)

    def of_rows(self, hits: Hits, indices: np.ndarray, times: np.ndarray) -> Matches:
        """Return what each row is on at its time.

        Args:
            hits: the entries of the distinct values.
            indices: the position of each row's value; the number of values for null.
            times: the time of each row, in microseconds since 1970.
        """
        at, entries = hits
        size = max(int(indices.max(initial=0)), int(at.max(initial=0))) + 1
        counts = np.bincount(at, minlength=size)[indices]
        rows = np.repeat(np.arange(len(indices)), counts)
        starts = np.searchsorted(at, indices)
        within = np.arange(len(rows)) - np.repeat(np.cumsum(counts) - counts, counts)
        entries = entries[starts[rows] + within]
        valid = (self._since[entries] <= times[rows]) & (times[rows] < self._until[entries])
        return self._matches(rows[valid], entries[valid], len(indices))

    def _matches(self, units: np.ndarray, entries: np.ndarray, count: int) -> Matches:
        """Combine the facts of each unit; `units` is sorted."""
        pairs = np.unique(units * np.int64(max(len(self.facts), 1)) + self._facts[entries])
        units, facts = np.divmod(pairs, max(len(self.facts), 1))
        ranks = np.arange(len(units)) - np.searchsorted(units, units)
        codes = np.full(count, -1, np.int32)
        before: list[int] = []  # each combination is an earlier one (-1 for none) and one fact more
        more: list[int] = []
        for rank in range(int(ranks.max(initial=-1)) + 1):
            here = ranks == rank
            keys = (codes[units[here]] + np.int64(1)) * len(self.facts) + facts[here]
            distinct, which = np.unique(keys, return_inverse=True)
            codes[units[here]] = len(before) + which
            earlier, added = np.divmod(distinct, len(self.facts))
            before += (earlier - 1).tolist()
            more += added.tolist()
        hit = codes >= 0
        used, codes[hit] = np.unique(codes[hit], return_inverse=True)
        return Matches(codes, [_chain(one, before, more) for one in used.tolist()], self)


def _chain(at: int, before: Sequence[int], more: Sequence[int]) -> tuple[int, ...]:
    """Return the facts of a combination, in their order."""
    found = []
    while at >= 0:
        found.append(more[at])
        at = before[at]
    return tuple(reversed(found))
