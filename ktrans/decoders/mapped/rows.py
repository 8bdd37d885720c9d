"""From columns by path to batches of the flow schema, after the table of a log."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import reduce

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ktrans.decoders.mapped.table import Col, Table
from ktrans.decoders.mapped.values import Coerced, Wrong, coerce, explain, text_of
from ktrans.decoders.read.faults import Faults
from ktrans.decoders.read.json_careful import Native, Path, Shape
from ktrans.flow.addresses import ip_versions
from ktrans.flow.attrs import build_attrs
from ktrans.flow.columns import coalesce_text, constant_text, flow_batch, nulls
from ktrans.flow.protocols import blank_ports, portless
from ktrans.flow.schema import TEXT


@dataclass(slots=True)
class Work:
    """Rows in the making, for a table's `derive`.

    Attributes:
        table: the log's table.
        native: the values as they came.
        wanted: the flow columns to fill.
        rows: how many rows.
        uri: the object.
        columns: the flow columns so far.
        attrs: attributes that `derive` adds or replaces, by name.
        wrong: what cannot be: path for people, reason by row.
    """

    table: Table
    native: Native
    wanted: frozenset[str]
    rows: int
    uri: str
    columns: dict[str, pa.Array] = field(default_factory=dict)
    attrs: dict[str, pa.DictionaryArray] = field(default_factory=dict)
    wrong: list[tuple[str, Wrong, Callable[[int], str]]] = field(default_factory=list)

    def raw(self, *path: str) -> Iterator[tuple[Path, pa.Array]]:
        """Give the columns of a path within each envelope that has it."""
        for envelope in self.table.envelopes:
            column = self.native.columns.get(envelope + path)
            if column is not None:
                yield envelope + path, column

    def text(self, *path: str) -> pa.DictionaryArray | None:
        """Give a value as text; None if no row has it."""
        found = [text_of(column) for _, column in self.raw(*path)]
        return reduce(coalesce_text, found) if found else None

    def take(self, name: Path, read: Callable[[pa.Array], Coerced], column: pa.Array) -> pa.Array:
        """Read a column, noting what cannot be."""
        typed, wrong = read(column)
        if wrong is not None:
            self.wrong.append((".".join(name), wrong, lambda row: _shown(column, row)))
        return typed


def _shown(column: pa.Array, row: int) -> str:
    value = column[row].as_py()
    return "" if value is None else str(value)


@dataclass(frozen=True, slots=True)
class Made:
    """What a block became.

    Attributes:
        batch: the rows.
        faults: bad records by line, from 0.
        skipped: records that are not flows.
    """

    batch: pa.RecordBatch
    faults: Faults
    skipped: int


class RowMaker:
    """Makes flow rows of one log.

    Args:
        table: of the log.
        schema: the flow columns that are wanted.

    Attributes:
        shape: what to read of the records.
    """

    def __init__(self, table: Table, schema: pa.Schema) -> None:
        self._table = table
        self._schema = schema
        self._wanted = frozenset(schema.names)
        self._attrs = "attrs" in self._wanted and table.rest
        paths = None if self._attrs else table.needed(schema.names)
        self.shape = Shape(table.all_parents(), paths, table.numbers())
        self._taken = self._taken_paths()
        self._filled = self._wanted | table.always
        if self._wanted & {"src_port", "dst_port"}:
            self._filled |= {"protocol"}
        if "ip_version" in self._wanted:
            self._filled |= {"src_addr", "dst_addr"}

    def _taken_paths(self) -> frozenset[Path]:
        taken = {p for f in self._table.columns if not f.in_attrs for p in f.paths}
        taken |= self._table.hidden
        return frozenset(w + p for w in self._table.envelopes for p in taken)

    def make(self, native: Native, uri: str, first_pos: int) -> Made:
        """Make rows.

        Args:
            native: the records' columns.
            uri: the object.
            first_pos: position of line 0.
        """
        faults, skipped = native.faults, 0
        if self._table.skip is not None:
            others = self._table.skip(native)
            if others is not None and others.any():
                skipped = int(np.count_nonzero(others))
                native = native.take(np.flatnonzero(~others))
        self._refuse_strangers(native, faults)
        work = Work(self._table, native, self._wanted, native.rows, uri)
        for each in self._table.columns:
            self._fill(work, each)
        self._table.derive(work)
        self._finish(work)
        lines = np.arange(native.rows) if native.lines is None else native.lines
        batch = self._batch(work, lines + first_pos)
        kept = self._kept(work, lines, faults)
        if kept is not None:
            batch = batch.take(pa.array(kept))
        return Made(batch, faults, skipped)

    def _fill(self, work: Work, each: Col) -> None:
        """Fill one column from the first value that is there; only that one has to be right."""
        if each.column not in self._filled:
            return
        for path in each.paths:
            for name, column in work.raw(*path):
                given = work.columns.get(each.column)
                if given is not None:
                    if given.null_count == 0:
                        return
                    still = pc.is_null(given)
                    column = pc.if_else(still, column, pa.scalar(None, column.type))  # noqa: PLW2901
                typed = work.take(name, lambda values: coerce(each.rule, values), column)
                if given is not None:
                    merge = coalesce_text if typed.type == TEXT else pc.coalesce
                    typed = merge(given, typed)
                work.columns[each.column] = typed

    def _finish(self, work: Work) -> None:
        """Fill what every log's columns have in common."""
        columns, rows = work.columns, work.rows
        for name, text in self._table.constants.items():
            if name in self._wanted:
                columns[name] = constant_text(text, rows)
        for name, text in self._table.defaults.items():
            if name in self._wanted and (name not in columns or columns[name].null_count):
                default = constant_text(text, rows)
                given = columns.get(name)
                columns[name] = default if given is None else coalesce_text(given, default)
        self._ports_and_version(columns)

    def _ports_and_version(self, columns: dict[str, pa.Array]) -> None:
        if "protocol" in columns:
            without = portless(columns["protocol"])
            for name in ("src_port", "dst_port"):
                if name in columns:
                    columns[name] = blank_ports(columns[name], without)
        if "ip_version" in self._wanted:
            sides = [ip_versions(columns[c]) for c in ("src_addr", "dst_addr") if c in columns]
            if "ip_version" in columns:
                sides.append(columns["ip_version"])
            if sides:
                columns["ip_version"] = reduce(pc.coalesce, sides)

    def _batch(self, work: Work, positions: np.ndarray) -> pa.RecordBatch:
        columns = work.columns
        if "source_uri" in self._wanted:
            columns["source_uri"] = constant_text(work.uri, work.rows)
        if "source_pos" in self._wanted:
            columns["source_pos"] = pa.array(positions, pa.int64())
        if "attrs" in self._wanted:
            columns["attrs"] = self._rest(work)
        return flow_batch(self._schema, work.rows, columns)

    def _rest(self, work: Work) -> pa.Array:
        """Make the attributes: what no column took, by its path within the record."""
        if not self._attrs:
            return nulls(work.rows, self._schema.field("attrs").type)
        fields: dict[str, pa.DictionaryArray] = {}
        envelopes = sorted(self._table.envelopes, key=len, reverse=True)
        for path, column in work.native.columns.items():
            if path in self._taken:
                continue
            envelope = next(
                w for w in [*envelopes, ()] if path[: len(w)] == w and len(path) > len(w)
            )
            name = ".".join(path[len(envelope) :])
            text = text_of(column)
            fields[name] = coalesce_text(fields[name], text) if name in fields else text
        fields.update(work.attrs)
        return build_attrs(sorted(fields.items()), work.rows)

    def _refuse_strangers(self, native: Native, faults: Faults) -> None:
        """Refuse records that have none of the values that a flow has."""
        telling = self._table.evidence_paths()
        missing = np.ones(native.rows, dtype=bool)
        for envelope in self._table.envelopes:
            for path in telling:
                column = native.columns.get(envelope + path)
                if column is not None:
                    missing &= np.asarray(column.is_null())
                    if not missing.any():
                        return
        if not telling:
            return
        lines = np.arange(native.rows) if native.lines is None else native.lines
        names = ", ".join(".".join(path) for path in telling[:4])
        for line in lines[missing].tolist():
            faults.add(line, "no_flow_fields", f"has none of {names}, and so on: not a flow record")

    def _kept(self, work: Work, lines: np.ndarray, faults: Faults) -> np.ndarray | None:
        """Note the bad rows, the first fault of each, and give the good ones; None if all are."""
        seen = set(faults.lines)
        kinds = {".".join(p): f.rule.kind for f in self._table.columns for p in f.paths}
        prefixes = tuple(".".join(w) + "." for w in self._table.envelopes if w)
        for name, wrong, shown in work.wrong:
            short = next((name[len(p) :] for p in prefixes if name.startswith(p)), name)
            for row, reason in zip(wrong.rows.tolist(), wrong.reasons, strict=True):
                line = int(lines[row])
                if line not in seen:
                    seen.add(line)
                    kind = kinds.get(short) or kinds.get(name, "text")
                    faults.add(line, reason, explain(name, kind, reason, shown(row)))
        if not seen:
            return None
        good = ~np.isin(lines, np.fromiter(seen, np.int64, len(seen)))
        return None if good.all() else np.flatnonzero(good)
