"""Pairs each one-way record with one of the other direction whose window overlaps.

Within a group, records that start at the same moment are paired first, in the order they come. Of
what is left, the two opposite records whose windows overlap and whose starts are closest make the
next pair, and so on; of pairs that are equally close the earlier one comes first, and between
records of one start the two that came closest together.

In the arrays below `group` is the connection of each record, ascending, `back` its direction, and
`start` its start, ascending within a group.
"""

from __future__ import annotations

import numpy as np

from ktrans.enrichers.hashes.hash_sets import Hashes
from ktrans.enrichers.held_rows.base import ranked, within

ROUNDS = 1000
"""Needed only if the windows of thousands of records of one connection are nested."""

Pairs = tuple[np.ndarray, np.ndarray]


def pair(connections: Hashes, back: np.ndarray, start: np.ndarray, end: np.ndarray) -> Pairs:
    """Find pairs.

    Args:
        connections: identity of each record's connection, the same for both directions.
        back: bool, which of the two directions.
        start: window's start in microseconds.
        end: window's end, with the slack that is allowed.

    Returns:
        Positions of the two records of each pair, in no particular order.
    """
    order, group = connections.contested(back)  # those with records of both directions
    times, rank = ranked(start[order])
    key = within(group, rank)
    by_start = np.argsort(key, kind="stable")
    order, group, key = order[by_start], group[by_start], key[by_start]
    first, second = _same_start(key, back[order])
    left = np.ones(len(order), bool)
    left[first] = left[second] = False
    pairs = [(order[first], order[second])]
    order, group = order[left], group[left]
    for _ in range(ROUNDS):
        ends = np.searchsorted(times, end[order], side="right") - 1
        first, second, alive = _round(group, back[order], start[order], ends, times)
        if not first.size:
            break
        pairs.append((order[first], order[second]))
        order, group = order[alive], group[alive]
    return np.concatenate([a for a, _ in pairs]), np.concatenate([b for _, b in pairs])


def _same_start(key: np.ndarray, back: np.ndarray) -> Pairs:
    """Pair the n-th record there with the n-th record back, of those that start together.

    `key` is sorted, and the same for records of one connection that start together.
    """
    begins = np.ones(len(key), bool)
    begins[1:] = key[1:] != key[:-1]
    run = np.cumsum(begins) - 1
    ordinal = np.empty(len(key), np.int64)
    for direction in (back, ~back):
        count = np.cumsum(direction)
        before = (count - direction)[begins]
        ordinal[direction] = (count - 1 - before[run])[direction]
    number = within(run, ordinal)
    there, here = np.flatnonzero(~back), np.flatnonzero(back)
    _, a, b = np.intersect1d(number[there], number[here], assume_unique=True, return_indices=True)
    return there[a], here[b]


def _round(
    group: np.ndarray, back: np.ndarray, start: np.ndarray, ends: np.ndarray, times: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Pair the records that are each other's best; opposite ones start at different moments.

    Returns:
        Positions of the two records of each pair, and which records may still find one.
    """
    rows = np.arange(len(group))
    rank = np.searchsorted(times, start)
    before = _last_reaching(group, back, within(group, rank), within(group, ends))
    after = _next_opposite(group, back)
    reached = (after >= 0) & (rank[after] <= ends)
    far = np.int64(np.iinfo(np.int64).max)
    gap_before = np.where(before >= 0, start - start[before], far)
    gap_after = np.where(reached, start[after] - start, far)
    best = np.where(gap_before <= gap_after, before, np.where(reached, after, -1))
    second = rows[(best >= 0) & (best < rows) & (best[best] == rows)]
    even = _even_chains(best, start)
    first = np.concatenate([best[second], even - 1])
    second = np.concatenate([second, even])
    alive = best >= 0
    alive[first] = alive[second] = False
    return first, second, alive


def _even_chains(best: np.ndarray, start: np.ndarray) -> np.ndarray:
    """Find pairs that a row of equal distances leads to, one round after the other.

    Where each record's best is the one just before, all at the same distance, and the first two are
    each other's best, the third and fourth come next, then the fifth and sixth.

    Returns:
        The later record of each pair; its partner is the one just before. First pairs are not included.
    """
    rows = np.arange(len(best))
    to_last = best == rows - 1
    to_last[:1] = False
    gap = np.diff(start, prepend=start[:1])
    goes_on = np.zeros(len(best), bool)
    goes_on[1:] = to_last[1:] & to_last[:-1] & (gap[1:] == gap[:-1])
    begin = np.maximum.accumulate(np.where(goes_on, 0, rows))
    anchored = to_last[begin] & (best[begin - 1] == begin)
    return np.flatnonzero(goes_on & anchored & ((rows - begin) % 2 == 0))


def _next_opposite(group: np.ndarray, back: np.ndarray) -> np.ndarray:
    """Return the next record of the other direction in the same group, or -1."""
    count = len(group)
    found = np.full(count, -1)
    for direction in (back, ~back):
        others = np.flatnonzero(~direction)
        at = np.cumsum(~direction)[direction]  # so many others come before
        there = at < len(others)
        rows = np.flatnonzero(direction)[there]
        target = others[at[there]]
        same = group[rows] == group[target]
        found[rows[same]] = target[same]
    return found


def _last_reaching(
    group: np.ndarray, back: np.ndarray, key: np.ndarray, reach: np.ndarray
) -> np.ndarray:
    """Return the last earlier record of the other direction whose window reaches this start, or -1.

    `key` is group and rank of the start, `reach` group and rank of the last time in the window.
    """
    found = np.full(len(group), -1)
    for direction in (back, ~back):
        others = np.flatnonzero(~direction)
        if not others.size:
            continue
        furthest = np.maximum.accumulate(reach[others])
        rows = np.flatnonzero(direction)
        at = np.cumsum(~direction)[direction] - 1
        # `furthest` of another group is below any key of this one, so it ends the search too.
        while rows.size:
            possible = at >= 0
            possible &= furthest[at] >= key[rows]
            rows, at = rows[possible], at[possible]
            reaching = reach[others[at]] >= key[rows]
            found[rows[reaching]] = others[at[reaching]]
            rows, at = rows[~reaching], at[~reaching] - 1
    return found
