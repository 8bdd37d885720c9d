"""Gathers rows by partition: in memory up to a bound, then in sorted runs on the disk.

It is an external sort by the number of the partition. Columns without any value take no room.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from pathlib import Path

import msgspec
import numpy as np
import pyarrow as pa

from ktrans.kit.files.partition import stable_order
from ktrans.kit.files.path_template import Key
from ktrans.kit.files.spill_file import SpillFile

_PIECE_BYTES = 4 << 20
"""What is encoded at a time."""
_READ_BYTES = 64 << 20
"""What is read from runs before the memory that it is mapped to is given back."""


class Block(msgspec.Struct, frozen=True):
    """Rows of several partitions.

    Attributes:
        keys: of the partitions.
        numbers: the index of each row's key.
        schema: of the rows.
        columns: of the rows; None for one without any value.
        nbytes: their size.
    """

    keys: Sequence[Key]
    numbers: np.ndarray
    schema: pa.Schema
    columns: Sequence[pa.Array | None]
    nbytes: int

    @classmethod
    def of(cls, keys: Sequence[Key], numbers: np.ndarray, rows: pa.RecordBatch) -> Block:
        """Return a block that keeps no more of the rows than they need. Pure."""
        columns = [_lean(column) for column in rows.columns]
        size = sum(column.nbytes for column in columns if column is not None)
        return cls(keys, numbers, rows.schema, columns, size)


class _Run(msgspec.Struct, frozen=True):
    """Rows in the order of their partitions.

    Attributes:
        rows: columns without any value are of the type null.
        ids: the partitions, ascending.
        ends: where the rows of each begin, and where the last ones end.
        piece_rows: how many are encoded at a time.
    """

    rows: pa.RecordBatch
    ids: np.ndarray
    ends: np.ndarray
    piece_rows: int

    def of(self, one: int) -> pa.RecordBatch:
        """Return the rows of a partition."""
        at = int(np.searchsorted(self.ids, one))
        if at == len(self.ids) or self.ids[at] != one:
            return self.rows.slice(0, 0)
        return self.rows.slice(self.ends[at], self.ends[at + 1] - self.ends[at])


class Gather:
    """Rows that wait for their partition's file.

    Args:
        folder: returns where runs go when they do not fit into memory.
    """

    def __init__(self, folder: Callable[[], Path]) -> None:
        self._folder = folder
        self._ids: dict[Key, int] = {}
        self._keys: list[Key] = []
        self._blocks: list[tuple[np.ndarray, Block]] = []
        self._runs: list[_Run] = []
        self._spill: SpillFile | None = None
        self._read_bytes = 0
        self._schema = pa.schema([])
        self._nulls: dict[pa.DataType, pa.Array] = {}
        self._waiting = np.zeros(0, np.int64)
        self._waiting_bytes = np.zeros(0, np.float64)
        self._first_run = np.zeros(0, np.int32)
        self.held_bytes = 0

    def add(self, block: Block) -> None:
        """Add rows after all others."""
        if not len(self._schema):
            self._schema = block.schema
        for key in block.keys:
            if self._ids.setdefault(key, len(self._keys)) == len(self._keys):
                self._keys.append(key)
        ids = np.asarray([self._ids[key] for key in block.keys], np.int32)[block.numbers]
        grown = len(self._keys) - len(self._waiting)
        self._waiting = np.pad(self._waiting, (0, grown))
        self._waiting_bytes = np.pad(self._waiting_bytes, (0, grown))
        self._first_run = np.pad(self._first_run, (0, grown))
        counts = np.bincount(ids, minlength=len(self._keys))
        self._waiting += counts
        self._waiting_bytes += counts * (block.nbytes / max(1, len(ids)))
        self._blocks.append((ids, block))
        self.held_bytes += block.nbytes

    def has(self, key: Key) -> bool:
        """Return whether rows of a partition wait."""
        one = self._ids.get(key)
        return one is not None and bool(self._waiting[one])

    def in_memory(self) -> list[tuple[Key, int]]:
        """Return the partitions with rows in memory, and the bytes of all their waiting rows."""
        there = np.zeros(len(self._keys), bool)
        for ids, _ in self._blocks:
            there[ids] = True
        found = np.flatnonzero(there).tolist()
        return [(self._keys[one], int(self._waiting_bytes[one])) for one in found]

    def take(self, chosen: Collection[Key]) -> Iterator[tuple[Key, pa.RecordBatch]]:
        """Yield all rows of some partitions, in pieces; put the other rows on the disk.

        Raises:
            RetryableError: the disk is full.
        """
        ids = np.sort(np.asarray([self._ids[key] for key in chosen], np.int32))
        first, rest = self._sorted(ids)
        self._runs.append(first)
        yield from self._drain(ids)
        self._runs.pop()
        self._first_run[ids] = len(self._runs)
        if rest.rows.num_rows:
            self._runs.append(self._spilled(rest))

    def take_all(self) -> Iterator[tuple[Key, pa.RecordBatch]]:
        """Yield all rows, partition by partition, in pieces."""
        if self._blocks:
            self._runs.append(self._sorted(np.zeros(0, np.int32))[1])
        yield from self._drain(np.flatnonzero(self._waiting))
        self.drop()

    def drop(self) -> None:
        """Forget all rows; the file of runs has no name, and goes with them."""
        self._blocks.clear()
        self._runs.clear()
        if self._spill is not None:
            self._spill.close()
            self._spill = None
        self._waiting[:] = 0
        self._waiting_bytes[:] = 0
        self.held_bytes = 0

    def _sorted(self, chosen: np.ndarray) -> tuple[_Run, _Run]:
        """Sort what is in memory into two runs: that of the chosen partitions, and the rest."""
        count = len(self._keys)
        ids = np.concatenate([ids for ids, _ in self._blocks])
        later = np.full(count, count, np.int32)
        later[chosen] = 0
        ids += later[ids]
        blocks = [_aligned(block, self._schema) for _, block in self._blocks]
        columns = [list(chunks) for chunks in zip(*blocks, strict=True)]
        rows = [len(found) for found, _ in self._blocks]
        self._blocks.clear()
        blocks.clear()
        size, self.held_bytes = self.held_bytes, 0
        order = pa.array(stable_order(ids, 2 * count))
        # Column by column, so that only one of them is in memory twice.
        columns.reverse()
        taken = [_taken(columns.pop(), rows, order) for _ in self._schema]
        batch = pa.RecordBatch.from_arrays(taken, [str(at) for at in range(len(taken))])
        counts = np.bincount(ids, minlength=2 * count)
        found = np.flatnonzero(counts)
        ends = np.concatenate([[0], np.cumsum(counts[found])])
        at = int(np.searchsorted(found, count))
        middle = int(ends[at])
        step = max(1, len(order) * _PIECE_BYTES // max(1, size))
        return (
            _Run(batch.slice(0, middle), found[:at], ends[: at + 1], step),
            _Run(batch.slice(middle), found[at:] - count, ends[at:] - middle, step),
        )

    def _drain(self, ids: np.ndarray) -> Iterator[tuple[Key, pa.RecordBatch]]:
        """Yield the rows of some partitions, of the runs in order."""
        for one in ids.tolist():
            for run in self._runs[self._first_run[one] :]:
                rows = run.of(one)
                step = run.piece_rows
                for at in range(0, rows.num_rows, step):
                    piece = self._whole(rows.slice(at, step))
                    self._read_bytes += piece.nbytes
                    yield self._keys[one], piece
            self._waiting[one] = self._waiting_bytes[one] = 0
            if self._read_bytes > _READ_BYTES:
                self._forget_read()

    def _forget_read(self) -> None:
        """Let the system take back the memory of what was read; it is in the files still."""
        self._read_bytes = 0
        if self._spill is not None:
            self._spill.forget_read()

    def _whole(self, rows: pa.RecordBatch) -> pa.RecordBatch:
        """Return rows of a run as they came, with dictionaries of their own values only."""
        columns = [
            self._null(field.type, len(column))
            if pa.types.is_null(column.type)
            else _compact(column, field.type)
            for column, field in zip(rows.columns, self._schema, strict=True)
        ]
        return pa.RecordBatch.from_arrays(columns, schema=self._schema)

    def _null(self, kind: pa.DataType, count: int) -> pa.Array:
        """Return nulls, all of which share their memory."""
        nulls = self._nulls.get(kind)
        if nulls is None or len(nulls) < count:
            nulls = self._nulls[kind] = pa.nulls(count, kind)
        return nulls.slice(0, count)

    def _spilled(self, run: _Run) -> _Run:
        """Write a run to the disk, and map it."""
        if self._spill is None:
            self._spill = SpillFile(self._folder())
        return msgspec.structs.replace(run, rows=self._spill.add(run.rows))


def _lean(column: pa.Array) -> pa.Array | None:
    """Return a column in the form that runs have, without values that no row uses if they are many."""
    if column.null_count == len(column):
        return None
    kind = column.type
    if not pa.types.is_dictionary(kind):
        return column
    if column.dictionary.null_count:  # Arrow cannot unify such dictionaries
        column = column.cast(kind.value_type).dictionary_encode()
    if len(column.dictionary) > len(column):
        column = _compact(column, kind)
    indices = column.indices.cast(pa.int32())
    return pa.DictionaryArray.from_arrays(indices, column.dictionary, ordered=kind.ordered)


def _compact(column: pa.Array, kind: pa.DataType) -> pa.Array:
    """Return a column of a type with the values that its rows use, in the order of their use."""
    if not pa.types.is_dictionary(kind):
        return column
    if len(column.dictionary) == 1 and column.null_count < len(column):
        indices, values = column.indices, column.dictionary
    else:
        used = column.indices.dictionary_encode()
        indices, values = used.indices, column.dictionary.take(used.dictionary)
    if indices.type != kind.index_type:
        indices = indices.cast(kind.index_type)
    return pa.DictionaryArray.from_arrays(indices, values, ordered=kind.ordered, safe=False)


def _aligned(block: Block, schema: pa.Schema) -> Sequence[pa.Array | None]:
    """Return a block's columns in the order and with the types of a schema, dictionaries apart."""
    columns = block.columns
    if block.schema.equals(schema):
        return columns
    found = [columns[block.schema.get_field_index(name)] for name in schema.names]
    return [
        column if column is None else _cast(column, field.type)
        for column, field in zip(found, schema, strict=True)
    ]


def _cast(column: pa.Array, kind: pa.DataType) -> pa.Array:
    if not pa.types.is_dictionary(kind):
        return column if column.type == kind else column.cast(kind)
    if pa.types.is_dictionary(column.type):
        return column
    return column.cast(kind.value_type).dictionary_encode()


def _taken(chunks: list[pa.Array | None], rows: Sequence[int], order: pa.Array) -> pa.Array:
    """Join the chunks of a column and return its values in an order."""
    known = next((chunk.type for chunk in chunks if chunk is not None), None)
    if known is None:
        return pa.nulls(len(order))
    whole = [
        pa.nulls(count, known) if chunk is None else chunk
        for chunk, count in zip(chunks, rows, strict=True)
    ]
    chunks.clear()
    joined = pa.concat_arrays(whole)
    whole.clear()
    return joined.take(order)
