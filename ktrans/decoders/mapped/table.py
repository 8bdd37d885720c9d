"""Tables that map the values of a record to flow columns."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from ktrans.decoders.flow_rule import REQUIRED, named_records
from ktrans.decoders.partial_rows import PartialRows
from ktrans.decoders.read.raw_columns import Path, RawColumns
from ktrans.decoders.texts import changed
from ktrans.decoders.values import Coerced, Convert, Rule, kind_of, text_of
from ktrans.flow.columns import coalesce_text

_SEGMENT = re.compile(r'"((?:[^"\\]|\\.)*)"|([^."]+)')


def parse_path(text: str) -> Path:
    """Parse a dotted path; a name with dots in it is written in double quotes.

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
class Col:
    """The values that a flow column is read from.

    Attributes:
        column: the flow column.
        paths: values of the record; the first that is not null counts.
        rule: how they are converted.
        in_attrs: whether the value is kept in attrs as well.
    """

    column: str
    paths: tuple[Path, ...]
    rule: Rule
    in_attrs: bool = False


def col(column: str, *paths: str, in_attrs: bool = False, **rule: Any) -> Col:
    """Map a flow column to values of the record, converted as the column's type requires.

    Args:
        column: the flow column.
        paths: dotted paths; the first that has a value counts.
        in_attrs: keep the value in attrs as well.
        rule: options of `Rule`, such as `unit`, `multiply`, `values`, `lower`, `convert`.
    """
    parsed = tuple(parse_path(path) for path in paths)
    return Col(column, parsed, Rule(**{"kind": kind_of(column), **rule}), in_attrs)


def each_text(change: Callable[[str], str | None]) -> Convert:
    """Return a conversion that changes each distinct text; None means that there is no value."""

    def convert(column: pa.Array) -> Coerced:
        return changed(text_of(column), change), None

    return convert


@dataclass(frozen=True, slots=True)
class Where:
    """Marks the records of which one value meets a test; records without the value are not marked.

    Attributes:
        path: of the value, within an envelope.
        test: returns whether a text marks its record.
    """

    path: Path
    test: Callable[[str], bool]

    def names(self, native: RawColumns, envelopes: Sequence[Path]) -> pa.DictionaryArray | None:
        """Return the names of the records that are marked, or None if there are none."""
        found: pa.DictionaryArray | None = None
        for envelope in envelopes:
            column = native.columns.get(envelope + self.path)
            if column is None:
                continue
            names = named_records(text_of(column), self.path[-1], self.test)
            if names is not None:
                found = names if found is None else coalesce_text(found, names)
        return found


def where(
    path: str,
    *,
    not_: str | None = None,
    unlike: str | None = None,
    test: Callable[[str], bool] | None = None,
) -> Where:
    """Mark the records whose value at a path differs from a text or a pattern, or meets a test.

    Args:
        path: dotted path of the value.
        not_: records with any other text are marked.
        unlike: records in whose text this regular expression is not found are marked.
        test: returns whether a text marks its record.
    """
    if unlike is not None:
        wanted = re.compile(unlike)
        return Where(parse_path(path), lambda text: wanted.search(text) is None)
    return Where(parse_path(path), test or (lambda text: text != not_))


def _derive_nothing(work: PartialRows) -> None:
    del work


