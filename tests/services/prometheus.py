"""Prometheus with its receiver of remote writes, read by its query API."""

from __future__ import annotations

import json
import urllib.parse
import urllib.request
from typing import Any

from tests.services._launch import Server, answers_http, find, launch


class PrometheusServer:
    """A running Prometheus that scrapes nothing.

    Attributes:
        url: its address; remote writes go to `/api/v1/write` below it.
    """

    def __init__(self, *options: str) -> None:
        """Start it with options of the command line, beside those that it needs."""
        binary = find("prometheus", program="prometheus")

        def command(ports: Any, folder: Any) -> list[str]:
            settings = folder / "prometheus.yml"
            settings.write_text("global: {scrape_interval: 1h}\n")
            return [
                *(str(binary), f"--config.file={settings}"),
                f"--storage.tsdb.path={folder / 'data'}",
                f"--web.listen-address=127.0.0.1:{ports[0]}",
                *("--web.enable-remote-write-receiver", "--storage.tsdb.retention.time=100y"),
                *options,
            ]

        self._server = launch(
            lambda: Server("prometheus", command, lambda ports: answers_http(ports[0], "/-/ready"))
        )
        self.url = f"http://127.0.0.1:{self._server.ports[0]}"

    def samples(self, metric: str, **labels: str) -> dict[tuple[tuple[str, str], ...], list[Any]]:
        """Return all samples of a metric: by sorted labels, (seconds, value) in order of time."""
        match = ",".join(f'{name}="{value}"' for name, value in labels.items())
        # A range selector in an instant query gives the samples as they are stored.
        query = {"query": f"{metric}{{{match}}}[50y]", "time": "2000000000"}
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        url = f"{self.url}/api/v1/query?{urllib.parse.urlencode(query)}"
        with opener.open(url, timeout=60) as response:
            found = json.loads(response.read())["data"]["result"]
        return {
            tuple(sorted((k, v) for k, v in series["metric"].items() if k != "__name__")): [
                (float(time), float(value)) for time, value in series["values"]
            ]
            for series in found
        }

    def close(self) -> None:
        """Stop it."""
        self._server.close()
