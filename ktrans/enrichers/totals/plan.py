"""The plan of a rollup: what to compute, from its options and the schema of the rows.

Every aggregate is made of *parts* that can be merged (a mean is a sum and a count), and of
*members*: the distinct values of a column, as rows or as sketches.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from ktrans.api import ConfigError
from ktrans.enrichers.totals import sketch
from ktrans.enrichers.totals.config import RollupEnricherConfig, micros
from ktrans.flow.schema import COUNTERS, TEXT
from ktrans.kit.columns import is_text, option, require, require_integer

WINDOW = "window"
"""The column that holds a total's window: its start, microseconds since 1970."""

ROWS = "rows"
"""The part that counts a total's rows, unweighted: the ledger checks it."""


@dataclass(frozen=True, slots=True)
class Part:
    """One mergeable column: `how` is applied to rows, and to parts when they are merged.

    Attributes:
        name: its column.
        how: "sum", "min", "max", or "count" of rows or of a column's values, which merges by sum.
        column: what it is taken from; None for rows.
        type: its Arrow type.
        weighted: rows count as many times as their weight says.
    """

    name: str
    how: str
    column: str | None
    type: pa.DataType
    weighted: bool = False

    @property
    def merge(self) -> str:
        """Name the function that merges two of them."""
        return "sum" if self.how == "count" else self.how


@dataclass(frozen=True, slots=True)
class Members:
    """The distinct values of a column, a row each; or, if `sketch`, a sketch of them for each total."""

    name: str
    column: str
    type: pa.DataType
    sketch: bool


@dataclass(frozen=True, slots=True)
class Aggregate:
    """One column of the output: a part, one part over another (a mean), or a number of members."""

    name: str
    part: str | None = None
    over: str | None = None
    members: str | None = None


@dataclass(slots=True)
class RollupPlan:
    """What to compute."""

    width: int
    times: tuple[str, ...]
    group_by: tuple[str, ...]
    key_types: tuple[pa.DataType, ...]
    weight: str | None
    parts: list[Part] = field(default_factory=list)
    members: list[Members] = field(default_factory=list)
    aggregates: list[Aggregate] = field(default_factory=list)

    @property
    def keys(self) -> list[str]:
        """The columns that identify totals, as tables of totals name them."""
        return [WINDOW, *(f"by {name}" for name in self.group_by)]

    def part(self, name: str) -> Part:
        """Find a part."""
        return next(part for part in self.parts if part.name == name)

    def need(self, how: str, column: str | None, kind: pa.DataType, *, weighted: bool) -> str:
        """Return the name of a part; add it if no other aggregate has it."""
        weighted = weighted and how in {"sum", "count"}
        for part in self.parts:
            if (part.how, part.column, part.weighted) == (how, column, weighted):
                return part.name
        name = " ".join([how, column or "", *(["weighted"] if weighted else [])])
        self.parts.append(Part(name, how, column, kind, weighted))
        return name

    def definition(self) -> str:
        """Return a text that is the same for plans whose totals can be merged."""
        schemas = {"totals": self.main_schema()}
        schemas |= {m.name: self.member_schema(m, stored=True) for m in self.members}
        fields = {
            name: sorted(f"{field.name}: {field.type}" for field in schema)
            for name, schema in sorted(schemas.items())
        }
        return json.dumps([self.width, fields])

    def main_schema(self) -> pa.Schema:
        """Return the schema of totals."""
        parts = [pa.field(part.name, part.type) for part in self.parts]
        return pa.schema([*self._key_fields(), *parts])

    def member_schema(self, members: Members, *, stored: bool) -> pa.Schema:
        """Return the schema of members: as rows have them, or as they are stored."""
        kind = pa.binary() if members.sketch and stored else members.type
        return pa.schema([*self._key_fields(), pa.field("value", kind)])

    def _key_fields(self) -> list[pa.Field]:
        kinds = [pa.int64(), *self.key_types]
        return [pa.field(name, kind) for name, kind in zip(self.keys, kinds, strict=True)]


