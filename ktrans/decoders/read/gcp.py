"""Read Google Cloud log entries: the values of the flow by column, its metadata by distinct value.

Most of an entry is metadata (machines, networks, places) that repeats from entry to entry. It is left
as JSON text: the encoder writes the metadata of a side on one line, at once for the whole block, and
only distinct lines are parsed. This takes half the time of a parser that builds a column for every
member. The parser refuses members that it does not know; these are looked up in the entries and known
from then on.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache
from itertools import repeat
from operator import is_not
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ktrans.decoders.read.gcp_members import (
    ABSENT,
    MEMBERS,
    METADATA,
    TEXT_KIND,
    UNREADABLE,
    WHOLE_KIND,
    Members,
    Wanted,
    spread,
)
from ktrans.decoders.read.json_careful import gather_objects, json_column, read_carefully
from ktrans.decoders.read.json_native import NativeParser
from ktrans.decoders.read.json_values import (
    NO_FIELD_NAME,
    REMEMBERED,
    REMEMBERED_BYTES,
    decode_json,
    encode_json,
)
from ktrans.decoders.read.raw_columns import Path, RawColumns, Shape
from ktrans.flow.columns import NANOS_FROM
from ktrans.flow.schema import TEXT
from ktrans.kit.text.json_errors import UNREADABLE_JSON

encode_lines = msgspec.json.Encoder().encode_lines

_TIMES = frozenset({"timestamp", "start_time", "end_time"})
_STAMP_BYTES = 20
_MEDIAN = ("jsonPayload", "round_trip_time", "median_msec")
_MEMBERS = {
    (*place, name): kind for place, kinds in MEMBERS.items() for name, kind in kinds.items()
}
_INSTANTS = frozenset(path for path in _MEMBERS if path[-1] in _TIMES)
_ADDRESSES = frozenset(("jsonPayload", "connection", f"{side}_ip") for side in ("src", "dest"))
_WHOLE = frozenset(path for path, kind in _MEMBERS.items() if kind == WHOLE_KIND)
_TYPES: dict[Path, tuple[pa.DataType, ...]] = {
    **{path: (TEXT,) for path, kind in _MEMBERS.items() if kind == TEXT_KIND},
    **dict.fromkeys(_INSTANTS, (pa.int64(),)),
    **dict.fromkeys(_WHOLE, (pa.int64(), TEXT)),
    _MEDIAN: (pa.float64(),),
}
"""The types that the parser of entries takes."""
_MAX_LEARNED = 64
_MAX_TRIES = 3
"""A second try is needed where members are unknown, a third if another thread met others."""


class GcpReader:
    """Reads blocks of entries, and remembers the members in them.

    Args:
        wanted: the values to read.
    """

    def __init__(self, wanted: Wanted) -> None:
        self._wanted = wanted
        self._members = Members(wanted, {})
        self._accelerated = NativeParser(
            wanted.flat,
            times=_INSTANTS,
            addresses=_ADDRESSES,
            digits=_WHOLE,
            within=wanted.within,
        )

    def read(self, data: bytes, records: int) -> RawColumns | None:
        """Read a block of one entry a line; None if one of them is not as expected."""
        found = self._accelerated.read(data, records)
        if found is not None:
            _widen(found.columns, _MEDIAN)
            if _as_expected(found.columns):
                return found
        for _ in range(_MAX_TRIES):
            members = self._members
            try:
                native = self._native(members, members.decoder.decode_lines(data))
            except msgspec.ValidationError:
                if not self._learn(members, data):
                    return None
            except UNREADABLE:
                return None
            else:
                return native if native.rows == records else None
        return None

    def _native(self, members: Members, entries: list[Any]) -> RawColumns:
        """Return the columns of entries that the decoder of the same members has parsed."""
        columns = dict(_columns(members, entries))
        if members.groups and entries:
            columns.update(_grouped(members, entries))
        self._wanted.expand(columns)
        return RawColumns(len(entries), None, columns)

    def _learn(self, members: Members, data: bytes) -> bool:
        """Make a parser for the members of a block that the present one does not know.

        Returns:
            Whether there are any, and not more than it can take.
        """
        unknown: dict[Path, dict[str, None]] = {}
        for line in data.split(b"\n"):
            try:
                entry = decode_json(line)
            except UNREADABLE:
                continue
            for place, known in members.known.items():
                found = _object_at(entry, place)
                if not known.issuperset(found):
                    new = dict.fromkeys(name for name in found if name not in known)
                    unknown.setdefault(place, {}).update(new)
        learned = dict(members.learned)
        for place, names in unknown.items():
            learned[place] = (*learned.get(place, ()), *names)
            if len(learned[place]) > _MAX_LEARNED or any(map(NO_FIELD_NAME.search, names)):
                return False
        self._members = Members(self._wanted, learned)
        return bool(unknown)

    def sort_out(self, data: bytes) -> tuple[RawColumns | None, RawColumns]:
        """Read a block in which some entries are not as expected.

        Returns:
            The entries that are as expected, and the others, by line.
        """
        lines = data.removesuffix(b"\n").split(b"\n")
        members = self._members  # once: another thread may replace them meanwhile
        decode = members.decoder.decode
        entries: list[Any] = []
        good: list[int] = []
        odd: list[int] = []
        for number, line in enumerate(lines):
            try:
                entries.append(decode(line))
                good.append(number)
            except UNREADABLE_JSON:
                odd.append(number)
        native: RawColumns | None = None
        try:
            native = self._native(members, entries)
            native.lines = np.array(good, dtype=np.int64)
        except UNREADABLE:
            odd = list(range(len(lines)))
        others = read_carefully(b"\n".join(lines[number] for number in odd), self._wanted.shape)
        self._wanted.expand(others.columns)
        places = np.array(odd, dtype=np.int64)
        others.lines = places if others.lines is None else places[others.lines]
        others.faults.lines = [odd[line] for line in others.faults.lines]
        return native, others


def _widen(columns: dict[Path, pa.Array], path: Path) -> None:
    """Turn a column of integers, if it is one, into doubles."""
    column = columns.get(path)
    if column is not None and pa.types.is_integer(column.type):
        columns[path] = column.cast(pa.float64(), safe=False)


def _as_expected(columns: dict[Path, pa.Array]) -> bool:
    """Return whether known members have the types that the parser of entries takes."""
    known = ((columns[path], types) for path, types in _TYPES.items() if path in columns)
    late = (columns[path] for path in _INSTANTS if path in columns)
    return all(column.type in types for column, types in known) and all(map(_are_nanoseconds, late))


def _object_at(entry: Any, place: Path) -> dict[str, Any]:
    """Return the object at a path within an entry; an empty one if there is none."""
    for name in place:
        entry = entry.get(name) if type(entry) is dict else None
    return entry if type(entry) is dict else {}


def _columns(members: Members, entries: Sequence[Any]) -> Iterator[tuple[Path, pa.Array]]:
    for path, kind, values in members.values(entries):
        if kind is msgspec.Raw:
            if any(map(is_not, values, repeat(ABSENT))):
                yield from _by_distinct(members.wanted.shape, path, values)
            continue
        column = _column(kind, values)
        if column.null_count < len(column):
            yield path, _instants(column) if path[-1] in _TIMES else column


def _column(kind: Any, values: list[Any]) -> pa.Array:
    if kind == TEXT_KIND:
        return pa.array(values, pa.string())
    if kind != WHOLE_KIND:
        return pa.array(values, pa.float64())
    first = next((value for value in values if value is not None), None)
    try:
        return pa.array(values, pa.string() if type(first) is str else pa.int64())
    except (pa.ArrowTypeError, pa.ArrowInvalid, OverflowError):
        return json_column(values)


def _instants(column: pa.StringArray) -> pa.Array:
    """Return times of the usual form as nanoseconds, and others as they are."""
    shortest = pc.min(pc.binary_length(column)).as_py()
    if shortest < _STAMP_BYTES or not pc.all(pc.ends_with(column, "Z")).as_py():
        return column
    try:
        times = column.cast(pa.timestamp("ns", tz="UTC")).view(pa.int64())
    except pa.ArrowInvalid:
        return column
    return times if _are_nanoseconds(times) else column


def _are_nanoseconds(times: pa.Array) -> bool:
    """Return whether all times are so late that they cannot be taken for times of another unit."""
    first = pc.min(times).as_py()
    return first is None or first >= NANOS_FROM


def _by_distinct(
    shape: Shape, path: Path, values: list[msgspec.Raw]
) -> Iterator[tuple[Path, pa.Array]]:
    """Parse the distinct values of a member, and yield the columns of the values in them."""
    coded = _binary(values).dictionary_encode()
    name = path[-1]
    raws = coded.dictionary.to_pylist()
    objects = [{name: decode_json(raw)} if len(raw) > 1 else None for raw in raws]
    found: dict[Path, pa.Array] = {}
    gather_objects(objects, path[:-1], shape, found)
    for inner, column in found.items():
        yield inner, spread(column, coded.indices)


def _grouped(members: Members, entries: Sequence[Any]) -> Iterator[tuple[Path, pa.Array]]:
    """Parse the distinct groups of members, and yield the columns of the values in them."""
    lines = _lines_of(encode_lines(entries))
    if len(lines) != len(entries) * members.lines:
        raise msgspec.DecodeError("a member has the name of a line break")
    firsts = np.arange(0, len(lines), members.lines)
    for group in members.groups:
        coded = lines.take(pa.array(firsts + group.line)).dictionary_encode()
        raws = coded.dictionary.to_pylist()
        objects = [
            (_known_group if len(raw) <= REMEMBERED_BYTES else _group)(raw, group.end)
            for raw in raws
        ]
        for name in group.names:
            values = [found.get(name) for found in objects]
            yield from _spread_values(members.wanted.shape, (*group.place, name), values, coded)


def _spread_values(
    shape: Shape, path: Path, values: list[Any], coded: pa.DictionaryArray
) -> Iterator[tuple[Path, pa.Array]]:
    """Yield the columns of a member that was parsed by distinct group."""
    kinds = set(map(type, values)) - {type(None)}
    if not kinds:
        return
    if path in METADATA and kinds == {bytes}:
        texts = pa.array(values, pa.binary()).cast(pa.string()).dictionary_encode()
        codes = texts.indices.take(coded.indices)
        yield path, pa.DictionaryArray.from_arrays(codes, texts.dictionary)
        return
    values = [decode_json(value) if type(value) is bytes else value for value in values]
    found: dict[Path, pa.Array] = {}
    gather_objects([{path[-1]: value} for value in values], path[:-1], shape, found)
    for inner, column in found.items():
        yield inner, spread(column, coded.indices)


def _group(line: bytes, end: bytes) -> dict[str, Any]:
    """Parse the members of a group that are not null; objects become compact JSON."""
    found = decode_json(b"{" + line[1 : -len(end)] + b"}")
    return {
        name: encode_json(value) if type(value) is dict else value
        for name, value in found.items()
        if value is not None
    }


_known_group = lru_cache(maxsize=REMEMBERED)(_group)


def _binary(values: list[msgspec.Raw]) -> pa.Array:
    """Return values as an array, each with a newline behind it; there is none in a record."""
    return _lines_of(b"\n".join((*values, b"")))


def _lines_of(text: bytes) -> pa.Array:
    """Return the lines of a text as an array, each with its newline."""
    ends = np.flatnonzero(np.frombuffer(text, np.uint8) == ord("\n")) + 1
    offsets = np.zeros(len(ends) + 1, dtype=np.int32)
    offsets[1:] = ends
    buffers = [None, pa.py_buffer(offsets), pa.py_buffer(text)]
    return pa.Array.from_buffers(pa.binary(), len(ends), buffers)
