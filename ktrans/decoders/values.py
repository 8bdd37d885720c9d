"""Converts raw values of any type into the types of the flow schema: one rule for each flow column.

Logs write the same number as a number, as a double or as text. Each kind of value has one function
here, which takes a column of whatever type the reader made, and returns which rows are wrong.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Literal

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ktrans.decoders.integers import to_integers, whole_texts
from ktrans.decoders.texts import changed
from ktrans.decoders.times import PLAIN, TimeUnit, Written, coerce_times
from ktrans.flow.addresses import canonical_addresses
from ktrans.flow.columns import as_text, lower_text, raw_values, recode
from ktrans.flow.protocols import protocol_number
from ktrans.flow.schema import BY_NAME, TEXT, TIME
from ktrans.flow.tcp_flags import read_tcp_flags

Kind = Literal[
    "text", "address", "port", "protocol", "flags", "small", "ip_version", "count", "time"
]
Reason = Literal[
    "wrong_type", "bad_integer", "out_of_range", "bad_address", "bad_timestamp", "time_out_of_range"
]

NULL_TEXTS: tuple[str, ...] = ("", "-")
"""Texts that logs write where they have no value."""

TYPES: dict[Kind, pa.DataType] = {
    "text": TEXT,
    "address": TEXT,
    "port": pa.int32(),
    "protocol": pa.int16(),
    "flags": pa.int16(),
    "small": pa.int16(),
    "ip_version": pa.int8(),
    "count": pa.int64(),
    "time": TIME,
}
CSV_TYPES: dict[Kind, pa.DataType] = {
    "text": TEXT,
    "address": TEXT,
    "port": pa.uint16(),
    "protocol": pa.uint8(),
    "flags": pa.uint16(),
    "small": pa.uint16(),
    "ip_version": TEXT,
    "count": pa.uint64(),
    "time": pa.uint64(),
}
"""The type that a CSV reader parses each kind as. Unsigned types of the right width check the range of ports
and protocols, and refuse negative numbers, at no cost."""

NUMBERS: frozenset[Kind] = frozenset({"port", "protocol", "flags", "small", "count", "time"})
_RANGES: dict[Kind, tuple[int, int]] = {
    "port": (0, 65535),
    "protocol": (0, 255),
    "flags": (0, 32767),
    "small": (0, 32767),
    "count": (0, (1 << 63) - 1),
}
_ADDRESSES = frozenset({"src_addr", "dst_addr", "src_pkt_addr", "dst_pkt_addr"})
_PORTS = frozenset({"src_port", "dst_port"})

_IP_NAMES = {"4": 4, "ipv4": 4, "2048": 4, "0x800": 4, "6": 6, "ipv6": 6, "34525": 6, "0x86dd": 6}
_SHOWN = 80


class Wrong(msgspec.Struct, frozen=True):
    """The rows of one column whose values cannot be read.

    Attributes:
        rows: their numbers.
        reasons: the reason code of each.
    """

    rows: np.ndarray
    reasons: tuple[str, ...]

    @classmethod
    def of(cls, mask: np.ndarray, reason: Reason) -> Wrong | None:
        """Return the marked rows with one reason; None if there are none."""
        rows = np.flatnonzero(mask)
        return cls(rows, (reason,) * len(rows)) if len(rows) else None


Coerced = tuple[pa.Array, Wrong | None]
Convert = Callable[[pa.Array], Coerced]


class Rule(msgspec.Struct, frozen=True):
    """A way to convert raw values to those of a flow column.

    Attributes:
        kind: the kind of the flow column.
        unit: unit of times.
        multiply: factor for numbers.
        values: flow value for each raw text, compared in lower case (None: null); other texts stay
            as they are.
        lower: whether texts are brought to lower case.
        convert: function that converts the column instead.
        nulls: texts that stand for null.
        strict: whether numbers in text may hold nothing but digits, and times in text must be Unix
            times, or RFC 3339 if that is the unit.
        negative_is_null: whether counts below zero stand for null; otherwise they are out of range.
        pattern: a regular expression with a group `value`, which is what counts of a text; a text
            without a match has no value.
        written: how times are written as text.
    """

    kind: Kind
    unit: TimeUnit = "auto"
    multiply: float | None = None
    values: Mapping[str, str | None] | None = None
    lower: bool = False
    convert: Convert | None = None
    nulls: tuple[str, ...] = NULL_TEXTS
    strict: bool = False
    negative_is_null: bool = True
    pattern: str | None = None
    written: Written = PLAIN


def kind_of(column: str) -> Kind:
    """Return the kind of a flow column."""
    if column in _ADDRESSES:
        return "address"
    if column in _PORTS:
        return "port"
    special: dict[str, Kind] = {
        "protocol": "protocol",
        "tcp_flags": "flags",
        "log_version": "small",
        "ip_version": "ip_version",
    }
    if column in special:
        return special[column]
    kind = BY_NAME[column].type
    if kind == TIME:
        return "time"
    return "count" if kind == pa.int64() else "text"


def coerce(rule: Rule, column: pa.Array) -> Coerced:
    """Return a column in the type of its kind (TYPES), null where wrong, and the wrong rows."""
    if rule.pattern is not None:
        column = _extracted(text_of(column, rule.nulls), rule.pattern)
    if rule.convert is not None:
        return rule.convert(column)
    if rule.values is not None or rule.kind in ("text", "address"):
        column = _reworded(rule, text_of(column, rule.nulls))
    if rule.kind == "text":
        return column, None
    if rule.kind == "address":
        return _addresses(column)
    if rule.kind == "time":
        plain = _plain(column, rule.nulls)
        times, bad = coerce_times(plain, rule.unit, strict=rule.strict, written=rule.written)
        return times, None if bad is None else Wrong.of(bad, "bad_timestamp")
    if rule.kind == "protocol":
        column = _named(column, protocol_number)
    elif rule.kind == "flags" and not rule.strict:
        column = _named(column, read_tcp_flags)
    elif rule.kind == "ip_version":
        return _ip_versions(column), None
    return _numbers(rule, _plain(column, rule.nulls))


def text_of(column: pa.Array, null_texts: tuple[str, ...] = NULL_TEXTS) -> pa.DictionaryArray:
    """Return a column as text, with null for the texts that stand for it."""
    text = as_text(column)
    if not null_texts or all_longer(text.dictionary, max(map(len, null_texts))):
        return text
    nothing = pc.is_in(text.dictionary, value_set=pa.array(null_texts, pa.string()))
    if not pc.any(nothing).as_py():
        return text
    return recode(text, pc.if_else(nothing, pa.scalar(None, pa.string()), text.dictionary))


def all_longer(texts: pa.StringArray, length: int) -> bool:
    """Return whether each text has more bytes than this; a null has none."""
    _, offsets, _ = texts.buffers()
    if offsets is None or not len(texts):
        return True
    bounds = np.frombuffer(offsets, np.int32)[texts.offset : texts.offset + len(texts) + 1]
    return bool((bounds[1:] - bounds[:-1]).min() > length)


def explain(name: str, rule: Rule, reason: str, text: str | None) -> str:
    """Return what is wrong with a value, for people."""
    shown = text or ""
    shown = shown if len(shown) <= _SHOWN else f"{shown[: _SHOWN - 3]}..."
    if reason == "bad_address":
        return f"{name}: {shown!r} is neither an IPv4 nor an IPv6 address"
    if reason == "time_out_of_range":
        return f"{name}: {shown} is before limits.earliest_time, or not before limits.latest_time"
    if reason == "bad_timestamp":
        text = f"{name}: {shown!r} is neither a Unix time nor an RFC 3339 time"
        forms = " or ".join(form.text for form in rule.written.formats)
        return f"{text}, nor one of the format {forms}" if forms else text
    if rule.kind in _RANGES:
        low, high = _RANGES[rule.kind]
        return f"{name}: {shown!r} is not an integer of {low} to {high}"
    return f"{name}: {shown!r} cannot be read"


def _reworded(rule: Rule, column: pa.DictionaryArray) -> pa.DictionaryArray:
    values = rule.values
    if values is not None:
        column = changed(column, lambda word: values.get(word.lower(), word))
    return lower_text(column) if rule.lower else column


def _extracted(column: pa.DictionaryArray, pattern: str) -> pa.DictionaryArray:
    """Return the part of each text that a pattern wants."""
    found = pc.extract_regex(column.dictionary, pattern)
    return recode(column, pc.struct_field(found, "value"))


def _named(column: pa.Array, number: Callable[[str], int | None]) -> pa.Array:
    """Replace names by numbers."""
    if not (pa.types.is_string(column.type) or pa.types.is_dictionary(column.type)):
        return column
    text = as_text(column)
    if all(word is None or word.isdigit() for word in text.dictionary.to_pylist()):
        return column

    def digits(word: str) -> str:
        found = None if word.isdigit() else number(word)
        return word if found is None else str(found)

    return changed(text, digits)


def _plain(column: pa.Array, null_texts: tuple[str, ...]) -> pa.Array:
    """Return texts as a plain array, null where they stand for it; other types unchanged."""
    if pa.types.is_dictionary(column.type):
        return text_of(column, null_texts).cast(pa.string())
    if not pa.types.is_string(column.type) or not null_texts:
        return column
    lengths = raw_values(pc.binary_length(column))
    short = lengths <= max(map(len, null_texts))
    if not short.any():
        return column
    nothing = pc.is_in(column, value_set=pa.array(null_texts, pa.string()))
    return pc.if_else(nothing, pa.scalar(None, pa.string()), column)


def _addresses(column: pa.DictionaryArray) -> Coerced:
    canonical, invalid = canonical_addresses(column.dictionary)
    wrong = None
    if invalid is not None:
        codes = np.asarray(column.indices.fill_null(0))
        wrong = Wrong.of(invalid[codes] & np.asarray(column.is_valid()), "bad_address")
        canonical = pc.if_else(pa.array(invalid), pa.scalar(None, pa.string()), canonical)
    return (column if canonical is column.dictionary else recode(column, canonical)), wrong


def _ip_versions(column: pa.Array) -> pa.Array:
    """Convert 4, 6, IPv4, IPv6 and ether types; any other value is null."""
    text = as_text(column)
    words = [_IP_NAMES.get((word or "").lower()) for word in text.dictionary.to_pylist()]
    return pa.array(words, pa.int8()).take(text.indices)


def is_ip_type(word: str) -> bool:
    """Return whether the type of a frame is one of IP's, or unknown (0)."""
    return word.lower() in {*_IP_NAMES, "0"}


