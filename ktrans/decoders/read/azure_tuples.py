"""Read Azure flow tuples into checked columns, all tuples of a block in one call of the CSV reader."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv

from ktrans.decoders.azure.fields import (
    CODES,
    COLUMN_OF,
    NAMES,
    REQUIRED_FIELDS,
    RULES,
    WIDTH,
    WIDTH_1,
    check_codes,
)
from ktrans.decoders.azure.records import Kind
from ktrans.decoders.flow_rule import added
from ktrans.decoders.partial_rows import Unread
from ktrans.decoders.read.azure_lines import TupleLines
from ktrans.decoders.read.faults import Faults
from ktrans.decoders.time_limits import TimeLimits
from ktrans.decoders.values import CSV_TYPES, NUMBERS, TYPES, Reason, Wrong, coerce, explain
from ktrans.decoders.values import Kind as FieldKind
from ktrans.kit.text.lines import line_bounds, not_utf8

_MISSING: dict[str, Reason] = {
    "time": "bad_timestamp",
    "source_ip": "bad_address",
    "destination_ip": "bad_address",
}
_COMMA = ord(",")
_BLANK = ord(" ")
_PARSE = {"quote_char": False, "double_quote": False, "ignore_empty_lines": False}


@dataclass(slots=True)
class Tuples:
    """The checked fields of tuples.

    Attributes:
        columns: the fields, by name.
        lines: indexes of the tuples in the block; None: all.
        unread: texts that could not be read, by name of the field; their field is null.
    """

    columns: dict[str, pa.Array]
    lines: np.ndarray | None = None
    unread: dict[str, pa.DictionaryArray] = field(default_factory=dict)

    def unread_values(self) -> dict[str, int]:
        """Return how many values could not be read, by flow column."""
        counts = ({COLUMN_OF[n]: len(c) - c.null_count} for n, c in self.unread.items())
        return added(*counts)


def read_fast(
    lines: TupleLines, kind: Kind, fields: frozenset[str], times: TimeLimits
) -> Tuples | None:
    """Read tuples that are expected to be well-formed; None if one of them is not.

    Args:
        lines: the tuples.
        kind: their layout.
        fields: names of the fields to read; the coded and the required ones are read in any case.
        times: which times can be right.
    """
    data = lines.data
    if not lines.tidy or b"x" in data:
        return None
    width = data.count(b",", 1, data.find(b"\n")) + 1
    if width != WIDTH and (width, kind) != (WIDTH_1, "nsg"):
        return None
    try:
        table = _read(data, ("", *NAMES[:width]), fields, typed=True)
    except pa.ArrowInvalid:
        return None
    if table.num_rows != lines.counts.sum() or _has_hex(data, table):
        return None
    columns: dict[str, pa.Array] = {}
    for name in table.column_names:
        columns[name], wrong = _check(name, table.column(name).chunk(0), kind, times)
        if wrong is not None:
            return None
    return Tuples(columns)


def _read(
    data: bytes | bytearray | pa.Buffer,
    names: tuple[str, ...],
    fields: frozenset[str],
    *,
    typed: bool,
) -> pa.Table:
    always = (*CODES, *REQUIRED_FIELDS)
    include = [name for name in names if name in always or name in fields]
    types = {}
    for name in include:
        kind: FieldKind = RULES[name].kind if name in RULES else "text"
        types[name] = pa.string() if kind in NUMBERS and not typed else CSV_TYPES[kind]
    buffer = data if isinstance(data, pa.Buffer) else pa.py_buffer(data)
    table = csv.read_csv(
        pa.BufferReader(buffer),
        csv.ReadOptions(column_names=names, block_size=buffer.size + 16, use_threads=False),
        csv.ParseOptions(**_PARSE),
        csv.ConvertOptions(
            column_types=types,
            null_values=[""],
            strings_can_be_null=True,
            include_columns=include,
        ),
    )
    return table if table.column(0).num_chunks == 1 else table.combine_chunks()


def _has_hex(data: bytes | bytearray, table: pa.Table) -> bool:
    """Return whether a number may be written as 0X1F, which Arrow reads as hexadecimal.

    An X may only be in the coded fields, where it means encryption.
    """
    accounted = 0
    for name in CODES:
        if name not in table.column_names:
            continue
        column = table.column(name).chunk(0)
        per_value = np.asarray(pc.count_substring(column.dictionary, "X"))
        if per_value.any():
            codes = np.asarray(column.indices.drop_null())
            accounted += int(np.bincount(codes, minlength=len(per_value)) @ per_value)
    return int(np.count_nonzero(np.frombuffer(data, np.uint8) == ord("X"))) != accounted


def _check(
    name: str, column: pa.Array, kind: Kind, times: TimeLimits
) -> tuple[pa.Array, Wrong | None]:
    if name in CODES:
        return check_codes(name, column, kind)
    checked, wrong = coerce(RULES[name], column)
    if name == "time":
        wrong = _both(wrong, times.wrong(checked))
    if name in _MISSING and column.null_count:
        wrong = _both(wrong, Wrong.of(np.asarray(column.is_null()), _MISSING[name]))
    return checked, wrong


def _both(first: Wrong | None, second: Wrong | None) -> Wrong | None:
    if first is None or second is None:
        return first or second
    rows = np.concatenate([first.rows, second.rows])
    return Wrong(rows, (*first.reasons, *second.reasons))


def read_carefully(
    lines: TupleLines, kind: Kind, fields: frozenset[str], times: TimeLimits
) -> tuple[Tuples, Faults]:
    """Find every bad tuple, and read the others.

    Returns:
        The good tuples with their indexes, and the faults of the bad ones.
    """
    plain = lines.plain()
    starts, ends = line_bounds(plain)
    faults = Faults()
    bad = np.zeros(len(starts), dtype=bool)
    _note_bytes(plain, starts, ends, bad, faults)
    commas = np.flatnonzero(np.frombuffer(plain, np.uint8) == _COMMA)
    widths = np.searchsorted(commas, ends) - np.searchsorted(commas, starts) + 1
    short = (widths == WIDTH_1) & (kind == "nsg") & ~bad
    wrong_width = ~short & (widths != WIDTH) & ~bad
    allowed = "8 or 13" if kind == "nsg" else "13"
    for line in np.flatnonzero(wrong_width).tolist():
        reason = "too_few_fields" if widths[line] < WIDTH else "too_many_fields"
        faults.add(line, reason, f"{widths[line]} fields where a tuple has {allowed}")
    good = np.flatnonzero(~bad & ~wrong_width)
    tuples = _read_good(plain, starts, short, good, fields, kind, faults, times)
    return tuples, faults


def _note_bytes(
    plain: bytes, starts: np.ndarray, ends: np.ndarray, bad: np.ndarray, faults: Faults
) -> None:
    """Note tuples with control characters, or that are not UTF-8."""
    content = np.frombuffer(plain, np.uint8)
    control = (content < _BLANK) & (content != ord("\n"))
    for line in np.unique(np.searchsorted(ends, np.flatnonzero(control))).tolist():
        bad[line] = True
        faults.add(line, "control_character", "a control character in a tuple")
    for line, error in not_utf8(plain, starts, ends):
        if not bad[line]:
            bad[line] = True
            found = f"the byte at position {error.start + 1} of the tuple is not UTF-8"
            faults.add(line, "invalid_utf8", found)


def _read_good(
    plain: bytes,
    starts: np.ndarray,
    short: np.ndarray,
    lines: np.ndarray,
    fields: frozenset[str],
    kind: Kind,
    faults: Faults,
    times: TimeLimits,
) -> Tuples:
    """Read the lines of the right width, and note the first fault of each."""
    offsets = np.append(starts, len(plain)).astype(np.int32)
    texts = pa.Array.from_buffers(
        pa.binary(), len(starts), [None, pa.py_buffer(offsets), pa.py_buffer(plain)]
    )
    if short.any():
        ending = b"," * (WIDTH - WIDTH_1) + b"\n"
        padded = pc.binary_replace_slice(texts, start=-1, stop=1 << 30, replacement=ending)
        texts = pc.if_else(pa.array(short), padded, texts)
    content = _content(texts.take(pa.array(lines)))
    if not content.size:
        return Tuples({name: _empty(name) for name in NAMES}, lines)
    table = _read(content, NAMES, fields, typed=False)
    seen = np.zeros(len(lines), dtype=bool)
    columns: dict[str, pa.Array] = {}
    unread: dict[str, pa.DictionaryArray] = {}
    for name in table.column_names:
        column = table.column(name).chunk(0)
        columns[name], wrong = _check(name, column, kind, times)
        if wrong is None:
            continue
        if name not in REQUIRED_FIELDS:
            unread[name] = Unread(name, COLUMN_OF[name], wrong, column).texts(len(lines))
            continue
        fresh = ~seen[wrong.rows]
        rows = wrong.rows[fresh]
        seen[rows] = True
        shown = column.take(pa.array(rows)).cast(pa.string()).to_pylist()
        reasons = np.array(wrong.reasons, dtype=object)[fresh].tolist()
        for line, reason, text in zip(lines[rows].tolist(), reasons, shown, strict=True):
            faults.add(line, reason, explain(name, RULES[name], reason, text or ""))
    if seen.any():
        good = pa.array(np.flatnonzero(~seen))
        columns = {name: column.take(good) for name, column in columns.items()}
        unread = {name: column.take(good) for name, column in unread.items()}
    return Tuples(columns, lines[~seen], unread)


def _empty(name: str) -> pa.Array:
    if name not in RULES or RULES[name].kind == "address":
        return pa.array([], pa.string()).dictionary_encode()
    return pa.array([], TYPES[RULES[name].kind])


def _content(texts: pa.BinaryArray) -> pa.Buffer:
    """Return the bytes of all texts, one after the other."""
    _, offsets, data = texts.buffers()
    if not len(texts) or data is None:
        return pa.py_buffer(b"")
    ends = np.frombuffer(offsets, np.int32)[texts.offset : texts.offset + len(texts) + 1]
    return data.slice(int(ends[0]), int(ends[-1] - ends[0]))
