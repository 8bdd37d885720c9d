"""Azure flow-log records, read but for their tuples.

Sources: Azure Network Watcher, "Flow logging for network security groups" (versions 1 and 2) and
"Virtual network flow logs" (version 4).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

import msgspec

Kind = Literal["nsg", "vnet"]
Fields = tuple[tuple[str, str], ...]
"""Native names and texts of the fields of a record, without its time and its flows."""
Group = tuple[int, str | None, str | None, str | None]

CATEGORIES: dict[str, Kind] = {
    "networksecuritygroupflowevent": "nsg",
    "flowlogflowevent": "vnet",
}
"""The `category` of the records, in lower case."""

_TUPLE_BYTES = 96
"""About what the columns of a tuple take."""


class Fault(Exception):
    """A record whose shape makes no sense; `reason` is its code."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason


@dataclass(slots=True)
class Records:
    """Records of one kind, and the groups of tuples in them.

    Attributes:
        kind: the layout of the tuples.
        fields: the fields of each record.
        times: the time of each record, as written.
        groups: for each group the index of its record, the rule, the access list and the MAC
            address, as written.
        lists: the tuples of each group: the bytes of a JSON array, or the decoded array.
        tuples: number of tuples in all groups.
    """

    kind: Kind
    fields: list[Fields] = field(default_factory=list)
    times: list[str | None] = field(default_factory=list)
    groups: list[Group] = field(default_factory=list)
    lists: list[Any] = field(default_factory=list)
    tuples: int = 0

    @property
    def nbytes(self) -> int:
        """Approximate size of the rows, each of which repeats the fields of its record."""
        if not self.fields:
            return 0
        fields = sum(len(name) + len(text) for one in self.fields for name, text in one)
        return self.tuples * (_TUPLE_BYTES + fields // len(self.fields))

    def layout_text(self, group: int) -> str:
        """Return the record that a group is part of, without tuples, for the replay of its tuples."""
        owner, rule, acl, mac = self.groups[group]
        time = self.times[owner]
        fields = {**({} if time is None else {"time": time}), **dict(sorted(self.fields[owner]))}
        inner: dict[str, Any] = {"flowTuples": []}
        if self.kind == "nsg":
            if mac is not None:
                inner = {"mac": mac, **inner}
            named = {} if rule is None else {"rule": rule}
            body = {"properties": {"flows": [{**named, "flows": [inner]}]}}
            category = "NetworkSecurityGroupFlowEvent"
        else:
            if rule is not None:
                inner = {"rule": rule, **inner}
            if mac is not None:
                inner["mac"] = mac
            named = {} if acl is None else {"aclID": acl}
            body = {"flowRecords": {"flows": [{**named, "flowGroups": [inner]}]}}
            category = "FlowLogFlowEvent"
        record = {**fields, "category": category, **body}
        # A blank tells it from the field names of other decoders' layouts.
        return f'{{"records": [{msgspec.json.encode(record).decode()}]}}'
