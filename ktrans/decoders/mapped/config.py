"""Options of mappings in a pipeline file, and their checks."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, ClassVar, Literal

import pyarrow as pa
import pyarrow.compute as pc
from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag, field_validator

from ktrans.api import ComponentConfig
from ktrans.decoders.flow_rule import ADDRESSES
from ktrans.decoders.mapped.table import parse_path
from ktrans.decoders.time_formats import in_zone, time_format
from ktrans.decoders.values import NULL_TEXTS, kind_of
from ktrans.flow.schema import BY_NAME, TEXT, TIME

OTHER_END = {"end_time": "start_time", "start_time": "end_time"}
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
    format: str | tuple[str, ...] = Field(
        default=(),
        description=(
            "Format of times, as `strptime` has them (%Y %m %d %b %H %M %S %f %z and so on), or "
            "several. Unix and RFC 3339 times are read besides. A time without a year is of the "
            "last year in which it is not more than a day ahead of now."
        ),
        examples=["%d/%b/%Y:%H:%M:%S %z"],
    )
    pattern: str | None = Field(
        default=None,
        description=(
            "Regular expression (RE2): what it finds counts instead of the whole text, or what its "
            "group `value` finds. A text without a match has no value. The text stays in attrs."
        ),
        examples=["^[^ ]+ (?P<value>[A-Z]+)"],
    )
    duration: bool = Field(
        default=False,
        description=(
            "The value is a duration (in `unit`; seconds by default): `end_time` is `start_time` "
            "plus the duration, or `start_time` is `end_time` minus it."
        ),
        examples=[True],
    )


def _shape(value: object) -> str:
    """Return which form a mapping has: a path, a path with options, or several of these."""
    if isinstance(value, str):
        return "path"
    return "several" if isinstance(value, list | tuple) else "options"


_Path = Annotated[str, Tag("path")]
_Options = Annotated[FieldMapping, Tag("options")]
_One = Annotated[_Path | _Options, Discriminator(_shape)]
Given = Annotated[
    _Path | _Options | Annotated[tuple[_One, ...], Tag("several")], Discriminator(_shape)
]


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
    only: Mapping[str, str | tuple[str, ...]] = Field(
        default_factory=dict,
        description=(
            "The text, or the texts, that a value of the record must have; other records are "
            "skipped and counted. A record without the value is kept."
        ),
        examples=[{"event_type": "flow"}],
    )
    null_values: tuple[str, ...] = Field(
        default=NULL_TEXTS,
        description="Texts that mean null.",
        examples=[["", "N/A", "0000-00-00 00:00:00"]],
    )
    time_zone: str = Field(
        default="UTC",
        description="Time zone of times that have none themselves.",
        examples=["Europe/Berlin"],
    )
    scale_by: str | None = Field(
        default=None,
        description=(
            "Value of the record that packets and bytes are multiplied by: the sampling rate of "
            "exporters that do not multiply themselves."
        ),
        examples=["sampling_rate"],
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
        _require_addresses(value)
        return value

    @field_validator("constants")
    @classmethod
    def _namestexts_of(cls, value: Mapping[str, str]) -> Mapping[str, str]:
        check_constants(value)
        return value

    @field_validator("only")
    @classmethod
    def _has_paths(cls, value: Mapping[str, str | tuple[str, ...]]) -> Mapping[str, Any]:
        for path in value if cls.dotted else ():
            parse_path(path)
        return value

    @field_validator("scale_by")
    @classmethod
    def _has_path(cls, value: str | None) -> str | None:
        if value is not None and cls.dotted:
            parse_path(value)
        return value

    @field_validator("time_zone")
    @classmethod
    def _is_zone(cls, value: str) -> str:
        try:
            in_zone(pa.array([0], TIME), value)
        except pa.ArrowInvalid:
            raise ValueError(
                f"there is no time zone {value}; names are such as Europe/Berlin or UTC"
            ) from None
        return value

    def paths(self) -> Iterator[str]:
        """Yield the values that are read from the records."""
        for given in self.fields.values():
            for mapping in mappings_of(given):
                yield from texts_of(mapping.path)
        yield from self.only
        if self.scale_by is not None:
            yield self.scale_by


class LinesConfig(MappingConfig):
    """Options of decoders of text with one record a line."""

    dotted: ClassVar[bool] = False

    quote: str | None = Field(
        default='"',
        min_length=1,
        max_length=1,
        description="Character around values that contain a delimiter; null if there is none.",
        examples=["'"],
    )
    comments: tuple[Annotated[str, Field(min_length=1)], ...] = Field(
        default=(),
        description="Beginnings of lines that are no records; they are skipped and counted.",
        examples=[["#"]],
    )
    skip_lines: int = Field(
        default=0,
        ge=0,
        description="How many lines to skip at the top of each object, before a header line.",
        examples=[2],
    )


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
    durations = set()
    for column, given in fields.items():
        _check_column(column)
        mappings = mappings_of(given)
        if not mappings:
            raise ValueError(f"{column}: name at least one path")
        for mapping in mappings:
            try:
                _check_mapping(column, mapping, dotted=dotted)
            except ValueError as error:
                raise ValueError(f"{column}: {error}") from None
            if mapping.duration:
                durations.add(column)
        if column in durations and len(mappings) > 1:
            raise ValueError(f"{column}: a duration cannot be one of several values")
    for column in durations:
        other = OTHER_END[column]
        if other in durations or other not in fields:
            raise ValueError(f"{column}: a duration needs {other}, as a time")


def _require_addresses(fields: Mapping[str, Given]) -> None:
    if not any(name in fields for name in ADDRESSES):
        raise ValueError("map src_addr and dst_addr: a record without addresses is no flow")


def _check_mapping(column: str, mapping: FieldMapping, *, dotted: bool) -> None:
    """Raise an error if a value cannot be mapped to a column so."""
    if not texts_of(mapping.path):
        raise ValueError("name at least one path")
    for path in texts_of(mapping.path) if dotted else ():
        parse_path(path)
    kind = kind_of(column)
    if kind != "time" and (mapping.unit != "auto" or mapping.format):
        raise ValueError(f"only times have a {'unit' if mapping.unit != 'auto' else 'format'}")
    for form in texts_of(mapping.format):
        time_format(form)
    if mapping.duration and column not in OTHER_END:
        raise ValueError("only start_time and end_time can be made of a duration")
    if mapping.duration and (mapping.format or mapping.unit == "rfc3339"):
        raise ValueError("a duration has a unit: s, ms, us or ns")
    if mapping.multiply is not None and kind != "count":
        raise ValueError("only counts can be multiplied")
    if mapping.pattern is not None:
        value_pattern(mapping.pattern)


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


def mappings_of(given: Given) -> tuple[FieldMapping, ...]:
    """Return the mappings of a flow column, of which the first with a value counts."""
    if isinstance(given, FieldMapping):
        return (given,)
    if isinstance(given, str):
        return (FieldMapping(path=given),)
    return tuple(
        each if isinstance(each, FieldMapping) else FieldMapping(path=each) for each in given
    )


def texts_of(given: str | tuple[str, ...]) -> tuple[str, ...]:
    """Return one text or several as a tuple."""
    return (given,) if isinstance(given, str) else given


def value_pattern(text: str) -> str:
    """Return a regular expression with the group `value`.

    Raises:
        ValueError: it is none, or has groups of other names.
    """
    whole = text if "(?P<value>" in text else f"(?P<value>{text})"
    try:
        pc.extract_regex(pa.array([], pa.string()), whole)
    except pa.ArrowInvalid as error:
        raise ValueError(
            f"pattern {text!r}: {error}; groups are (?:...) or (?P<value>...)"
        ) from None
    return whole
