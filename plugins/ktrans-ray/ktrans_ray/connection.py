"""The connection of this process to a Ray cluster, shared by the pipelines that run in it."""

from __future__ import annotations

import ctypes
import logging
import os
import signal
import socket
import threading
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

from ktrans.api import AccessError, ConfigError, KtransError, UnavailableError

_PROBE_SECS = 10.0
_ACTION_BYTES = 1024
"""More than C's `struct sigaction` takes."""
_DROP_ALL = "^"
"""A pattern for Ray's messages about its cluster, which it prints to standard output."""


class Connection:
    """A connection that is made for its first user, and closed after its last one.

    The cluster stays: Ray stops no cluster that it did not start. A connection that the process has
    made without this class is used, and left open.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._users = 0
        self._address = ""
        self._ours = False

    def open(self, address: str) -> None:
        """Connect, or take part in the connection that there is.

        Raises:
            UnavailableError: no cluster answers at the address.
            AccessError: the cluster refuses the token, or the lack of one.
            ConfigError: versions differ, or the process is connected to another cluster.
        """
        with self._lock:
            if self._users and address != self._address:
                raise ConfigError(
                    f"this process is connected to the Ray cluster {self._address}",
                    field="address",
                    hint="name one address in all pipelines that run together",
                )
            if not self._users:
                self._connect(address)
                self._address = address
            self._users += 1

    def close(self) -> None:
        """Disconnect if this was the last user."""
        with self._lock:
            self._users -= 1
            if not self._users and self._ours:
                import ray

                ray.shutdown()

    def _connect(self, address: str) -> None:
        os.environ.setdefault("RAY_DEDUP_LOGS_SKIP_REGEX", _DROP_ALL)
        import ray

        self._ours = not ray.is_initialized()
        if not self._ours:
            return
        _probe(address)
        _pass_on_logs()
        # Only in the main thread does Ray replace Python's handler of SIGTERM.
        with (
            _same_handler(signal.SIGTERM),
            ThreadPoolExecutor(1, thread_name_prefix="ray") as thread,
        ):
            joined = thread.submit(
                ray.init, address=address, log_to_driver=False, configure_logging=False
            )
            try:
                joined.result()
            except Exception as error:
                raise _explain(error, address) from error


@contextmanager
def _same_handler(number: int) -> Iterator[None]:
    """Put back how the process reacts to a signal, which Ray's library changes below Python.

    Python itself could do so in the main thread only, and pipelines may run in others.
    """
    library, action = ctypes.CDLL(None), ctypes.create_string_buffer(_ACTION_BYTES)
    library.sigaction(number, None, action)
    try:
        yield
    finally:
        library.sigaction(number, action, None)


def _probe(address: str) -> None:
    """Raise UnavailableError if nothing listens; Ray itself would try for a quarter of an hour."""
    if address == "auto":
        address = os.environ.get("RAY_ADDRESS", "auto")
    host, _, port = address.rpartition(":")
    if not host:
        return
    try:
        socket.create_connection((host.strip("[]"), int(port)), _PROBE_SECS).close()
    except (OSError, ValueError) as error:
        raise _unreachable(address) from error


def _pass_on_logs() -> None:
    """Let Ray's own messages go the way of ktrans's logs, errors only."""
    log = logging.getLogger("ray")
    log.handlers.clear()
    log.propagate = True
    log.setLevel(logging.ERROR)


def _explain(error: Exception, address: str) -> KtransError:
    import ray

    if isinstance(error, ray.exceptions.AuthenticationError):
        return AccessError(
            f"the Ray cluster {address} asks for a token",
            code="ray_refused",
            hint="set RAY_AUTH_TOKEN_PATH or RAY_AUTH_TOKEN",
        )
    if isinstance(error, RuntimeError):
        return ConfigError(
            f"the Ray cluster {address} refuses this process: {' '.join(str(error).split())}",
            field="address",
            code="ray_refused",
            hint="install the cluster's versions of Ray and Python here",
        )
    return _unreachable(address)


def _unreachable(address: str) -> KtransError:
    return UnavailableError(
        f"no Ray cluster answers at {address}" if address != "auto" else "no Ray cluster runs here",
        hint="run ktrans on a node of the cluster, or name its head by engine.executor.address; "
        "if the cluster asks for a token, set RAY_AUTH_MODE=token and RAY_AUTH_TOKEN_PATH",
    )


CONNECTION = Connection()


def cluster_has(needs: Mapping[str, float]) -> bool:
    """Return whether one machine of the cluster has, busy or not, all that a task needs."""
    import ray

    return any(
        node["Alive"] and all(node["Resources"].get(name, 0) >= n for name, n in needs.items())
        for node in ray.nodes()
    )
