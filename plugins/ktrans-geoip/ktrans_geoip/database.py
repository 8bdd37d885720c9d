"""MaxMind DB files: opening them with errors that help, and picking values from their records.

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
"""For each option, words of which the database's own type must contain one."""

Values = tuple[Any, ...]


def open_database(kind: str, path: Path) -> Any:
    """Open a database and check that it is of the kind that the option needs.

    Args:
        kind: "city", "country" or "asn".
        path: of the .mmdb file.

    Returns:
        A `maxminddb.Reader`.

    Raises:
        ConfigError: the file is missing, no MaxMind DB, or a database of another kind.
    """
    import maxminddb

    try:
        reader = maxminddb.open_database(path)
    except FileNotFoundError:
        raise ConfigError(
            f"geoip: the {kind} database {path} does not exist",
            field=kind,
            code="database_missing",
            hint="a relative path starts from the pipeline file's folder",
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
            hint=f"its type should have {' or '.join(KINDS[kind])} in its name",
        )
    return reader


def describe(reader: Any) -> str:
    """Give a database's type and build date."""
    metadata = reader.metadata()
    built = datetime.fromtimestamp(metadata.build_epoch, UTC)
    return f"{metadata.database_type}, built {built:%Y-%m-%d}"


def lookup(
    readers: Mapping[str, Any], columns: tuple[str, ...], language: str
) -> Callable[[str], Values]:
    """Make the function that looks an address up in all databases.

    Args:
        readers: by kind.
        columns: which values to give, in this order.
        language: of names.

    Returns:
        A function of an address's text; it gives None for each value that is not known, and for
        every value of an address that is not globally routed.
    """
    nothing: Values = (None,) * len(columns)

    def values_of(text: str) -> Values:
        try:
            address = ipaddress.ip_address(text)
        except ValueError:
            return nothing
        mapped = getattr(address, "ipv4_mapped", None)
        address = mapped or address
        if not address.is_global:
            return nothing
        found: dict[str, Any] = {}
        for kind, reader in readers.items():
            record = _get(reader, address)
            if record:
                found |= _operator(record) if kind == "asn" else _place(record, language)
        return tuple(found.get(column) for column in columns)

    return values_of


def _get(reader: Any, address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> Any:
    if address.version > reader.metadata().ip_version:  # an IPv4-only database
        return None
    return reader.get(address)


def _operator(record: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "asn": record.get("autonomous_system_number"),
        "as_org": record.get("autonomous_system_organization"),
    }


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
