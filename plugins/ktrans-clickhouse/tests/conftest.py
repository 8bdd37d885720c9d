"""A database of its own for each test, and a way to it that fails as a test says."""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

import pytest
from ktrans_clickhouse.config import ClickhouseSinkConfig
from ktrans_clickhouse.sink import ClickhouseSink

from ktrans.api import Context


@dataclass
class Database:
    """An empty database of a running server."""

    server: object
    name: str

    def query(self, text):
        return self.server.query(self.name, text)

    def sink(self, schema, context=None, **options):
        """Return a sink that writes into this database, bound to a schema."""
        given = {"url": self.server.url, "database": self.name, "retry_timeout": 30, **options}
        sink = ClickhouseSink(ClickhouseSinkConfig(**given), context)
        sink.bind(schema)
        return sink


@pytest.fixture
def database(clickhouse_server):
    return Database(clickhouse_server, clickhouse_server.database())


@pytest.fixture
def context(tmp_path):
    return Context("flows", "table", tmp_path)


@dataclass
class Proxy:
    """Passes requests on to the server, except those for which `fault` names a fault.

    Faults: "cut body" passes half of the body on, "lose answer" breaks the connection after the server
    has answered, "late" answers after the client's patience, a number is a status of a gateway, and a
    text is an exception of the server.
    """

    server: str
    url: str = ""
    inserts: int = 0
    denied: str = "nothing"
    fault: Callable[[int], object] = lambda number: None
    over: threading.Event = field(default_factory=threading.Event)

    def in_turn(self, *faults):
        self.fault = lambda number: faults[number - 1] if number <= len(faults) else None


class Handler(BaseHTTPRequestHandler):
    """Answers for the proxy in `self.server.proxy`."""

    protocol_version = "HTTP/1.1"

    def do_POST(self):
        body, proxy, fault = self.body(), self.server.proxy, None
        if "INSERT" in self.path:
            proxy.inserts += 1
            fault = proxy.fault(proxy.inserts)
        if isinstance(fault, int):
            self.answer(fault, b"a gateway", {})
            return
        if proxy.denied.encode() in body:
            self.answer(200, b"0\n", {})
            return
        if isinstance(fault, str) and fault.startswith("Code: "):
            code = fault.split()[1].strip(".")
            self.answer(500, fault.encode(), {"X-ClickHouse-Exception-Code": code})
            return
        answer = self.ask(proxy.server, body[: len(body) // 2] if fault == "cut body" else body)
        if fault == "late":
            proxy.over.wait(3)
        if fault in ("cut body", "lose answer"):
            linger = struct.pack("ii", 1, 0)
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            self.connection.shutdown(socket.SHUT_RDWR)
            self.close_connection = True
        else:
            self.answer(*answer)

    def ask(self, server, body):
        connection = HTTPConnection(urlsplit(server).netloc, timeout=60)
        kept = {"Authorization": self.headers["Authorization"]}
        connection.request("POST", self.path, body, kept)
        answer = connection.getresponse()
        data = answer.read()
        connection.close()
        return answer.status, data, {k: v for k, v in answer.getheaders() if k.startswith("X-")}

    def body(self):
        if self.headers.get("Transfer-Encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        pieces = []
        while size := int(self.rfile.readline(), 16):
            pieces.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(pieces)

    def answer(self, status, data, headers):
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(data))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *args):
        pass


@pytest.fixture
def proxy(clickhouse_server):
    proxy = Proxy(clickhouse_server.url)
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.proxy = proxy
    server.daemon_threads = True
    server.block_on_close = False
    proxy.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    yield proxy
    proxy.over.set()
    server.shutdown()
    thread.join()
    server.server_close()