@dataclass(frozen=True, kw_only=True)
class Table:
    """A mapping of records to flow columns.

    Attributes:
        columns: what the flow columns are read from.
        constants: text of flow columns that have the same value in every row.
        defaults: text of flow columns in rows where they are null.
        envelopes: paths of objects that may enclose the record; the empty path is the record itself.
        objects: objects within the record whose members are values of their own, besides those on
            the paths of `columns` and `reads`; other objects become JSON text.
        reads: other values that `derive` and `skip` read, with the flow columns that depend on
            them; an empty tuple means that they are always read.
        always: flow columns that `derive` needs even if they were not asked for.
        hidden: values that are not put in attrs although no column reads them.
        skip: marks the records of another kind: they are left out, and counted by what they are. A
            function returns a name for each of these records, and None if there are none.
        derive: fills flow columns that are computed from several values.
        rate: values that are the sampling rate; the first that is there counts.
        scale: whether counters are multiplied by the sampling rate.
        unset: texts that stand for no value in attrs, by the name of the value; by default the empty
            text and a dash.
        rest: whether values that no column reads are put in attrs.
        all_text: whether every value is a text.
        stored: whether records are flow rows already, whose ports and IP version stay as they are.
    """

    columns: tuple[Col, ...]
    constants: Mapping[str, str] = field(default_factory=dict)
    defaults: Mapping[str, str] = field(default_factory=dict)
    envelopes: tuple[Path, ...] = ((),)
    objects: tuple[Path, ...] = ()
    reads: Mapping[Path, tuple[str, ...]] = field(default_factory=dict)
    always: frozenset[str] = frozenset()
    hidden: frozenset[Path] = frozenset()
    skip: Where | tuple[Where, ...] | Callable[[RawColumns], pa.DictionaryArray | None] | None = (
        None
    )
    derive: Callable[[PartialRows], None] = _derive_nothing
    rate: tuple[Path, ...] = ()
    scale: bool = False
    unset: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    rest: bool = True
    all_text: bool = False
    stored: bool = False

    def __post_init__(self) -> None:
        if isinstance(self.skip, Where):
            object.__setattr__(self, "skip", (self.skip,))
        if isinstance(self.skip, tuple):
            paths = [each.path for each in self.skip]
            object.__setattr__(self, "reads", {**dict.fromkeys(paths, ()), **self.reads})
        if self.scale:
            object.__setattr__(self, "reads", {**dict.fromkeys(self.rate, ()), **self.reads})

    def other_records(self, native: RawColumns) -> pa.DictionaryArray | None:
        """Return the names of the records of another kind, or None if there are none."""
        if callable(self.skip):
            return self.skip(native)
        found: pa.DictionaryArray | None = None
        for each in self.skip if isinstance(self.skip, tuple) else ():
            names = each.names(native, self.envelopes)
            if names is not None:
                found = names if found is None else coalesce_text(found, names)
        return found

    def can_be_unread(self) -> frozenset[str]:
        """Return the flow columns with values that can be such that they cannot be read."""
        texts = ("text", "ip_version")
        return frozenset(
            each.column
            for each in self.columns
            if each.rule.kind not in texts or each.rule.convert is not None
        )

    def all_parents(self) -> frozenset[Path]:
        """Return the paths of all objects to look into, from the top."""
        found: set[Path] = set()
        inside = [p for c in self.columns for p in c.paths] + list(self.reads)
        for envelope in self.envelopes:
            found.update(envelope[:end] for end in range(1, len(envelope) + 1))
            for path in inside:
                whole = envelope + path
                found.update(whole[:end] for end in range(1, len(whole)))
            for path in self.objects:
                whole = envelope + path
                found.update(whole[:end] for end in range(1, len(whole) + 1))
        return frozenset(found)

    def needed(self, wanted: Iterable[str]) -> dict[Path, pa.DataType]:
        """Return the paths that some flow columns are read from, with the types to expect."""
        columns = set(wanted) | set(REQUIRED) | self.always
        if columns & {"src_port", "dst_port"}:
            columns.add("protocol")
        if "ip_version" in columns:
            columns |= {"src_addr", "dst_addr"}
        types: dict[Path, pa.DataType] = {}
        for each in self.columns:
            if each.column in columns:
                for path in each.paths:
                    types[path] = pa.string() if self.all_text else _likely(each.rule)
        for path, targets in self.reads.items():
            if not targets or columns & set(targets):
                types.setdefault(path, pa.string())
        return {env + path: kind for env in self.envelopes for path, kind in types.items()}

    def numbers(self) -> frozenset[Path]:
        """Return the paths of values that are read as numbers, from the top."""
        paths = {
            path
            for each in self.columns
            if each.rule.kind not in ("text", "address")
            for path in each.paths
        }
        return frozenset(envelope + path for envelope in self.envelopes for path in paths)


def _likely(rule: Rule) -> pa.DataType:
    if (
        rule.pattern is not None
        or rule.kind in ("text", "address")
        or (rule.kind == "time" and rule.unit in ("auto", "rfc3339"))
    ):
        return pa.string()
    return pa.int64()
