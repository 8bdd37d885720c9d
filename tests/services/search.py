"""Stores of documents and logs: OpenSearch, and VictoriaLogs, which takes what agents of logs send."""

from __future__ import annotations

import json
import urllib.parse
import urllib.request
from typing import Any

from tests.services._launch import Server, answers_http, find, launch, program


class OpenSearchServer:
    """A running node of OpenSearch, without the security plugin.

    Attributes:
        url: its address.
        server: the process.
    """

    def __init__(self) -> None:
        java, jars = program("java"), find("opensearch", "opensearch")
        self.server = launch(
            lambda: Server(
                "opensearch",
                lambda ports, folder: [
                    *(java, "-Xmx512m", "-XX:TieredStopAtLevel=1"),
                    *("-cp", f"{jars}/*", str(jars / "OneNode.java"), str(folder)),
                    *map(str, ports),
                ],
                lambda ports: answers_http(ports[0], "/_cluster/health?wait_for_status=yellow"),
                ports=2,
            )
        )
        self.url = f"http://127.0.0.1:{self.server.ports[0]}"

    def ask(self, method: str, path: str, body: Any = None) -> Any:
        """Send a request of JSON, and return the answer's."""
        data = None if body is None else json.dumps(body).encode()
        headers = {"Content-Type": "application/json"}
        request = urllib.request.Request(f"{self.url}{path}", data, headers, method=method)
        return json.loads(_opened(request))

    def documents(self, index: str) -> list[dict[str, Any]]:
        """Return all documents of some indices: `_id`, `_index`, `_source`."""
        self.ask("POST", f"/{index}/_refresh")
        found = self.ask("POST", f"/{index}/_search?scroll=1m", {"size": 10_000})
        hits: list[dict[str, Any]] = []
        while found["hits"]["hits"]:
            hits += found["hits"]["hits"]
            asked = {"scroll": "1m", "scroll_id": found["_scroll_id"]}
            found = self.ask("POST", "/_search/scroll", asked)
        return hits

    def close(self) -> None:
        """Stop it."""
        self.server.close()


class LogsServer:
    """A running VictoriaLogs.

    Attributes:
        url: its address.
        server: the process.
    """

    def __init__(self) -> None:
        binary = find("victorialogs", "go/victoria-logs", program="victoria-logs")
        self.server = launch(
            lambda: Server(
                "victorialogs",
                lambda ports, folder: [
                    *(str(binary), f"-storageDataPath={folder / 'data'}"),
                    f"-httpListenAddr=127.0.0.1:{ports[0]}",
                    *("-retentionPeriod=100y", "-memory.allowedBytes=128MB"),
                ],
                lambda ports: answers_http(ports[0], "/health"),
            )
        )
        self.url = f"http://127.0.0.1:{self.server.ports[0]}"

    def query(self, text: str) -> list[dict[str, str]]:
        """Return all log entries that a query of LogsQL finds."""
        _opened(urllib.request.Request(f"{self.url}/internal/force_flush"))
        form = {"query": text, "start": "2000-01-01T00:00:00Z", "end": "2100-01-01T00:00:00Z"}
        data = urllib.parse.urlencode(form).encode()
        answer = _opened(urllib.request.Request(f"{self.url}/select/logsql/query", data))
        return [json.loads(line) for line in answer.splitlines()]

    def close(self) -> None:
        """Stop it."""
        self.server.close()


def _opened(request: urllib.request.Request) -> bytes:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(request, timeout=60) as response:
        data: bytes = response.read()
        return data
