"""The `aws_metadata` enricher: names, tags and locations of EC2 interfaces, by id and address."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Self

import numpy as np
import pyarrow as pa
from pydantic import Field, model_validator

from ktrans.api import ConfigError, Enricher
from ktrans.kit import log_events
from ktrans_aws.client import AwsConfig
from ktrans_aws.ec2_inventory import Interface, Snapshot, load, take

_TEXT = pa.dictionary(pa.int32(), pa.string())
_TIME = pa.timestamp("us", tz="UTC")
_NOTHING = -1

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


class AwsMetadataEnricherConfig(AwsConfig):
    """Adds data of EC2 about the interfaces at both ends of a flow.

    From a snapshot file, or from the API of EC2 when a run begins. Unknown values are null.
    """

    type: Literal["aws_metadata"] = Field(
        "aws_metadata", description="Which component this is.", examples=["aws_metadata"]
    )
    snapshot: str | None = Field(
        None,
        description="Snapshot file, written by `python -m ktrans_aws.snapshot`; by default EC2 is"
        " asked.",
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
    """A snapshot, ready to look things up in.

    Attributes:
        taken: when it was taken.
        by_id: index of each interface, by its id.
        by_address: indices of the interfaces that have an address, most often one.
        shared: whether some address belongs to several interfaces.
        columns: the values of all interfaces, by name of the column, with a null at the end.
        vpcs: the VPC of each interface.
    """

    taken: Any
    by_id: dict[str, int]
    by_address: dict[str, list[int]]
    shared: bool
    columns: dict[str, pa.DictionaryArray]
    vpcs: list[str | None]


class AwsMetadataEnricher(Enricher[AwsMetadataEnricherConfig]):
    """Looks up the distinct ids and addresses of each batch."""

    _tables: _Tables | None = None
    _schema: pa.Schema

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        self._lock = threading.Lock()

    def needs(self) -> Sequence[str]:
        """Return the columns to look up, and that of the VPC, which separates equal addresses."""
        return [*self._keys(), *(["vpc_id"] if self.config.addresses else [])]

    def adds(self) -> Sequence[str]:
        """Return the names of the new columns."""
        names = [self._name(key, column) for key in self._keys() for column in self._wanted()]
        return [*names, *([self.config.time_column] if self.config.time_column else [])]

    def check(self) -> None:
        """Read the snapshot, or ask EC2."""
        self._loaded()

    def bind(self, schema: pa.Schema) -> pa.Schema:
        """Check the columns and add the new ones.

        Raises:
            ConfigError: a column is missing or not text, or a new one would have its name.
        """
        if self.config.snapshot is not None:
            self._loaded()
        for key in self._keys():
            _check_text(schema, key)
            for column in self._wanted():
                what = _VALUES[column][1] if column in _VALUES else f"tag {column[4:]}"
                metadata = {"description": f"{key}: {what}"}
                schema = _append(
                    schema, pa.field(self._name(key, column), _TEXT, metadata=metadata)
                )
        if self.config.time_column:
            metadata = {"description": "when the interfaces were read"}
            schema = _append(schema, pa.field(self.config.time_column, _TIME, metadata=metadata))
        self._schema = schema
        return schema

    def apply(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """Add the columns."""
        tables = self._loaded()
        columns = batch.columns
        for key in self._keys():
            places = self._places(tables, batch, key)
            columns += [_gathered(tables.columns[name], places) for name in self._wanted()]
        if self.config.time_column:
            columns.append(pa.repeat(pa.scalar(tables.taken, _TIME), batch.num_rows))
        return pa.RecordBatch.from_arrays(columns, schema=self._schema)

    def _keys(self) -> list[str]:
        config = self.config
        return [*([config.interface] if config.interface else []), *config.addresses]

    def _wanted(self) -> list[str]:
        return [*self.config.columns, *(f"tag_{key}" for key in self.config.tags)]

    def _name(self, key: str, column: str) -> str:
        side = "interface" if key == self.config.interface else key.removesuffix("_addr")
        return self.config.naming.replace("{side}", side).replace("{column}", column)

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

    def _places(self, tables: _Tables, batch: pa.RecordBatch, key: str) -> np.ndarray:
        """Return the index of each row's interface, or that of the null at the end."""
        values, codes = _distinct(batch.column(key))
        if key == self.config.interface:
            return _spread([tables.by_id.get(text, _NOTHING) for text in values], codes)
        if not tables.shared or "vpc_id" not in batch.schema.names:
            return _spread([_only(tables.by_address.get(text, ())) for text in values], codes)
        vpcs, vpc_codes = _distinct(batch.column("vpc_id"))
        pairs, rows = np.unique(codes * (len(vpcs) + 1) + vpc_codes, return_inverse=True)
        places = []
        for pair in pairs.tolist():
            at, vpc = divmod(pair, len(vpcs) + 1)
            some = tables.by_address.get(values[at], ()) if at < len(values) else ()
            here = [place for place in some if tables.vpcs[place] in vpcs[vpc : vpc + 1]]
            places.append(_only(here or some))
        return _spread(places, rows)


