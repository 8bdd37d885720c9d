"""One connection of a client: reads requests one by one, within limits of size and time."""

from __future__ import annotations

import asyncio
import contextlib
import time
from email.utils import formatdate
from http import HTTPStatus
from typing import Literal, Protocol, cast

import h11
import msgspec

from ktrans.sources.receiver.protocols import Answer, Endpoint
from ktrans.sources.receiver.requests import (
    BAD_REQUEST,
    HEAD_TOO_LARGE,
    REQUEST_TIMEOUT,
    TOO_LARGE,
    UNAVAILABLE,
    RefusedError,
    Request,
)

HEAD_SECS = 10.0
"""The head of a request must arrive in this time, once it has begun."""
LINGER_SECS = 2.0
"""How long the rest of a refused request is read and dropped, so that its client sees the answer."""

Stage = Literal["idle", "head", "body", "work", "linger", "closed"]


class ClientLimits(msgspec.Struct, frozen=True):
    """What clients may ask for.

    Attributes:
        connections: how many at a time.
        body: bytes of a body as it is sent.
        held: bytes of all bodies that are held at a time.
        header: bytes of a request's head.
        idle: seconds without a request.
        request: seconds for a request to arrive.
    """

    connections: int
    body: int
    held: int
    header: int
    idle: float
    request: float


class Host(Protocol):
    """What a connection asks of the server that it belongs to.

    Attributes:
        limits: on clients.
        held: bytes of bodies that are held now, over all connections.
        stopping: whether connections are to be closed after the request that they are at.
    """

    limits: ClientLimits
    held: int
    stopping: bool

    def admit(self, connection: Connection) -> bool:
        """Count a new connection; returns whether there is room for it."""

    def left(self, connection: Connection) -> None:
        """Forget a connection that is closed."""

    def open(self, request: Request) -> Endpoint | Answer:
        """Return the endpoint of a request, or the answer if it needs none.

        Raises:
            RefusedError: the request is not allowed, or cannot be stored now.
        """

    def check_room(self) -> None:
        """Raise RefusedError if nothing more can be taken now."""

    def refusal(self, request: Request | None, error: RefusedError) -> Answer:
        """Return the answer to a request that is refused, and count it."""

    def failed(self, error: Exception) -> RefusedError:
        """Log a defect; returns what the client is told."""

    async def take(self, endpoint: Endpoint, request: Request, body: bytearray) -> Answer:
        """Store what a request brings; returns the answer once it is durable.

        Raises:
            RefusedError: it is not what the endpoint takes, or cannot be stored.
        """


