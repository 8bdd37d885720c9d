"""The known members of Google Cloud log entries, and the parser made from them.

Source: Google Cloud documentation, "About VPC Flow Logs records" and "LogEntry".
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import repeat
from operator import attrgetter
from typing import Any

import msgspec
import pyarrow as pa

from ktrans.decoders.read.json_careful import gather_objects
from ktrans.decoders.read.json_values import REMEMBERED, attribute, decode_json
from ktrans.decoders.read.raw_columns import Path, Shape
from ktrans.decoders.values import text_of
from ktrans.kit.arrow_faults import ARROW_FAULTS
from ktrans.kit.text.json_errors import UNREADABLE_JSON

TEXT_KIND = str | None
WHOLE_KIND = int | str | None
ABSENT = msgspec.Raw(b"")
_NEWLINE = repeat(msgspec.Raw(b"\n")).__next__
_BREAK = "ktrans:line"
"""Members that no entry has: each is by default a newline, which the encoder writes as it is. If an
entry has one all the same, the number of lines is wrong, and the block is read entry by entry."""
_SIDES = ("instance", "vpc", "location", "gke_details", "google_service", "gateway")

MEMBERS: Mapping[Path, Mapping[str, Any]] = {
    (): {
        "insertId": TEXT_KIND,
        "logName": TEXT_KIND,
        "timestamp": TEXT_KIND,
        "receiveTimestamp": TEXT_KIND,
        "resource": msgspec.Raw,
        "labels": msgspec.Raw,
    },
    ("jsonPayload",): {
        "reporter": TEXT_KIND,
        "bytes_sent": WHOLE_KIND,
        "packets_sent": WHOLE_KIND,
        "bytes_dropped": WHOLE_KIND,
        "packets_dropped": WHOLE_KIND,
        "start_time": TEXT_KIND,
        "end_time": TEXT_KIND,
        "rtt_msec": WHOLE_KIND,
        "disposition": TEXT_KIND,
        "drop_reason": TEXT_KIND,
        "throughput_inclusion": TEXT_KIND,
        **{f"{side}_{part}": msgspec.Raw for side in ("src", "dest") for part in _SIDES},
        "internet_routing_details": msgspec.Raw,
        "load_balancing": msgspec.Raw,
    },
    ("jsonPayload", "connection"): {
        "src_ip": TEXT_KIND,
        "dest_ip": TEXT_KIND,
        "src_port": WHOLE_KIND,
        "dest_port": WHOLE_KIND,
        "protocol": WHOLE_KIND,
    },
    ("jsonPayload", "round_trip_time"): {"median_msec": float | None},
}
"""Members of an entry by the object they are in; those of type Raw are parsed by distinct value."""

NUMBERS: frozenset[Path] = frozenset(
    (*place, name)
    for place, members in MEMBERS.items()
    for name, kind in members.items()
    if kind not in (TEXT_KIND, msgspec.Raw)
)
"""Values that are read as numbers; other numbers are kept as they are spelled."""

METADATA: frozenset[Path] = frozenset(
    ("jsonPayload", name) for name, kind in MEMBERS["jsonPayload",].items() if kind is msgspec.Raw
)
"""Objects that are kept as JSON text; some of their members have flow columns as well."""

PARENTS: frozenset[Path] = frozenset(
    {*MEMBERS, ("resource",), ("resource", "labels"), ("labels",)} - {()}
)
"""Objects of which every member is a value of its own."""

GROUPS: Mapping[Path, tuple[tuple[str, ...], ...]] = {
    (): (("logName", "resource", "labels"),),
    ("jsonPayload",): (
        tuple(f"src_{part}" for part in _SIDES),
        tuple(f"dest_{part}" for part in _SIDES),
        (
            "reporter",
            "disposition",
            "drop_reason",
            "throughput_inclusion",
            "internet_routing_details",
            "load_balancing",
        ),
    ),
}
"""Members that repeat together from entry to entry, so that they are parsed by distinct group."""

UNREADABLE = (
    *UNREADABLE_JSON,
    OverflowError,
    *ARROW_FAULTS,
)


class Wanted:
    """The values to read from an entry.

    Args:
        paths: values that flow columns are made of.
        everything: whether all others are wanted too, for attrs.

    Attributes:
        shape: the values that are not inside an object kept as text.
        inner: the values inside each object kept as text.
        flat: all values, for a reader that reads inside these objects; they are not kept as text,
            unless all is wanted.
        within: the values inside objects kept as text that such a reader is to read as well.
    """

    def __init__(self, paths: Iterable[Path], *, everything: bool) -> None:
        self.inner: dict[Path, dict[Path, pa.DataType]] = {}
        surface: dict[Path, pa.DataType] = {}
        for path in paths:
            above = path[:2]
            if above in METADATA:
                self.inner.setdefault(above, {})[path] = pa.string()
                path = above  # noqa: PLW2901
            surface[path] = pa.string()
        self.shape = Shape(PARENTS, None if everything else surface, NUMBERS)
        inner = {path: kind for below in self.inner.values() for path, kind in below.items()}
        self.within = frozenset(inner) if everything else frozenset()
        self.flat = self.shape
        if not everything:
            around = {path[:end] for path in inner for end in range(1, len(path))}
            flat = {path: kind for path, kind in surface.items() if path not in self.inner}
            self.flat = Shape(PARENTS | around, {**flat, **inner}, NUMBERS)

    def has(self, path: Path) -> bool:
        """Return whether a member is wanted, or a value in it."""
        paths = self.shape.paths
        return paths is None or any(wanted[: len(path)] == path for wanted in paths)

    def expand(self, columns: dict[Path, pa.Array]) -> None:
        """Add the columns of the values inside objects kept as text."""
        for path, inner in self.inner.items():
            column = columns.get(path)
            if column is None:
                continue
            texts = text_of(column)
            objects = [_object(text) for text in texts.dictionary.to_pylist()]
            parents = frozenset(p[:end] for p in inner for end in range(2, len(p)))
            found: dict[Path, pa.Array] = {}
            gather_objects(objects, path, Shape(parents, inner), found)
            for each, values in found.items():
                columns[each] = spread(values, texts.indices)


@lru_cache(maxsize=REMEMBERED)
def _object(text: str | None) -> dict[str, Any] | None:
    try:
        value = None if text is None else decode_json(text)
    except UNREADABLE:
        return None
    return value if isinstance(value, dict) else None


def spread(values: pa.Array, codes: pa.Array) -> pa.DictionaryArray:
    """Repeat the text of each distinct value for its rows."""
    text = text_of(values)
    return pa.DictionaryArray.from_arrays(text.indices.take(codes), text.dictionary)


@dataclass(frozen=True, slots=True)
class Group:
    """Members that are parsed together.

    Attributes:
        place: the object that they are in.
        names: the members.
        line: which line of an entry's text they are on.
        end: the text behind them on that line.
    """

    place: Path
    names: tuple[str, ...]
    line: int
    end: bytes


class Members:
    """The parser of entries with certain members, and access to the parsed values.

    Args:
        wanted: the values to read.
        learned: members that are not documented but were found in entries.

    Attributes:
        known: the members that it knows, by the object they are in.
        decoder: parses an entry into an object.
        groups: members that `values` does not yield; each is on a line of its own when the object
            is written as JSON again.
        lines: how many lines that text of an entry has.
    """

    def __init__(self, wanted: Wanted, learned: Mapping[Path, tuple[str, ...]]) -> None:
        self.wanted = wanted
        self.learned = learned
        self._wanted: dict[Path, dict[str, Any]] = {}
        for place, known in MEMBERS.items():
            extra = dict.fromkeys(learned.get(place, ()), msgspec.Raw)
            members = {n: k for n, k in {**known, **extra}.items() if wanted.has((*place, n))}
            self._wanted[place] = members
        self.known = {
            place: frozenset((*members, *self._below(place)))
            for place, members in self._wanted.items()
        }
        self.groups: list[Group] = []
        self.lines = 1
        self.decoder = msgspec.json.Decoder(self._struct(()))

    def _below(self, place: Path) -> list[str]:
        return [p[-1] for p in self._wanted if len(p) == len(place) + 1 and p[:-1] == place]

    def _struct(self, place: Path) -> Any:
        groups = self._groups(place)
        grouped = {name for group in groups for name in group}
        members: list[tuple[str, Any, Any]] = []
        names: dict[str, str] = {}

        def add(name: str, kind: Any, default: Any) -> None:
            names[attribute(name)] = name
            members.append((attribute(name), kind, default))

        for name, kind in self._wanted[place].items():
            if name not in grouped:
                add(name, kind, ABSENT if kind is msgspec.Raw else None)
        for name in self._below(place):
            inner = self._struct((*place, name))
            add(name, inner, msgspec.field(default_factory=inner))
        for number, group in enumerate(groups):
            if not number:
                add(_BREAK, msgspec.Raw, msgspec.field(default_factory=_NEWLINE))
                self.lines += 1
            for name in group:
                kind = self._wanted[place].pop(name)
                add(name, kind, ABSENT if kind is msgspec.Raw else None)
            end = f"{_BREAK}{number}"
            add(end, msgspec.Raw, msgspec.field(default_factory=_NEWLINE))
            self.groups.append(Group(place, group, self.lines - 1, f',"{end}":\n'.encode()))
            self.lines += 1
        return msgspec.defstruct(
            "_".join(("Entry", *place)),
            members,
            rename=names,
            forbid_unknown_fields=self.wanted.shape.paths is None,
            omit_defaults=True,
            gc=False,
        )

    def _groups(self, place: Path) -> list[tuple[str, ...]]:
        """Return the groups in an object that do not only hold texts."""
        members = self._wanted[place]
        groups = [tuple(n for n in names if n in members) for names in GROUPS.get(place, ())]
        return [names for names in groups if any(members[name] is msgspec.Raw for name in names)]

    def values(
        self, objects: Sequence[Any], place: Path = ()
    ) -> Iterator[tuple[Path, Any, list[Any]]]:
        """Yield path, type and values of each member."""
        for name, kind in self._wanted[place].items():
            yield (*place, name), kind, list(map(attrgetter(attribute(name)), objects))
        for name in self._below(place):
            inner = list(map(attrgetter(attribute(name)), objects))
            yield from self.values(inner, (*place, name))
