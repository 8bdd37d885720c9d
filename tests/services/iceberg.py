"""Apache Iceberg's REST catalogue as its own tests use it, over a SQLite file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tests.services._launch import Server, answers_http, find, launch, program

_MEMORY = ("-Xmx192m", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-Xshare:auto")
_LOGGING = "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn"


class IcebergCatalog:
    """A running catalogue. It takes any token, and reads and writes metadata in local folders.

    Attributes:
        url: its address.
    """

    def __init__(self) -> None:
        jars, java = find("iceberg", "iceberg"), program("java")

        def command(ports: Sequence[int], folder: Path) -> list[str]:
            return [
                *("env", f"CATALOG_REST_PORT={ports[0]}"),
                "CATALOG_CATALOG__IMPL=org.apache.iceberg.jdbc.JdbcCatalog",
                f"CATALOG_URI=jdbc:sqlite:file:{folder}/catalog.db",
                f"CATALOG_WAREHOUSE=file://{folder}/warehouse",
                *(java, *_MEMORY, _LOGGING, "-cp", f"{jars}/*"),
                "org.apache.iceberg.rest.RESTCatalogServer",
            ]

        self._server = launch(
            lambda: Server("iceberg", command, lambda ports: answers_http(ports[0], "/v1/config"))
        )
        self.url = f"http://127.0.0.1:{self._server.ports[0]}"

    def close(self) -> None:
        """Stop it."""
        self._server.close()
