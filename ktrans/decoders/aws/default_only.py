"""Recognises the records of text logs in the format of AWS."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow.compute as pc

from ktrans.api import Head, Sniff
from ktrans.decoders.aws.layout import Dialect, is_time, parse_header
from ktrans.decoders.values import Rule, coerce

_VERSION_RULE = Rule("small", nulls=(), strict=True)
_LOOKED_AT = 20
_SURE, _LIKELY = 100, 85


def has_version(columns: Mapping[str, Any], version: int) -> np.ndarray:
    """Return which rows have this version."""
    versions, _ = coerce(_VERSION_RULE, columns["version"])
    same: np.ndarray = np.asarray(versions.fill_null(0)) == version
    return same


def matching(columns: Mapping[str, Any], patterns: Mapping[str, str]) -> np.ndarray:
    """Return which rows have texts that match, in each of some fields.

    Args:
        columns: text columns by field.
        patterns: regular expressions by field, anchored at both ends.
    """
    answer: np.ndarray | None = None
    for name, pattern in patterns.items():
        column = columns[name]
        fits = np.asarray(pc.match_substring_regex(column.dictionary, pattern).fill_null(False))
        rows = np.append(fits, False)[np.asarray(column.indices.fill_null(len(fits)))]
        answer = rows if answer is None else answer & rows
    assert answer is not None
    return answer


def sniff_records(
    head: Head, dialect: Dialect, patterns: Mapping[str, str], *, score: int = _LIKELY
) -> Sniff | None:
    """Claim text whose header line or first record is that of this log.

    Args:
        head: the object's beginning.
        dialect: the log.
        patterns: regular expressions by field, which the fields of a record match.
        score: of the claim on a record.
    """
    if head.columns is not None:
        return None
    data = head.data.removeprefix(b"\xef\xbb\xbf")
    for line in [line for line in data.split(b"\n") if line.strip()][:_LOOKED_AT]:
        layout = parse_header(line.rstrip(b"\r"), dialect)
        if layout is not None and set(layout.names) == set(dialect.default):
            return Sniff(_SURE, f"header line names the fields of {dialect.log_type}")
        tokens = line.split()
        if tokens and is_time(tokens[0]):
            tokens = tokens[1:]
        if _fits(tokens, dialect.default, patterns):
            return Sniff(score, f"a line has the {len(tokens)} fields of {dialect.log_type}")
    return None


def _fits(tokens: Sequence[bytes], names: tuple[str, ...], patterns: Mapping[str, str]) -> bool:
    if len(tokens) != len(names):
        return False
    texts = {name: token.decode("latin-1") for name, token in zip(names, tokens, strict=True)}
    return all(re.match(pattern, texts[name]) for name, pattern in patterns.items())
