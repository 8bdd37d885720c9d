"""InfluxDB line protocol: rows as points of a time series."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, Literal

import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field, field_validator, model_validator

from ktrans.api import Coded, ComponentConfig, ConfigError, Numbers, Plain, RowsError
from ktrans.kit.rows import points as _points
from ktrans.kit.rows.escaping import (
    escaped_key,
    escaped_measurement,
    field_piece,
    field_text,
    tag_text,
)
from ktrans.kit.rows.pieces import Piece, piece
from ktrans.kit.rows.row_format import TextFormat
from ktrans.kit.rows.scalars import is_binary, is_scalar

_compute: Any = pc

Uniqueness = Literal["sequence", "object_tag", "row_tag", "none"]

_RESERVED = ("time", "_field", "_measurement")
_OBJECT_TAG, _ROW_TAG = "object", "flow"


class InfluxFormatConfig(ComponentConfig, type="influx"):
    """Options of line protocol."""

    measurement: str = Field(
        "flow", min_length=1, description="Name of the measurement.", examples=["flow", "vpc_flow"]
    )
    tags: tuple[str, ...] = Field(
        ("provider", "account_id", "region", "vpc_id", "action", "protocol", "direction"),
        description="Columns that become tags. Each combination of their values is a series, which"
        " InfluxDB keeps an index of: take columns with few distinct values, no addresses or ports."
        " Of the default ones those that the rows have are used.",
        examples=[["account_id", "action", "protocol"]],
    )
    fields: tuple[str, ...] = Field(
        ("bytes", "packets", "bytes_rev", "packets_rev", "bytes_dropped", "packets_dropped"),
        description="Columns that become fields. Of the default ones those that the rows have are"
        " used.",
        examples=[["bytes", "packets", "src_addr", "dst_addr", "dst_port"]],
    )
    count_field: str | None = Field(
        "flows",
        description="A field with the value 1 in each point: it counts flows, and gives a point to"
        " rows whose other fields are all null. None leaves it out, as does a column of that name"
        " among tags or fields.",
        examples=["flows", None],
    )
    time: tuple[str, ...] = Field(
        ("end_time", "start_time", "logged_at"),
        min_length=1,
        description="Columns to take a point's time from: the first one that is not null.",
        examples=[["end_time", "start_time"]],
    )
    precision: Literal["ns", "us", "ms", "s"] = Field(
        "ns",
        description="Unit of the times. The server must be told the same.",
        examples=["ns", "s"],
    )
    uniqueness: Uniqueness = Field(
        "sequence",
        description="What keeps rows from replacing each other, since InfluxDB holds one point per"
        " series and time. sequence: the nanoseconds within the second number the rows."
        " object_tag: the same, and a tag `object` for the file that the row came from. row_tag: a"
        " tag `flow` of its own for each row. none: nothing, later rows replace earlier ones.",
        examples=["sequence", "object_tag"],
    )

    @field_validator("measurement")
    @classmethod
    def _name(cls, value: str) -> str:
        if value.startswith(("_", "#")) or value.endswith("\\"):
            raise ValueError("a measurement does not begin with _ or #, nor end with a backslash")
        return value

    @model_validator(mode="after")
    def _fits(self) -> InfluxFormatConfig:
        if "count_field" not in self.model_fields_set and self.count_field in {
            *self.tags,
            *self.fields,
        }:
            object.__setattr__(self, "count_field", None)  # the rows have a count of their own
        fields = [*self.fields, *([self.count_field] if self.count_field else [])]
        if not fields:
            raise ValueError("a point needs a field: name columns in `fields`, or a `count_field`")
        added = {"object_tag": (_OBJECT_TAG,), "row_tag": (_ROW_TAG,)}.get(self.uniqueness, ())
        keys = [*self.tags, *fields, *added]
        for key in keys:
            if key in _RESERVED or not key or key.endswith("\\"):
                raise ValueError(f"InfluxDB does not take {key!r} as the key of a tag or field")
            if keys.count(key) > 1:
                raise ValueError(f"{key!r} is named twice among tags and fields")
        if self.precision != "ns" and self.uniqueness in {"sequence", "object_tag"}:
            raise ValueError(
                f"uniqueness: {self.uniqueness} numbers rows by nanoseconds, so it needs"
                " precision: ns; with another precision take row_tag or none"
            )
        return self


class InfluxFormat(TextFormat[InfluxFormatConfig]):
    r"""One point a row: measurement, tags in the order of their names, fields, time.

    Nulls and empty tags are left out. Integers have the suffix `i`, times among the fields are
    microseconds since 1970. Line ends and tabs in tags, and line ends in text fields, are written
    as `\n`, `\r`, `\t`, because the protocol has no form for them; a tag that ends with a backslash
    gets a space after it.

    What `uniqueness` guarantees, given that no two rows have the same source_uri and source_pos:

    - `sequence` (the default): rows of one object (of up to 1e9 rows) never share series and time:
      the time is the row's second, its sub-second part replaced by source_pos nanoseconds, counted
      from a start that a hash of source_uri gives. Rows of different objects can: a row that falls
      into the same series and second as n rows of other objects meets one with probability n/1e9.
      No series are added.
    - `object_tag`: no rows share series and time, short of equal 64-bit hashes of two object names.
      Costs as many series as there are objects, times those that each of them has.
    - `row_tag`: the same at any precision and with times as they are; each row is a series.
    - `none`: nothing is guaranteed. Right when rows are unique by themselves, as after a rollup.

    In all cases a point depends on its row alone, so a rerun writes the same points, however the
    rows are cut into batches.

    The schema of a `rollup` names its time, tags and fields, which make its rows unique: they
    replace the defaults.
    """

    extension: ClassVar[str] = ".lp"

    _tags: tuple[str, ...] = ()
    _fields: tuple[str, ...] = ()
    _times: tuple[str, ...] = ()

    def needs(self) -> Sequence[str]:
        """Return tags, fields and times, and the row's origin if uniqueness needs it."""
        config = self.config
        origin = () if config.uniqueness == "none" else ("source_uri", "source_pos")
        return tuple(dict.fromkeys((*config.tags, *config.fields, *config.time, *origin)))

    def bind(self, schema: pa.Schema) -> None:
        """Find the columns to be written.

        Raises:
            ConfigError: a column that was asked for is missing, or has a type that does not fit.
        """
        self.config = _for_totals(self.config, schema)
        self._tags = self._present(schema, "tags")
        self._fields = self._present(schema, "fields")
        self._times = self._present(schema, "time")
        for name in (*self._tags, *self._fields):
            kind = schema.field(name).type
            if not is_scalar(kind) or (is_binary(kind) and name in self._fields):
                raise ConfigError(
                    f"column {name!r} of type {kind} cannot be a tag or field of InfluxDB",
                    code="type_not_supported",
                    hint="take plain columns; a derive enricher can make one from an attribute",
                )
        for name in self._times:
            if not pa.types.is_timestamp(schema.field(name).type):
                raise ConfigError(
                    f"column {name!r} is not a time but {schema.field(name).type}",
                    code="type_not_supported",
                    hint="name timestamp columns in `time`",
                )
        if not self._times:
            raise ConfigError(
                f"the rows have none of the time columns {', '.join(self.config.time)}",
                code="column_missing",
                hint="name a timestamp column of theirs in `time`",
            )
        if not self._fields and not self.config.count_field:
            raise ConfigError(
                f"the rows have none of the fields {', '.join(self.config.fields)}",
                code="column_missing",
                hint="name columns of theirs in `fields`, or set count_field",
            )
        origin = () if self.config.uniqueness == "none" else ("source_uri", "source_pos")
        for name in origin:
            if name not in schema.names:
                raise ConfigError(
                    f"uniqueness: {self.config.uniqueness} needs the column {name}, which the rows do"
                    " not have",
                    code="column_missing",
                    hint="keep source_uri and source_pos, or set uniqueness: none if each row has"
                    " a series and time of its own",
                )

    def pieces(self, batch: pa.RecordBatch) -> list[Piece]:
        """Return the pieces of one line a row.

        Raises:
            RowsError: rows have no time, no field, or no origin where one is needed.
        """
        uniqueness = self.config.uniqueness
        tags: dict[str, Piece] = {
            name: piece(batch.column(name), tag_text, f",{escaped_key(name)}=", digits=True)
            for name in self._tags
        }
        times = _points.point_times(
            [batch.column(name) for name in self._times], self.config.precision
        )
        if uniqueness in {"sequence", "object_tag"}:
            times = _points.sequenced(times, batch, spread=uniqueness == "sequence")
        if uniqueness == "object_tag":
            tags[_OBJECT_TAG] = Coded(*_points.object_tags(batch), before=f",{_OBJECT_TAG}=")
        elif uniqueness == "row_tag":
            tags[_ROW_TAG] = Plain(_points.row_tags(batch), before=f",{_ROW_TAG}=")
        return [
            escaped_measurement(self.config.measurement),
            *(tags[name] for name in sorted(tags)),
            " ",
            *self._field_pieces(batch),
            Numbers(pa.array(times), before=" ", after="\n"),
        ]

    def _field_pieces(self, batch: pa.RecordBatch) -> list[Piece]:
        count = self.config.count_field
        if count:
            columns = [(batch.column(name), f",{escaped_key(name)}=") for name in self._fields]
            return [f"{escaped_key(count)}=1i", *(field_piece(*column) for column in columns)]
        pieces: list[Piece] = []
        preceded = pa.repeat(pa.scalar(False), batch.num_rows)
        for name in self._fields:
            column = batch.column(name)
            valid = field_text(column).is_valid()
            comma = _compute.and_(preceded, valid).dictionary_encode()
            text = piece(comma, lambda flags: _compute.if_else(flags, ",", ""))
            pieces += [text, field_piece(column, f"{escaped_key(name)}=")]
            preceded = _compute.or_(preceded, valid)
        if not _compute.all(preceded).as_py():
            raise RowsError(
                "the row has a value in none of the fields, so it cannot be a point",
                rows=_compute.invert(preceded),
                code="fields_missing",
                hint="set count_field, add fields, or filter such rows out",
            )
        return pieces

    def _present(self, schema: pa.Schema, option: str) -> tuple[str, ...]:
        """Return an option's columns; of its default ones those that the rows have."""
        names: tuple[str, ...] = getattr(self.config, option)
        missing = [name for name in names if name not in schema.names]
        if missing and option in self.config.model_fields_set:
            raise ConfigError(
                f"`{option}` names columns that the rows do not have: {', '.join(missing)}",
                code="column_missing",
                hint=f"the rows have: {', '.join(schema.names)}",
            )
        return tuple(name for name in names if name not in missing)


def _for_totals(config: InfluxFormatConfig, schema: pa.Schema) -> InfluxFormatConfig:
    """Fill in the options that the user left out, if the rows are totals of a rollup.

    Raises:
        ConfigError: with the user's tags, totals would replace each other.
    """
    series = _points.series_of(schema)
    if series is None:
        return config
    filled: dict[str, Any] = {name: tuple(series[name]) for name in ("time", "tags", "fields")}
    filled |= {"count_field": None, "uniqueness": "none"}
    given = {name: getattr(config, name) for name in config.model_fields_set}
    settled = config.model_copy(update={**filled, **given})
    missing = [name for name in series["tags"] if name not in settled.tags]
    if settled.uniqueness == "none" and missing:
        raise ConfigError(
            f"totals that differ only in {', '.join(missing)} would replace each other",
            field="tags",
            code="series_not_unique",
            hint="leave `tags` out, or group by the tags alone",
        )
    return settled
