"""The base of the enrichers that reshape flow rows into the nested records of another schema."""

from __future__ import annotations

import abc
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, ClassVar, TypeVar

import numpy as np
import pyarrow as pa
from pydantic import Field, StringConstraints

from ktrans.api import ComponentConfig, ConfigError, Context, Enricher
from ktrans.enrichers.reshape.batch_view import RULES, View, tidy_text, valid
from ktrans.flow.columns import nulls
from ktrans.flow.schema import NAMES, TEXT
from ktrans.flow.target_schemas.attribute import Attribute
from ktrans.kit.columns import option, require

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


@dataclass(slots=True)
class _Node:
    """A struct of the record: its members by name, in order."""

    members: dict[str, _Node | Attribute] = field(default_factory=dict)

    def add(self, attribute: Attribute, path: tuple[str, ...]) -> None:
        """Put an attribute in its place.

        Raises:
            ConfigError: its place is taken.
        """
        head, *rest = path
        there = self.members.get(head)
        if not rest:
            if there is not None:
                raise _taken(attribute)
            self.members[head] = attribute
            return
        if there is None:
            there = self.members[head] = _Node()
        if not isinstance(there, _Node):
            raise _taken(attribute)
        there.add(attribute, tuple(rest))

    @property
    def type(self) -> pa.DataType:
        """The struct type."""
        return pa.struct([pa.field(name, kind_of(member)) for name, member in self.members.items()])

    def leaves(self) -> Iterator[Attribute]:
        """Yield the attributes in the order of the record."""
        for member in self.members.values():
            if isinstance(member, _Node):
                yield from member.leaves()
            else:
                yield member


def kind_of(member: _Node | Attribute) -> pa.DataType:
    """Return the Arrow type of a struct or an attribute."""
    return member.type if isinstance(member, _Node) else member.kind


def _taken(attribute: Attribute) -> ConfigError:
    return ConfigError(
        f"there is already something at {attribute.name!r}",
        code="column_exists",
        hint="choose another path",
    )


class ReshapeEnricher(Enricher[C], abc.ABC):
    """Makes nested records of flow rows, by columns, from a table of attributes.

    Rows without any address (NODATA, SKIPDATA and the like) are no network activity: they are left
    out, and the run's receipt counts them. A struct of which nothing is known in a row is null.
    """

    drops_rows = True
    identities: ClassVar[Mapping[str, Sequence[str]]] = {}
    """The members of a struct, by its name, without any of which it says nothing and is null."""

    def __init__(self, config: C, context: Context | None = None) -> None:
        super().__init__(config, context)
        self.changes_counters = not {"bytes", "packets"} <= set(config.keep)
        self._root = _Node()
        self._schema: pa.Schema
        self._inputs: list[str]

    # What subclasses give.

    @abc.abstractmethod
    def attributes(self) -> Sequence[Attribute]:
        """Return the attributes that the config asks for, in the record's order."""

    def rules(self) -> Mapping[str, Rule]:
        """Return the rules that the attributes name."""
        return RULES

    def settings(self) -> Mapping[str, Any]:
        """Return the constants that the config decides, by name."""
        return {}

    def target(self) -> str:
        """Name the target schema and its version, for the metadata of what comes out."""
        return self.config.type

    def eligible(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """Return the rows that can be records: those with at least one address."""
        return with_address(batch)

    def extra_path(self, path: str) -> tuple[str, ...]:
        """Turn the path of an `extra` attribute into that of the table."""
        return tuple(path.split("."))

    # What the engine asks.

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

    def adds(self) -> Sequence[str]:
        """Name the columns at the top of the record."""
        tops = [each.path[0] for each in self.attributes()]
        tops += [self.extra_path(path)[0] for path in self.config.extra]
        return list(dict.fromkeys(tops))

    def keeps(self) -> Sequence[str]:
        """Name the columns that stay."""
        return self.config.keep

    def bind(self, schema: pa.Schema) -> pa.Schema:
        """Lay out the record. Attributes all of whose columns are missing are left out.

        Raises:
            ConfigError: a column to keep or an extra one is missing, or a name is taken.
        """
        what = self.config.type
        require(schema, ADDRESSES[:2], what)
        self._root = _Node()
        for each in self.attributes():
            if not each.columns or any(name in schema.names for name in each.columns):
                self._root.add(each, each.path)
        with option("extra"):
            require(schema, self.config.extra.values(), what)
            for path, column in self.config.extra.items():
                kind = schema.field(column).type
                place = self.extra_path(path)
                self._root.add(Attribute(place, kind, (column,)), place)
        fields = [pa.field(name, kind_of(member)) for name, member in self._root.members.items()]
        with option("keep"):
            require(schema, self.config.keep, what)
            for name in dict.fromkeys(self.config.keep):
                if name in self._root.members:
                    raise ConfigError(
                        f"{what}: the record has a {name!r} of its own, so the column of that "
                        "name cannot be kept beside it",
                        code="column_exists",
                        hint="copy it under another name with a derive enricher before this one",
                    )
                fields.append(schema.field(name))
        self._schema = pa.schema(fields, metadata={"ktrans.target": self.target()})
        read = {name for leaf in self._root.leaves() for name in (*leaf.columns, *leaf.by)}
        read |= {*self.config.keep, *ADDRESSES}
        self._inputs = [name for name in schema.names if name in read]
        return self._schema

    def apply(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """Make the records."""
        batch = self.eligible(batch.select(self._inputs))
        view = View(batch, self.settings())
        rules = self.rules()
        arrays = [
            self._build(name, member, view, rules)
            if (member := self._root.members.get(name)) is not None
            else batch.column(name)
            for name in self._schema.names
        ]
        return pa.RecordBatch.from_arrays(arrays, schema=self._schema)

    def _build(
        self, name: str, member: _Node | Attribute, view: View, rules: Mapping[str, Rule]
    ) -> pa.Array:
        if isinstance(member, Attribute):
            return rules[member.rule](view, member)
        parts = {
            inner: self._build(inner, each, view, rules) for inner, each in member.members.items()
        }
        telling = [parts[inner] for inner in self.identities.get(name, parts) if inner in parts]
        mask = None
        if all(part.null_count for part in telling):
            there = np.zeros(view.rows, bool)
            for part in telling:
                there |= valid(part)
            if not there.any():
                return nulls(view.rows, member.type)
            mask = None if there.all() else pa.array(~there)
        return pa.StructArray.from_arrays(list(parts.values()), fields=list(member.type), mask=mask)


def with_address(batch: pa.RecordBatch) -> pa.RecordBatch:
    """Return the rows that have at least one address."""
    there = np.zeros(batch.num_rows, bool)
    for name in ADDRESSES:
        if name in batch.schema.names and not there.all():
            column = batch.column(name)
            if column.type != TEXT or column.dictionary.null_count:
                column = tidy_text(column)
            there |= valid(column)
    return batch if there.all() else batch.filter(pa.array(there))
