"""Counts the series that a run writes, and stops it before they are too many.

A time-series database indexes all series, and a tag or label with many values (an address, a port) multiplies their number.
Series are identified by 64-bit hashes in sorted arrays: 8 bytes each, and no more than the budget
allows. Hashes and count are only valid within a process.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence

import msgspec
import numpy as np
import pyarrow as pa

from ktrans.api import ConfigError, RunError

_MIX = np.uint64(0x9E3779B97F4A7C15)


Hashes = tuple[np.ndarray, dict[str, np.ndarray]]
"""The hashes of a batch's series, and the distinct ones of the values of each tag."""


def hash_series(batch: pa.RecordBatch, columns: Sequence[str], position: str | None) -> Hashes:
    """Hash the series of each row, which its tags (the object may be one) identify.

    `position` names an integer column that makes each row a series.
    """
    series = np.zeros(batch.num_rows, np.uint64)
    tags = {}
    for name in columns:
        codes, table = _hashed(batch.column(name))
        tags[name] = np.unique(table[np.unique(codes)])
        series = (series ^ table[codes]) * _MIX
        series ^= series >> np.uint64(29)
    if position is not None:
        series = (series ^ np.asarray(batch.column(position)).astype(np.uint64)) * _MIX
    return series, tags


def estimate(
    rows: pa.Table, columns: Sequence[str], position: str | None
) -> tuple[int, dict[str, int]]:
    """Estimate the total number of series from a sample.

    By Chao's lower bound (A. Chao, Nonparametric estimation of the number of classes in a
    population, 1984): the numbers seen once and seen twice show how many were not seen.

    Returns:
        The estimate, and the number of distinct values of each tag in the sample.
    """
    found, tags = [], dict[str, set[int]]()
    for batch in rows.to_batches():
        series, values = hash_series(batch, columns, position)
        found.append(series)
        for name, hashes in values.items():
            tags.setdefault(name, set()).update(hashes.tolist())
    counts = np.unique(np.concatenate(found), return_counts=True)[1] if found else np.empty(0)
    once, twice = int(np.sum(counts == 1)), int(np.sum(counts == 2))  # noqa: PLR2004
    unseen = once * (once - 1) // (2 * (twice + 1))
    return len(counts) + unseen, {name: len(values) for name, values in tags.items()}


def _hashed(column: pa.Array) -> tuple[np.ndarray, np.ndarray]:
    """Return the code of each row, and the hash of each code; null is code 0."""
    if not pa.types.is_dictionary(column.type):
        column = column.dictionary_encode()
    codes = np.asarray(column.indices.fill_null(-1)).astype(np.int64) + 1
    values = column.dictionary.to_pylist()
    hashes = np.fromiter((hash((0, value)) for value in values), np.int64, len(values))
    return codes, np.concatenate(([0], hashes)).astype(np.uint64)


class SeriesWords(msgspec.Struct, frozen=True):
    """What messages say about the series of a database.

    Attributes:
        noun: what identifies them: tag, label.
        cure: what to do about one with too many values, `{}`.
    """

    noun: str
    cure: str


TAGS = SeriesWords("tag", "make `{}` a field instead of a tag")
LABELS = SeriesWords("label", "do without `{}` in `group_by`")


class SeriesBudget:
    """Counts the series of a run. Thread-safe."""

    def __init__(self, limit: int, words: SeriesWords) -> None:
        self._limit = limit
        self._words = words
        self._lock = threading.Lock()
        self._series = np.empty(0, np.uint64)
        self._tags: dict[str, np.ndarray] = {}

    def add(self, hashes: Hashes) -> None:
        """Count the series of a batch before it is sent."""
        with self._lock:
            self._series = _merged(self._series, hashes[0])
            for name, values in hashes[1].items():
                known = self._tags.get(name, self._series[:0])
                self._tags[name] = _merged(known, values)
            if len(self._series) > self._limit:
                worst, hint = _largest(
                    {name: len(each) for name, each in self._tags.items()}, self._words
                )
                raise RunError(
                    f"this run has more than max_series = {self._limit:,} series{worst}",
                    code="too_many_series",
                    hint=hint,
                )


def check_estimate(
    rows: pa.Table,
    columns: Sequence[str],
    position: str | None,
    limit: int | None,
    words: SeriesWords,
) -> None:
    """Check that a sample of rows does not stand for too many series; no limit allows any number.

    Raises:
        ConfigError: it does.
    """
    if limit is None:
        return
    count, tags = estimate(rows, columns, position)
    if count > limit:
        worst, hint = _largest(tags, words)
        raise ConfigError(
            f"{count:,} series or more are expected from a sample of {rows.num_rows:,} rows, and "
            f"max_series is {limit:,}{worst}",
            field="max_series",
            code="too_many_series",
            hint=hint,
        )


def _largest(tags: dict[str, int], words: SeriesWords) -> tuple[str, str]:
    """Return a text with the largest tags, and a hint."""
    counts = sorted(((count, name) for name, count in tags.items()), reverse=True)
    largest = ", ".join(f"{name} ({count:,})" for count, name in counts[:3] if count > 1)
    worst = f"; the {words.noun}s with the most values so far: {largest}" if largest else ""
    hint = "raise max_series if the server can index so many"
    return worst, f"{words.cure.format(counts[0][1])}, or {hint}" if largest else hint


def _merged(known: np.ndarray, more: np.ndarray) -> np.ndarray:
    """Merge distinct new values into a sorted array of distinct values."""
    at = np.searchsorted(known, more)
    new = np.ones(len(more), bool)
    within = at < len(known)
    new[within] = known[at[within]] != more[within]
    return np.insert(known, at[new], more[new]) if new.any() else known
