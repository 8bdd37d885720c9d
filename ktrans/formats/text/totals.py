"""Line protocol of totals: what their schema says takes the place of the defaults for flows."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from ktrans.api import ConfigError

if TYPE_CHECKING:
    from ktrans.formats.influx import InfluxFormatConfig

SERIES = b"ktrans.series"
"""Schema metadata, as `rollup` sets it: JSON with the names of `time`, `tags` and `fields`."""


def for_totals(config: InfluxFormatConfig, schema: pa.Schema) -> InfluxFormatConfig:
    """Fill in what the user left open, if the rows are totals that are unique by time and tags.

    Raises:
        ConfigError: the user's tags leave totals that would replace each other.
    """
    series = _series(schema)
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


def _series(schema: pa.Schema) -> dict[str, list[str]] | None:
    """Read what the schema says, if all of it is still true of the columns that there are."""
    known = (schema.metadata or {}).get(SERIES)
    if known is None:
        return None
    series: dict[str, list[str]] = json.loads(known)
    there = set(schema.names)
    if not there.issuperset([*series["time"], *series["tags"]]):
        return None
    series["fields"] = [name for name in series["fields"] if name in there]
    return series
