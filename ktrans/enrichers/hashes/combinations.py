"""Exact identities of rows: several columns of codes made into one."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa

_ROOM = 1 << 62


def combined(parts: Sequence[tuple[np.ndarray, int]]) -> np.ndarray:
    """Number the distinct combinations of several codes.

    Args:
        parts: for each part the code of every row, from 0, and how many codes there are.

    Returns:
        For each row the number of its combination, in order of first appearance.
    """
    key = np.zeros(len(parts[0][0]), np.int64)
    size = 1
    for codes, count in parts:
        if size * max(count, 1) > _ROOM:
            key = numbered(key)
            size = int(key.max(initial=0)) + 1
        key = key * count + codes
        size *= max(count, 1)
    return numbered(key)


def numbered(keys: np.ndarray) -> np.ndarray:
    """Number int64 keys from 0 in order of first appearance."""
    return np.asarray(pa.array(keys).dictionary_encode().indices.to_numpy()).astype(np.int64)


def first_rows(numbers: np.ndarray) -> np.ndarray:
    """Return the first row of each number, as `numbered` makes them."""
    count = int(numbers.max(initial=-1)) + 1
    rows = np.empty(count, np.int64)
    rows[numbers[::-1]] = np.arange(len(numbers) - 1, -1, -1)
    return rows
