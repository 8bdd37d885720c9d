"""Pub/Sub: the in-memory server that Google ships with its Go client (package pstest).

KTRANS_PUBSUB_BIN may name the jar of Google's emulator instead, which is part of the Cloud SDK
(platform/pubsub-emulator/lib); it needs Java.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.services._launch import (
    Server,
    accepts_tcp,
    answers_http,
    find,
    launch,
    program,
)

PROJECT = "ktrans-test"


class PubsubServer:
    """A running Pub/Sub.

    Attributes:
        host: `address:port` of its gRPC service, as PUBSUB_EMULATOR_HOST has it.
        project: a project's name.
        environ: environment variables by which Google's SDKs find it.
    """

    def __init__(self) -> None:
        binary = find("pubsub", "go/pubsub")
        jar = binary.suffix == ".jar"
        java = program("java") if jar else ""

        def command(ports: Sequence[int], _: Path) -> list[str]:
            if jar:
                emulator = ["-Xmx256m", "-XX:+UseSerialGC", "-jar", str(binary)]
                return [java, *emulator, "--host=127.0.0.1", f"--port={ports[0]}"]
            return [str(binary), "-port", str(ports[0])]

        def ready(ports: Sequence[int]) -> bool:
            return answers_http(ports[0]) if jar else accepts_tcp(ports[0])

        self._server = launch(lambda: Server("pubsub", command, ready))
        self.host = f"127.0.0.1:{self._server.ports[0]}"
        self.project = PROJECT
        self.environ: Mapping[str, str] = {
            "PUBSUB_EMULATOR_HOST": self.host,
            "GOOGLE_CLOUD_PROJECT": PROJECT,
        }

    def close(self) -> None:
        """Stop it."""
        self._server.close()
