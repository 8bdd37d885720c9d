"""Makes the table of a mapping in a pipeline file."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import cast

from ktrans.api.clock import Clock
from ktrans.decoders.durations import (
    DurationUnit,
    end_from_duration,
    start_from_duration,
    to_microseconds,
)
from ktrans.decoders.mapped.config import (
    OTHER_END,
    FieldMapping,
    MappingConfig,
    mappings_of,
    texts_of,
    value_pattern,
)
from ktrans.decoders.mapped.table import Col, Table, Where, parse_path
from ktrans.decoders.read.raw_columns import Path
from ktrans.decoders.time_formats import time_format
from ktrans.decoders.times import Written
from ktrans.decoders.values import Convert, Rule, kind_of

_DERIVED = {"end_time": end_from_duration, "start_time": start_from_duration}


def mapping_table(config: MappingConfig, clock: Clock) -> Table:
    """Return the table of a mapping."""
    dotted = config.dotted
    columns = tuple(
        _column(column, mapping, config, clock)
        for column, given in config.fields.items()
        for mapping in mappings_of(given)
    )
    skip = tuple(
        Where(_path(path, dotted=dotted), partial(_differs, frozenset(texts_of(wanted))))
        for path, wanted in config.only.items()
    )
    table = Table(
        columns=columns,
        constants=config.constants,
        skip=skip or None,
        rate=() if config.scale_by is None else (_path(config.scale_by, dotted=dotted),),
        scale=config.scale_by is not None,
        rest=config.rest == "attrs",
    )
    for column, given in config.fields.items():
        if any(mapping.duration for mapping in mappings_of(given)):
            return replace(table, derive=_DERIVED[column], always=frozenset(OTHER_END))
    return table


def _column(column: str, mapping: FieldMapping, config: MappingConfig, clock: Clock) -> Col:
    """Return the column of one of the mappings of a flow column."""
    given = mapping.values
    values = None if given is None else {
        name.lower(): None if value is None else str(value) for name, value in given.items()
    }  # fmt: skip
    formats = tuple(time_format(text) for text in texts_of(mapping.format))
    rule = Rule(
        kind=kind_of(column),
        unit=mapping.unit,
        multiply=mapping.multiply,
        values=values,
        lower=mapping.lower,
        nulls=config.null_values,
        pattern=None if mapping.pattern is None else value_pattern(mapping.pattern),
        written=Written(formats, config.time_zone, clock.now),
        convert=_duration(mapping, config.null_values) if mapping.duration else None,
    )
    paths = tuple(_path(path, dotted=config.dotted) for path in texts_of(mapping.path))
    return Col(column, paths, rule, in_attrs=mapping.pattern is not None)


def _duration(mapping: FieldMapping, null_values: tuple[str, ...]) -> Convert:
    """Return the conversion of a duration."""
    unit = "s" if mapping.unit in ("auto", "rfc3339") else mapping.unit
    return partial(to_microseconds, unit=cast("DurationUnit", unit), nulls=null_values)


def _path(path: str, *, dotted: bool) -> Path:
    return parse_path(path) if dotted else (path,)


def _differs(wanted: frozenset[str], text: str) -> bool:
    return text not in wanted
