"""Opens MaxMind DB files and looks up addresses in them.

The layout of the records is that of MaxMind's GeoIP2 and GeoLite2 databases (MaxMind developer
portal, "GeoIP and GeoLite Databases"); DB-IP's files follow it.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ktrans.api import ConfigError

KINDS: dict[str, tuple[str, ...]] = {
    "city": ("city", "enterprise", "insights"),
    "country": ("country", "city", "enterprise"),
    "asn": ("asn", "isp", "enterprise"),
}
"""For each option, words one of which the database type must contain."""

Values = tuple[Any, ...]


def open_database(kind: str, path: Path) -> Any:
    """Return a `maxminddb.Reader` of a database, after a check of its type."""
    import maxminddb

    try:
        reader = maxminddb.open_database(path)
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
    found = reader.metadata().database_type
    if not any(word in found.lower() for word in KINDS[kind]):
        reader.close()
        raise ConfigError(
            f"geoip: {path} is a {found!r} database, which does not fit the option {kind!r}",
            field=kind,
            code="database_type",
            hint=f"the name of its type should contain {' or '.join(KINDS[kind])}",
        )
    return reader


def describe(reader: Any) -> str:
    """Return the type and build date of a database."""
    metadata = reader.metadata()
    built = datetime.fromtimestamp(metadata.build_epoch, UTC)
    return f"{metadata.database_type}, built {built:%Y-%m-%d}"


def lookup(
    readers: Mapping[str, Any], columns: tuple[str, ...], language: str
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
        for kind, reader in readers.items():
            if address.version > reader.metadata().ip_version:  # an IPv4-only database
                continue
            if record := reader.get(address):
                found |= (
                    _place(record, language)
                    if kind != "asn"
                    else {
                        "asn": record.get("autonomous_system_number"),
                        "as_org": record.get("autonomous_system_organization"),
                    }
                )
        return tuple(found.get(column) for column in columns)

    return values_of


def _place(record: Mapping[str, Any], language: str) -> dict[str, Any]:
    country = record.get("country") or record.get("registered_country") or {}
    regions = record.get("subdivisions") or [{}]
    location = record.get("location") or {}
    found = {
        "country": country.get("iso_code"),
        "region": regions[0].get("iso_code"),
        "city": (record.get("city") or {}).get("names", {}).get(language),
        "latitude": location.get("latitude"),
        "longitude": location.get("longitude"),
    }
    return {column: value for column, value in found.items() if value is not None}
