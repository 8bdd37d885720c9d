"""Iceberg's description of a file: its partition, from the path's values, and its statistics."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pyarrow as pa

from ktrans.api import ConfigError, TableFile, TableLayout

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_STEPS = ("year", "month", "day", "hour")
_READABLE = set("YmdjHMS")
"""The directives that are read back; others, such as those of ISO weeks, are not."""

_LONGEST_TEXT = 16
"""Iceberg keeps so many characters of a text's bounds."""

Value = Callable[[Sequence[str | None]], Any]
"""Returns the value of a partition from the texts of a file's path."""


def readable(formats: Sequence[str]) -> list[int]:
    """Return the places of formats that can be read as one text: no directive is there twice."""
    directives = [re.findall("%(.)", text) for text in formats]
    told: set[str] = set()
    found = []
    for at in sorted(range(len(formats)), key=lambda at: -len(directives[at])):
        own = set(directives[at])
        if own <= _READABLE - told and len(own) == len(directives[at]):
            told |= own
            found.append(at)
    return sorted(found)


def step_of(formats: Sequence[str]) -> str | None:
    """Return the unit of time that these formats together tell; None if they tell none wholly."""
    told = {found for at in readable(formats) for found in re.findall("%(.)", formats[at])}
    if "Y" not in told:
        return None
    if {"m", "d"} <= told or "j" in told:
        return "hour" if "H" in told else "day"
    return "month" if "m" in told else "year"


def wanted(layout: TableLayout) -> dict[str, str]:
    """Return the columns that a new table is partitioned by, and the transform of each."""
    transforms: dict[str, str] = {}
    for part in layout.parts:
        formats = [other.format for other in layout.parts if other.column == part.column]
        step = step_of(formats) if part.format else "identity"
        if step == "hour" and pa.types.is_date(layout.schema.field(part.column).type):
            step = "day"
        if step is not None:
            transforms[part.column] = step
    return transforms


def values_of(spec: Any, schema: Any, layout: TableLayout) -> list[Value]:
    """Return for each partition of a table how it follows from the path.

    Raises:
        ConfigError: the path does not tell a partition.
    """
    return [_value_of(field, schema.find_field(field.source_id), layout) for field in spec.fields]


def _value_of(field: Any, source: Any, layout: TableLayout) -> Value:
    places = [at for at, part in enumerate(layout.parts) if part.column == source.name]
    formats = [layout.parts[at].format for at in places]
    transform = field.transform.transform(source.field_type)
    if "" in formats:
        at, read = places[formats.index("")], _reader(str(source.field_type))
        return lambda texts: transform(None if (text := texts[at]) is None else read(text))
    step, asked = step_of(formats), str(field.transform)
    if step is None or asked not in _STEPS or _STEPS.index(asked) > _STEPS.index(step):
        raise ConfigError(
            f"the table is partitioned by {asked}({source.name}), which the path does not tell",
            field="path",
            code="table_partitions",
            hint="write a folder for each partition of the table, such as date={start_time:%Y-%m-%d}",
        )
    used = readable(formats)
    form = "\n".join(formats[at] for at in used)
    unit = timedelta(days=1) if str(source.field_type) == "date" else timedelta(microseconds=1)

    def from_time(texts: Sequence[str | None]) -> Any:
        found = [text for at in used if (text := texts[places[at]]) is not None]
        if len(found) < len(used):
            return None
        moment = datetime.strptime("\n".join(found), form).replace(tzinfo=UTC)
        return transform((moment - _EPOCH) // unit)

    return from_time


def _reader(kind: str) -> Callable[[str], Any]:
    """Return what reads the text of a value, as it is in a path."""
    if kind == "boolean":
        return "true".__eq__
    if kind.startswith("decimal"):
        return Decimal
    return int if kind in {"int", "long"} else str


def check_absent(spec: Any, schema: Any, layout: TableLayout) -> None:
    """Check that columns that are not in the files can be told from the partitions.

    Raises:
        ConfigError: one cannot.
    """
    told = {
        schema.find_field(field.source_id).name
        for field in spec.fields
        if str(field.transform) == "identity"
    }
    if lost := set(layout.absent) - told:
        raise ConfigError(
            f"the table is not partitioned by {min(lost)!r}, so that its values would be lost",
            field="keep_partition_columns",
            code="table_partitions",
            hint="leave out `keep_partition_columns: false`",
        )


def data_file(uri: str, file: TableFile, metadata: Any, values: Sequence[Value]) -> Any:
    """Return the entry of a manifest for a file.

    Args:
        uri: of the file.
        file: what was published.
        metadata: of the table, whose schema and partitions apply.
        values: see `values_of`.
    """
    from pyiceberg.manifest import DataFile, DataFileContent, FileFormat
    from pyiceberg.typedef import Record

    schema = metadata.schema()
    nulls: dict[int, int] = {}
    low: dict[int, bytes] = {}
    high: dict[int, bytes] = {}
    for name, (least, greatest, count) in file.bounds.items():
        field = schema.find_field(name)
        nulls[field.field_id] = count
        if least is not None:
            _add_bounds(field, least, greatest, low, high)
    return DataFile.from_args(
        content=DataFileContent.DATA,
        file_path=uri,
        file_format=FileFormat.PARQUET,
        partition=Record(*(value(file.values) for value in values)),
        record_count=file.rows,
        file_size_in_bytes=file.bytes,
        column_sizes=None,
        value_counts=dict.fromkeys(nulls, file.rows),
        null_value_counts=nulls,
        nan_value_counts=None,
        lower_bounds=low,
        upper_bounds=high,
        split_offsets=None,
        sort_order_id=None,
        spec_id=metadata.default_spec_id,
        equality_ids=None,
        key_metadata=None,
    )


def _add_bounds(
    field: Any, least: Any, greatest: Any, low: dict[int, bytes], high: dict[int, bytes]
) -> None:
    from pyiceberg.conversions import to_bytes
    from pyiceberg.utils.truncate import truncate_upper_bound_text_string

    if isinstance(greatest, str):
        least = least[:_LONGEST_TEXT]
        greatest = truncate_upper_bound_text_string(greatest, _LONGEST_TEXT)
        # The library takes the next number, where half of a pair of UTF-16 is no character by itself.
        greatest = greatest and greatest.replace("\ud800", "\ue000")
    low[field.field_id] = to_bytes(field.field_type, least)
    if greatest is not None:
        high[field.field_id] = to_bytes(field.field_type, greatest)


FILE_OPTIONS: Mapping[str, str] = {
    "aws_access_key_id": "s3.access-key-id",
    "aws_secret_access_key": "s3.secret-access-key",
    "aws_session_token": "s3.session-token",
    "aws_region": "s3.region",
    "aws_endpoint": "s3.endpoint",
    "azure_storage_account_name": "adls.account-name",
    "azure_storage_account_key": "adls.account-key",
    "azure_storage_sas_token": "adls.sas-token",
    "azure_storage_token": "adls.token",
    "google_token": "gcs.oauth2.token",
}
"""The options of a store as pyiceberg names them."""