class Connection(asyncio.Protocol):
    """A connection.

    A request is read whole, handed to the server, and answered; further bytes wait in the socket
    meanwhile. `check_time` closes the connection when its stage takes too long.
    """

    def __init__(self, server: Host, loop: asyncio.AbstractEventLoop) -> None:
        self._server = server
        self._loop = loop
        self._stage: Stage = "idle"
        self._until = 0.0
        self._request: Request | None = None
        self._endpoint: Endpoint | Answer | None = None
        self._body = bytearray()
        self._ended = False
        self._parser = h11.Connection(h11.SERVER, max_incomplete_event_size=server.limits.header)
        self._transport: asyncio.Transport
        self._task: asyncio.Task[None] | None = None

    # -- called by the server ------------------------------------------------------------

    def check_time(self, now: float) -> None:
        """Close the connection if its time is over."""
        if now < self._until:
            return
        if self._stage in ("head", "body"):
            self._refuse(RefusedError(REQUEST_TIMEOUT, "the request did not arrive in time"))
        elif self._stage != "work":
            self.abort()

    def finish(self) -> None:
        """Close the connection after the request that it is at."""
        if self._stage == "idle":
            self._transport.close()

    def abort(self) -> None:
        """Close the connection now."""
        self._transport.abort()

    # -- called by the event loop --------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin, if there is room for one more connection."""
        self._transport = cast("asyncio.Transport", transport)
        self._enter("idle", self._server.limits.idle)
        if not self._server.admit(self) and not transport.is_closing():
            self._refuse(RefusedError(UNAVAILABLE, "there are too many connections"))

    def data_received(self, data: bytes) -> None:
        """Parse what has come."""
        if self._stage in ("linger", "closed"):
            return
        if self._stage == "idle":
            self._enter("head", min(HEAD_SECS, self._server.limits.request))
        self._parser.receive_data(data)
        self._read()

    def eof_received(self) -> bool:
        """Close the connection, unless a request is still to be answered."""
        self._ended = True
        return self._stage == "work"

    def connection_lost(self, exc: Exception | None) -> None:
        """Drop what was read of a request."""
        del exc
        if self._stage != "work":
            self._drop_body()
        self._stage = "closed"
        self._server.left(self)

    # -- a request -------------------------------------------------------------------------

    def _enter(self, stage: Stage, secs: float) -> None:
        self._stage = stage
        self._until = time.monotonic() + secs

    def _read(self) -> None:
        """Take the events of the parser until it needs more, or a request is complete."""
        try:
            while self._stage in ("head", "body"):
                event = self._parser.next_event()
                if isinstance(event, h11.Request):
                    self._begin(event)
                elif isinstance(event, h11.Data):
                    self._add(event.data)
                elif isinstance(event, h11.EndOfMessage):
                    self._work()
                elif isinstance(event, h11.ConnectionClosed):
                    self._transport.close()
                    return
                else:
                    return
        except h11.RemoteProtocolError as error:
            self._refuse(RefusedError(error.error_status_hint or BAD_REQUEST, str(error)))
        except RefusedError as error:
            self._refuse(error)

    def _begin(self, event: h11.Request) -> None:
        # The parser's own limit is on what is incomplete: a head that arrives at once may be larger.
        size = len(event.target) + sum(len(name) + len(value) for name, value in event.headers)
        if size > self._server.limits.header:
            raise RefusedError(
                HEAD_TOO_LARGE, f"the head has more than {self._server.limits.header} bytes"
            )
        try:
            self._request = Request.of(event.method, event.target, list(event.headers))
        except ValueError as error:
            raise RefusedError(BAD_REQUEST, "the target cannot be read") from error
        self._endpoint = self._server.open(self._request)
        self._enter("body", self._server.limits.request)
        if self._parser.they_are_waiting_for_100_continue:
            self._send(h11.InformationalResponse(status_code=100, headers=[]))

    def _add(self, data: bytes | bytearray) -> None:
        self._body += data
        self._server.held += len(data)
        if len(self._body) > self._server.limits.body:
            raise RefusedError(
                TOO_LARGE, f"the body has more than {self._server.limits.body} bytes"
            )
        self._server.check_room()

    def _work(self) -> None:
        """Hand a complete request to the server; nothing more is read until it is answered."""
        self._enter("work", 0)
        self._transport.pause_reading()
        self._task = self._loop.create_task(self._take())

    async def _take(self) -> None:
        assert self._request is not None
        try:
            if isinstance(self._endpoint, Answer):
                answer = self._endpoint
            else:
                assert self._endpoint is not None
                answer = await self._server.take(self._endpoint, self._request, self._body)
        except RefusedError as error:
            answer = self._server.refusal(self._request, error)
        except Exception as error:  # noqa: BLE001 - a defect costs one request
            answer = self._server.refusal(self._request, self._server.failed(error))
        finally:
            self._drop_body()
        if self._stage == "closed":
            return
        # A client that does not read its answers gets no more of them.
        unread = self._transport.get_write_buffer_size() > 0
        closing = self._server.stopping or self._ended or unread
        try:
            self._answer(answer, closing=closing)
        except Exception as error:  # noqa: BLE001 - it has no form in HTTP
            self._server.failed(error)
            self.abort()
            return
        if closing or self._parser.our_state is h11.MUST_CLOSE:
            self._transport.close()
            self._enter("linger", LINGER_SECS)
            return
        self._parser.start_next_cycle()
        self._request = self._endpoint = None
        self._enter("idle", self._server.limits.idle)
        self._transport.resume_reading()
        if self._parser.trailing_data[0]:
            self._enter("head", min(HEAD_SECS, self._server.limits.request))
            self._read()

    def _refuse(self, error: RefusedError) -> None:
        """Answer a request that is not read to its end, and close the connection."""
        self._drop_body()
        answer = self._server.refusal(self._request, error)
        self._stage = "linger"
        if self._parser.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            self._answer(answer, closing=True)
        self._until = time.monotonic() + LINGER_SECS
        if self._transport.can_write_eof():
            with contextlib.suppress(OSError):  # the client has left at this moment
                self._transport.write_eof()

    def _answer(self, answer: Answer, *, closing: bool) -> None:
        headers = [
            ("Date", formatdate(usegmt=True)),
            ("Content-Length", str(len(answer.body))),
            *answer.headers,
        ]
        if answer.body:
            headers.append(("Content-Type", "application/json"))
        if closing:
            headers.append(("Connection", "close"))
        reason = HTTPStatus(answer.status).phrase.encode()
        events: list[h11.Event] = [
            h11.Response(status_code=answer.status, headers=headers, reason=reason)
        ]
        if answer.body and (self._request is None or self._request.method != "HEAD"):
            events.append(h11.Data(data=answer.body))
        self._send(*events, h11.EndOfMessage())

    def _send(self, *events: h11.Event) -> None:
        self._transport.write(b"".join(self._parser.send(event) or b"" for event in events))

    def _drop_body(self) -> None:
        self._server.held -= len(self._body)
        self._body = bytearray()
