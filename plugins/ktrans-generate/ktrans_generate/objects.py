"""Objects of synthetic records, each a pure function of its recipe and its number."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
import pyarrow as pa
from isal import isal_zlib

from ktrans.kit.rows.pieces import text_bytes
from ktrans_generate.catalogue import log_named
from ktrans_generate.flows import Flows, Mix, draw
from ktrans_generate.world import make_world

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

PIECE_ROWS = 64_000
"""Rows generated at a time, to limit memory; a multiple of every log's block."""

Compression = Literal["none", "gzip", "zstd"]
Container = Literal["text", "parquet"]
_GZIP_WINDOW = 31  # zlib: window of 2^15 plus 16 for a gzip header
_GZIP_LEVEL = 2


@dataclass(frozen=True, slots=True)
class Recipe:
    """All that determines the bytes of the objects.

    Attributes:
        log: a key of LOGS.
        rows: of all objects.
        rows_per_object: of each object but the last.
        seed: other seeds give other records.
        compression: of the object, or of the pages of a Parquet file.
        container: lines or JSON as the log has it, or the cloud's Parquet files.
        start: Unix seconds of the first record.
        seconds: the time over which all records are spread.
        accounts: the number of accounts.
        hosts: the number of interfaces that log.
        bad: share of malformed records, 0 to 1; none in Parquet.
        mix: shares of the other kinds of rows.
    """

    log: str
    rows: int
    rows_per_object: int
    seed: int
    compression: Compression
    container: Container
    start: int
    seconds: int
    accounts: int
    hosts: int
    bad: float
    mix: Mix

    @property
    def objects(self) -> int:
        """The number of objects."""
        return -(-self.rows // self.rows_per_object)

    def rows_of(self, index: int) -> int:
        """Return the number of rows of an object."""
        return min(self.rows_per_object, self.rows - index * self.rows_per_object)

    @property
    def ending(self) -> str:
        """The ending of the objects' names."""
        ending = log_named(self.log).ending
        if self.container == "parquet":
            return f"{ending}.parquet"
        return ending + {"none": "", "gzip": ".gz", "zstd": ".zst"}[self.compression]

    def size_of(self, index: int) -> int:
        """Estimate the size of an object."""
        size = self.rows_of(index) * log_named(self.log).row_bytes
        return size if self.compression == "none" else size // 4


def pieces(recipe: Recipe, index: int) -> Iterator[bytes | memoryview]:
    """Generate an object piece by piece.

    Raises:
        ValueError: the log has no Parquet form.
    """
    if recipe.container == "parquet":
        return _parquet(recipe, index)
    text = _text(recipe, index)
    if recipe.compression == "gzip":
        return _gzip(text)
    return _zstd(text) if recipe.compression == "zstd" else text


def _draws(recipe: Recipe, index: int) -> Iterator[tuple[int, Flows, np.random.Generator]]:
    world = make_world(recipe.seed, recipe.accounts, recipe.hosts)
    block = log_named(recipe.log).block
    rows = recipe.rows_of(index)
    span = recipe.seconds / recipe.objects
    for number, first in enumerate(range(0, rows, PIECE_ROWS)):
        count = min(PIECE_ROWS, rows - first)
        rng = np.random.Generator(np.random.PCG64([recipe.seed, index, number]))
        begin = recipe.start + span * (index + first / rows)
        seconds = span * count / rows
        yield (
            first,
            draw(rng, world, recipe.mix, count, begin=begin, seconds=seconds, block=block),
            rng,
        )


def _text(recipe: Recipe, index: int) -> Iterator[bytes | memoryview]:
    log = log_named(recipe.log)
    yield log.head()
    for first, flows, rng in _draws(recipe, index):
        bad = rng.random(len(flows)) < recipe.bad
        kinds = rng.integers(0, 1 << 20, len(flows))
        yield text_bytes(log.rows(flows, bad & (flows.status == 0), kinds, first))
    yield log.tail()


def _gzip(text: Iterator[bytes | memoryview]) -> Iterator[bytes]:
    stream = isal_zlib.compressobj(level=_GZIP_LEVEL, wbits=_GZIP_WINDOW)
    for piece in text:
        yield stream.compress(piece)
    yield stream.flush()


def _zstd(text: Iterator[bytes | memoryview]) -> Iterator[bytes]:
    sink = Collector()
    with pa.CompressedOutputStream(pa.PythonFile(sink, mode="w"), "zstd") as stream:
        for piece in text:
            stream.write(piece)
            yield sink.take()
    yield sink.take()


def _parquet(recipe: Recipe, index: int) -> Iterator[bytes]:
    import pyarrow.parquet as pq

    log = log_named(recipe.log)
    sink = Collector()
    writer: pq.ParquetWriter | None = None
    for _, flows, _ in _draws(recipe, index):
        table = log.table(flows)
        if table is None:
            raise ValueError(f"{recipe.log} has no Parquet form")
        writer = writer or pq.ParquetWriter(sink, table.schema, compression=recipe.compression)
        writer.write_table(table)
        yield sink.take()
    if writer is not None:
        writer.close()
    yield sink.take()


class Collector(io.RawIOBase):
    """Collects the output of a writer, to be taken piece by piece."""

    def __init__(self) -> None:
        super().__init__()
        self._pieces: list[bytes] = []
        self._size = 0

    def writable(self) -> bool:
        """Return True."""
        return True

    def write(self, data: ReadableBuffer, /) -> int:
        """Add bytes."""
        piece = bytes(data)
        self._pieces.append(piece)
        self._size += len(piece)
        return len(piece)

    def tell(self) -> int:
        """Return how many bytes were written in all."""
        return self._size

    def take(self) -> bytes:
        """Return what was written since the last call."""
        data = b"".join(self._pieces)
        self._pieces.clear()
        return data
