"""Sets of 128-bit hashes of rows at 16 bytes each, and sets of positions at a bit each."""

from __future__ import annotations

import secrets
from collections.abc import Hashable, Iterable
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
import pyarrow as pa

from ktrans.enrichers.hashes.hashing import combine, hash_column, mix

Seeds = tuple[int, int]

_SHARD_BITS = 4
_STEP1 = np.uint64(0xD1342543DE82EF95)
_STEP2 = np.uint64(0xAF251AF3B0F025B5)


def new_seeds() -> Seeds:
    """Return seeds that nobody can know: a flow made to collide with another would hide it."""
    return secrets.randbits(64), secrets.randbits(64)


@dataclass(frozen=True, slots=True)
class Hashes:
    """128-bit hashes as two uint64 arrays of one length."""

    high: np.ndarray
    low: np.ndarray

    @classmethod
    def of_columns(
        cls, columns: Iterable[pa.Array], seeds: Seeds, start: Hashes | None = None
    ) -> Hashes:
        """Hash the rows of some columns, together with the hashes in `start`."""
        columns = list(columns)
        zeros = np.zeros(len(columns[0]), np.uint64)
        halves = []
        for seed, half in zip(
            seeds, (zeros, zeros) if start is None else start.halves, strict=True
        ):
            total = half
            for column in columns:
                total = combine(total, hash_column(column, seed))
            halves.append(total)
        return cls(*halves)

    @property
    def halves(self) -> tuple[np.ndarray, np.ndarray]:
        """Both halves."""
        return self.high, self.low

    def __len__(self) -> int:
        return len(self.high)

    def take(self, where: np.ndarray) -> Hashes:
        """Pick some, by position or mask."""
        return Hashes(self.high[where], self.low[where])

    def numbered(self, number: np.ndarray) -> Hashes:
        """Hash each together with a number."""
        wide = number.astype(np.uint64)
        return Hashes(mix(self.high + wide * _STEP1), mix(self.low + wide * _STEP2))

    def groups(self) -> tuple[np.ndarray, np.ndarray]:
        """Sort, keeping the order of equal ones.

        Returns:
            The positions in sorted order, and for each of these whether it begins a new hash.
        """
        order = np.argsort(self.high, kind="stable")
        new = self._changes(order)
        if np.any(new[1:] & (self.high[order][1:] == self.high[order][:-1])):
            order = np.lexsort((self.low, self.high))  # two hashes share their upper half
            new = self._changes(order)
        return order, new

    def contested(self, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Find the hashes that come with several values.

        Returns:
            The positions of all their rows, sorted by hash, and for each the number of its hash.
        """
        order, new = self.groups()
        if not order.size:
            return order, order
        starts, sorted_ = np.flatnonzero(new), values[order]
        lowest, highest = (f.reduceat(sorted_, starts) for f in (np.minimum, np.maximum))
        group = np.cumsum(new) - 1
        chosen = (lowest != highest)[group]
        return order[chosen], group[chosen]

    def _changes(self, order: np.ndarray) -> np.ndarray:
        high, low = self.high[order], self.low[order]
        new = np.ones(len(order), bool)
        new[1:] = (high[1:] != high[:-1]) | (low[1:] != low[:-1])
        return new


@dataclass(slots=True)
class HashSet:
    """A growing set of 128-bit hashes.

    Sorted runs in 16 shards by the leading bits: a run is merged with the one before once it is
    half as long, so there are few of them, and a merge copies a sixteenth of the whole at most.
    """

    shards: list[list[Hashes]] = field(
        default_factory=lambda: [[] for _ in range(1 << _SHARD_BITS)]
    )

    def __len__(self) -> int:
        return sum(len(run) for runs in self.shards for run in runs)

    def contains(self, sorted_: Hashes) -> np.ndarray:
        """Return which of some hashes, sorted by their upper half, are in the set."""
        found = np.zeros(len(sorted_), bool)
        for runs, part in zip(self.shards, _shards(sorted_.high), strict=True):
            for run in runs:
                if part.stop > part.start:
                    found[part] |= _in_run(run, sorted_.take(part))  # type: ignore[arg-type]
        return found

    def add(self, sorted_: Hashes) -> None:
        """Add hashes that are sorted by their upper half, distinct, and not yet in the set."""
        for runs, part in zip(self.shards, _shards(sorted_.high), strict=True):
            if part.stop == part.start:
                continue
            runs.append(Hashes(sorted_.high[part].copy(), sorted_.low[part].copy()))
            while len(runs) > 1 and len(runs[-2]) <= 2 * len(runs[-1]):
                last = runs.pop()
                runs[-1] = _merge(runs[-1], last)


def _shards(high: np.ndarray) -> list[slice]:
    shift = np.uint64(64 - _SHARD_BITS)
    starts = np.arange(1 << _SHARD_BITS, dtype=np.uint64) << shift
    cuts = [*np.searchsorted(high, starts).tolist(), len(high)]
    return [slice(a, b) for a, b in pairwise(cuts)]


def _merge(left: Hashes, right: Hashes) -> Hashes:
    high = np.concatenate([left.high, right.high])
    order = np.argsort(high, kind="stable")  # two sorted runs: merged in one pass
    return Hashes(high[order], np.concatenate([left.low, right.low])[order])


def _in_run(run: Hashes, wanted: Hashes) -> np.ndarray:
    found = np.zeros(len(wanted), bool)
    at = np.searchsorted(run.high, wanted.high)
    left = np.flatnonzero(at < len(run))
    left = left[run.high[at[left]] == wanted.high[left]]
    while left.size:  # more than once only where two hashes share their upper half
        equal = run.low[at[left]] == wanted.low[left]
        found[left[equal]] = True
        left = left[~equal]
        at[left] += 1
        left = left[at[left] < len(run)]
        left = left[run.high[at[left]] == wanted.high[left]]
    return found


_CHUNK_BITS = 13
_POSITION_BITS = 40


@dataclass(slots=True)
class Positions:
    """Which positions of which objects were seen: bitmaps of 8192 positions, made when touched."""

    objects: dict[Hashable, int] = field(default_factory=dict)
    chunks: dict[int, np.ndarray] = field(default_factory=dict)

    def number(self, name: Hashable) -> int:
        """Return an object's number, by any hashable that names it."""
        return self.objects.setdefault(name, len(self.objects))

    def seen(self, objects: np.ndarray, positions: np.ndarray) -> np.ndarray:
        """Return which rows were seen, here or before, and remember the others.

        Args:
            objects: int64 numbers of the objects.
            positions: int64; negative means none, which is never seen.
        """
        fit = (positions >= 0) & (positions < 1 << _POSITION_BITS)
        rows = np.flatnonzero(fit)
        keys = (objects[rows] << _POSITION_BITS) | positions[rows]
        keys, first = np.unique(keys, return_index=True)
        result = np.zeros(len(positions), bool)
        result[rows] = True
        rows = rows[first]
        chunks = keys >> _CHUNK_BITS
        cuts = [0, *(np.flatnonzero(chunks[1:] != chunks[:-1]) + 1).tolist(), len(keys)]
        for start, stop in pairwise(cuts):
            if stop > start:
                part = slice(start, stop)
                result[rows[part]] = self._mark(int(chunks[start]), keys[part])
        return result

    def _mark(self, chunk: int, keys: np.ndarray) -> np.ndarray:
        bitmap = self.chunks.get(chunk)
        if bitmap is None:
            bitmap = self.chunks[chunk] = np.zeros(1 << (_CHUNK_BITS - 3), np.uint8)
        at = (keys & ((1 << _CHUNK_BITS) - 1)) >> 3
        bits = (1 << (keys & 7)).astype(np.uint8)
        seen = (bitmap[at] & bits) != 0
        np.bitwise_or.at(bitmap, at, bits)
        return np.asarray(seen)
