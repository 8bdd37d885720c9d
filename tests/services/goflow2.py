"""The collector goflow2: it receives NetFlow, IPFIX and sFlow, and writes JSON to a file or to Kafka."""

from __future__ import annotations

import urllib.error
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.services._launch import Server, find, launch


class Goflow2:
    """A running goflow2, with a file of its own.

    Attributes:
        netflow: UDP port for NetFlow and IPFIX.
        sflow: UDP port for sFlow.
        file: what it writes, unless it was told to write elsewhere.
    """

    def __init__(self, *transport: str) -> None:
        """Start it with options of its transport, by default one that writes the file."""
        binary = find("goflow2", "go/goflow2", program="goflow2")

        def command(ports: Any, folder: Path) -> list[str]:
            http, netflow, sflow = ports
            return [
                *(str(binary), "-addr", f"127.0.0.1:{http}"),
                *("-listen", f"netflow://127.0.0.1:{netflow},sflow://127.0.0.1:{sflow}"),
                *(transport or ("-transport.file", str(folder / "flows.json"))),
            ]

        self._server = launch(lambda: Server("goflow2", command, _collects, ports=3))
        _, self.netflow, self.sflow = self._server.ports
        self.file = self._server.folder / "flows.json"

    def close(self) -> None:
        """Stop it."""
        self._server.close()


def _collects(ports: Sequence[int]) -> bool:
    """Say whether it is healthy: it answers 503 until its UDP ports are open."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        opener.open(f"http://127.0.0.1:{ports[0]}/__health", timeout=10).close()
    except urllib.error.HTTPError as error:
        error.close()
        return False
    return True
