"""RabbitMQ of Debian, as a node of its own with its own port mapper (epmd), which ends with it."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Sequence
from pathlib import Path

from tests.services._launch import Server, accepts_tcp, find, launch, program

_SALT = b"salt"


class RabbitmqServer:
    """A node with the virtual host `flows`, an administrator and a user without rights.

    Attributes:
        user, password: of the administrator.
        guest: a user with the same password who may do nothing.
    """

    user, password, guest = "ktrans", "sesame-open", "nobody"

    def __init__(self, *lines: str) -> None:
        """Start it; lines of its configuration may have {tls} for the port of TLS."""
        self._program = find(
            "rabbitmq", "/usr/lib/rabbitmq/bin/rabbitmq-server", program="rabbitmq-server"
        )
        self._epmd = program("epmd")
        self._lines = lines
        self._server = launch(self._make)

    @property
    def port(self) -> int:
        """The port of AMQP without encryption."""
        return self._server.ports[0]

    @property
    def tls_port(self) -> int:
        """The port of AMQP with encryption, if the configuration has one."""
        return self._server.ports[1]

    @property
    def url(self) -> str:
        """Its address."""
        return f"amqp://127.0.0.1:{self.port}/flows"

    def stop(self) -> None:
        """Kill it."""
        self._server.kill()

    def start(self) -> None:
        """Start it again on what it has kept."""
        self._server.start()

    def close(self) -> None:
        """Stop it and its port mapper, which nothing else stops."""
        self._server.kill()
        self._server.close()

    def _make(self) -> Server:
        listeners = 2 if any("{tls}" in line for line in self._lines) else 1
        return Server(
            "rabbitmq",
            self._command,
            lambda ports: all(map(accepts_tcp, ports[:listeners])),
            ports=4,
        )

    def _command(self, ports: Sequence[int], folder: Path) -> list[str]:
        amqp, tls, distribution, epmd = ports
        (folder / "definitions.json").write_text(json.dumps(self._definitions()))
        lines = [
            f"listeners.tcp.1 = 127.0.0.1:{amqp}",
            f"load_definitions = {folder / 'definitions.json'}",
            *(line.format(tls=tls) for line in self._lines),
        ]
        (folder / "rabbitmq.conf").write_text("\n".join(lines) + "\n")
        (folder / "plugins").write_text("[].\n")
        environ = {
            "HOME": folder,
            "ERL_EPMD_PORT": epmd,
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODENAME": f"ktrans{amqp}@localhost",
            "RABBITMQ_DIST_PORT": distribution,
            "RABBITMQ_CONF_ENV_FILE": "/dev/null",
            "RABBITMQ_CONFIG_FILE": folder / "rabbitmq.conf",
            "RABBITMQ_ENABLED_PLUGINS_FILE": folder / "plugins",
            "RABBITMQ_MNESIA_BASE": folder / "data",
            "RABBITMQ_LOG_BASE": folder / "logs",
            "RABBITMQ_LOGS": "-",
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "+S 1:1 +sbwt none",
        }
        settings = " ".join(f"export {name}='{value}';" for name, value in environ.items())
        return ["sh", "-c", f"{settings} '{self._epmd}' & exec '{self._program}'"]

    def _definitions(self) -> dict[str, object]:
        digest = _SALT + hashlib.sha256(_SALT + self.password.encode()).digest()
        users = [
            {
                "name": name,
                "password_hash": base64.b64encode(digest).decode(),
                "hashing_algorithm": "rabbit_password_hashing_sha256",
                "tags": "",
            }
            for name in (self.user, self.guest)
        ]
        rights = [
            {"user": user, "vhost": "flows", "configure": own, "write": own, "read": own}
            for user, own in ((self.user, ".*"), (self.guest, "^$"))
        ]
        return {"users": users, "vhosts": [{"name": "flows"}], "permissions": rights}
