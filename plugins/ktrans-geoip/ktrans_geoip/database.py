"""Opens MaxMind DB files and looks up addresses in them.

The layout of the records is that of MaxMind's GeoIP2 and GeoLite2 databases (MaxMind developer
portal, "GeoIP and GeoLite Databases"); DB-IP's files follow it.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from ktrans.api import ConfigError

KINDS: dict[str, tuple[str, ...]] = {
    "city": ("city", "enterprise", "insights"),
    "country": ("country", "city", "enterprise"),
    "asn": ("asn", "isp", "enterprise"),
}
"""For each option, words one of which the database type must contain."""

Values = tuple[Any, ...]

_LOOKED_AT = 1000
"""How many records of a database are looked at when it is opened."""


class Named(BaseModel):
    """A country, region or city."""

    iso_code: str | None = None
    names: dict[str, str] = {}


class Location(BaseModel):
    """A position."""

    latitude: float | None = None
    longitude: float | None = None


class Place(BaseModel):
    """What is used of a record about a place."""

    country: Named = Named()
    registered_country: Named = Named()
    subdivisions: list[Named] = []
    city: Named = Named()
    location: Location = Location()

    def values(self, language: str) -> dict[str, Any]:
        """Return the values that are known, by column."""
        found = {
            "country": self.country.iso_code or self.registered_country.iso_code,
            "region": self.subdivisions[0].iso_code if self.subdivisions else None,
            "city": self.city.names.get(language),
            "latitude": self.location.latitude,
            "longitude": self.location.longitude,
        }
        return {column: value for column, value in found.items() if value is not None}


class Operator(BaseModel):
    """What is used of a record about an autonomous system; `traits` has it in Enterprise databases."""

    autonomous_system_number: int | None = None
    autonomous_system_organization: str | None = None
    traits: Operator | None = None

    def values(self, _language: str) -> dict[str, Any]:
        """Return the values, by column; they are in no language."""
        used = self.traits or self
        return {
            "asn": used.autonomous_system_number,
            "as_org": used.autonomous_system_organization,
        }


class Database:
    """An open MaxMind DB file.

    Args:
        kind: the option that names it.
        path: the file.

    Raises:
        ConfigError: it is missing, damaged, or of another type or layout than the option needs.
    """

    def __init__(self, kind: str, path: Path) -> None:
        self._kind, self._path = kind, path
        self._layout: type[Place | Operator] = Operator if kind == "asn" else Place
        self._reader = _reader(kind, path)
        try:
            self._check()
        except ConfigError:
            self.close()
            raise
        self._ip_version = self._reader.metadata().ip_version

    def describe(self) -> str:
        """Return the type and build date."""
        metadata = self._reader.metadata()
        built = datetime.fromtimestamp(metadata.build_epoch, UTC)
        return f"{metadata.database_type}, built {built:%Y-%m-%d}"

    def find(
        self, address: ipaddress.IPv4Address | ipaddress.IPv6Address, language: str
    ) -> dict[str, Any]:
        """Return what is known about an address, by column.

        Raises:
            ConfigError: its record is damaged or of another layout.
        """
        import maxminddb

        if address.version > self._ip_version:  # an IPv4-only database
            return {}
        try:
            record = self._reader.get(address)
        except maxminddb.InvalidDatabaseError as error:
            raise self._damaged(error) from None
        return self._read(record, address).values(language) if record else {}

    def close(self) -> None:
        """Close the file."""
        self._reader.close()

    def _check(self) -> None:
        """Check the type, and the layout of the first records."""
        import maxminddb

        found = self._reader.metadata().database_type
        if not any(word in found.lower() for word in KINDS[self._kind]):
            raise self._unfit(
                f"is a {found!r} database, which does not fit the option {self._kind!r}",
                f"the name of its type should contain {' or '.join(KINDS[self._kind])}",
            )
        try:
            first = list(islice(self._reader, _LOOKED_AT))
        except maxminddb.InvalidDatabaseError as error:
            raise self._damaged(error) from None
        used = [self._read(record, network).model_fields_set for network, record in first]
        if first and not any(used):
            raise self._unfit(
                f"({found!r}) has records without {' or '.join(self._layout.model_fields)}",
                _LAYOUT_HINT,
            )

    def _read(self, record: Any, place: Any) -> Place | Operator:
        try:
            return self._layout.model_validate(record)
        except ValidationError as error:
            wrong = error.errors()[0]
            where = ".".join(map(str, wrong["loc"])) or "it"
            raise self._unfit(
                f"has a record of another layout for {place}: {where} is {wrong['input']!r:.60}",
                _LAYOUT_HINT,
            ) from None

    def _damaged(self, error: Exception) -> ConfigError:
        return ConfigError(
            f"geoip: {self._path} is damaged: {error}",
            field=self._kind,
            code="database_damaged",
            hint="download it again",
        )

    def _unfit(self, why: str, hint: str) -> ConfigError:
        return ConfigError(
            f"geoip: {self._path} {why}", field=self._kind, code="database_type", hint=hint
        )


_LAYOUT_HINT = "its records must have the layout of MaxMind's GeoIP2 and GeoLite2 databases"


def _reader(kind: str, path: Path) -> Any:
    import maxminddb

    try:
        return maxminddb.open_database(path)
    except FileNotFoundError:
        raise ConfigError(
            f"geoip: the {kind} database {path} does not exist",
            field=kind,
            code="database_missing",
            hint="a relative path starts at the folder of the pipeline file",
        ) from None
    except OSError as error:
        raise ConfigError(
            f"geoip: cannot read the {kind} database {path}: {error.strerror or error}",
            field=kind,
            code="database_unreadable",
        ) from None
    except (maxminddb.InvalidDatabaseError, ValueError):
        raise ConfigError(
            f"geoip: {path} is not a MaxMind DB file",
            field=kind,
            code="database_damaged",
            hint="download it again; archives must be unpacked",
        ) from None


def lookup(
    databases: Mapping[str, Database], columns: tuple[str, ...], language: str
) -> Callable[[str], Values]:
    """Return a function that looks up these columns of an address, as text, in all databases.

    It returns None for unknown values, and for all values of an address that is not globally routed.
    """
    nothing: Values = (None,) * len(columns)

    def values_of(text: str) -> Values:
        try:
            address = ipaddress.ip_address(text)
        except ValueError:
            return nothing
        address = getattr(address, "ipv4_mapped", None) or address
        if not address.is_global:
            return nothing
        found: dict[str, Any] = {}
        for database in databases.values():
            found |= database.find(address, language)
        return tuple(found.get(column) for column in columns)

    return values_of
