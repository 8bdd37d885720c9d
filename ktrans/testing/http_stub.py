"""A server for tests of sinks that send over HTTP: it keeps requests, and answers as a test says.

>>> import urllib.request
>>> with HttpStub() as stub:
...     stub.in_turn((201, {}, b"made"))
...     answer = urllib.request.urlopen(stub.url + "/rows?x=1", b"one row")
...     answer.status, stub.requests[0].path, stub.requests[0].query, stub.requests[0].body
(201, '/rows', {'x': '1'}, b'one row')
"""

from __future__ import annotations

import gzip
import json
import socket
import ssl
import struct
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Literal, Self
from urllib.parse import parse_qs, urlsplit


@dataclass(frozen=True, slots=True)
class StubRequest:
    """What the server was asked.

    Attributes:
        method: of HTTP.
        path: without the query.
        query: the first value of each parameter.
        headers: by lower-case name.
        body: decompressed.
        at: when it came, on the monotonic clock.
    """

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: bytes
    at: float

    def json(self) -> Any:
        """Return the body as JSON."""
        return json.loads(self.body)

    def json_lines(self) -> list[Any]:
        """Return each line of the body as JSON."""
        return [json.loads(line) for line in self.body.splitlines()]


StubAnswer = tuple[int, Mapping[str, str], bytes] | Literal["reset", "hold"]
"""Status, headers, body. "reset" breaks the connection, "hold" keeps it open until the end."""

OK: StubAnswer = (200, {}, b"{}")


@dataclass
class HttpStub:
    """A server on a free port, while it is entered.

    Attributes:
        answer: returns the answer to a request; called for one request at a time.
        tls: for HTTPS.
        port: to take again the port of a stub that has ended.
        requests: all requests so far.
    """

    answer: Callable[[StubRequest], StubAnswer] = lambda _: OK
    tls: ssl.SSLContext | None = None
    port: int = 0
    requests: list[StubRequest] = field(default_factory=list)

    def __enter__(self) -> Self:
        self._over = threading.Event()
        self._lock = threading.Lock()
        self._server = ThreadingHTTPServer(("127.0.0.1", self.port), _handler(self))
        self._server.daemon_threads = True
        self._server.block_on_close = False
        if self.tls is not None:
            self._server.socket = self.tls.wrap_socket(self._server.socket, server_side=True)
        self.port = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    @property
    def url(self) -> str:
        """The address, without a path."""
        return f"http{'s' if self.tls else ''}://127.0.0.1:{self.port}"

    def in_turn(self, *answers: StubAnswer) -> None:
        """Answer with these, one after the other, and then as before."""
        waiting, before = list(answers), self.answer
        self.answer = lambda request: waiting.pop(0) if waiting else before(request)

    def take(self, request: StubRequest) -> StubAnswer:
        """Keep a request, and return what to answer."""
        with self._lock:
            self.requests.append(request)
            return self.answer(request)

    def wait(self) -> None:
        """Wait until the stub ends."""
        self._over.wait(120)


def _handler(stub: HttpStub) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = 1 << 16  # one packet an answer

        def handle_any(self) -> None:
            data = self.rfile.read(int(self.headers["Content-Length"] or 0))
            if self.headers["Content-Encoding"] == "gzip":
                data = gzip.decompress(data)
            split = urlsplit(self.path)
            query = {
                name: values[0]
                for name, values in parse_qs(split.query, keep_blank_values=True).items()
            }
            headers = {name.lower(): value for name, value in self.headers.items()}
            told = stub.take(
                StubRequest(self.command, split.path, query, headers, data, time.monotonic())
            )
            if isinstance(told, str):
                self._break(told)
                return
            status, extra, body = told
            self.send_response(status)
            for name, value in extra.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

        do_GET = do_POST = do_PUT = do_HEAD = do_OPTIONS = handle_any  # noqa: N815

        def _break(self, told: str) -> None:
            self.close_connection = True
            if told == "hold":
                stub.wait()
                return
            linger = struct.pack("ii", 1, 0)
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            self.connection.shutdown(socket.SHUT_RDWR)

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
            """Say nothing."""

    return Handler
