"""Reads JSON lines into columns by path: natively or by Arrow's parser where it can, else one by one.

All ways give the same columns for the same bytes. What Arrow's parser cannot do exactly (mixed
types, duplicate keys, integers beyond 64 bits, broken records) it refuses or is kept from, and the
records are then read one by one; of duplicate keys the last one counts.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any

import msgspec
import pyarrow as pa

from ktrans.decoders.read.json_careful import is_exact, joined, read_carefully
from ktrans.decoders.read.json_native import NativeParser
from ktrans.decoders.read.json_values import NO_FIELD_NAME, attribute, compact_text
from ktrans.decoders.read.raw_columns import Path, RawColumns, Shape
from ktrans.kit.arrow_faults import ARROW_FAULTS
from ktrans.kit.text.arrow_json import read_json, suits_arrow
from ktrans.kit.text.json_errors import UNREADABLE_JSON
from ktrans.kit.text.lines import line_bounds

_PART_LINES = 256
"""A block that Arrow's parser refuses is tried again in parts, so that a bad record costs one."""


class Parser:
    """Reads blocks of one log, and remembers what its values look like.

    Args:
        shape: what to read.
    """

    def __init__(self, shape: Shape) -> None:
        self._shape = shape
        self._types: dict[Path, pa.DataType] = dict(shape.paths or {})
        self._nested = False
        self._native = NativeParser(shape)

    def read(self, data: bytes, records: int) -> RawColumns:
        """Read a block of JSON lines, one record a line."""
        found = self._native.read(data, records) or self._quick(data, records)
        if found is not None:
            return found
        if records <= _PART_LINES:
            return read_carefully(data, self._shape)
        starts, _ = line_bounds(data)
        borders = [*starts[::_PART_LINES].tolist(), len(data)]
        parts: list[RawColumns] = []
        for begin, end in pairwise(borders):
            part = data[begin:end]
            lines = min(_PART_LINES, records - len(parts) * _PART_LINES)
            parts.append(self._quick(part, lines) or read_carefully(part, self._shape))
        return joined(parts, _PART_LINES)

    def _quick(self, data: bytes, records: int) -> RawColumns | None:
        if not suits_arrow(data, records):
            return None
        try:
            found = self._read_fast(data, records)
        except (RecursionError, *ARROW_FAULTS):
            return None
        return None if found is None else RawColumns(records, None, found)

    def _read_fast(self, data: bytes, records: int) -> dict[Path, pa.Array] | None:
        for types, infer in self._attempts():
            table = read_json(data, _schema(types), infer=infer)
            if table is None:
                continue
            if table.num_rows != records:
                return None
            stamps = list(_timestamps(table.schema, ()))
            if stamps:
                # Arrow takes texts that look like times for times; the text is wanted as it is.
                texts = dict.fromkeys(stamps, pa.string())
                self._types = {**self._types, **texts}
                table = read_json(data, _schema({**types, **texts}), infer=True)
                if table is None:
                    return None
            return self._columns(table, data)
        return None

    def _attempts(self) -> list[tuple[Mapping[Path, pa.DataType], bool]]:
        """Return what to try: types to expect, and whether to read other values as well."""
        if self._shape.paths is not None and not self._nested:
            return [(self._types, False), ({}, True)]
        return [(self._types, True), ({}, True)] if self._types else [({}, True)]

    def _learn(self, found: Mapping[Path, pa.Array]) -> None:
        """Expect the next block's values to be of the types of this one's."""
        seen = {
            path: column.type
            for path, column in found.items()
            if path in self._types and not pa.types.is_floating(column.type)
        }
        if any(self._types[path] != kind for path, kind in seen.items()):
            self._types = {**self._types, **seen}

    def _columns(self, table: pa.Table, data: bytes) -> dict[Path, pa.Array] | None:
        found: dict[Path, pa.Array] = {}
        nested: list[Path] = []
        for path, column in self._leaves(
            [(name, _whole(table.column(name))) for name in table.column_names], ()
        ):
            spelled = pa.types.is_floating(column.type) and path not in self._shape.numbers
            if spelled or pa.types.is_nested(column.type):
                if column.null_count < len(column):
                    nested.append(path)
                continue
            if pa.types.is_floating(column.type) and not is_exact(column):
                return None
            found[path] = column
        if nested:
            texts = _nested_texts(data, nested)
            if texts is None:
                return None
            found.update(texts)
        if self._shape.paths is not None:
            self._learn(found)
            self._nested = self._nested or bool(nested)
        return found

    def _leaves(
        self, columns: Iterable[tuple[str, pa.Array]], above: Path
    ) -> Iterator[tuple[Path, pa.Array]]:
        """Yield the values at and below some columns that are not null everywhere."""
        for name, column in columns:
            path = (*above, name)
            if pa.types.is_null(column.type):
                continue
            if pa.types.is_struct(column.type) and path in self._shape.parents:
                names = [f.name for f in column.type]
                yield from self._leaves(zip(names, column.flatten(), strict=True), path)
            elif column.null_count < len(column) and self._wants(path):
                yield path, column

    def _wants(self, path: Path) -> bool:
        return self._shape.paths is None or path in self._shape.paths


