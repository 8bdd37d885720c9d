"""From native columns of AWS logs to batches of the flow schema, for text and Parquet alike."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache

import pyarrow as pa
import pyarrow.compute as pc

from ktrans.decoders.aws.derived import (
    ip_version,
    odd_types,
    percent_decoded,
    reporter,
    sum_counts,
)
from ktrans.decoders.aws.fields import LOST_FIELDS, TAG_FIELDS, FieldKind
from ktrans.decoders.aws.layout import LOGGED_AT, Dialect
from ktrans.flow.columns import (
    coalesce_text,
    constant_text,
    flow_batch,
    lower_text,
    unix_times,
)
from ktrans.flow.maps import build_attrs
from ktrans.flow.protocols import blank_ports, portless
from ktrans.flow.schema import TEXT, TIME

_FILE_NAME = re.compile(
    r"^(?:(?P<account>\d{12})_vpcflowlogs_(?P<region>[a-z0-9-]+)_fl-[^_]+_|.*_)"
    r"(?P<time>\d{8}T\d{4}Z)_[^/]*$"
)
_PLAIN_COLUMNS = frozenset({"flags", "version", "protocol", "count", "text", "address"})


@dataclass(frozen=True, slots=True)
class FileFacts:
    """What an object's name says about its records.

    Source: AWS VPC User Guide, "Flow log files": account_vpcflowlogs_region_id_time_hash.log.gz.
    """

    region: str | None = None
    logged_at: datetime | None = None


@lru_cache(maxsize=4096)
def file_facts(uri: str) -> FileFacts:
    """Read an object's name; names of another shape say nothing."""
    match = _FILE_NAME.match(uri.rpartition("/")[2])
    if match is None:
        return FileFacts()
    try:
        logged_at = datetime.strptime(match["time"], "%Y%m%dT%H%MZ").replace(tzinfo=UTC)
    except ValueError:
        logged_at = None
    return FileFacts(match["region"], logged_at)


@dataclass(frozen=True, slots=True)
class Lineage:
    """Where rows came from, and what their transport says about them.

    Attributes:
        uri: the object.
        positions: int64, the line or record of each row.
        record_id: text column, or None.
        logged_at: timestamps, or None to take the time in the object's name.
    """

    uri: str
    positions: pa.Array
    record_id: pa.Array | None = None
    logged_at: pa.Array | None = None


