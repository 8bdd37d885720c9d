"""Gathers records of shards as splits, parents before their children."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from ktrans_aws.kinesis_payload import Range
from ktrans_aws.kinesis_position import Position
from ktrans_aws.kinesis_stream import Record

_SPLIT_BYTES = 16 << 20


class Gathered:
    """Records of a plan, as splits of consecutive records.

    Attributes:
        splits: with their values.
        size: bytes of all of them.
    """

    def __init__(self) -> None:
        self.splits: list[tuple[Range, list[bytes]]] = []
        self.size = 0
        self._open: dict[str, tuple[int, int]] = {}

    def add(self, shard: str, records: list[Record]) -> None:
        """Add the next records of a shard, to its last split while that is small."""
        size = sum(len(record.data) for record in records)
        values = [record.data for record in records]
        last = records[-1].sequence
        at, known = self._open.get(shard, (len(self.splits), 0))
        if 0 < known < _SPLIT_BYTES:
            one, before = self.splits[at]
            longer = replace(one, last=last, records=one.records + len(records))
            self.splits[at] = (longer, before + values)
        else:
            at, known = len(self.splits), 0
            self.splits.append((Range(shard, records[0].sequence, last, len(records)), values))
        self._open[shard] = (at, known + size)
        self.size += size


def ready(here: Position, parents: Mapping[str, tuple[str, ...]]) -> list[str]:
    """Return the shards that are not read to their end, and whose parents are."""
    return [
        shard
        for shard in sorted(parents)
        if not here.shards[shard].done
        and all(one not in parents or here.shards[one].done for one in parents[shard])
    ]


def where(after: str | None, start: str | int) -> dict[str, Any]:
    """Return where an iterator begins."""
    if after is not None:
        return {"ShardIteratorType": "AFTER_SEQUENCE_NUMBER", "StartingSequenceNumber": after}
    if isinstance(start, int):
        return {"ShardIteratorType": "AT_TIMESTAMP", "Timestamp": start / 1000}
    return {"ShardIteratorType": "TRIM_HORIZON"}
