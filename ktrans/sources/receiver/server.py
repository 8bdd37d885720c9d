"""The HTTP server of a source: a thread with an event loop, and what all its connections share."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

import msgspec

from ktrans.api import Context, UnavailableError
from ktrans.kit import log_events
from ktrans.sources.receiver.connection import ClientLimits, Connection
from ktrans.sources.receiver.intake import Delivery, Intake, Part
from ktrans.sources.receiver.protocols import Answer, Endpoint, Received
from ktrans.sources.receiver.requests import (
    INTERNAL_ERROR,
    METHOD_NOT_ALLOWED,
    NOT_FOUND,
    TOO_LARGE,
    UNAUTHORIZED,
    UNAVAILABLE,
    RefusedError,
    Request,
    check_encoding,
    has_token,
    inflate,
)
from ktrans.sources.receiver.tls import Tls

HEALTH = "/healthz"
RETRY_AFTER_SECS = 10
_BACKLOG = 512
_TICK_SECS = 0.5
_LOG_SECS = 60.0
_HANDSHAKE_SECS = 10.0
_REFUSED_AT_ONCE = 64
"""How many connections beyond the limit get an answer; others are closed."""
_THREADS = 2
"""How many bodies are inflated and parsed at a time."""
_INLINE_BYTES = 64 << 10
"""A body of this size that is not compressed is parsed at once."""


class Server:
    """Listens until it is stopped.

    Args:
        address: host and port; port 0 chooses a free one.
        endpoints: by their paths.
        limits: on clients.
        intake: takes what requests bring.
        tls: makes connections secure; None for plain HTTP.
        context: of the source.

    Attributes:
        port: the port.
        limits: on clients.
        held: bytes of bodies that are held now.
        stopping: whether it is about to end.
        last: when the last request arrived.

    Raises:
        UnavailableError: the port is in use, or not allowed.
    """

    def __init__(
        self,
        address: tuple[str, int],
        endpoints: Mapping[str, Endpoint],
        limits: ClientLimits,
        intake: Intake,
        tls: Tls | None,
        context: Context,
    ) -> None:
        self.limits = limits
        self.held = 0
        self.last = context.clock.monotonic()
        self._endpoints = endpoints
        self._intake = intake
        self._tls = tls
        self._context = context
        self._connections: set[Connection] = set()
        self._refused: Counter[int] = Counter()
        self._logged = time.monotonic()
        self._pool = ThreadPoolExecutor(_THREADS, thread_name_prefix="http-body")
        self._reading = asyncio.Semaphore(_THREADS)
        self.stopping = False
        self._grace = 0.0
        family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        try:
            self._socket = socket.create_server(address, family=family, backlog=_BACKLOG)
        except OSError as error:
            raise UnavailableError(
                f"cannot listen on {address[0]}:{address[1]}: {error.strerror or error}",
                code="cannot_listen",
                hint="choose another address with `listen`",
            ) from error
        self.port: int = self._socket.getsockname()[1]
        self._loop = asyncio.new_event_loop()
        self._stop = self._loop.create_future()
        self._thread = threading.Thread(target=self._run, name="http", daemon=True)
        self._thread.start()

    def stop(self, grace: float) -> None:
        """Answer what is in flight, for up to `grace` seconds, and close all connections."""
        self._grace = grace
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._begin_stop)
            self._thread.join()
        self._pool.shutdown()

    def _begin_stop(self) -> None:
        self.stopping = True
        self._stop.set_result(None)

    @property
    def working(self) -> bool:
        """Whether the server answers."""
        return self._thread.is_alive()

    # -- for connections ---------------------------------------------------------------

    def admit(self, connection: Connection) -> bool:
        """Count a new connection; returns whether there is room for it."""
        self._connections.add(connection)
        if len(self._connections) > self.limits.connections + _REFUSED_AT_ONCE:
            connection.abort()
        return len(self._connections) <= self.limits.connections

    def left(self, connection: Connection) -> None:
        """Forget a connection that is closed."""
        self._connections.discard(connection)

    def open(self, request: Request) -> Endpoint | Answer:
        """Return the endpoint of a request, or the answer if it needs none.

        Raises:
            RefusedError: the request is not allowed, or cannot be stored now.
        """
        endpoint = self._endpoints.get(request.path)
        if endpoint is None:
            if request.path == HEALTH and request.method in ("GET", "HEAD"):
                self.check_room()
                return Answer(200, b'{"status": "ok"}')
            raise RefusedError(NOT_FOUND, "there is no endpoint at this path")
        protocol = endpoint.protocol
        if request.method not in protocol.methods:
            raise RefusedError(METHOD_NOT_ALLOWED, f"use {' or '.join(protocol.methods)}")
        if endpoint.tokens and not has_token(protocol.tokens(request), endpoint.tokens):
            raise RefusedError(UNAUTHORIZED, "the token is missing or wrong")
        protocol.check(request)
        check_encoding(request)
        length = request.header("content-length")
        if length.isdigit() and int(length) > self.limits.body:
            raise RefusedError(TOO_LARGE, f"the body has more than {self.limits.body} bytes")
        self.check_room()
        return endpoint

    def check_room(self) -> None:
        """Raise RefusedError if nothing more can be taken now."""
        if self._intake.full:
            raise RefusedError(UNAVAILABLE, "the spool is full")
        if self.held > self.limits.held:
            raise RefusedError(UNAVAILABLE, "too many bytes are in flight")

    def refusal(self, request: Request | None, error: RefusedError) -> Answer:
        """Return the answer to a request that is refused, and count it."""
        self._refused[error.status] += 1
        endpoint = self._endpoints.get(request.path) if request else None
        if request is None or endpoint is None:
            made = Answer(error.status, msgspec.json.encode({"error": error.message}))
        else:
            made = endpoint.protocol.refusal(request, error)
        if error.status == UNAVAILABLE:
            return Answer(made.status, made.body, (("Retry-After", str(RETRY_AFTER_SECS)),))
        if error.status == METHOD_NOT_ALLOWED and endpoint is not None:
            allowed = ", ".join(endpoint.protocol.methods)
            return Answer(made.status, made.body, (("Allow", allowed),))
        if error.status == UNAUTHORIZED:
            return Answer(made.status, made.body, (("WWW-Authenticate", "Bearer"),))
        return made

    async def take(self, endpoint: Endpoint, request: Request, body: bytearray) -> Answer:
        """Store what a request brings; returns the answer once it is durable.

        Raises:
            RefusedError: it is not what the endpoint takes, or cannot be stored.
        """
        self.last = self._context.clock.monotonic()
        plain = len(body) <= _INLINE_BYTES and not request.header("content-encoding")

        def read() -> Received:
            return endpoint.protocol.read(
                request, inflate(body, endpoint.protocol.most, self._context.limits)
            )

        if plain:
            found = read()
        else:
            async with self._reading:
                self.check_room()  # others may have inflated meanwhile
                found = await self._loop.run_in_executor(self._pool, read)
        if not found.parts:
            return found.answer
        size = sum(len(part.data) for part in found.parts)
        self.held += size
        try:
            await self._stored(endpoint, found.parts)
        except OSError as error:
            raise RefusedError(UNAVAILABLE, "the spool cannot be written") from error
        finally:
            self.held -= size
        return found.answer

    def failed(self, error: Exception) -> RefusedError:
        """Log a defect; returns what the client is told."""
        self._context.log.error(
            "http: a request could not be answered",
            exc_info=error,
            extra={"event": log_events.REQUEST_FAILED},
        )
        return RefusedError(INTERNAL_ERROR, "the request could not be processed")

    async def _stored(self, endpoint: Endpoint, parts: Sequence[Part]) -> None:
        waiting = self._loop.create_future()

        def done(error: OSError | None) -> None:
            # The loop is closed if the client has left, and the server has ended since.
            with contextlib.suppress(RuntimeError):
                self._loop.call_soon_threadsafe(_settle, waiting, error)

        self._intake.submit(Delivery(endpoint.path, parts, done))
        await waiting

    # -- the thread ----------------------------------------------------------------------

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        try:
            self._loop.run_until_complete(self._serve())
        finally:
            self._loop.close()

    async def _serve(self) -> None:
        server = await self._loop.create_server(
            lambda: Connection(self, self._loop),
            sock=self._socket,
            ssl=self._tls.context if self._tls else None,
            ssl_handshake_timeout=_HANDSHAKE_SECS if self._tls else None,
        )
        try:
            while not self.stopping:
                await asyncio.wait([self._stop], timeout=_TICK_SECS)
                self._tick()
        finally:
            server.close()
        until = time.monotonic() + self._grace
        for connection in list(self._connections):
            connection.finish()
        while self._connections and time.monotonic() < until:
            await asyncio.sleep(0.02)
            self._tick()
        for connection in list(self._connections):
            connection.abort()
        left = asyncio.all_tasks() - {asyncio.current_task()}
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)
        self._log_refused(secs=0)

    def _tick(self) -> None:
        """Close the connections whose time is over."""
        now = time.monotonic()
        for connection in list(self._connections):
            connection.check_time(now)
        if self._tls is not None:
            self._tls.reload(self._context)
        self._log_refused(_LOG_SECS)

    def _log_refused(self, secs: float) -> None:
        now = time.monotonic()
        if not self._refused or now < self._logged + secs:
            return
        self._logged = now
        listed = ", ".join(f"{status} ({count})" for status, count in sorted(self._refused.items()))
        self._context.log.warning(
            "http: requests were refused, by status: %s",
            listed,
            extra={"event": log_events.REQUESTS_REFUSED, "requests": self._refused.total()},
        )
        self._refused.clear()


def _settle(waiting: asyncio.Future[None], error: OSError | None) -> None:
    if waiting.done():
        return  # the connection is gone
    if error is None:
        waiting.set_result(None)
    else:
        waiting.set_exception(error)
