"""The collector goflow2: it receives NetFlow, IPFIX and sFlow, and writes JSON to a file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.services._launch import Server, answers_http, find, launch


class Goflow2:
    """A running goflow2, with a file of its own.

    Attributes:
        netflow: UDP port for NetFlow and IPFIX.
        sflow: UDP port for sFlow.
        file: what it writes.
    """

    def __init__(self) -> None:
        """Start it."""
        binary = find("goflow2", "go/goflow2", program="goflow2")

        def command(ports: Any, folder: Path) -> list[str]:
            http, netflow, sflow = ports
            return [
                *(str(binary), "-addr", f"127.0.0.1:{http}"),
                *("-listen", f"netflow://127.0.0.1:{netflow},sflow://127.0.0.1:{sflow}"),
                *("-transport", "file", "-transport.file", str(folder / "flows.json")),
            ]

        self._server = launch(
            lambda: Server("goflow2", command, lambda p: answers_http(p[0], "/__health"), ports=3)
        )
        _, self.netflow, self.sflow = self._server.ports
        self.file = self._server.folder / "flows.json"

    def close(self) -> None:
        """Stop it."""
        self._server.close()
