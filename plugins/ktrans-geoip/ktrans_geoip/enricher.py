"""The `geoip` enricher: country, city and network operator of addresses."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from itertools import product
from typing import Any, ClassVar, Literal, Self

import numpy as np
import pyarrow as pa
from pydantic import Field, model_validator

from ktrans.api import ComponentConfig, ConfigError, Context
from ktrans.kit import log_events
from ktrans.kit.column_enricher import ColumnEnricher
from ktrans.kit.columns import distinct, option, require_text, side_of
from ktrans.kit.flow import TEXT
from ktrans_geoip.database import Database, Values, lookup

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

_CACHED_ADDRESSES = 200_000
"""Of about 400 bytes each."""


class GeoipEnricherConfig(ComponentConfig, type="geoip"):
    """Adds the location and the network operator of addresses, from MaxMind DB files.

    Addresses that are not globally routed (private, shared, loopback and the like) get null.
    """

    example: ClassVar[dict[str, Any]] = {"country": "GeoLite2-Country.mmdb"}

    city: str | None = Field(
        None,
        description="City database: for country, region, city, latitude and longitude.",
        examples=["GeoLite2-City.mmdb"],
    )
    country: str | None = Field(
        None,
        description="Country database; not needed with a city database.",
        examples=["GeoLite2-Country.mmdb"],
    )
    asn: str | None = Field(
        None,
        description="Database of autonomous systems: for asn and as_org.",
        examples=["GeoLite2-ASN.mmdb"],
    )
    addresses: list[str] = Field(
        default=["src_addr", "dst_addr"],
        min_length=1,
        description="Address columns to look up.",
        examples=[["src_pkt_addr", "dst_pkt_addr"]],
    )
    columns: list[Column] | None = Field(
        None,
        min_length=1,
        description="Values to add; by default all that the databases have except the position.",
        examples=[["country", "asn"]],
    )
    naming: str = Field(
        "{side}_{column}",
        description=(
            "Name of a new column: {side} is the address column without `_addr`, "
            "{column} the value."
        ),
        examples=["{side}_geo_{column}"],
    )
    language: str = Field("en", description="Language of city names.", examples=["de"])

    @model_validator(mode="after")
    def _has_what_it_needs(self) -> Self:
        if not self.databases:
            raise ValueError("set at least one of city, country and asn")
        given = {column for kind in self.databases for column in PROVIDES[kind]}
        for column in self.columns or ():
            if column not in given:
                kind = next(kind for kind, columns in PROVIDES.items() if column in columns)
                raise ValueError(f"column {column!r} needs the option {kind!r}")
        return self

    @property
    def databases(self) -> dict[str, str]:
        """The paths of the configured databases, by kind."""
        paths = {"country": self.country, "city": self.city, "asn": self.asn}
        return {kind: path for kind, path in paths.items() if path is not None}


class GeoipEnricher(ColumnEnricher[GeoipEnricherConfig]):
    """Country, city and network operator of addresses."""

    replaces = ()
    names_option = "naming"
    _lookup: Callable[[str], Values]

    def __init__(self, config: GeoipEnricherConfig, context: Context | None = None) -> None:
        super().__init__(config, context)
        self._databases: dict[str, Database] = {}

    def reads(self) -> Sequence[str]:
        """Return the address columns."""
        return self.config.addresses

    def columns(self) -> Mapping[str, pa.Field]:
        """Return the new columns."""
        fields = {}
        for address in self.config.addresses:
            for column in self._columns():
                name = self._name(address, column)
                dtype, description = TYPES[column]
                metadata = {"description": f"{address}: {description}"}
                fields[name] = pa.field(name, dtype, metadata=metadata)
        return fields

    def check(self) -> None:
        """Open the databases."""
        self._open()

    def bind(self, schema: pa.Schema) -> pa.Schema:
        """Open the databases and add the columns.

        Raises:
            ConfigError: a database is missing, damaged or of the wrong type; an address column is
                missing or not text; a new column has the name of another one.
        """
        self._open()
        self._check_names()
        with option("addresses"):
            require_text(schema, self.config.addresses, self.config.type)
        return super().bind(schema)

    def compute(self, batch: pa.RecordBatch) -> Mapping[str, pa.Array]:
        """Look up the distinct addresses of each column."""
        found: list[pa.Array] = []
        for address in self.config.addresses:
            found += self._values(batch.column(address))
        return dict(zip(self.columns(), found, strict=True))

    def close(self) -> None:
        """Close the databases."""
        for database in self._databases.values():
            database.close()
        self._databases = {}

    def _open(self) -> None:
        if self._databases:
            return
        try:
            for kind, text in self.config.databases.items():
                path = self.context.path(text)
                self._databases[kind] = Database(kind, path)
                self.context.log.info(
                    "geoip: %s database %s: %s",
                    kind,
                    path,
                    self._databases[kind].describe(),
                    extra={"event": log_events.TABLE_LOADED},
                )
        except ConfigError:
            self.close()
            raise
        find = lookup(self._databases, self._columns(), self.config.language)
        # A lookup takes microseconds, since the reader builds dicts; most addresses recur.
        self._lookup = lru_cache(_CACHED_ADDRESSES)(find)

    def _columns(self) -> tuple[Column, ...]:
        if self.config.columns is not None:
            return tuple(self.config.columns)
        given = (column for kind in self.config.databases for column in PROVIDES[kind])
        return tuple(
            column for column in dict.fromkeys(given) if column not in ("latitude", "longitude")
        )

    def _name(self, address: str, column: Column) -> str:
        return self.config.naming.replace("{side}", side_of(address)).replace("{column}", column)

    def _check_names(self) -> None:
        names = [self._name(*one) for one in product(self.config.addresses, self._columns())]
        for name, count in Counter(names).items():
            if count > 1:
                raise ConfigError(
                    f"geoip: {count} of the new columns have the name {name!r}",
                    field="naming",
                    code="column_exists",
                    hint="name each address and column once, and use {side} and {column} in `naming`",
                )

    def _values(self, addresses: pa.Array) -> list[pa.Array]:
        """Return the new columns of one address column."""
        texts, positions = distinct(addresses)
        nothing: Values = (None,) * len(self._columns())
        find = self._lookup
        rows = [nothing if text is None else find(text) for text in texts.to_pylist()]
        rows.append(nothing)  # for rows without an address
        return [
            _column(values, TYPES[column][0], positions)
            for column, values in zip(self._columns(), zip(*rows, strict=True), strict=True)
        ]


def _column(values: Sequence[Any], dtype: pa.DataType, positions: np.ndarray) -> pa.Array:
    """Return a column with the value of each row's distinct address."""
    if dtype != TEXT:
        return pa.array(values, dtype).take(pa.array(positions))
    encoded = pa.array(values, pa.string()).dictionary_encode()
    indices = encoded.indices.take(pa.array(positions))
    return pa.DictionaryArray.from_arrays(indices, encoded.dictionary)