def _whole(column: pa.ChunkedArray) -> pa.Array:
    """Return a column as one array; lists of nothing but nulls are too short to be combined."""
    return column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()


def _schema(types: Mapping[Path, pa.DataType]) -> pa.Schema | None:
    """Make the nested schema of values by path; None if there are no values."""
    if not types:
        return None
    tree: dict[str, Any] = {}
    for path, kind in types.items():
        place = tree
        for name in path[:-1]:
            below = place.get(name)
            if not isinstance(below, dict):
                below = place[name] = {}
            place = below
        if not isinstance(place.get(path[-1]), dict):
            place[path[-1]] = kind
    return pa.schema(_fields(tree))


def _fields(tree: Mapping[str, Any]) -> list[pa.Field]:
    return [
        pa.field(name, pa.struct(_fields(kind)) if isinstance(kind, dict) else kind)
        for name, kind in tree.items()
    ]


def _timestamps(fields: Iterable[pa.Field], above: Path) -> Iterator[Path]:
    for each in fields:
        path = (*above, each.name)
        if pa.types.is_timestamp(each.type):
            yield path
        elif pa.types.is_struct(each.type):
            yield from _timestamps(each.type, path)


def _nested_texts(data: bytes, paths: Sequence[Path]) -> dict[Path, pa.Array] | None:
    """Return values that Arrow's parser does not keep unchanged as text, decoding nothing else.

    None if they cannot be read so, or have names that msgspec's types cannot have.
    """
    if any(NO_FIELD_NAME.search(name) for path in paths for name in path):
        return None
    try:
        records = msgspec.json.Decoder(_struct(paths, 0)).decode_lines(data)
    except UNREADABLE_JSON:
        return None
    columns = {}
    read: dict[Path, list[Any]] = {(): records}
    for path in paths:
        for depth, name in enumerate(path):
            here = path[: depth + 1]
            if here not in read:
                slot = attribute(name)
                above = read[path[:depth]]
                read[here] = [None if raw is None else getattr(raw, slot) for raw in above]
        raws = read[path]
        column = pa.array([raw and bytes(raw) for raw in raws], pa.binary()).dictionary_encode()
        try:
            texts = [compact_text(raw) for raw in column.dictionary.to_pylist()]
        except UNREADABLE_JSON:
            return None
        columns[path] = pa.array(texts, pa.string()).take(column.indices)
    return columns


def _struct(paths: Sequence[Path], depth: int) -> Any:
    """Make the type of a record of which only these paths matter."""
    below: dict[str, list[Path]] = {}
    for path in paths:
        below.setdefault(path[depth], []).append(path)
    members = [
        (
            attribute(name),
            msgspec.Raw if len(some[0]) == depth + 1 else _struct(some, depth + 1) | None,
            None,
        )
        for name, some in below.items()
    ]
    return msgspec.defstruct(
        f"Nested{depth}", members, rename={attribute(name): name for name in below}
    )
