"""ClickHouse: the engine chdb behind HTTP (`clickhouse_http.py`); each test takes a database."""

from __future__ import annotations

import itertools
import json
import secrets
import urllib.request
from pathlib import Path
from typing import Any

from tests.services._launch import Server, answers_http, find, launch

_PROGRAM = Path(__file__).with_name("clickhouse_http.py")


class ClickhouseServer:
    """A running ClickHouse with the user `default`, and `keyed`, who needs a password.

    Attributes:
        url: its HTTP address.
        password: the password of the user `keyed`.
    """

    def __init__(self) -> None:
        python = find("clickhouse", "clickhouse/bin/python")
        self.password = secrets.token_hex(8)
        self._server = launch(
            lambda: Server(
                "clickhouse",
                lambda ports, folder: [
                    *(str(python), str(_PROGRAM), str(ports[0]), str(folder), self.password)
                ],
                lambda ports: answers_http(ports[0], "/ping"),
            )
        )
        self.url = f"http://127.0.0.1:{self._server.ports[0]}"
        self._numbers = itertools.count(1)

    def database(self) -> str:
        """Make an empty database, and return its name."""
        name = f"test{next(self._numbers)}"
        self.query("default", f"CREATE DATABASE {name}")
        return name

    def query(self, database: str, text: str) -> list[tuple[Any, ...]]:
        """Run one statement, and return the rows of its answer."""
        form = " FORMAT JSONCompactEachRow" if text.lstrip().upper().startswith("SELECT") else ""
        request = urllib.request.Request(
            f"{self.url}/?database={database}",
            data=f"{text}{form}".encode(),
            headers={"Authorization": "Basic ZGVmYXVsdDo="},  # default, without a password
        )
        with urllib.request.urlopen(request, timeout=60) as answer:
            return [tuple(json.loads(line)) for line in answer.read().splitlines()]

    def stop(self) -> None:
        """Kill it, and leave it so."""
        self._server.kill()

    def start(self) -> None:
        """Start it again on what it has kept."""
        self._server.start()

    def close(self) -> None:
        """Stop it."""
        self._server.kill()
        self._server.close()