class Mapper:
    """Makes flow batches of one layout.

    Args:
        dialect: the kind of log.
        names: the native fields that there are.
        schema: the flow columns that are wanted.

    Attributes:
        needed: the native fields that the wanted columns draw on, in the layout's order.
        kinds: the kind of every field; unknown ones are text.
    """

    def __init__(self, dialect: Dialect, names: Sequence[str], schema: pa.Schema) -> None:
        self.dialect = dialect
        self.names = tuple(names)
        self.schema = schema
        self.wanted = frozenset(schema.names)
        self.kinds: dict[str, FieldKind] = {name: self._kind(name) for name in names}
        self.needed = tuple(name for name in names if self._targets(name) & self.wanted)

    def _kind(self, name: str) -> FieldKind:
        if name == LOGGED_AT:
            return "stamp"
        known = self.dialect.by_name.get(name)
        return "text" if known is None else known.kind

    def _targets(self, name: str) -> set[str]:
        """Name the flow columns that a native field has a part in."""
        if name == LOGGED_AT:
            return {"logged_at", "start_time"}
        known = self.dialect.by_name.get(name)
        if known is None:
            return {"attrs", "region"} if name == "aws-region" else {"attrs"}
        own = known.column or "attrs"
        return {own, *known.also}

    def batch(self, native: Mapping[str, pa.Array], rows: int, lineage: Lineage) -> pa.RecordBatch:
        """Make a batch.

        Args:
            native: the checked column of each needed field, by native name (types of `_native`).
            rows: how many rows they have.
            lineage: where they came from.
        """
        columns: dict[str, pa.Array] = {}
        for name, column in native.items():
            known = self.dialect.by_name.get(name)
            if known is None or known.column is None or known.column not in self.wanted:
                continue
            if known.kind in _PLAIN_COLUMNS:
                columns[known.column] = column
        self._constants(columns, rows, lineage)
        self._times(columns, native, rows, lineage)
        self._ports(columns, native)
        self._sides(columns, native, rows)
        self._place(columns, native, rows, lineage)
        if "ip_version" in self.wanted:
            columns["ip_version"] = ip_version(native, rows)
        if "packets_dropped" in self.wanted:
            lost = [native[n] for n in LOST_FIELDS if n in native and n in self.dialect.by_name]
            if lost:
                columns["packets_dropped"] = sum_counts(lost)
        if "attrs" in self.wanted:
            columns["attrs"] = self._attrs(native, rows)
        return flow_batch(self.schema, rows, columns)

    def _constants(self, columns: dict[str, pa.Array], rows: int, lineage: Lineage) -> None:
        if "provider" in self.wanted:
            columns["provider"] = constant_text(self.dialect.provider, rows)
        if "log_type" in self.wanted:
            columns["log_type"] = constant_text(self.dialect.log_type, rows)
        if "source_uri" in self.wanted:
            columns["source_uri"] = constant_text(lineage.uri, rows)
        if "source_pos" in self.wanted:
            columns["source_pos"] = lineage.positions
        if "record_id" in self.wanted and lineage.record_id is not None:
            columns["record_id"] = lineage.record_id

    def _times(
        self, columns: dict[str, pa.Array], native: Mapping[str, pa.Array], rows: int,
        lineage: Lineage,
    ) -> None:  # fmt: skip
        """Fill the times; a row without start has that of its transport."""
        logged_at = native.get(LOGGED_AT, lineage.logged_at)
        in_name = file_facts(lineage.uri).logged_at
        if in_name is not None and (logged_at is None or logged_at.null_count):
            named = pa.repeat(pa.scalar(in_name, TIME), rows)
            logged_at = named if logged_at is None else pc.coalesce(logged_at, named)
        if "logged_at" in self.wanted and logged_at is not None:
            columns["logged_at"] = logged_at
        if "end_time" in self.wanted and "end" in native:
            columns["end_time"] = unix_times(native["end"])
        if "start_time" not in self.wanted:
            return
        start = unix_times(native["start"]) if "start" in native else None
        if logged_at is not None and (start is None or start.null_count):
            start = logged_at if start is None else pc.coalesce(start, logged_at)
        if start is not None:
            columns["start_time"] = start

    def _ports(self, columns: dict[str, pa.Array], native: Mapping[str, pa.Array]) -> None:
        wanted = {"srcport": "src_port", "dstport": "dst_port"}
        there = [
            name for name, column in wanted.items() if column in self.wanted and name in native
        ]
        if not there:
            return
        without = portless(native["protocol"]) if "protocol" in native else None
        for name in there:
            columns[wanted[name]] = blank_ports(native[name], without)

    def _sides(
        self, columns: dict[str, pa.Array], native: Mapping[str, pa.Array], rows: int
    ) -> None:
        """Fill what says which side of the flow was watched, and the verdict."""
        if "action" in columns:
            columns["action"] = lower_text(columns["action"])
        direction = native.get("flow-direction")
        if direction is not None:
            direction = lower_text(direction)
            if "direction" in self.wanted:
                columns["direction"] = direction
        if "reporter" in self.wanted:
            columns["reporter"] = reporter(direction, rows)

    def _place(
        self, columns: dict[str, pa.Array], native: Mapping[str, pa.Array], rows: int,
        lineage: Lineage,
    ) -> None:  # fmt: skip
        """Fill what the record leaves to its surroundings: interface and region."""
        resource = native.get("resource-id")
        if "interface_id" in self.wanted and resource is not None:
            interface = columns.get("interface_id")
            columns["interface_id"] = (
                resource if interface is None else coalesce_text(interface, resource)
            )
        if "region" in self.wanted and "region" not in self.names:
            partition = native.get("aws-region")
            named = file_facts(lineage.uri).region
            if partition is not None:
                columns["region"] = partition
            elif named is not None:
                columns["region"] = constant_text(named, rows)

    def _attrs(self, native: Mapping[str, pa.Array], rows: int) -> pa.Array:
        fields = []
        for name in self.needed:
            known = self.dialect.by_name.get(name)
            if name == LOGGED_AT or (known and known.column is not None):
                continue
            column = native[name]
            if column.type != TEXT:
                column = column.cast(pa.string()).dictionary_encode()
            elif name == "type":
                column = odd_types(column)
            elif name in TAG_FIELDS:
                column = percent_decoded(column)
            fields.append((name, column))
        return build_attrs(fields, rows)
