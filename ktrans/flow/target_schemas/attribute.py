"""The attributes in the tables of target schemas."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import pyarrow as pa

from ktrans.flow.schema import TEXT

INT = pa.int32()
LONG = pa.int64()
TEXTS = pa.list_(TEXT)


@dataclass(frozen=True, slots=True)
class Attribute:
    """One attribute of a target schema.

    Attributes:
        path: the names from the top of the record down to it.
        kind: its Arrow type.
        columns: the flow columns whose values it carries; none for a constant.
        by: further columns that decide where the value goes, if anywhere.
        rule: how its value is computed, by the name of the rule in the enricher. `copy` takes
            the first column, `words` looks the column's word up in `words`, `constant` is `value`.
        words: new values by words; the value for None is for rows without a word.
        other: the value for words that `words` does not have.
        value: of a constant, or a parameter of the rule.
        note: how the value changes, for people.
        part: the optional part of the record that it belongs to.
        since: the first version of the target schema that has it.
    """

    path: tuple[str, ...]
    kind: pa.DataType
    columns: tuple[str, ...] = ()
    by: tuple[str, ...] = ()
    rule: str = "copy"
    words: Mapping[Any, Any] = field(default_factory=dict, hash=False)
    other: Any = None
    value: Any = None
    note: str = ""
    part: str = ""
    since: tuple[int, int] = (1, 0)

    @property
    def name(self) -> str:
        """The path with dots."""
        return ".".join(self.path)


def at(path: str, kind: pa.DataType, *columns: str, **more: Any) -> Attribute:
    return Attribute(tuple(path.split(".")), kind, columns=columns, **more)


def constant(path: str, kind: pa.DataType, value: Any, **more: Any) -> Attribute:
    return Attribute(tuple(path.split(".")), kind, rule="constant", value=value, **more)


def words(
    path: str, kind: pa.DataType, column: str, words: Mapping[Any, Any], **more: Any
) -> Attribute:
    shown = ", ".join(f"{word or 'none'}: {value}" for word, value in words.items())
    more.setdefault("note", shown)
    return Attribute(
        tuple(path.split(".")), kind, columns=(column,), rule="words", words=words, **more
    )


def under(top: str, attributes: Iterable[Attribute]) -> tuple[Attribute, ...]:
    """Put attributes whose dotted names stay whole (OpenTelemetry's) under one column."""
    return tuple(replace(each, path=(top, each.name)) for each in attributes)


SIDES = {"src": ("src_addr", "src_pkt_addr"), "dst": ("dst_addr", "dst_pkt_addr")}
REPORTED = ("direction", "reporter")
"""The columns that tell which side of the flow the capture point is on."""

TOTAL_NOTE = "only where the log counts both directions"
ORIGINAL_NOTE = "the packet's own address where the log has it"
