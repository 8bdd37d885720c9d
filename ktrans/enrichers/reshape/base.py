"""The base of the enrichers that reshape flow rows into the nested records of another schema."""

from __future__ import annotations

import abc
from collections.abc import Callable, Collection, Mapping, Sequence
from types import MappingProxyType
from typing import Annotated, Any, ClassVar, TypeVar

import numpy as np
import pyarrow as pa
from pydantic import Field, StringConstraints

from ktrans.api import ComponentConfig, ConfigError, Context, Enricher
from ktrans.enrichers.reshape.batch_view import View, tidy_text, valid
from ktrans.enrichers.reshape.rules import RULES
from ktrans.flow.columns import nulls
from ktrans.flow.schema import BY_NAME, NAMES, TEXT
from ktrans.flow.target_schemas.attribute import Attribute
from ktrans.kit.columns import is_text, option, require, require_flow

Name = Annotated[str, StringConstraints(min_length=1)]
Path = Annotated[str, StringConstraints(pattern=r"^[^.\s]+(\.[^.\s]+)*$")]
Rule = Callable[[View, Attribute], pa.Array]
ADDRESSES = ("src_addr", "dst_addr", "src_pkt_addr", "dst_pkt_addr")


class ReshapeConfig(ComponentConfig):
    """What the reshaping enrichers have in common."""

    keep: list[Name] = Field(
        default_factory=list,
        description=(
            "Flow columns that stay beside the new ones, under their own names: for a sink's path "
            "template (`{region}`), a message key, or a document id."
        ),
        examples=[["region", "account_id"]],
    )
    extra: dict[Path, Name] = Field(
        default_factory=dict,
        description=(
            "Further attributes by their dotted path, each with the column that it is taken from: "
            "for what earlier enrichers have added."
        ),
        examples=[{"source.geo.country_iso_code": "src_country"}],
    )


C = TypeVar("C", bound=ReshapeConfig)


Members = dict[str, Any]
"""The members of a struct of the record by name, in order: attributes, or members of their own."""


def _put(members: Members, attribute: Attribute, path: tuple[str, ...]) -> None:
    """Put an attribute in its place.

    Raises:
        ConfigError: its place is taken.
    """
    *tops, last = path
    inner: Any = members
    for name in tops:
        inner = inner.setdefault(name, {}) if isinstance(inner, dict) else inner
    if not isinstance(inner, dict) or last in inner:
        raise ConfigError(
            f"there is already something at {attribute.name!r}",
            code="column_exists",
            hint="choose another path",
        )
    inner[last] = attribute


def kind_of(member: Members | Attribute) -> pa.DataType:
    """Return the Arrow type of a struct or an attribute."""
    if isinstance(member, Attribute):
        return member.kind
    return pa.struct([pa.field(name, kind_of(inner)) for name, inner in member.items()])


