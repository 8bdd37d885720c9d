"""Options of mappings in a pipeline file, their checks, and the tables that they make."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from typing import ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from ktrans.api import ComponentConfig
from ktrans.decoders.mapped.table import Col, Table, parse_path
from ktrans.decoders.values import Rule, kind_of
from ktrans.flow.schema import BY_NAME, TEXT

_NOT_MAPPED = {
    "attrs": "it has the values that are not mapped (`rest: attrs`)",
    "source_uri": "it is the name of the object",
    "source_pos": "it is the position of the record in the object",
}


class FieldMapping(BaseModel):
    """The values that a flow column is read from, and how they are converted."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    path: str | tuple[str, ...] = Field(
        description="A dotted path in the record, or several; the first with a value counts.",
        examples=["conn.src.ip", ["srcAddr", "src_addr"]],
    )
    unit: Literal["auto", "s", "ms", "us", "ns", "rfc3339"] = Field(
        default="auto",
        description="Unit of times. `auto` infers the unit of numbers from their size, and reads RFC 3339.",
        examples=["ms"],
    )
    multiply: float | None = Field(
        default=None,
        gt=0,
        description="Factor for numbers; the product is rounded.",
        examples=[1000],
    )
    values: Mapping[str, str | int | None] | None = Field(
        default=None,
        description=(
            "Flow value for each value of the log, ignoring case; null for no value. Values that "
            "are not listed are kept."
        ),
        examples=[{"allow": "accept", "deny": "reject"}],
    )
    lower: bool = Field(default=False, description="Convert texts to lower case.", examples=[True])


Given = str | tuple[str, ...] | FieldMapping


class MappingConfig(ComponentConfig):
    """Options that all decoders with a mapping in the pipeline file have."""

    dotted: ClassVar[bool] = True
    """Whether dots in a path lead into objects."""

    fields: Mapping[str, Given] = Field(
        description="The values that each flow column is read from."
    )
    constants: Mapping[str, str] = Field(
        default_factory=dict,
        description="Text columns with the same value in every row.",
        examples=[{"provider": "acme", "log_type": "acme.firewall"}],
    )
    rest: Literal["attrs", "ignore"] = Field(
        default="attrs",
        description="Whether values that are not mapped go to attrs; nested ones become JSON.",
        examples=["ignore"],
    )

    @field_validator("fields")
    @classmethod
    def _names_columns(cls, value: Mapping[str, Given]) -> Mapping[str, Given]:
        check_fields(value, dotted=cls.dotted)
        return value

    @field_validator("constants")
    @classmethod
    def _names_texts(cls, value: Mapping[str, str]) -> Mapping[str, str]:
        check_constants(value)
        return value

    def table(self) -> Table:
        """Return the table of the mapping."""
        rest = self.rest == "attrs"
        return make_table(self.fields, self.constants, rest=rest, dotted=self.dotted)


def check_fields(fields: Mapping[str, Given], *, dotted: bool = True) -> None:
    """Raise an error if a mapping cannot be used.

    Args:
        fields: path by flow column.
        dotted: whether dots in a path lead into objects.

    Raises:
        ValueError: with what is wrong, for people.
    """
    if not fields:
        raise ValueError("name at least one flow column, such as `src_addr: srcip`")
    for column, given in fields.items():
        _check_column(column)
        mapping = _mapping(given)
        paths = (mapping.path,) if isinstance(mapping.path, str) else mapping.path
        if not paths:
            raise ValueError(f"{column}: name at least one path")
        for path in paths if dotted else ():
            try:
                parse_path(path)
            except ValueError as error:
                raise ValueError(f"{column}: {error}") from None
        kind = kind_of(column)
        if mapping.unit != "auto" and kind != "time":
            raise ValueError(f"{column}: only times have a unit")
        if mapping.multiply is not None and kind != "count":
            raise ValueError(f"{column}: only counts can be multiplied")


def check_constants(constants: Mapping[str, str]) -> None:
    """Raise an error if a constant is not for a text column.

    Raises:
        ValueError: with what is wrong, for people.
    """
    for column in constants:
        _check_column(column)
        if BY_NAME[column].type != TEXT:
            raise ValueError(f"{column} is not a text column, so it cannot be a constant")


def _check_column(column: str) -> None:
    if column in _NOT_MAPPED:
        raise ValueError(f"{column} cannot be mapped: {_NOT_MAPPED[column]}")
    if column not in BY_NAME:
        close = difflib.get_close_matches(column.lower(), list(BY_NAME), n=1, cutoff=0.6)
        hint = f"did you mean {close[0]}?" if close else "see the reference of the flow schema"
        raise ValueError(f"there is no flow column {column}; {hint}")


def make_table(
    fields: Mapping[str, Given],
    constants: Mapping[str, str],
    *,
    rest: bool,
    dotted: bool = True,
) -> Table:
    """Return the table of a checked mapping."""
    return Table(
        columns=tuple(
            _field(column, _mapping(given), dotted=dotted) for column, given in fields.items()
        ),
        constants=constants,
        rest=rest,
    )


def _mapping(given: Given) -> FieldMapping:
    return given if isinstance(given, FieldMapping) else FieldMapping(path=given)


def _field(column: str, mapping: FieldMapping, *, dotted: bool) -> Col:
    paths = (mapping.path,) if isinstance(mapping.path, str) else mapping.path
    given = mapping.values
    values = None if given is None else {
        name.lower(): None if value is None else str(value) for name, value in given.items()
    }  # fmt: skip
    rule = Rule(
        kind=kind_of(column),
        unit=mapping.unit,
        multiply=mapping.multiply,
        values=values,
        lower=mapping.lower,
    )
    return Col(column, tuple(parse_path(p) if dotted else (p,) for p in paths), rule)
