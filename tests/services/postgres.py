"""PostgreSQL: a cluster of its own, where each test takes a database of its own."""

from __future__ import annotations

import itertools
import os
import pwd
import secrets
import shutil
import subprocess
import time
from pathlib import Path
from typing import Any

from tests.services._launch import (
    MissingServerError,
    Server,
    ServerFailedError,
    accepts_tcp,
    find,
    launch,
    program,
)

_DEBIAN = Path("/usr/lib/postgresql")
_ACCOUNT = "postgres"
"""Who runs the server when the tests run as root, which PostgreSQL refuses to do."""
_CHILDREN_SECS = 30
"""How long the children of a killed server may take to end."""


class PostgresServer:
    """A running PostgreSQL that trusts who comes, but for the user `keyed`, who needs a password.

    Attributes:
        host: its address.
        port: its port.
        user: the superuser.
        password: the password of the user `keyed`.
    """

    def __init__(self) -> None:
        self._tools = _tools()
        self._as = _account()
        self._server = launch(self._make)
        self.host, self.port, self.user = "127.0.0.1", self._server.ports[0], "postgres"
        self.password = secrets.token_hex(8)
        self._numbers = itertools.count(1)
        self.query("postgres", f"CREATE ROLE keyed LOGIN PASSWORD '{self.password}'")

    def database(self) -> str:
        """Make an empty database, and give its name."""
        name = f"test{next(self._numbers)}"
        self.query("postgres", f"CREATE DATABASE {name}")
        return name

    def url(self, database: str) -> str:
        """Return the address of a database for the superuser."""
        return f"postgresql://{self.user}@{self.host}:{self.port}/{database}"

    def query(self, database: str, text: str) -> list[tuple[Any, ...]]:
        """Run one statement, as the superuser, and give the rows of its answer."""
        import psycopg  # of ktrans-postgres, which alone needs this server

        with psycopg.connect(self.url(database), autocommit=True) as connection:
            cursor = connection.execute(text.encode())
            return cursor.fetchall() if cursor.description else []

    def restart(self) -> None:
        """Kill it with all its connections, and start it again on what it has kept."""
        self._server.kill()
        self.start()

    def stop(self) -> None:
        """Kill it with all its connections, and leave it so."""
        self._server.kill()

    def start(self) -> None:
        """Start it again after `stop`.

        The old server's children have sessions of their own, so that they end only when they notice
        that it is gone. Until then they hold its shared memory, and a new server refuses to start.
        """
        deadline = time.monotonic() + _CHILDREN_SECS
        while True:
            try:
                return self._server.start()
            except ServerFailedError as error:
                if "is still in use" not in str(error) or time.monotonic() > deadline:
                    raise
                time.sleep(0.1)

    def close(self) -> None:
        """Stop it. What it has is of no use to anybody, so that it need not be told nicely."""
        self._server.kill()
        self._server.close()

    def _make(self) -> Server:
        server = Server(
            "postgres", self._command, lambda ports: accepts_tcp(ports[0]) and self._ready(ports[0])
        )
        data = server.folder / "data"
        data.mkdir()
        if self._as:
            shutil.chown(data, _ACCOUNT, _ACCOUNT)
            server.folder.chmod(0o755)
        self._call(
            *("initdb", "-D", str(data), "-U", "postgres", "-A", "trust", "--no-sync"),
            *("-E", "UTF8", "--locale=C"),
        )
        rules = data / "pg_hba.conf"
        rules.write_text("host all keyed all scram-sha-256\n" + rules.read_text())
        return server

    def _command(self, ports: Any, folder: Path) -> list[str]:
        options = {
            "listen_addresses": "127.0.0.1",
            "unix_socket_directories": "",
            "fsync": "off",
            "max_connections": "60",
            "shared_buffers": "32MB",
        }
        settings = [f"--{name}={value}" for name, value in options.items()]
        server = self._tools / "postgres"
        return [*self._as, str(server), "-D", str(folder / "data"), "-p", str(ports[0]), *settings]

    def _ready(self, port: int) -> bool:
        asked = [str(self._tools / "pg_isready"), "-q", "-h", "127.0.0.1", "-p", str(port)]
        return subprocess.run(asked, check=False).returncode == 0

    def _call(self, name: str, *arguments: str) -> None:
        subprocess.run(
            [*self._as, str(self._tools / name), *arguments],
            check=True,
            cwd="/",
            stdout=subprocess.DEVNULL,
        )


def _tools() -> Path:
    """Find the folder of the server's programs; Debian keeps them off the PATH, by version."""
    if "KTRANS_POSTGRES_BIN" not in os.environ:
        versions = (path for path in _DEBIAN.glob("*/bin") if (path / "initdb").exists())
        newest = max(versions, key=lambda path: int(path.parent.name), default=None)
        if newest is not None:
            return newest
    return find("postgres", program="postgres").resolve().parent


def _account() -> list[str]:
    """Return what to put before a command so that it does not run as root."""
    if os.geteuid() != 0:
        return []
    try:
        pwd.getpwnam(_ACCOUNT)
    except KeyError as error:
        raise MissingServerError(f"there is no user {_ACCOUNT} to run PostgreSQL as") from error
    setpriv = program("setpriv")
    return [setpriv, f"--reuid={_ACCOUNT}", f"--regid={_ACCOUNT}", "--init-groups"]
