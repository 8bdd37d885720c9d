"""Names of labels and metrics, from the columns of totals."""

from __future__ import annotations

import re

import msgspec
import pyarrow as pa

from ktrans.api import ConfigError
from ktrans.kit.rows.points import series_of
from ktrans.kit.rows.scalars import is_binary, is_scalar
from ktrans_prometheus.config import PrometheusSinkConfig

_NO_NAME = re.compile(r"[^a-zA-Z0-9_]")


class Names(msgspec.Struct, frozen=True):
    """The columns of a sample.

    Attributes:
        labels: columns by the names of labels.
        metrics: columns by the names of metrics.
    """

    labels: dict[str, str]
    metrics: dict[str, str]


def names_of(schema: pa.Schema, config: PrometheusSinkConfig) -> Names:
    """Return the labels and metrics of totals.

    Raises:
        ConfigError: the rows are not totals, or a column fits no label or metric.
    """
    series = series_of(schema)
    if series is None or not series["fields"]:
        raise ConfigError(
            "the rows are not the totals of a rollup, and a series has one sample at a time",
            code="totals_needed",
            hint="put the enricher `rollup` before the sink, and keep its columns",
        )
    if config.time not in schema.names:
        raise ConfigError(
            f"the rows have no column {config.time}",
            field="time",
            code="column_missing",
            hint="keep the columns window_start and window_end of the rollup",
        )
    labels: dict[str, str] = {}
    for column in series["tags"]:
        name = _named(column)
        if name in labels or name in config.labels:
            raise ConfigError(
                f"the label {name!r} of column {column!r} exists already",
                field="labels",
                code="id_taken",
                hint="rename the column with `derive`, or the label in `labels`",
            )
        _check(schema, column, "label", is_scalar(schema.field(column).type))
        labels[name] = column
    metrics = {f"{config.prefix}{_named(column)}": column for column in series["fields"]}
    for name, column in metrics.items():
        kind = schema.field(column).type
        numeric = any(is_kind(kind) for is_kind in (_is_number, pa.types.is_timestamp))
        _check(schema, column, "metric", numeric and not is_binary(kind))
        if name[0].isdigit():
            raise ConfigError(f"{name!r} cannot be the name of a metric", field="prefix")
    return Names(labels, metrics)


def _is_number(kind: pa.DataType) -> bool:
    types = pa.types
    plain = types.is_integer(kind) or types.is_floating(kind) or types.is_boolean(kind)
    return bool(plain or types.is_decimal(kind))


def _named(column: str) -> str:
    """Return a column's name with `_` for what no name of a label or metric may have."""
    name = _NO_NAME.sub("_", column)
    return f"_{name}" if name[:1].isdigit() else name


def _check(schema: pa.Schema, column: str, role: str, fits: bool) -> None:
    if not fits:
        raise ConfigError(
            f"column {column!r} of type {schema.field(column).type} cannot be a {role}",
            code="type_not_supported",
            hint="group by plain columns, and aggregate numbers",
        )