def _tables(snapshot: Snapshot, wanted: list[str]) -> _Tables:
    interfaces = snapshot.interfaces
    by_address: dict[str, list[int]] = {}
    for place, one in enumerate(interfaces):
        for address in one.addresses:
            by_address.setdefault(address, []).append(place)
    columns = {}
    for name in wanted:
        values = (
            [_VALUES[name][0](one) for one in interfaces]
            if name in _VALUES
            else [one.tags.get(name.removeprefix("tag_")) for one in interfaces]
        )
        columns[name] = pa.array([*values, None], pa.string()).dictionary_encode()
    return _Tables(
        snapshot.taken,
        {one.id: place for place, one in enumerate(interfaces)},
        by_address,
        any(len(places) > 1 for places in by_address.values()),
        columns,
        [one.vpc_id for one in interfaces],
    )


def _only(places: Sequence[int]) -> int:
    """Return the only index; several are ambiguous."""
    return places[0] if len(places) == 1 else _NOTHING


def _spread(places: list[int], codes: np.ndarray) -> np.ndarray:
    """Return the index of each row's value; null, one past the end, has none."""
    return np.asarray(np.array([*places, _NOTHING], np.int64)[codes])


def _distinct(column: pa.Array) -> tuple[list[Any], np.ndarray]:
    """Return the distinct texts, and each row's index in them; one past the end is null."""
    if not pa.types.is_dictionary(column.type):
        column = column.cast(pa.string()).dictionary_encode()
    if len(column.dictionary) > 2 * len(column) + 16:  # left over from a larger batch
        column = column.dictionary.cast(pa.string()).take(column.indices).dictionary_encode()
    values = column.dictionary.to_pylist()
    indices = column.indices.cast(pa.int64()).fill_null(len(values))
    return values, np.asarray(indices.to_numpy())


def _gathered(column: pa.DictionaryArray, places: np.ndarray) -> pa.DictionaryArray:
    places = np.where(places == _NOTHING, len(column) - 1, places)
    return pa.DictionaryArray.from_arrays(column.indices.take(pa.array(places)), column.dictionary)


def _append(schema: pa.Schema, field: pa.Field) -> pa.Schema:
    if field.name in schema.names:
        raise ConfigError(
            f"aws_metadata: there is already a column {field.name!r}",
            field="naming",
            code="column_exists",
            hint="set `naming`, or leave the column out",
        )
    return schema.append(field)


def _check_text(schema: pa.Schema, key: str) -> None:
    if key not in schema.names:
        raise ConfigError(
            f"aws_metadata: there is no column {key!r}",
            code="unknown_column",
            hint=f"there are: {', '.join(schema.names)}",
        )
    kind = schema.field(key).type
    plain = kind.value_type if pa.types.is_dictionary(kind) else kind
    if plain not in (pa.string(), pa.large_string(), pa.string_view(), pa.null()):
        raise ConfigError(
            f"aws_metadata: column {key!r} holds {kind}, where text is needed", code="column_type"
        )
