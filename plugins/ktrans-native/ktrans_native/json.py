"""Reads JSON lines."""

from __future__ import annotations

import re

import pyarrow as pa

from ktrans.api import JsonReader, JsonShape, ReadJson
from ktrans_native import _native
from ktrans_native.arrays import numbers, texts

_NUMBERS = {"int64": pa.int64(), "float64": pa.float64(), "uint8": pa.uint8()}
_WRITTEN_OTHERWISE = re.compile('[\x00-\x1f"\\\\\ud800-\udfff]')
"""Characters that are escaped where they are part of a name; such names are left to Python."""


def json_reader(shape: JsonShape) -> JsonReader:
    """Return a reader of JSON lines."""
    native = _native.JsonReader(_members(shape), shape.paths is None)

    def read(data: bytes, records: int) -> ReadJson | None:
        found = native.read(data, records)
        if found is None:
            return None
        columns: dict[tuple[str, ...], pa.Array] = {}
        nested, canonical = [], []
        for path, (kind, buffers, is_canonical) in found:
            if kind in ("text", "nested"):
                codes, valid, *distinct = buffers
                columns[path] = texts(codes, valid, (distinct[0], distinct[1]))
            else:
                column = numbers(_NUMBERS[kind], *buffers)
                columns[path] = column.cast(pa.bool_()) if kind == "uint8" else column
            if kind == "nested":
                nested.append(path)
            if is_canonical:
                canonical.append(path)
        return ReadJson(columns, frozenset(nested), frozenset(canonical))

    return read


def _members(shape: JsonShape) -> list[tuple[tuple[str, ...], list[str]]]:
    """Return the members that are known, with what to do with each; objects before their members."""
    known: dict[tuple[str, ...], list[str]] = {path: [] for path in shape.paths or ()}
    kinds = (shape.numbers, "number"), (shape.times, "time"), (shape.addresses, "address")
    for paths, word in (*kinds, (shape.digits, "digits")):
        for path in paths:
            if shape.paths is None or path in shape.paths:
                known.setdefault(path, []).append(word)
    for path in shape.parents:
        if shape.paths is None or any(each[: len(path)] == path for each in shape.paths):
            known[path] = ["parent"]
    for path in sorted(shape.within):
        known[path] = []
        above = [path[:end] for end in range(1, len(path)) if path[:end] not in shape.parents]
        for number, each in enumerate(above):
            known[each] = ["parent" if number else "kept"]
    return [
        (path, known[path])
        for path in sorted(known)
        if not any(map(_WRITTEN_OTHERWISE.search, path))
    ]
