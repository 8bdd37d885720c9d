"""Reads JSON lines into columns by path with the accelerator, if there is one."""

from __future__ import annotations

from functools import lru_cache

import pyarrow as pa

from ktrans.api import JsonShape
from ktrans.decoders.read.json_values import REMEMBERED, REMEMBERED_BYTES, compact_text
from ktrans.decoders.read.raw_columns import Path, RawColumns, Shape
from ktrans.flow.columns import recode
from ktrans.kit.accelerate import accelerator, reader_of
from ktrans.kit.text.json_errors import UNREADABLE_JSON

_known = lru_cache(maxsize=REMEMBERED)(compact_text)


class NativeParser:
    """Reads blocks of one log by native code.

    Args:
        shape: what to read.
        times: texts that become nanoseconds since 1970, if all of them are times in UTC.
        addresses: texts that are IP addresses.
        digits: texts that become integers, if all of them are the digits of small ones.
        within: values to read inside of objects that are kept as text as well.
    """

    def __init__(
        self,
        shape: Shape,
        *,
        times: frozenset[Path] = frozenset(),
        addresses: frozenset[Path] = frozenset(),
        digits: frozenset[Path] = frozenset(),
        within: frozenset[Path] = frozenset(),
    ) -> None:
        by = accelerator()
        paths = None if shape.paths is None else frozenset(shape.paths)
        whole = JsonShape(shape.parents, paths, shape.numbers, times, addresses, digits, within)
        self._read = None if by is None else reader_of(by.json, whole, by.name)

    def read(self, data: bytes, records: int) -> RawColumns | None:
        """Read a block of JSON lines; None if it is to be read by Python."""
        found = None if self._read is None else self._read(data, records)
        if found is None:
            return None
        columns = dict(found.columns)
        try:
            for path in found.nested:
                columns[path] = compact(columns[path])
        except UNREADABLE_JSON:
            return None
        return RawColumns(records, None, columns, canonical=found.canonical)


def compact(column: pa.DictionaryArray) -> pa.DictionaryArray:
    """Return objects and arrays as compact JSON, with their numbers as they are spelled."""
    given = column.dictionary.to_pylist()
    parse = compact_text if max(map(len, given)) > REMEMBERED_BYTES else _known
    texts = list(map(parse, given))
    return column if texts == given else recode(column, pa.array(texts, pa.string()))
