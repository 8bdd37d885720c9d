"""QuestDB: tables that deduplicate, written in line protocol and read by SQL, all over HTTP."""

from __future__ import annotations

import json
import time
import urllib.parse
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.services._launch import Server, answers_http, find, launch, program

_MEMORY = ("-Xmx256m", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC")
_SETTINGS = """
http.bind.to=127.0.0.1:{port}
http.min.enabled=false
pg.enabled=false
line.tcp.enabled=false
telemetry.enabled=false
shared.worker.count=2
"""
_APPLIED_SECS = 60
"""How long a table may take to apply what was written to it."""


class QuestdbServer:
    """A running QuestDB.

    Attributes:
        url: its address.
    """

    def __init__(self) -> None:
        jars, java = find("questdb", "questdb"), program("java")

        def command(ports: Sequence[int], folder: Path) -> list[str]:
            settings = folder / "data/conf/server.conf"
            settings.parent.mkdir(parents=True, exist_ok=True)
            settings.write_text(_SETTINGS.format(port=ports[0]))
            main = ("-m", "io.questdb/io.questdb.ServerMain")
            return [java, *_MEMORY, "-p", str(jars), *main, "-d", str(folder / "data")]

        self._server = launch(
            lambda: Server("questdb", command, lambda ports: answers_http(ports[0], "/ping"))
        )
        self.url = f"http://127.0.0.1:{self._server.ports[0]}"

    def query(self, text: str) -> list[list[Any]]:
        """Run a statement, and return the rows of its answer.

        Raises:
            ValueError: the server refuses it.
        """
        url = f"{self.url}/exec?{urllib.parse.urlencode({'query': text})}"
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with opener.open(url, timeout=60) as response:
                found = json.loads(response.read())
        except urllib.error.HTTPError as error:
            raise ValueError(error.read().decode()) from error
        rows: list[list[Any]] = found.get("dataset", [])
        return rows

    def applied(self, table: str) -> None:
        """Wait until a table shows all that was written to it."""
        end = time.monotonic() + _APPLIED_SECS
        lag = f"SELECT sequencerTxn, writerTxn FROM wal_tables() WHERE name = '{table}'"
        while [row for row in self.query(lag) if row[0] != row[1]]:
            if time.monotonic() > end:
                raise TimeoutError(f"QuestDB does not apply what was written to {table}")
            time.sleep(0.02)

    def close(self) -> None:
        """Stop it."""
        self._server.close()
