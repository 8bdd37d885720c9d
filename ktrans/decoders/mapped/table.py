"""The tables by which records of named values become flow rows: one table a log."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from ktrans.decoders.mapped.values import Rule, kind_of
from ktrans.decoders.read.json_careful import Path

if TYPE_CHECKING:
    import numpy as np

    from ktrans.decoders.mapped.rows import Work
    from ktrans.decoders.read.json_careful import Native

_SEGMENT = re.compile(r'"((?:[^"\\]|\\.)*)"|([^."]+)')
_TELLING = frozenset(
    {
        "start_time",
        "end_time",
        "logged_at",
        "src_addr",
        "dst_addr",
        "packets",
        "bytes",
        "packets_rev",
        "bytes_rev",
    }
)


def parse_path(text: str) -> Path:
    """Read a dotted path; a name with dots in it stands in double quotes.

    Raises:
        ValueError: with what is wrong, for people.
    """
    names: list[str] = []
    place = 0
    while True:
        match = _SEGMENT.match(text, place)
        if match is None:
            raise ValueError(
                f"{text!r} is not a path: names with dots between, such as `flow.src.ip`; "
                'a name that has dots itself goes in double quotes: `labels."app.name"`'
            )
        names.append(match[2] if match[2] is not None else match[1].replace('\\"', '"'))
        place = match.end()
        if place == len(text):
            return tuple(names)
        if text[place] != ".":
            raise ValueError(f"{text!r} is not a path: a dot is missing after {names[-1]!r}")
        place += 1


@dataclass(frozen=True, slots=True)
class Field:
    """Where one flow column comes from.

    Attributes:
        column: the flow column.
        paths: values to take, the first that is there.
        rule: how they are read.
        shown: keep the value in attrs as well.
    """

    column: str
    paths: tuple[Path, ...]
    rule: Rule
    shown: bool = False


def flow_field(column: str, *paths: str, shown: bool = False, **rule: Any) -> Field:
    """Make a field whose kind follows from the flow column."""
    parsed = tuple(parse_path(path) for path in paths)
    return Field(column, parsed, Rule(**{"kind": kind_of(column), **rule}), shown)


def _no_derive(work: Work) -> None:
    del work


@dataclass(frozen=True)
class Table:
    """One log: its fields, and what is particular about it.

    Attributes:
        fields: where the flow columns come from.
        constants: text of flow columns that say the same in every row.
        defaults: text where a column has none.
        wrappers: objects that a record may lie in, by path from the top; the empty path is the
            record itself.
        parents: objects within the record to look into, beyond those that the paths go through.
        uses: other values that `derive` and `foreign` draw on, with the flow columns that need
            them; an empty tuple means always.
        always: flow columns that `derive` needs whether they are wanted or not.
        hidden: values that do not go to attrs although no field takes them.
        foreign: gives a mask of the rows that are not flows, or None.
        derive: fills the columns that take more than one value.
        rest: whether values without a column go to attrs.
        all_text: every value is text.
    """

    fields: tuple[Field, ...]
    constants: Mapping[str, str] = field(default_factory=dict)
    defaults: Mapping[str, str] = field(default_factory=dict)
    wrappers: tuple[Path, ...] = ((),)
    parents: tuple[Path, ...] = ()
    uses: Mapping[Path, tuple[str, ...]] = field(default_factory=dict)
    always: frozenset[str] = frozenset()
    hidden: frozenset[Path] = frozenset()
    foreign: Callable[[Native], np.ndarray | None] | None = None
    derive: Callable[[Work], None] = _no_derive
    rest: bool = True
    all_text: bool = False

    def all_parents(self) -> frozenset[Path]:
        """Give every object to look into, from the top."""
        found: set[Path] = set()
        inside = [p for f in self.fields for p in f.paths] + list(self.uses)
        for wrapper in self.wrappers:
            found.update(wrapper[:end] for end in range(1, len(wrapper) + 1))
            for path in inside:
                whole = wrapper + path
                found.update(whole[:end] for end in range(1, len(whole)))
            for path in self.parents:
                whole = wrapper + path
                found.update(whole[:end] for end in range(1, len(whole) + 1))
        return frozenset(found)

    def needed(self, wanted: Iterable[str]) -> dict[Path, pa.DataType]:
        """Give the values that some flow columns draw on, from the top, with their likely types."""
        columns = set(wanted) | _TELLING | self.always
        if columns & {"src_port", "dst_port"}:
            columns.add("protocol")
        types: dict[Path, pa.DataType] = {}
        for each in self.fields:
            if each.column in columns:
                for path in each.paths:
                    types[path] = pa.string() if self.all_text else _likely(each.rule)
        for path, targets in self.uses.items():
            if not targets or columns & set(targets):
                types.setdefault(path, pa.string())
        return {wrapper + path: kind for wrapper in self.wrappers for path, kind in types.items()}

    def numbers(self) -> frozenset[Path]:
        """Give the values that are read as numbers, from the top."""
        paths = {
            path
            for each in self.fields
            if each.rule.kind not in ("text", "address")
            for path in each.paths
        }
        return frozenset(wrapper + path for wrapper in self.wrappers for path in paths)

    def telling(self) -> tuple[Path, ...]:
        """Give the values of which a flow record has at least one, within a wrapper."""
        return tuple(p for f in self.fields if f.column in _TELLING for p in f.paths)


def _likely(rule: Rule) -> pa.DataType:
    if rule.kind in ("text", "address") or (
        rule.kind == "time" and rule.unit in ("auto", "rfc3339")
    ):
        return pa.string()
    return pa.int64()
