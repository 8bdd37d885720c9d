"""The `geoip` enricher: country, city and network operator, looked up once per distinct address."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any, Literal, Self

import numpy as np
import pyarrow as pa
from pydantic import Field, model_validator

from ktrans.api import ComponentConfig, ConfigError, Context, Enricher
from ktrans.kit import log_events
from ktrans_geoip.database import Values, describe, lookup, open_database

TEXT = pa.dictionary(pa.int32(), pa.string())
Column = Literal["country", "region", "city", "latitude", "longitude", "asn", "as_org"]
TYPES: dict[str, tuple[pa.DataType, str]] = {
    "country": (TEXT, "ISO 3166-1 code of the country"),
    "region": (TEXT, "ISO 3166-2 code of the region, without the country"),
    "city": (TEXT, "name of the city"),
    "latitude": (pa.float64(), "degrees north, approximate"),
    "longitude": (pa.float64(), "degrees east, approximate"),
    "asn": (pa.int64(), "number of the autonomous system"),
    "as_org": (TEXT, "operator of the autonomous system"),
}
PROVIDES: dict[str, tuple[Column, ...]] = {
    "city": ("country", "region", "city", "latitude", "longitude"),
    "country": ("country",),
    "asn": ("asn", "as_org"),
}


class GeoipEnricherConfig(ComponentConfig):
    """Adds where an address is and who operates its network, from MaxMind DB files.

    Addresses that are not globally routed (private, shared, loopback and the like) get null.
    """

    type: Literal["geoip"] = Field(
        "geoip", description="Which component this is.", examples=["geoip"]
    )
    city: str | None = Field(
        None,
        description="A city database: gives country, region, city, latitude and longitude.",
        examples=["GeoLite2-City.mmdb"],
    )
    country: str | None = Field(
        None,
        description="A country database; not needed beside a city database.",
        examples=["GeoLite2-Country.mmdb"],
    )
    asn: str | None = Field(
        None,
        description="A database of autonomous systems: gives asn and as_org.",
        examples=["GeoLite2-ASN.mmdb"],
    )
    addresses: list[str] = Field(
        default=["src_addr", "dst_addr"],
        min_length=1,
        description="The address columns to look up.",
        examples=[["src_pkt_addr", "dst_pkt_addr"]],
    )
    columns: list[Column] | None = Field(
        None,
        min_length=1,
        description="What to add; by default all that the databases give but the position.",
        examples=[["country", "asn"]],
    )
    naming: str = Field(
        "{side}_{column}",
        description=(
            "How to name a new column: {side} is the address column without `_addr`, "
            "{column} what it holds."
        ),
        examples=["{side}_geo_{column}"],
    )
    language: str = Field("en", description="Language of city names.", examples=["de"])
    cache_entries: int = Field(
        200_000,
        ge=0,
        description="Addresses whose answer is remembered between batches (about 400 bytes each).",
        examples=[50_000],
    )

    @model_validator(mode="after")
    def _has_what_it_needs(self) -> Self:
        if not self.databases:
            raise ValueError("give at least one of city, country and asn")
        given = {column for kind in self.databases for column in PROVIDES[kind]}
        for column in self.columns or ():
            if column not in given:
                kind = next(kind for kind, columns in PROVIDES.items() if column in columns)
                raise ValueError(f"column {column!r} needs the option {kind!r}")
        return self

    @property
    def databases(self) -> dict[str, str]:
        """Give the paths by kind, of those that are set."""
        paths = {"country": self.country, "city": self.city, "asn": self.asn}
        return {kind: path for kind, path in paths.items() if path is not None}


class GeoipEnricher(Enricher[GeoipEnricherConfig]):
    """Country, city and network operator of addresses."""

    def __init__(self, config: GeoipEnricherConfig, context: Context | None = None) -> None:
        super().__init__(config, context)
        self._readers: dict[str, Any] = {}
        self._lookup: Callable[[str], Values]
        self._schema: pa.Schema

    def needs(self) -> Sequence[str]:
        """Name the address columns."""
        return self.config.addresses

    def adds(self) -> Sequence[str]:
        """Name the new columns."""
        return [
            self._name(address, column)
            for address in self.config.addresses
            for column in self._columns()
        ]

    def check(self) -> None:
        """Open the databases.

        Raises:
            ConfigError: one is missing, damaged or of the wrong kind.
        """
        self._open()

    def bind(self, schema: pa.Schema) -> pa.Schema:
        """Open the databases and add the columns.

        Raises:
            ConfigError: a database is missing, damaged or of the wrong kind; an address column is
                missing or not text; a new column would have the name of an old one.
        """
        self._open()
        for address in self.config.addresses:
            self._check_address(schema, address)
            for column in self._columns():
                schema = self._append(schema, address, column)
        self._schema = schema
        return schema

    def apply(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """Look the distinct addresses up, then give each row its values."""
        columns = batch.columns
        for address in self.config.addresses:
            columns.extend(self._values(batch.column(address)))
        return pa.RecordBatch.from_arrays(columns, schema=self._schema)

    def close(self) -> None:
        """Close the databases."""
        for reader in self._readers.values():
            reader.close()
        self._readers = {}

    def _open(self) -> None:
        if self._readers:
            return
        try:
            for kind, text in self.config.databases.items():
                path = self.context.path(text)
                self._readers[kind] = open_database(kind, path)
                self.context.log.info(
                    "geoip: %s database %s: %s",
                    kind,
                    path,
                    describe(self._readers[kind]),
                    extra={"event": log_events.TABLE_LOADED},
                )
        except ConfigError:
            self.close()
            raise
        find = lookup(self._readers, self._columns(), self.config.language)
        # Finding an address takes microseconds, since the reader builds dicts; most come again.
        self._lookup = lru_cache(maxsize=self.config.cache_entries)(find)

    def _columns(self) -> tuple[Column, ...]:
        if self.config.columns is not None:
            return tuple(self.config.columns)
        given = (column for kind in self.config.databases for column in PROVIDES[kind])
        return tuple(
            column for column in dict.fromkeys(given) if column not in ("latitude", "longitude")
        )

    def _name(self, address: str, column: str) -> str:
        side = address.removesuffix("_addr") or address
        return self.config.naming.replace("{side}", side).replace("{column}", column)

    def _check_address(self, schema: pa.Schema, address: str) -> None:
        if address not in schema.names:
            raise ConfigError(
                f"geoip: there is no column {address!r}",
                field="addresses",
                code="unknown_column",
                hint=f"there are: {', '.join(schema.names)}",
            )
        dtype = schema.field(address).type
        value_type = dtype.value_type if pa.types.is_dictionary(dtype) else dtype
        if value_type not in (pa.string(), pa.large_string(), pa.string_view(), pa.null()):
            raise ConfigError(
                f"geoip: column {address!r} holds {dtype}, where text is needed",
                field="addresses",
                code="column_type",
            )

    def _append(self, schema: pa.Schema, address: str, column: Column) -> pa.Schema:
        name = self._name(address, column)
        if name in schema.names:
            raise ConfigError(
                f"geoip: there is already a column {name!r}",
                field="naming",
                code="column_exists",
                hint="set `naming`, or leave the column out of `columns`",
            )
        dtype, description = TYPES[column]
        metadata = {"description": f"{address}: {description}"}
        return schema.append(pa.field(name, dtype, metadata=metadata))

    def _values(self, addresses: pa.Array) -> list[pa.Array]:
        """Give the new columns for one address column."""
        if not pa.types.is_dictionary(addresses.type):
            addresses = addresses.cast(pa.string()).dictionary_encode()
        if (
            len(addresses.dictionary) > 2 * len(addresses) + 16
        ):  # mostly unused: a filter's leftovers
            texts = addresses.dictionary.cast(pa.string()).take(addresses.indices)
            addresses = texts.dictionary_encode()
        nothing: Values = (None,) * len(self._columns())
        find = self._lookup
        rows = [
            nothing if text is None else find(text) for text in addresses.dictionary.to_pylist()
        ]
        rows.append(nothing)  # for rows without an address
        indices = addresses.indices.cast(pa.int64()).fill_null(len(rows) - 1)
        place = np.asarray(indices.to_numpy())
        return [
            _spread(values, TYPES[column][0], place)
            for column, values in zip(self._columns(), zip(*rows, strict=True), strict=True)
        ]


def _spread(values: Sequence[Any], dtype: pa.DataType, place: np.ndarray) -> pa.Array:
    """Make a column from the values of the distinct addresses."""
    if dtype != TEXT:
        return pa.array(values, dtype).take(pa.array(place))
    encoded = pa.array(values, pa.string()).dictionary_encode()
    indices = encoded.indices.take(pa.array(place))
    return pa.DictionaryArray.from_arrays(indices, encoded.dictionary)
