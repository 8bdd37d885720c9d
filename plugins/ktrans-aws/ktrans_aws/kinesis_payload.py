"""The splits of the `kinesis` source, and their bytes."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass
from typing import Any, BinaryIO, cast
from urllib.parse import quote

from ktrans.api import Limits, Payload, RejectError, Split
from ktrans.kit.text.values import PiecesStream, join_values, not_compressed
from ktrans_aws.kinesis_stream import (
    IteratorExpiredError,
    KinesisStream,
    Record,
    SequenceGoneError,
)
from ktrans_aws.kpl import values_of

_PIECE_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class Range:
    """Consecutive records of a shard, by the sequence numbers of the first and the last one."""

    shard: str
    first: str
    last: str
    records: int

    def split(self, stream: str, size: int) -> Split:
        """Return the split of this range."""
        key = f"{self.shard}@{self.first}-{self.last}"
        name = quote(stream.rpartition("/")[2], "")
        uri = f"kinesis://{name}/{self.shard}?sequence={self.first}"
        data = {
            "shard": self.shard,
            "first": self.first,
            "last": self.last,
            "records": self.records,
        }
        return Split(key, uri, size, data)

    @classmethod
    def of(cls, split: Split) -> Range:
        """Return the range of a split."""
        data = split.data
        return cls(data["shard"], data["first"], data["last"], data["records"])

    def read(self, stream: KinesisStream) -> list[bytes]:
        """Read the range again.

        Raises:
            RejectError: some of its records have expired.
        """
        found: list[Record] = []
        while not found or found[-1].sequence != self.last:
            try:
                self._read_on(stream, found)
            except IteratorExpiredError:
                continue
            except SequenceGoneError:
                raise self._lost() from None
        if len(found) != self.records:
            raise self._lost()
        return [record.data for record in found]

    def _read_on(self, stream: KinesisStream, found: list[Record]) -> None:
        """Read with one iterator, behind what was found."""
        kind, number = "AT_SEQUENCE_NUMBER", self.first
        if found:
            kind, number = "AFTER_SEQUENCE_NUMBER", found[-1].sequence
        iterator: str | None = stream.iterator(
            self.shard, ShardIteratorType=kind, StartingSequenceNumber=number
        )
        while iterator is not None:
            answer = stream.get(self.shard, iterator)
            iterator = answer.iterator
            found += _until(answer.records, self.last)
            self._check(found, ended=iterator is None or not (answer.records or answer.behind))
            if found and found[-1].sequence == self.last:
                return

    def _check(self, found: Sequence[Record], *, ended: bool) -> None:
        """Check that the range begins with its first record, and does not end before its last one."""
        if found and found[0].sequence != self.first:
            raise self._lost()
        if ended and not (found and found[-1].sequence == self.last):
            raise self._lost()
        if found and int(found[-1].sequence) > int(self.last):
            raise self._lost()

    def _lost(self) -> RejectError:
        return RejectError(
            f"records {self.first} to {self.last} of {self.shard} have expired since they were planned",
            code="records_lost",
            hint="raise the stream's retention",
        )


def _until(records: list[Record], last: str) -> list[Record]:
    """Return the records up to a sequence number, itself included."""
    for at, record in enumerate(records):
        if record.sequence == last:
            return records[: at + 1]
    return records


class RecordsPayload(Payload):
    """The records of a range as lines.

    Args:
        values: the data of each record.
        limits: of decompression.
    """

    def __init__(self, split: Split, values: list[bytes], limits: Limits) -> None:
        super().__init__(split)
        self._values = values
        self._limits = limits

    def open(self) -> BinaryIO:
        """Open the lines from their start."""
        return cast("BinaryIO", PiecesStream(self._pieces()))

    def close(self) -> None:
        """Forget the records."""
        self._values = []

    def _pieces(self) -> Generator[bytes, None, None]:
        """Yield lines; records are decompressed some at a time."""
        waiting: list[bytes] = []
        size, begun = 0, False
        for data in [*self._values, None]:
            if data is not None:
                waiting += values_of(data)
                size += len(data)
            if waiting and (data is None or size >= _PIECE_BYTES):
                piece = join_values(waiting, self._limits)
                yield piece if begun else not_compressed(piece)
                begun, waiting, size = True, [], 0


def empty_split(stream: str, what: str) -> Split:
    """Return a split without records, whose epoch records a position."""
    uri = f"kinesis://{quote(stream.rpartition('/')[2], '')}/"
    return Split(f"position@{what}", uri, 0, {"shard": None})


def is_empty(split: Split) -> bool:
    """Return whether a split is without records."""
    shard: Any = split.data["shard"]
    return shard is None
