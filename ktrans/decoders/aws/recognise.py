"""Recognises text logs in the format of AWS: objects by their first bytes, records by their fields."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from ktrans.api import Head, Sniff
from ktrans.decoders.aws.layout import (
    MIN_KNOWN,
    Dialect,
    Layout,
    field_names,
    is_time,
    parse_header,
)
from ktrans.decoders.texts import marked

_TGW_MARKS = ("tgw-id", "resource-type", "tgw-attachment-id")
_VPC_WIDTH = 14
_TGW_WIDTH = 36
_LOOKED_AT = 20
_SURE, _LIKELY = 100, 85


def has_version(columns: Mapping[str, Any], version: int) -> np.ndarray:
    """Return which rows have this version."""
    from ktrans.decoders.values import Rule, coerce

    versions, _ = coerce(Rule("small", nulls=(), strict=True), columns["version"])
    same: np.ndarray = np.asarray(versions.fill_null(0)) == version
    return same


def matching(columns: Mapping[str, Any], patterns: Mapping[str, str]) -> np.ndarray:
    """Return which rows have texts that match, in each of some fields.

    Args:
        columns: text columns by field.
        patterns: regular expressions by field, anchored at both ends.
    """
    fits = [marked(columns[name], re.compile(text).match) for name, text in patterns.items()]
    answer: np.ndarray = np.logical_and.reduce(fits)
    return answer


def sniff_records(
    head: Head, dialect: Dialect, patterns: Mapping[str, str], *, score: int = _LIKELY
) -> Sniff | None:
    """Claim text whose header line or first record is that of a log with one format only.

    Args:
        head: the object's beginning.
        dialect: the log.
        patterns: regular expressions by field, which the fields of a record match.
        score: of the claim on a record.
    """
    if head.columns is not None:
        return None
    for line, layout in _lines(head.data, dialect):
        if layout is not None and set(layout.names) == set(dialect.default):
            return Sniff(_SURE, f"header line names the fields of {dialect.log_type}")
        tokens, _ = _tokens(line)
        if _fits(tokens, dialect.default, patterns):
            return Sniff(score, f"a line has the {len(tokens)} fields of {dialect.log_type}")
    return None


def sniff_aws(head: Head, dialect: Dialect) -> Sniff | None:
    """Make a claim on an object that holds this kind of AWS flow log."""
    if head.columns is not None:
        return _by_names(
            field_names(head.columns, dialect), head.columns, dialect, "Parquet columns are"
        )
    for line, layout in _lines(head.data, dialect):
        if layout is not None:
            written = line.decode("ascii", "replace").removeprefix("\ufeff").split()
            return _by_names(layout.names, written, dialect, "header line names")
        found = _by_record(line, dialect, "a line")
        if found is not None:
            return found
    return None


def _lines(data: bytes, dialect: Dialect) -> Iterator[tuple[bytes, Layout | None]]:
    """Yield the first lines that are text, with the layout of those that are headers."""
    lines = data.removeprefix(b"\xef\xbb\xbf").split(b"\n")
    for line in [line for line in lines if line.strip()][:_LOOKED_AT]:
        if not line.lstrip().startswith(b"{"):
            yield line, parse_header(line.rstrip(b"\r"), dialect)


def _tokens(line: bytes) -> tuple[list[bytes], bool]:
    """Return the fields of a line, and whether there was a time before them."""
    tokens = line.split()
    stamped = bool(tokens) and is_time(tokens[0])
    return tokens[stamped:], stamped


def _fits(tokens: Sequence[bytes], names: tuple[str, ...], patterns: Mapping[str, str]) -> bool:
    if len(tokens) != len(names):
        return False
    texts = {name: token.decode("latin-1") for name, token in zip(names, tokens, strict=True)}
    return all(re.match(pattern, texts[name]) for name, pattern in patterns.items())


def _by_names(
    names: Iterable[str], written: Iterable[str], dialect: Dialect, what: str
) -> Sniff | None:
    """Recognise a table by its fields, which are those of flows.

    Args:
        names: the fields.
        written: their names as they are written; another tool may have done that.
        dialect: the log.
        what: what was seen, for people.
    """
    given = list(names)
    known = sum(name in dialect.by_name for name in given)
    if known < min(MIN_KNOWN, len(given)) or known * 2 <= len(given) or dialect.what_lacks(given):
        return None
    gateway = any(mark in given for mark in _TGW_MARKS) or any(n.startswith("tgw-") for n in given)
    if gateway != (dialect.name == "aws_tgw"):
        return None
    own = all(name.lower().replace("_", "-") in dialect.by_name for name in written)
    score = _SURE if own else _LIKELY
    new = "" if known == len(given) else f" and {len(given) - known} unknown ones"
    return Sniff(score, f"{what} {known} known fields of {dialect.log_type}{new}")


def _by_record(line: bytes, dialect: Dialect, what: str) -> Sniff | None:
    """Recognise a record of the default format; other formats need a header or an option."""
    tokens, stamped = _tokens(line)
    prefix = " behind a time" if stamped else ""
    if dialect.name == "aws_vpc":
        if len(tokens) == _VPC_WIDTH and tokens[0] == b"2":
            return Sniff(_LIKELY, f"{what} has the 14 fields of version 2{prefix}")
        return None
    if (
        len(tokens) == _TGW_WIDTH
        and tokens[1] in (b"TransitGateway", b"-")
        and (tokens[2].startswith(b"tgw-") or tokens[3].startswith(b"tgw-"))
    ):
        return Sniff(_LIKELY, f"{what} has the 36 fields of a transit gateway{prefix}")
    return None
