"""Batches of lines for requests, which keep the row of each line."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa


@dataclass(frozen=True, slots=True)
class Lines:
    """Rows and their lines.

    Attributes:
        rows: the rows, one for each line.
        data: all lines, including line ends.
        starts: int64, shape (rows + 1,): the start of each line in `data`, and the end of the last.
    """

    rows: pa.RecordBatch
    data: memoryview
    starts: np.ndarray

    @classmethod
    def of(cls, rows: pa.RecordBatch, texts: pa.Array) -> Lines:
        """Make lines from an array with the text of each row."""
        wide = pa.types.is_large_string(texts.type)
        _, offsets, data = texts.buffers()
        starts = np.frombuffer(offsets, np.int64 if wide else np.int32)
        starts = starts[texts.offset : texts.offset + len(texts) + 1].astype(np.int64)
        return cls(rows, memoryview(data), starts)


@dataclass(frozen=True, slots=True)
class Part:
    """Adjacent lines, from `first` to before `last`."""

    lines: Lines
    first: int
    last: int

    @property
    def count(self) -> int:
        """The number of lines."""
        return self.last - self.first

    @property
    def size(self) -> int:
        """The number of bytes."""
        return int(self.lines.starts[self.last] - self.lines.starts[self.first])

    def rows(self) -> pa.RecordBatch:
        """Return the rows of the lines."""
        return self.lines.rows.slice(self.first, self.count)


@dataclass(frozen=True, slots=True)
class Batch:
    """The lines of one request."""

    parts: tuple[Part, ...]

    @property
    def count(self) -> int:
        """The number of lines."""
        return sum(part.count for part in self.parts)

    @property
    def size(self) -> int:
        """The number of bytes."""
        return sum(part.size for part in self.parts)

    def body(self) -> bytes:
        """Return the body of the request."""
        return b"".join(
            part.lines.data[part.lines.starts[part.first] : part.lines.starts[part.last]]
            for part in self.parts
        )

    def rows(self) -> list[pa.RecordBatch]:
        """Return the rows of the lines."""
        return [part.rows() for part in self.parts]

    def slice(self, first: int, last: int) -> Batch:
        """Return the lines from number `first`, counted from 0, to before `last`."""
        parts, at = [], 0
        for part in self.parts:
            begin, end = max(first - at, 0), min(last - at, part.count)
            if begin < end:
                parts.append(Part(part.lines, part.first + begin, part.first + end))
            at += part.count
        return Batch(tuple(parts))

    def halves(self) -> tuple[Batch, Batch]:
        """Split the batch in the middle."""
        middle = self.count // 2
        return self.slice(0, middle), self.slice(middle, self.count)

    def partition(self, numbers: np.ndarray) -> tuple[Batch, Batch]:
        """Return the lines with these numbers, sorted and counted from 0, and the other lines."""
        ends = np.concatenate(([-1], numbers, [self.count]))
        others = [
            part
            for first, last in zip(ends[:-1] + 1, ends[1:], strict=True)
            for part in self.slice(int(first), int(last)).parts
        ]
        named = [part for one in numbers for part in self.slice(int(one), int(one) + 1).parts]
        return Batch(tuple(named)), Batch(tuple(others))

    def lines_with(self, column: str) -> np.ndarray:
        """Return the numbers of the lines whose row has a value in a column."""
        found, at = [], 0
        for part in self.parts:
            rows = part.rows()
            if column in rows.schema.names:
                valid = np.asarray(rows.column(column).is_valid())
                found.append(np.flatnonzero(valid) + at)
            at += part.count
        return np.concatenate(found) if found else np.empty(0, np.int64)


@dataclass(slots=True)
class Batcher:
    """Collects lines into batches.

    Attributes:
        batch_lines: maximum lines of a batch.
        batch_bytes: maximum bytes of a batch; a longer line is a batch by itself.
    """

    batch_lines: int
    batch_bytes: int
    _parts: list[Part] = field(default_factory=list)
    _count: int = 0
    _size: int = 0

    def add(self, lines: Lines) -> Iterator[Batch]:
        """Add lines, and yield the batches that are full."""
        starts: Any = lines.starts
        first, count = 0, len(starts) - 1
        while first < count:
            end = starts[first] + self.batch_bytes - self._size
            last = int(np.searchsorted(starts, end, side="right")) - 1
            last = min(last, first + self.batch_lines - self._count, count)
            if last <= first:
                if self._parts:
                    yield self.flush()
                    continue
                last = first + 1
            part = Part(lines, first, last)
            self._parts.append(part)
            self._count += part.count
            self._size += part.size
            first = last
            if first < count or self._count >= self.batch_lines:
                yield self.flush()

    def flush(self) -> Batch:
        """Return the remaining lines, possibly none."""
        batch = Batch(tuple(self._parts))
        self._parts, self._count, self._size = [], 0, 0
        return batch
