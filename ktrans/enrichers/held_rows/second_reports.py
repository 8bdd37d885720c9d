"""Finds reports of a flow for times in which a preferred capture point reported it too.

The rule is that of the `one_report` enricher's docstring.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from ktrans.enrichers.hashes.hash_sets import Hashes
from ktrans.enrichers.held_rows.base import ranked, within


def second_reports(
    flows: Hashes, start: np.ndarray, end: np.ndarray, rank: np.ndarray, slack: int
) -> np.ndarray:
    """Find the reports that another report, of a preferred capture point, makes superfluous.

    Args:
        flows: identity of each report's flow.
        start: window's start in microseconds.
        end: window's end, not before its start.
        rank: place of the capture point in the order of preference.
        slack: microseconds that may lie between windows that still overlap.

    Returns:
        Positions of the reports, in no particular order.
    """
    order, group = flows.contested(rank)  # those that more than one capture point saw
    level = _levels(group, rank[order])
    times, at = ranked(start[order])
    key = within(group, at)
    last = np.searchsorted(times, end[order] + slack, side="right") - 1
    reach = within(group, last)
    ends, end_rank = ranked(end[order])
    needed = within(group, np.searchsorted(ends, start[order] - slack))
    best = within(group, end_rank)
    return np.asarray(order[_covered(level, group, key, reach, best, needed)])


def _levels(group: np.ndarray, rank: np.ndarray) -> np.ndarray:
    """Number the distinct ranks in each group from 0; groups are numbered in ascending order."""
    key = within(group, rank)
    order = np.argsort(key, kind="stable")
    changes = np.concatenate([[False], key[order][1:] != key[order][:-1]])
    count = np.cumsum(changes)
    begins = np.concatenate([[True], group[order][1:] != group[order][:-1]])
    base = np.maximum.accumulate(np.where(begins, count, 0))
    level = np.empty(len(group), np.int64)
    level[order] = count - base
    return level


def _covered(
    level: np.ndarray,
    group: np.ndarray,
    key: np.ndarray,
    reach: np.ndarray,
    best: np.ndarray,
    needed: np.ndarray,
) -> np.ndarray:
    """Go through the capture points of all groups at once, the best first.

    Args:
        level: which in its group's order of capture points.
        group: number of the flow.
        key: group and start.
        reach: group and last start that the window still overlaps.
        best: group and end.
        needed: group and the least end that overlaps the window.

    Returns:
        Positions of those whose window a kept one of a lower level overlaps.
    """
    by_level = np.argsort(level, kind="stable")
    cuts = np.searchsorted(level[by_level], np.arange(level.max(initial=-1) + 2))
    kept = by_level[: cuts[1]] if len(cuts) > 1 else by_level
    covered = []
    for here, after in pairwise(cuts[1:]):
        rows = by_level[here:after]
        kept = kept[np.isin(group[kept], group[rows])]  # the others cover no row that is left
        kept = kept[np.argsort(key[kept], kind="stable")]
        latest = np.maximum.accumulate(best[kept])
        at = np.searchsorted(key[kept], reach[rows], side="right") - 1
        found = (at >= 0) & (latest[np.maximum(at, 0)] >= needed[rows])
        covered.append(rows[found])
        kept = np.concatenate([kept, rows[~found]])
    return np.concatenate(covered) if covered else np.zeros(0, np.int64)
