"""Names that a message takes from its row, such as its subject: `flows.{provider}`."""

from __future__ import annotations

import re
from string import Formatter
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from ktrans.kit.files.path_template import Slot
from ktrans.kit.messages.encode import TextOf
from ktrans.kit.rows.scalars import scalar_text

MISSING = "unknown"
"""What a null becomes in a name."""
_compute: Any = pc


def parse_name(text: str, legal: re.Pattern[str], rule: str) -> tuple[str | Slot, ...]:
    """Parse a name with slots, which begins with fixed text.

    Args:
        text: the name.
        legal: what the texts between the slots must match.
        rule: says what is legal.

    Raises:
        ValueError: it has other characters, braces that are no slot, or begins with a slot.
    """
    parts: list[str | Slot] = []
    try:
        found = list(Formatter().parse(text))
    except ValueError as error:
        raise ValueError(f"braces do not match ({error})") from None
    for literal, name, spec, conversion in found:
        if literal:
            if not legal.fullmatch(literal):
                raise ValueError(rule)
            parts.append(literal)
        if name is not None:
            if not name or spec or conversion:
                raise ValueError("a slot is {column}")
            parts.append(Slot(name))
    if not parts or not isinstance(parts[0], str):
        raise ValueError("a name begins with fixed text, such as flows- in flows-{provider}")
    return tuple(parts)


def columns_of(parts: tuple[str | Slot, ...]) -> list[str]:
    """Return the columns of a name's slots."""
    return [part.column for part in parts if isinstance(part, Slot)]


def name_text(parts: tuple[str | Slot, ...], illegal: str) -> TextOf:
    """Return a function for the name of each row; null and empty texts become `unknown` in it.

    Args:
        parts: of the name.
        illegal: a regular expression of characters of values that become _.
    """

    def value(column: pa.Array) -> pa.Array:
        texts = _without(scalar_text(column), illegal).fill_null(MISSING)
        return _compute.if_else(_compute.equal(texts, ""), MISSING, texts)

    def text(batch: pa.RecordBatch) -> pa.Array:
        texts = [
            value(batch.column(part.column)) if isinstance(part, Slot) else pa.scalar(part)
            for part in parts
        ]
        return _compute.binary_join_element_wise(*texts, "")

    return text


def header_text(column: str, illegal: str) -> TextOf:
    """Return a function for the text of a column, in which some characters become _."""

    def text(batch: pa.RecordBatch) -> pa.Array:
        return _without(scalar_text(batch.column(column)), illegal)

    return text


def _without(texts: pa.Array, illegal: str) -> pa.Array:
    """Replace characters of the distinct texts."""
    coded = texts.dictionary_encode()
    return _compute.replace_substring_regex(coded.dictionary, illegal, "_").take(coded.indices)
