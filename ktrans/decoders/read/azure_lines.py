"""Turn the tuples of Azure flow-log records into lines for the CSV reader."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

import msgspec
import numpy as np

from ktrans.decoders.azure.records import Records
from ktrans.decoders.read.json_values import json_text

_QUOTE, _NEWLINE, _BLANK, _COMMA = b'"\n ,'
_CONTROL = tuple(map(chr, range(ord(" "))))


@dataclass(frozen=True, slots=True)
class TupleLines:
    """Tuples, one a line.

    Attributes:
        data: the lines. Before each tuple are an empty first column and a blank, which the CSV
            reader trims.
        counts: number of tuples of each group.
        tidy: whether no tuple has a blank or a control character.
        borders: places of bytes that belong to no tuple, in the first column of some lines.
    """

    data: bytes | bytearray
    counts: np.ndarray
    tidy: bool
    borders: np.ndarray

    def plain(self) -> bytes:
        """Return the tuples and nothing else, one a line."""
        lines = np.delete(np.frombuffer(self.data, np.uint8), self.borders).tobytes()
        return lines[len(", ") :].replace(b"\n, ", b"\n")


def tuple_lines(records: Records) -> TupleLines:
    """Write the tuples of all groups as lines."""
    lists = records.lists
    if not records.tuples:
        return TupleLines(b"", np.zeros(len(lists), np.int64), True, np.empty(0, np.int64))
    if isinstance(lists[0], msgspec.Raw):
        return _of_arrays(lists)
    return _of_texts(list(chain.from_iterable(lists)), np.fromiter(map(len, lists), np.int64))


def _of_arrays(lists: Sequence[msgspec.Raw]) -> TupleLines:
    """Turn JSON arrays of strings, which `count_tuples` has accepted, into lines.

    It is enough to replace their quotes and what is between the strings, without moving a byte.
    """
    sizes = np.fromiter(map(len, lists), np.int64, len(lists))
    full = sizes > len("[]")
    *others, last = (one for one in lists if len(one) > len("[]"))
    data = bytearray().join([*others, memoryview(last)[:-1]])
    tidy = b" " not in data
    content = np.frombuffer(data, np.uint8)
    ends = np.cumsum(sizes[full])
    quotes = np.flatnonzero(content == _QUOTE)
    content[quotes[::2]] = _BLANK
    content[quotes[1::2]] = _NEWLINE
    content[ends - sizes[full]] = _COMMA
    counts = np.zeros(len(lists), dtype=np.int64)
    counts[full] = np.diff(np.searchsorted(quotes[1::2], ends), prepend=0)
    return TupleLines(data, counts, tidy, ends[:-1] - 1)


def _of_texts(texts: list[Any], counts: np.ndarray) -> TupleLines:
    """Write decoded tuples as lines; a value that is not a string becomes a line that fails."""
    if any(type(text) is not str for text in texts):
        texts = [text if type(text) is str else _failing(text) for text in texts]
    joined = "\n, ".join(texts)
    if joined.count("\n") != len(texts) - 1:
        texts = [msgspec.json.encode(text).decode() if "\n" in text else text for text in texts]
        joined = "\n, ".join(texts)
    tidy = joined.count(" ") == len(texts) - 1 and not any(
        char in joined for char in _CONTROL if char != "\n"
    )
    data = f", {joined}\n".encode(errors="surrogateescape")
    return TupleLines(data, counts, tidy, np.empty(0, np.int64))


def _failing(value: Any) -> str:
    """Return the JSON of a value, in brackets: no tuple begins with one."""
    text = json_text(value)
    return text if text[:1] in "[{" else f"[{text}]"
