"""Azure flow-log records as they are handed from reader to decoder: tuples in groups, in records.

There are two readers. `_azure_exact` knows the shape that Azure writes and leaves the tuples as the
bytes that they are. `_azure_loose` takes any shape that such documents were ever seen in.

Sources: Azure Network Watcher, "Flow logging for network security groups" (versions 1 and 2) and
"Virtual network flow logs" (version 4).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

Kind = Literal["nsg", "vnet"]
Fields = tuple[tuple[str, str], ...]
"""Native names and texts of a record's fields, but its time and its flows."""

CATEGORIES: dict[str, Kind] = {
    "networksecuritygroupflowevent": "nsg",
    "flowlogflowevent": "vnet",
}
"""The `category` of the records, in lower case."""


class Fault(Exception):
    """A record whose shape makes no sense; `reason` is its code."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason


@dataclass(slots=True)
class Sheet:
    """Tuples of one kind, framed for the CSV reader, and the groups that they stand in.

    Attributes:
        kind: which layout the tuples have.
        records: the fields of each record.
        times: the time of each record, as written.
        owner: which record each group is part of.
        rules, acls, macs: of each group, as written.
        counts: how many tuples each group has.
        data: the tuples: a comma, a blank, the tuple and a newline, one after the other. The comma
            makes an empty first column; the reader trims the blank before the number behind it.
        tidy: whether no tuple holds a blank, a control character or an escape.
        parts: what the data is to be made of, one part a group, while the sheet is being filled.
    """

    kind: Kind
    records: list[Fields] = field(default_factory=list)
    times: list[str | None] = field(default_factory=list)
    owner: list[int] = field(default_factory=list)
    rules: list[str | None] = field(default_factory=list)
    acls: list[str | None] = field(default_factory=list)
    macs: list[str | None] = field(default_factory=list)
    counts: list[int] = field(default_factory=list)
    data: bytes | bytearray = b""
    tidy: bool = True
    parts: list[Any] = field(default_factory=list)

    @property
    def lines(self) -> int:
        """How many tuples there are."""
        return sum(self.counts)

    @property
    def nbytes(self) -> int:
        """About how large the rows will be: each repeats the fields of its record."""
        sizes = [sum(len(name) + len(text) for name, text in fields) for fields in self.records]
        fields = (
            sizes[owner] * count for owner, count in zip(self.owner, self.counts, strict=True)
        )
        return len(self.data) + sum(fields)

    def group(self, rule: str | None, acl: str | None, mac: str | None, part: Any) -> None:
        """Add a group of the last record."""
        self.owner.append(len(self.records) - 1)
        self.rules.append(rule)
        self.acls.append(acl)
        self.macs.append(mac)
        self.parts.append(part)


@dataclass(frozen=True, slots=True)
class Refused:
    """Part of an object that holds no tuples: where, why, its bytes, and words for people."""

    position: int
    reason: str
    raw: bytes
    detail: str
    complete: bool = True


@dataclass(frozen=True, slots=True)
class TupleBlock:
    """Tuples of one kind, in the order of the object.

    Attributes:
        uri: the object.
        sheet: the tuples and their groups; None if there are none.
        first: 1-based ordinal of the first tuple.
        skipped: records that are no flow logs.
        refused: what was found bad while cutting, behind these tuples.
        same_position: all tuples have the position `first`: they came of one reject.
    """

    uri: str
    sheet: Sheet | None
    first: int
    skipped: int = 0
    refused: tuple[Refused, ...] = ()
    same_position: bool = False

    @property
    def nbytes(self) -> int:
        """Size of the rows to be, about, and of what was refused."""
        rows = 0 if self.sheet is None else self.sheet.nbytes
        return rows + sum(len(refused.raw) for refused in self.refused)
