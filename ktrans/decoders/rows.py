"""From raw columns to batches of the flow schema, by the table of a log.

Which records are flows is in `ktrans.decoders.flow_rule`, and what happens to the others in
`RowBuilder._good_rows`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ktrans.decoders.flow_rule import (
    ADDRESSES,
    NO_ADDRESSES,
    REQUIRED,
    added,
    counted,
    lacks,
    without_addresses,
)
from ktrans.decoders.mapped.table import Col, Table
from ktrans.decoders.partial_rows import PartialRows
from ktrans.decoders.read.faults import Faults
from ktrans.decoders.read.raw_columns import Path, RawColumns, Shape
from ktrans.decoders.sampling import COUNTERS, sampling_rates, scale
from ktrans.decoders.time_limits import TimeLimits
from ktrans.decoders.values import NULL_TEXTS, Rule, coerce, explain, text_of
from ktrans.flow.addresses import ip_versions
from ktrans.flow.columns import coalesce_text, constant_text, flow_batch
from ktrans.flow.maps import build_attrs
from ktrans.flow.protocols import blank_ports, portless

_TEXT = Rule("text")


@dataclass(frozen=True, slots=True)
class DecodedRows:
    """The rows of a block.

    Attributes:
        batch: the rows.
        faults: bad records by line, from 0.
        skipped: number of records that are not flows.
        foreign: how many of these are records of another kind, by their names.
        unread: number of values that could not be read, by flow column; they are null.
    """

    batch: pa.RecordBatch
    faults: Faults
    skipped: int = 0
    foreign: Mapping[str, int] = field(default_factory=dict)
    unread: Mapping[str, int] = field(default_factory=dict)


class RowBuilder:
    """Builds flow rows of one log.

    Args:
        table: the log.
        schema: the flow columns that are wanted.
        times: which times can be right.

    Attributes:
        shape: the values to read from the records.
    """

    def __init__(self, table: Table, schema: pa.Schema, times: TimeLimits) -> None:
        self.schema = schema
        self._table = table
        self._times = times
        self._fields = {c.column: ".".join(c.paths[0]) for c in reversed(table.columns) if c.paths}
        self._wanted = frozenset(schema.names)
        mapped = {each.column for each in table.columns}
        self._addresses = [name for name in ADDRESSES if name in mapped]
        self._attrs = "attrs" in self._wanted and table.rest
        # What could not be read goes to attrs, whether or not its column is wanted.
        checked = table.can_be_unread() if "attrs" in self._wanted else frozenset()
        self._needed = table.needed(self._wanted | checked)
        paths = None if self._attrs else self._needed
        self.shape = Shape(table.all_parents(), paths, table.numbers())
        self._taken = self._taken_paths()
        self._counters = {
            each.column: ".".join(each.paths[0])
            for each in table.columns
            if each.column in COUNTERS
        }
        self._filled = self._wanted | table.always | frozenset(REQUIRED) | checked
        if self._wanted & {"src_port", "dst_port"}:
            self._filled |= {"protocol"}
        if "ip_version" in self._wanted:
            self._filled |= {"src_addr", "dst_addr"}

    def _taken_paths(self) -> frozenset[Path]:
        """Return the values that do not go to attrs."""
        taken = {p for f in self._table.columns if not f.in_attrs for p in f.paths}
        taken |= self._table.hidden
        return frozenset(w + p for w in self._table.envelopes for p in taken)

    def needs(self, path: Path) -> bool:
        """Return whether a value has a part in the wanted columns."""
        return path in self._needed or (self._attrs and path not in self._taken)

    def build(self, raw: RawColumns, uri: str, first: int) -> DecodedRows:
        """Build rows.

        Args:
            raw: the records' values.
            uri: the object.
            first: position of line 0 in the object.
        """
        raw, foreign = self._flows_only(raw)
        rows = self.converted(raw, uri)
        lines = np.arange(raw.rows) if raw.lines is None else raw.lines
        self._keep_unread(rows)
        good = self._good_rows(rows, lines)
        unread = _unread_values(rows, good)
        if good is not None:
            rows, lines = self._kept(rows, good), lines[good]
        batch = self.finished(rows, lines + first)
        return DecodedRows(batch, raw.faults, sum(foreign.values()), foreign, unread)

    def converted(self, raw: RawColumns, uri: str) -> PartialRows:
        """Convert the values, and fill the columns that are made of several."""
        rows = PartialRows(raw, self._wanted, uri, self._table.envelopes)
        for each in self._table.columns:
            self._fill(rows, each)
        self._table.derive(rows)
        if self._table.scale:
            scale(rows, sampling_rates(rows, self._table.rate), self._counters)
        self._times.check(rows, self._fields)
        rows.unread[:] = [part for each in rows.unread for part in each.split()]
        return rows

    def finished(self, rows: PartialRows, positions: np.ndarray) -> pa.RecordBatch:
        """Fill the columns that all logs have in common, and make the batch."""
        self._constants(rows)
        if not self._table.stored:
            self._ports_and_version(rows.columns)
        return self._batch(rows, positions)

    def all_good(self, rows: PartialRows) -> bool:
        """Return whether all rows are flows of which every value was read."""
        return not rows.unread and self._without_addresses(rows) is None

    def _without_addresses(self, rows: PartialRows) -> np.ndarray | None:
        return without_addresses(rows.columns, rows.rows, self._addresses)

    def _flows_only(self, raw: RawColumns) -> tuple[RawColumns, dict[str, int]]:
        """Drop the records of another kind, and count them by name."""
        names = self._table.other_records(raw)
        if names is None:
            return raw, {}
        return raw.take(np.flatnonzero(np.asarray(names.is_null()))), counted(names)

    def _keep_unread(self, rows: PartialRows) -> None:
        """Put the values of optional columns that could not be read in attrs."""
        if "attrs" not in self._wanted:
            return
        for each in rows.unread:
            if each.costs_rows or self._in_attrs(each.name):
                continue
            name, texts = self._short(each.name), each.texts(rows.rows)
            given = rows.attrs.get(name)
            rows.attrs[name] = texts if given is None else coalesce_text(texts, given)

    def _in_attrs(self, name: str) -> bool:
        """Return whether a value is in attrs whether or not it could be read."""
        return self._attrs and all(".".join(path) != name for path in self._taken)

    def _short(self, name: str) -> str:
        """Return the path of a value within its envelope, dotted."""
        prefixes = (".".join(w) + "." for w in self._table.envelopes if w)
        return next((name[len(p) :] for p in prefixes if name.startswith(p)), name)

    def _fill(self, rows: PartialRows, each: Col) -> None:
        """Fill one column from the first value that is present; the others are not read."""
        if each.column not in self._filled:
            return
        for path in each.paths:
            for name, column in rows.values(*path):
                given = rows.columns.get(each.column)
                if given is not None:
                    if given.null_count == 0:
                        return
                    still = pc.is_null(given)
                    column = pc.if_else(still, column, pa.scalar(None, column.type))  # noqa: PLW2901
                if each.rule.kind == "address" and name in rows.raw.canonical:
                    rows.fill(each.column, column)
                    continue
                typed = rows.take(
                    name, lambda values: coerce(each.rule, values), column, each.column
                )
                rows.fill(each.column, typed)

    def _constants(self, rows: PartialRows) -> None:
        """Fill the columns that have the same text in every row, or where they have none."""
        columns, count = rows.columns, rows.rows
        for name, text in self._table.constants.items():
            if name in self._wanted:
                columns[name] = constant_text(text, count)
        for name, text in self._table.defaults.items():
            if name in self._wanted and (name not in columns or columns[name].null_count):
                rows.fill(name, constant_text(text, count))

    def _ports_and_version(self, columns: dict[str, pa.Array]) -> None:
        """Blank the ports of protocols without ports; take the IP version from the addresses."""
        if "protocol" in columns:
            without = portless(columns["protocol"])
            for name in ("src_port", "dst_port"):
                if name in columns:
                    columns[name] = blank_ports(columns[name], without)
        if "ip_version" in self._wanted:
            version = None
            for name in ("src_addr", "dst_addr", "ip_version"):
                if name in columns and (version is None or _adds(version, columns[name])):
                    other = columns[name] if name == "ip_version" else ip_versions(columns[name])
                    version = other if version is None else pc.coalesce(version, other)
            if version is not None:
                columns["ip_version"] = version

    def _batch(self, rows: PartialRows, positions: np.ndarray) -> pa.RecordBatch:
        """Make the batch, with the place of each record and the values that no column took."""
        rows.fill("source_uri", constant_text(rows.uri, rows.rows))
        rows.fill("source_pos", pa.array(positions, pa.int64()))
        if "attrs" in self._wanted:
            rows.columns["attrs"] = self._rest(rows)
        return flow_batch(self.schema, rows.rows, rows.columns)

    def _rest(self, rows: PartialRows) -> pa.Array:
        """Return the attributes: the values that no column took, by path within the record."""
        fields: dict[str, pa.DictionaryArray] = {}
        if not self._attrs:
            return build_attrs(sorted(rows.attrs.items()), rows.rows)
        envelopes = sorted(self._table.envelopes, key=len, reverse=True)
        for path, column in rows.raw.columns.items():
            if path in self._taken:
                continue
            envelope = next(
                w for w in [*envelopes, ()] if path[: len(w)] == w and len(path) > len(w)
            )
            name = ".".join(path[len(envelope) :])
            text = text_of(column, self._table.unset.get(name, NULL_TEXTS))
            fields[name] = coalesce_text(fields[name], text) if name in fields else text
        fields.update(rows.attrs)
        return build_attrs(sorted(fields.items()), rows.rows)

    def _good_rows(self, rows: PartialRows, lines: np.ndarray) -> np.ndarray | None:
        """Note the records that are no flows or lack a value that is required; return the others.

        Returns:
            The places of the good rows; None if all are good.
        """
        faults = rows.raw.faults
        seen = set(faults.lines)
        rules = {".".join(p): f.rule for f in self._table.columns for p in f.paths}
        for each in rows.unread:
            if not each.costs_rows:
                continue
            rule = rules.get(self._short(each.name)) or rules.get(each.name, _TEXT)
            for row, reason in zip(each.wrong.rows.tolist(), each.wrong.reasons, strict=True):
                line = int(lines[row])
                if line not in seen:
                    seen.add(line)
                    faults.add(line, reason, explain(each.name, rule, reason, each.shown(row)))
        self._note_no_flows(rows, lines, seen)
        if not seen:
            return None
        good = ~np.isin(lines, np.fromiter(seen, np.int64, len(seen)))
        return None if good.all() else np.flatnonzero(good)

    def _note_no_flows(self, rows: PartialRows, lines: np.ndarray, seen: set[int]) -> None:
        """Note the records without addresses."""
        missing = self._without_addresses(rows)
        if missing is None:
            return
        names = {
            name: [".".join(p) for c in self._table.columns if c.column == name for p in c.paths]
            for name in self._addresses
        }
        for row in np.flatnonzero(missing).tolist():
            line = int(lines[row])
            if line not in seen:
                seen.add(line)
                rows.raw.faults.add(line, NO_ADDRESSES, lacks(rows.columns, row, names))

    def _kept(self, rows: PartialRows, good: np.ndarray) -> PartialRows:
        """Return some of the rows: their columns, and the values that go to attrs."""
        raw, places = rows.raw, pa.array(good)
        rest = {
            path: c for path, c in raw.columns.items() if self._attrs and path not in self._taken
        }
        kept = RawColumns(raw.rows, raw.lines, rest, raw.faults).take(good)
        columns = {name: column.take(places) for name, column in rows.columns.items()}
        attrs = {name: column.take(places) for name, column in rows.attrs.items()}
        return replace(rows, raw=kept, columns=columns, attrs=attrs)


def _unread_values(rows: PartialRows, good: np.ndarray | None) -> dict[str, int]:
    """Return how many values of optional columns could not be read, in the rows that are kept."""
    counts = []
    for each in rows.unread:
        if not each.costs_rows:
            kept = each.wrong.rows if good is None else np.intersect1d(each.wrong.rows, good)
            counts.append({each.column: len(kept)} if len(kept) else {})
    return added(*counts)


def _adds(given: pa.Array, other: pa.Array) -> bool:
    """Return whether a column has values where another has none."""
    if given.null_count == 0 or other.null_count == len(other):
        return False
    return bool((np.asarray(given.is_null()) & np.asarray(other.is_valid())).any())


def joined(parts: Sequence[DecodedRows]) -> DecodedRows:
    """Return the rows of the parts of a block together."""
    faults = Faults()
    for part in parts:
        for fault in zip(*part.faults.ordered(), strict=True):
            faults.add(*fault)
    return DecodedRows(
        pa.concat_batches([part.batch for part in parts]),
        faults,
        sum(part.skipped for part in parts),
        added(*(part.foreign for part in parts)),
        added(*(part.unread for part in parts)),
    )
