"""Time-series databases that take line protocol: VictoriaMetrics (API version 2), InfluxDB 1.6.

VictoriaMetrics speaks the write API of InfluxDB 2, refuses broken lines with 400, and has no
buckets or tokens. It keeps milliseconds, one series per field, and numbers only: texts become 0.
"""

from __future__ import annotations

import json
import urllib.parse
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.services._launch import Server, answers_http, find, launch

_ALL_TIME = {"start": "0", "end": "4102444800"}


class InfluxServer:
    """A running VictoriaMetrics.

    Attributes:
        url: the address that a client of InfluxDB 2 is given.
    """

    def __init__(self) -> None:
        binary = find("influx", "go/victoria-metrics", program="victoria-metrics")
        self._server = launch(
            lambda: Server(
                "influx",
                lambda ports, folder: [
                    *(str(binary), f"-storageDataPath={folder / 'data'}"),
                    f"-httpListenAddr=127.0.0.1:{ports[0]}",
                    *("-retentionPeriod=100y", "-search.latencyOffset=0s"),
                    *("-memory.allowedBytes=256MB", "-influxMeasurementFieldSeparator=:"),
                    # One point for each series and time, as InfluxDB has it.
                    "-dedup.minScrapeInterval=1ms",
                ],
                lambda ports: answers_http(ports[0], "/health"),
            )
        )
        self.url = f"http://127.0.0.1:{self._server.ports[0]}"

    def export(self, measurement: str) -> dict[str, list[tuple[dict[str, str], int, float]]]:
        """Return all points of a measurement: by field, (tags, milliseconds, value), unsorted."""
        _get(f"{self.url}/internal/force_flush", {})
        match = f'{{__name__=~"{measurement}:.*"}}'
        text = _get(f"{self.url}/api/v1/export", {"match[]": match, **_ALL_TIME})
        points: dict[str, list[tuple[dict[str, str], int, float]]] = {}
        for line in text.splitlines():
            series = json.loads(line)
            tags = series["metric"]
            field = tags.pop("__name__").partition(":")[2]
            values = zip(series["timestamps"], series["values"], strict=True)
            points.setdefault(field, []).extend((tags, time, value) for time, value in values)
        return points

    def close(self) -> None:
        """Stop it."""
        self._server.close()


class Influx1Server:
    """A running InfluxDB 1.6.

    Attributes:
        url: its address.
        user: an administrator's name.
        password: the administrator's password.
    """

    def __init__(self) -> None:
        binary = find("influx1", "influxdb1/usr/bin/influxd", program="influxd")
        self._server = launch(
            lambda: Server(
                "influx1",
                lambda ports, folder: [str(binary), "run", "-config", _config(ports, folder)],
                lambda ports: answers_http(ports[0], "/ping"),
                ports=2,
            )
        )
        self.url = f"http://127.0.0.1:{self._server.ports[0]}"
        self.user, self.password = "admin", "admin-secret"
        user = f"CREATE USER {self.user} WITH PASSWORD '{self.password}' WITH ALL PRIVILEGES"
        self._query({"q": user})

    def create(self, database: str) -> None:
        """Make a database."""
        self._query({"q": f'CREATE DATABASE "{database}"'})

    def query(self, database: str, text: str) -> list[dict[str, Any]]:
        """Return the series of the answer to one InfluxQL statement, times in nanoseconds."""
        found = self._query({"db": database, "q": text, "epoch": "ns"})
        series: list[dict[str, Any]] = found["results"][0].get("series", [])
        return series

    def write(self, database: str, lines: str) -> None:
        """Write points, with times in nanoseconds."""
        login = urllib.parse.urlencode({"u": self.user, "p": self.password, "db": database})
        _fetch(f"{self.url}/write?{login}", lines.encode())

    def close(self) -> None:
        """Stop it."""
        self._server.close()

    def _query(self, form: dict[str, str]) -> dict[str, Any]:
        login = urllib.parse.urlencode({"u": self.user, "p": self.password})
        data = urllib.parse.urlencode(form).encode()
        answer: dict[str, Any] = json.loads(_fetch(f"{self.url}/query?{login}", data))
        for result in answer["results"]:
            if "error" in result:
                raise ValueError(result["error"])
        return answer


def _config(ports: Sequence[int], folder: Path) -> str:
    """Write the configuration of InfluxDB 1: passwords asked for, no limits, nothing reported."""
    path = folder / "influxdb.toml"
    path.write_text(
        f"""
reporting-disabled = true
bind-address = "127.0.0.1:{ports[1]}"
[meta]
  dir = "{folder / "meta"}"
[data]
  dir = "{folder / "data"}"
  wal-dir = "{folder / "wal"}"
  index-version = "inmem"
  max-values-per-tag = 100000
[monitor]
  store-enabled = false
[http]
  bind-address = "127.0.0.1:{ports[0]}"
  auth-enabled = true
  log-enabled = false
  max-body-size = 1000000
"""
    )
    return str(path)


def _get(url: str, parameters: dict[str, str]) -> str:
    return _fetch(f"{url}?{urllib.parse.urlencode(parameters)}", None)


def _fetch(url: str, data: bytes | None) -> str:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(url, data, timeout=60) as response:
        text: str = response.read().decode()
        return text
