"""The rules of `expect` while rows pass: which rows they find, and what is written of violations."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

import msgspec
import pyarrow as pa
import pyarrow.compute as pc

from ktrans.config.model import Pipeline, SinkEntry
from ktrans.config.settings import Rule
from ktrans.flow.schema import TEXT

if TYPE_CHECKING:
    from ktrans.expressions import Expression

COLUMN = "violation"
"""The column with the name of the rule that a row breaks; `rule` is a column of flows."""

_FIELD = pa.field(
    COLUMN, TEXT, metadata={"description": "the rule of `expect` that the row breaks"}
)


class BoundRule(msgspec.Struct):
    """A rule, and its condition once that is bound to the rows after the last enricher."""

    rule: Rule
    condition: Expression | None = None

    @property
    def name(self) -> str:
        """The name of the rule."""
        return self.rule.name

    def find(self, batch: pa.RecordBatch) -> pa.Array:
        """Return for each row whether the rule finds it; never null."""
        assert self.condition is not None
        return pc.fill_null(self.condition.evaluate(batch), fill_value=False)


Found = Mapping[str, pa.Array]
"""Which rows each rule finds, by its name; without rules that find none."""


def find_rows(rules: Sequence[BoundRule], batch: pa.RecordBatch, counts: dict[str, int]) -> Found:
    """Return which rows each rule finds, and count them."""
    found = {}
    for rule in rules:
        mask = rule.find(batch)
        count = int(pc.sum(mask).as_py() or 0)
        counts[rule.name] = counts.get(rule.name, 0) + count
        if count:
            found[rule.name] = mask
    return found


def violating(
    rules: Sequence[str],
    batch: pa.RecordBatch,
    found: Found,
    concat: Callable[[Sequence[pa.RecordBatch]], pa.RecordBatch],
) -> pa.RecordBatch:
    """Return the rows that some rules find, with the name of the rule; a row once for each of them."""
    schema = with_violation(batch.schema)
    parts = []
    for name in rules:
        if name in found:
            rows = batch.filter(found[name])
            named = pa.DictionaryArray.from_arrays(
                pa.repeat(pa.scalar(0, pa.int32()), rows.num_rows), pa.array([name])
            )
            parts.append(pa.RecordBatch.from_arrays([*rows.columns, named], schema=schema))
    if not parts:
        return pa.RecordBatch.from_pylist([], schema=schema)
    return parts[0] if len(parts) == 1 else concat(parts)


def with_violation(schema: pa.Schema) -> pa.Schema:
    """Return the schema of violations of rows of a schema."""
    return schema.append(_FIELD)


def violation_entries(pipeline: Pipeline) -> list[tuple[SinkEntry, list[str]]]:
    """Return the sinks of violations, each with the rules whose rows it takes.

    The rows of rules that allow none are published as they are. Those of a rule with a limit are
    published only if an epoch exceeds it, so each has a sink of its own.
    """
    entry = pipeline.violations
    if entry is None:
        return []
    columns = entry.columns
    if columns is not None:
        columns = (*(name for name in columns if name != COLUMN), COLUMN)
    forbidden = [rule.name for rule in pipeline.expect if rule.most == 0]
    entries = [(SinkEntry(entry.id, entry.config, None, columns), forbidden)] if forbidden else []
    for number, rule in enumerate(pipeline.expect, 1):
        if rule.most:
            named = SinkEntry(f"{entry.id}-{number}", entry.config, None, columns)
            entries.append((named, [rule.name]))
    return entries