def make_plan(
    config: RollupEnricherConfig, schema: pa.Schema, times: Sequence[str], weight: str | None
) -> RollupPlan:
    """Determine what to compute of rows of a schema, which has these columns of times and weight.

    Raises:
        ConfigError: a column is missing or does not fit.
    """
    group_by = config.group_by
    with option("group_by"):
        require(schema, group_by, "rollup")
        kinds = tuple(_key_type(schema, name) for name in group_by)
    for name in times:
        if not pa.types.is_timestamp(schema.field(name).type):
            raise ConfigError(f"rollup: column {name!r} does not hold times", field="time")
    if weight is not None:
        with option("weight"):
            require_integer(schema, [weight], "rollup")
    plan = RollupPlan(micros(config.window), tuple(times), group_by, kinds, weight)
    plan.parts.append(Part(ROWS, "count", None, pa.int64()))
    for name in COUNTERS:
        if name in schema.names:
            require_integer(schema, [name], "rollup")  # the ledger follows their sums exactly
            plan.parts.append(Part(name, "sum", name, pa.int64()))
    for name, (function, column) in config.functions().items():
        with option(f"aggregates.{name}"):
            plan.aggregates.append(_aggregate(plan, schema, name, function, column))
    return plan


def _aggregate(
    plan: RollupPlan, schema: pa.Schema, name: str, function: str, column: str | None
) -> Aggregate:
    weighted = plan.weight is not None
    if column is None:
        return Aggregate(name, plan.need("count", None, pa.int64(), weighted=weighted))
    require(schema, [column], "rollup")
    kind = schema.field(column).type
    if function in {"distinct", "approx_distinct"}:
        return Aggregate(name, members=_members(plan, column, kind, function))
    if function == "count":
        return Aggregate(name, plan.need("count", column, pa.int64(), weighted=weighted))
    number = pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_null(kind)
    if not number and not (function in {"min", "max"} and pa.types.is_timestamp(kind)):
        raise ConfigError(
            f"rollup: {function} of {column!r}, which holds {kind}, where numbers are needed",
            code="column_type",
            hint="count, distinct and approx_distinct take any column",
        )
    if function in {"min", "max"}:
        kept = kind if pa.types.is_timestamp(kind) else _wide(kind)
        return Aggregate(name, plan.need(function, column, kept, weighted=False))
    total = plan.need("sum", column, _wide(kind), weighted=weighted)
    if function == "sum":
        return Aggregate(name, total)
    over = plan.need("count", column, pa.int64(), weighted=weighted)
    return Aggregate(name, total, over=over)


def _members(plan: RollupPlan, column: str, kind: pa.DataType, function: str) -> str:
    approximate = function == "approx_distinct"
    if approximate:
        sketch.check_installed()
    if is_text(kind):
        kind = TEXT
    elif pa.types.is_nested(kind) or pa.types.is_dictionary(kind):
        raise ConfigError(f"rollup: {function} of {column!r}, which holds {kind}")
    for members in plan.members:
        if (members.column, members.sketch) == (column, approximate):
            return members.name
    plan.members.append(Members(f"{function} {column}", column, kind, approximate))
    return plan.members[-1].name


def _wide(kind: pa.DataType) -> pa.DataType:
    return pa.float64() if pa.types.is_floating(kind) else pa.int64()


def _key_type(schema: pa.Schema, name: str) -> pa.DataType:
    kind: Any = schema.field(name).type
    if is_text(kind):
        return TEXT
    types = pa.types
    if types.is_integer(kind) or types.is_boolean(kind) or types.is_temporal(kind):
        return kind
    raise ConfigError(
        f"rollup: cannot group by {name!r}, which holds {kind}",
        code="column_type",
        hint="group by text, integers, booleans or times",
    )
