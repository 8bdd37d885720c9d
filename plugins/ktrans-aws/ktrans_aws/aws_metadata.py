"""The `aws_metadata` enricher: names, tags and locations of EC2 interfaces, by id and address."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Self

import numpy as np
import pyarrow as pa
from pydantic import Field, model_validator

from ktrans.api import Reach
from ktrans.kit import log_events
from ktrans.kit.column_enricher import ColumnEnricher
from ktrans.kit.columns import (
    coded,
    distinct,
    require_text,
    side_of,
    spread,
    text_field,
)
from ktrans_aws.client import AwsConfig
from ktrans_aws.ec2_inventory import Interface, Snapshot, load, take

_TIME = pa.timestamp("us", tz="UTC")

Column = Literal[
    "name",
    "instance_id",
    "eni_id",
    "subnet_id",
    "subnet_name",
    "vpc_id",
    "zone",
    "security_groups",
    "interface_type",
    "description",
]
_VALUES: dict[str, tuple[Callable[[Interface], str | None], str]] = {
    "name": (lambda one: one.name, "Name tag of the instance, or else of the interface"),
    "instance_id": (lambda one: one.instance_id, "instance that has the interface"),
    "eni_id": (lambda one: one.id, "network interface"),
    "subnet_id": (lambda one: one.subnet_id, "subnet"),
    "subnet_name": (lambda one: one.subnet_name, "Name tag of the subnet"),
    "vpc_id": (lambda one: one.vpc_id, "VPC"),
    "zone": (lambda one: one.zone, "availability zone, by name"),
    "security_groups": (
        lambda one: ",".join(one.security_groups) or None,
        "names of the security groups, sorted, with commas between",
    ),
    "interface_type": (lambda one: one.interface_type, "kind of interface"),
    "description": (lambda one: one.description, "description of the interface"),
}


class AwsMetadataEnricherConfig(AwsConfig, type="aws_metadata"):
    """Adds data of EC2 about the interfaces at both ends of a flow.

    From a snapshot file, or from the API of EC2 when a run begins. Unknown values are null.
    """

    snapshot: str | None = Field(
        None,
        description="Snapshot file, written by `python -m ktrans_aws.snapshot`; by default EC2 is"
        " asked once a run, and tasks run in one process.",
        examples=["interfaces.json"],
    )
    regions: list[str] | None = Field(
        None,
        min_length=1,
        description="Regions to ask; by default the one of `region` or the environment.",
        examples=[["eu-central-1", "us-east-1"]],
    )
    addresses: list[str] = Field(
        ["src_addr", "dst_addr"],
        description="Address columns to look up.",
        examples=[["src_pkt_addr", "dst_pkt_addr"]],
    )
    interface: str | None = Field(
        "interface_id",
        description="Column of the interface that made the record, or null to leave it out.",
        examples=["interface_id"],
    )
    columns: list[Column] = Field(
        ["name", "instance_id", "subnet_id", "security_groups"],
        description="What to add.",
        examples=[["name", "zone"]],
    )
    tags: list[str] = Field(
        [], description="Tags to add, each as a column `tag_<key>`.", examples=[["team", "env"]]
    )
    naming: str = Field(
        "{side}_{column}",
        description="How to name a new column: {side} is the address column without `_addr`, or"
        " `interface`; {column} what it holds.",
        examples=["{side}_aws_{column}"],
    )
    time_column: str | None = Field(
        None,
        description="Name of a column for the time of the snapshot.",
        examples=["aws_metadata_time"],
    )

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if not self.addresses and not self.interface:
            raise ValueError("give `addresses` or `interface`")
        if not self.columns and not self.tags:
            raise ValueError("give `columns` or `tags`")
        if "{column}" not in self.naming or "{side}" not in self.naming:
            raise ValueError("naming has both {side} and {column}")
        return self


@dataclass(frozen=True)
class _Tables:
    """A snapshot, indexed.

    Attributes:
        taken: when it was taken.
        by_id: index of each interface, by its id.
        by_address: indices of the interfaces that have an address, most often one.
        shared: whether some address belongs to several interfaces.
        columns: the codes of all interfaces and of none, and the values, by name of the column.
        vpcs: the VPC of each interface.
    """

    taken: Any
    by_id: dict[str, int]
    by_address: dict[str, list[int]]
    shared: bool
    columns: dict[str, tuple[np.ndarray, pa.Array]]
    vpcs: list[str | None]


class AwsMetadataEnricher(ColumnEnricher[AwsMetadataEnricherConfig]):
    """Looks up the distinct ids and addresses of each batch."""

    replaces = ()
    names_option = "naming"
    _tables: _Tables | None = None

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        self._lock = threading.Lock()

    @property
    def runs(self) -> Reach:
        """Anywhere with a snapshot; without one each process would ask EC2 at another time."""
        return "anywhere" if self.config.snapshot else "here"

    @property
    def bound_because(self) -> str:
        """Why it is bound without a snapshot."""
        if self.config.snapshot:
            return ""
        return "it asks EC2 once a run (a file in `snapshot` is the same for all processes)"

    def reads(self) -> Sequence[str]:
        return self._keys()

    def needs(self) -> Sequence[str]:
        """Return the columns to look up, and that of the VPC, which separates equal addresses."""
        return [*self._keys(), *(["vpc_id"] if self.config.addresses else [])]

    def columns(self) -> Mapping[str, pa.Field]:
        return {field.name: field for field in self._fields()}

    def check(self) -> None:
        """Read the snapshot, or ask EC2."""
        self._loaded()

    def bind(self, schema: pa.Schema) -> pa.Schema:
        """Check the columns and add the new ones.

        Raises:
            ConfigError: a column is missing or not text, or a new one has the name of another.
        """
        if self.config.snapshot is not None:
            self._loaded()
        require_text(schema, self._keys(), self.config.type)
        return super().bind(schema)

    def compute(self, batch: pa.RecordBatch) -> Mapping[str, pa.Array]:
        tables = self._loaded()
        found: list[pa.Array] = []
        for key in self._keys():
            interfaces = self._interfaces(tables, batch, key)
            for name in self._wanted():
                codes, values = tables.columns[name]
                found.append(coded(codes[interfaces], values))
        if self.config.time_column:
            found.append(pa.repeat(pa.scalar(tables.taken, _TIME), batch.num_rows))
        return dict(zip(self.columns(), found, strict=True))

    def _fields(self) -> list[pa.Field]:
        fields = []
        for key in self._keys():
            side = "interface" if key == self.config.interface else side_of(key)
            for column in self._wanted():
                name = self.config.naming.replace("{side}", side).replace("{column}", column)
                what = _VALUES[column][1] if column in _VALUES else f"tag {column[4:]}"
                fields.append(text_field(name, f"{key}: {what}"))
        if self.config.time_column:
            metadata = {"description": "when the interfaces were read"}
            fields.append(pa.field(self.config.time_column, _TIME, metadata=metadata))
        return fields

    def _keys(self) -> list[str]:
        config = self.config
        return [*([config.interface] if config.interface else []), *config.addresses]

    def _wanted(self) -> list[str]:
        return [*self.config.columns, *(f"tag_{key}" for key in self.config.tags)]

    def _loaded(self) -> _Tables:
        with self._lock:
            if self._tables is None:
                config = self.config
                if config.snapshot is not None:
                    snapshot = load(self.context.path(config.snapshot))
                else:
                    snapshot = take(config, config.regions)
                self.context.log.info(
                    "aws_metadata: %d interfaces as of %s",
                    len(snapshot.interfaces),
                    snapshot.taken.isoformat(),
                    extra={"event": log_events.TABLE_LOADED},
                )
                self._tables = _tables(snapshot, self._wanted())
            return self._tables

    def _interfaces(self, tables: _Tables, batch: pa.RecordBatch, key: str) -> np.ndarray:
        """Return the index of each row's interface; -1 if it is unknown."""
        keys, rows = distinct(batch.column(key))
        texts = keys.to_pylist()
        if key == self.config.interface:
            return _of_rows([tables.by_id.get(text, -1) for text in texts], rows)
        if not tables.shared or "vpc_id" not in batch.schema.names:
            return _of_rows([_only(tables.by_address.get(text, ())) for text in texts], rows)
        vpcs, vpc_rows = distinct(batch.column("vpc_id"))
        names = [*vpcs.to_pylist(), None]
        pairs, rows = np.unique(rows.astype(np.int64) * len(names) + vpc_rows, return_inverse=True)
        found = []
        for pair in pairs.tolist():
            at, vpc = divmod(pair, len(names))
            some = tables.by_address.get(texts[at], ()) if at < len(texts) else ()
            here = [one for one in some if names[vpc] and tables.vpcs[one] == names[vpc]]
            found.append(_only(here or some))
        return _of_rows(found, rows)


def _tables(snapshot: Snapshot, wanted: list[str]) -> _Tables:
    interfaces = snapshot.interfaces
    by_address: dict[str, list[int]] = {}
    for index, one in enumerate(interfaces):
        for address in one.addresses:
            by_address.setdefault(address, []).append(index)
    columns = {}
    for name in wanted:
        values = (
            [_VALUES[name][0](one) for one in interfaces]
            if name in _VALUES
            else [one.tags.get(name.removeprefix("tag_")) for one in interfaces]
        )
        made = pa.array([*values, None], pa.string()).dictionary_encode()
        columns[name] = (np.asarray(made.indices.fill_null(-1)), made.dictionary)
    return _Tables(
        snapshot.taken,
        {one.id: index for index, one in enumerate(interfaces)},
        by_address,
        any(len(indices) > 1 for indices in by_address.values()),
        columns,
        [one.vpc_id for one in interfaces],
    )


def _only(indices: Sequence[int]) -> int:
    """Return the only index; several are ambiguous."""
    return indices[0] if len(indices) == 1 else -1


def _of_rows(found: list[int], rows: np.ndarray) -> np.ndarray:
    """Return the index of each row's value; null, one past the end, has none."""
    return spread(np.array(found, np.int32), rows)
