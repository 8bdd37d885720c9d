"""Blocks: the records of an object in portions that are decoded on their own, by any thread."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import pyarrow as pa

from ktrans.api import reject_batch
from ktrans.decoders.read.faults import Faults
from ktrans.decoders.read.python_values import rows_as_json
from ktrans.kit.text.lines import line_bounds


@dataclass(frozen=True, slots=True)
class Refused:
    """Part of an object that is not a record, as cutting it showed.

    Attributes:
        position: where it is in the object.
        reason: a reason code.
        raw: its bytes, or the first of them.
        detail: what is wrong, for people.
        complete: whether `raw` is all of it.
        layout: the layout that a replay needs, or None.
    """

    position: int
    reason: str
    raw: bytes
    detail: str
    complete: bool = True
    layout: str | None = None


@dataclass(frozen=True, slots=True)
class Block:
    """Some records of one object, in order.

    Attributes:
        uri: the object.
        first: position of the first record, from 1.
        records: number of records.
        data: the records, one a line; the last newline may be missing.
        table: the records as columns, where they are not text.
        layout: what the frame found out about the fields of the records.
        added: values that the records do not have themselves, by name: one for all, or a column.
        skipped: records before these that are not flows, such as header lines.
        foreign: how many of the skipped ones are records of another kind, by what they are.
        refused: parts of the object before, among or after these records that are not records.
    """

    uri: str
    first: int
    records: int = 0
    data: bytes = b""
    table: pa.RecordBatch | None = None
    layout: Any = None
    added: Mapping[str, str | pa.Array] = field(default_factory=dict)
    skipped: int = 0
    foreign: Mapping[str, int] = field(default_factory=dict)
    refused: tuple[Refused, ...] = ()

    @property
    def nbytes(self) -> int:
        """Size of the records and of what was refused."""
        table = 0 if self.table is None else int(self.table.nbytes)
        return len(self.data) + table + sum(len(each.raw) for each in self.refused)

    @property
    def total(self) -> int:
        """Number of all records, refused and skipped ones included."""
        return self.records + self.skipped + len(self.refused)

    def parts(self, lines: int) -> Iterator[Block]:
        """Yield blocks of at most so many of the lines, in order; without what is no record."""
        starts, ends = line_bounds(self.data)
        for begin in range(0, self.records, lines):
            end = min(begin + lines, self.records)
            added = {
                name: value if isinstance(value, str) else value.slice(begin, end - begin)
                for name, value in self.added.items()
            }
            data = self.data[starts[begin] : ends[end - 1]]
            yield replace(
                self,
                first=self.first + begin,
                records=end - begin,
                data=data,
                added=added,
                refused=(),
            )

    def bad_records(self, faults: Faults, layout: str | None = None) -> list[Refused]:
        """Return the bad records that reading the block showed, with their bytes."""
        lines, reasons, details = faults.ordered()
        if not lines:
            return []
        if self.table is not None:
            raw = rows_as_json(self.table.take(pa.array(lines)))
        else:
            starts, ends = faults.bounds or line_bounds(self.data)
            raw = [self.data[starts[line] : ends[line]] for line in lines]
        return [
            Refused(self.first + line, reason, text, detail, layout=layout)
            for line, reason, text, detail in zip(lines, reasons, raw, details, strict=True)
        ]

    def rejects(self, bad: Iterable[Refused], decoder: str, version: str) -> pa.RecordBatch | None:
        """Return bad records and refused parts as rejects, in order; None if there are none."""
        found = sorted([*bad, *self.refused], key=lambda each: each.position)
        if not found:
            return None
        return reject_batch(
            self.uri,
            [each.position for each in found],
            [each.reason for each in found],
            [each.raw for each in found],
            details=[each.detail for each in found],
            decoder=decoder,
            version=version,
            layout=pa.array([each.layout for each in found], pa.string()),
            complete=[each.complete for each in found],
        )


def refused_lines(uri: str, place: int, data: bytes, detail: str, skipped: int) -> Block:
    """Return a block that refuses lines of which nothing says how they are read."""
    lines = [line.removesuffix(b"\r") for line in data.removesuffix(b"\n").split(b"\n")]
    refused = tuple(
        Refused(place + number, "no_layout", line, detail)
        for number, line in enumerate(lines)
        if line.strip()
    )
    return Block(uri, place, skipped=skipped + len(lines) - len(refused), refused=refused)