def _unsigned(rule: Rule, column: pa.Array) -> Coerced:
    """Convert unsigned integers, whose type may be narrow enough to hold no value out of range."""
    typed, (_, high) = TYPES[rule.kind], _RANGES[rule.kind]
    if (1 << column.type.bit_width) - 1 <= high:
        return column.cast(typed), None
    over = raw_values(column) > high
    if over.any() and column.null_count:
        over &= np.asarray(column.is_valid())
    wrong = Wrong.of(over, "out_of_range") if over.any() else None
    if wrong is not None:
        column = pc.if_else(pa.array(over), pa.scalar(None, column.type), column)
    if column.type.bit_width == typed.bit_width:
        return column.view(typed), wrong
    return column.cast(typed, safe=False), wrong


def _numbers(rule: Rule, column: pa.Array) -> Coerced:
    """Convert integers, multiply them, and check their range."""
    if pa.types.is_unsigned_integer(column.type) and rule.multiply in (None, 1):
        return _unsigned(rule, column)
    numbers, bad = to_integers(column, rule.multiply, strict=rule.strict)
    low, high = _RANGES[rule.kind]
    values = raw_values(numbers)
    valid = np.asarray(numbers.is_valid()) if numbers.null_count else None
    outside = values < low
    if high < (1 << 63) - 1:
        outside |= values > high
    if not outside.any() and bad is None:
        return numbers.cast(TYPES[rule.kind]), None
    if valid is not None:
        outside &= valid
    if outside.any():
        numbers = pc.if_else(pa.array(outside), pa.scalar(None, pa.int64()), numbers)
    typed = numbers.cast(TYPES[rule.kind])
    if rule.kind == "count" and rule.negative_is_null:
        # A counter below zero means that the log had nothing to count, not that the row is bad.
        outside = np.zeros(len(outside), dtype=bool)
    if bad is None:
        return typed, Wrong.of(outside, "out_of_range")
    faults = np.flatnonzero(outside | bad)
    odd = bad[faults] & ~whole_texts(column.take(pa.array(faults)), strict=rule.strict)
    no_integer: Reason = "bad_integer" if rule.strict else "wrong_type"
    reasons: list[Reason] = [no_integer if b else "out_of_range" for b in odd.tolist()]
    return typed, Wrong(faults, tuple(reasons)) if len(faults) else None
