"""Starts a real server for the tests: finds it, gives it ports and a folder, waits until it serves."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from tests.services._watch import WATCH

_POLL_SECS = 0.02
_LOG_TAIL = 40


class MissingServerError(Exception):
    """A server is not installed on this machine."""


class ServerFailedError(Exception):
    """A server is installed but does not come up; the message ends with its log."""


def services_folder() -> Path:
    """Return the folder that `.ci/services` fills: $KTRANS_SERVICES_DIR, else one of the cache."""
    named = os.environ.get("KTRANS_SERVICES_DIR")
    if named:
        return Path(named)
    cache = os.environ.get("XDG_CACHE_HOME")
    return (Path(cache) if cache else Path.home() / ".cache") / "ktrans-services"


def find(name: str, *places: str, program: str | None = None) -> Path:
    """Find a server's file or folder.

    Args:
        name: the service; $KTRANS_<NAME>_BIN points to it and wins.
        places: paths below the services folder, the first that exists is taken.
        program: a name to look for on the PATH, after that.

    Raises:
        MissingServerError: it is in none of these places.
    """
    variable = f"KTRANS_{name.upper()}_BIN"
    named = os.environ.get(variable)
    candidates = [Path(named)] if named else [services_folder() / place for place in places]
    if program and not named:
        found = shutil.which(program)
        candidates += [Path(found)] if found else []
    for candidate in candidates:
        if candidate.exists():
            return candidate
    if named:
        raise MissingServerError(f"{variable} names {named}, which does not exist")
    raise MissingServerError(
        f"{name} is not on this machine: run `make services`, or name it by {variable}"
    )


def program(name: str) -> str:
    """Find a program that a server needs, such as java.

    Raises:
        MissingServerError: it is not on the PATH.
    """
    found = shutil.which(name)
    if found is None:
        raise MissingServerError(f"{name} is not on the PATH")
    return found


class Server:
    """A server process with ports and a folder of its own, which it keeps over restarts.

    It ends with the process that started it, even if that is killed.

    Attributes:
        name: the service, for messages.
        ports: free ports of 127.0.0.1, as many as asked for.
        folder: an empty folder; removed with the server.
        log: where the process writes its output.
    """

    def __init__(
        self,
        name: str,
        command: Callable[[Sequence[int], Path], Sequence[str]],
        ready: Callable[[Sequence[int]], bool],
        *,
        ports: int = 1,
        environ: Mapping[str, str] | None = None,
        timeout_secs: float = 120,
    ) -> None:
        """Describe a server; `start` starts it.

        Args:
            name: the service, for messages.
            command: gives the arguments, from ports and folder; called once a start.
            ready: says whether it serves at these ports. May raise OSError for "not yet".
            ports: how many ports it needs.
            environ: environment variables to add.
            timeout: how long to wait for `ready`.
        """
        self.name = name
        self.folder = Path(tempfile.mkdtemp(prefix=f"ktrans-{name}-"))
        self.log = self.folder / "server.log"
        self.ports = free_ports(ports)
        self._command, self._ready = command, ready
        self._environ = dict(environ or {})
        self._timeout_secs = timeout_secs
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start the process and wait until it serves.

        Raises:
            ServerFailedError: it died, or does not serve in time.
        """
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(  # the tests' own servers
                list(self._command(self.ports, self.folder)),
                cwd=self.folder,
                env={**os.environ, **self._environ},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        WATCH.add(self._process.pid, self.folder)
        try:
            self._wait()
        except BaseException:
            self.kill()
            raise

    def stop(self) -> None:
        """End the process as an operator would, or by force if it does not heed that."""
        if self._process is not None:
            self._process.terminate()
            try:
                self._process.wait(20)
            except subprocess.TimeoutExpired:
                self.kill()
        self._over()

    def kill(self) -> None:
        """End the process, and what it started, at once: a power cut."""
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
        self._over()

    def _over(self) -> None:
        if self._process is not None:
            WATCH.remove(self._process.pid)
        self._process = None

    def close(self) -> None:
        """Stop it and remove its folder."""
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _wait(self) -> None:
        process, deadline = self._process, time.monotonic() + self._timeout_secs
        assert process is not None
        while process.poll() is None:
            try:
                if self._ready(self.ports):
                    return
            except OSError:
                pass
            if time.monotonic() > deadline:
                raise ServerFailedError(
                    f"{self.name} does not serve after {self._timeout_secs:g} s\n{self._tail()}"
                )
            time.sleep(_POLL_SECS)
        raise ServerFailedError(
            f"{self.name} ended with code {process.returncode} before it served\n{self._tail()}"
        )

    def _tail(self) -> str:
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-_LOG_TAIL:])


def launch(make: Callable[[], Server]) -> Server:
    """Start a server, and once more on other ports if another process took one of them meanwhile.

    Raises:
        ServerFailedError: it comes up on neither.
    """
    server = make()
    try:
        server.start()
    except ServerFailedError:
        server.close()
        server = make()
        try:
            server.start()
        except ServerFailedError:
            server.close()
            raise
    return server


def free_ports(count: int) -> tuple[int, ...]:
    """Return ports of 127.0.0.1 that nobody listens at just now, all different."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return tuple(one.getsockname()[1] for one in sockets)


def answers_http(port: int, path: str = "/") -> bool:
    """Say whether a server answers at a port, and not that it cannot serve yet."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(f"http://127.0.0.1:{port}{path}", timeout=10) as response:
            response.read()
    except urllib.error.HTTPError as error:
        error.close()
        return error.code < 500
    return True


def accepts_tcp(port: int) -> bool:
    """Say whether a port takes connections."""
    with socket.create_connection(("127.0.0.1", port), timeout=10):
        return True