class ReshapeEnricher(Enricher[C], abc.ABC):
    """Makes nested records of flow rows, by columns, from a table of attributes.

    Rows without any address (NODATA, SKIPDATA and the like) are no network activity: they are left
    out, and the run's receipt counts them. A struct of which nothing is known in a row is null.
    """

    drops_rows = True
    target: ClassVar[str]
    """The target schema, named with its version in the metadata of the output."""

    table: ClassVar[Sequence[Attribute]]
    """All attributes of the target schema."""

    required: ClassVar[Sequence[Sequence[str]]] = (ADDRESSES,)
    """Of each of these groups of columns a row must have a value in one, or it is left out."""

    own_rules: Mapping[str, Rule] = MappingProxyType({})
    """The rules that only this target's table names."""

    identities: ClassVar[Mapping[str, Sequence[str]]] = {}
    """The members of a struct, by its name, without any of which it says nothing and is null."""

    def __init__(self, config: C, context: Context | None = None) -> None:
        super().__init__(config, context)
        self.changes_counters = not {"bytes", "packets"} <= set(config.keep)
        self._options = config.model_dump()
        self._root: Members = {}
        self._schema: pa.Schema
        self._inputs: list[str]

    @abc.abstractmethod
    def parts(self) -> Collection[str]:
        """Return the optional parts of the record that the config asks for."""

    def attributes(self) -> Sequence[Attribute]:
        """Return the attributes that the config asks for, in the record's order."""
        parts = {"", *self.parts()}
        return [each for each in self.table if each.part in parts]

    def extra_path(self, path: str) -> tuple[str, ...]:
        """Turn the path of an `extra` attribute into that of the table."""
        return tuple(path.split("."))

    def needs(self) -> Sequence[str]:
        """Name the flow columns that the attributes draw on, and those to keep."""
        read = (
            name
            for each in self.attributes()
            for name in (*each.columns, *each.by)
            if name in NAMES
        )
        return list(
            dict.fromkeys([*ADDRESSES, *read, *self.config.extra.values(), *self.config.keep])
        )

    def _typed(self) -> Sequence[str]:
        """Name the flow columns that the attributes draw on, without those of text."""
        read = (name for each in self.attributes() for name in (*each.columns, *each.by))
        kinds = {name: BY_NAME[name].type for name in read if name in BY_NAME}
        return [name for name, kind in kinds.items() if kind != TEXT]

    def adds(self) -> Sequence[str]:
        """Name the columns at the top of the record."""
        tops = [each.path[0] for each in self.attributes()]
        tops += [self.extra_path(path)[0] for path in self.config.extra]
        return list(dict.fromkeys(tops))

    def keeps(self) -> Sequence[str]:
        """Name the columns that stay."""
        return self.config.keep

    def bind(self, schema: pa.Schema) -> pa.Schema:
        """Lay out the record. Attributes all of whose columns are missing are left out."""
        what = self.config.type
        require(schema, ADDRESSES[:2], what)
        require_flow(schema, [name for name in self._typed() if name in schema.names], what)
        self._root = {}
        used = [
            each
            for each in self.attributes()
            if not each.columns or any(name in schema.names for name in each.columns)
        ]
        for each in used:
            _put(self._root, each, each.path)
        with option("extra"):
            require(schema, self.config.extra.values(), what)
            for path, column in self.config.extra.items():
                kind = schema.field(column).type
                place = self.extra_path(path)
                used.append(Attribute(place, kind, (column,)))
                _put(self._root, used[-1], place)
        fields = [pa.field(name, kind_of(member)) for name, member in self._root.items()]
        with option("keep"):
            require(schema, self.config.keep, what)
            for name in dict.fromkeys(self.config.keep):
                if name in self._root:
                    raise ConfigError(
                        f"{what}: the record has a {name!r} of its own, so the column of that "
                        "name cannot be kept beside it",
                        code="column_exists",
                        hint="copy it under another name with a derive enricher before this one",
                    )
                fields.append(schema.field(name))
        target = f"{self.target} {self._options.get('version', '')}".rstrip()
        self._schema = pa.schema(fields, metadata={"ktrans.target": target})
        read = {name for each in used for name in (*each.columns, *each.by)}
        read |= {*self.config.keep, *ADDRESSES}
        self._inputs = [name for name in schema.names if name in read]
        return self._schema

    def apply(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """Make the records."""
        batch = batch.select(self._inputs)
        for names in self.required:
            batch = with_any(batch, names)
        view = View(batch, self._options)
        rules = {**RULES, **self.own_rules}
        arrays = [
            self._build(name, member, view, rules)
            if (member := self._root.get(name)) is not None
            else batch.column(name)
            for name in self._schema.names
        ]
        return pa.RecordBatch.from_arrays(arrays, schema=self._schema)

    def _build(
        self, name: str, member: Members | Attribute, view: View, rules: Mapping[str, Rule]
    ) -> pa.Array:
        if isinstance(member, Attribute):
            return rules[member.rule](view, member)
        parts = {inner: self._build(inner, each, view, rules) for inner, each in member.items()}
        telling = [parts[inner] for inner in self.identities.get(name, parts) if inner in parts]
        mask = None
        if all(part.null_count for part in telling):
            there = np.zeros(view.rows, bool)
            for part in telling:
                there |= valid(part)
            if not there.any():
                return nulls(view.rows, kind_of(member))
            mask = None if there.all() else pa.array(~there)
        return pa.StructArray.from_arrays(
            list(parts.values()), fields=list(kind_of(member)), mask=mask
        )


def with_any(batch: pa.RecordBatch, names: Sequence[str]) -> pa.RecordBatch:
    """Return the rows that have a value in at least one of some columns."""
    there = np.zeros(batch.num_rows, bool)
    for name in names:
        if name in batch.schema.names and not there.all():
            column = batch.column(name)
            if is_text(column.type) and (column.type != TEXT or column.dictionary.null_count):
                column = tidy_text(column)
            there |= valid(column)
    return batch if there.all() else batch.filter(pa.array(there))
