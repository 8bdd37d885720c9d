"""Rows to write, ways to write them, and a server that answers as a test tells it to."""

import gzip
import socket
import struct
import threading
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

import pyarrow as pa
import pytest
from ktrans_influxdb.config import InfluxdbSinkConfig
from ktrans_influxdb.sink import InfluxdbSink

from ktrans.testing.tasks import write_task

SECOND = 1_700_000_000


def flows(count, *, first=0, uri="s3://logs/a", accounts=3, **columns):
    """Rows as the core gives them: `bytes` is the row's number plus 1000."""
    numbers = list(range(first, first + count))
    return pa.record_batch(
        {
            "source_uri": pa.array([uri] * count).dictionary_encode(),
            "source_pos": pa.array(numbers, pa.int64()),
            "end_time": pa.array(
                [(SECOND + n // 100) * 1_000_000 for n in numbers], pa.timestamp("us", "UTC")
            ),
            "account_id": pa.array([f"a{n % accounts}" for n in numbers]).dictionary_encode(),
            "bytes": pa.array([n + 1000 for n in numbers], pa.int64()),
            "packets": pa.array([n % 7 for n in numbers], pa.int64()),
            **columns,
        }
    )


def bound(schema, **options):
    config = InfluxdbSinkConfig(**options)
    sink = InfluxdbSink(config)
    sink.bind(schema)
    return sink


def positions(refused):
    return sorted(n for one in refused for n in one.rows.column("source_pos").to_pylist())


@dataclass
class Request:
    """What the server was asked."""

    path: str
    query: dict[str, str]
    headers: dict[str, str]
    lines: list[str]
    at: float


@dataclass
class Stub:
    """An InfluxDB that keeps lines and answers as `answer` says: (status, headers, body).

    Instead of an answer, "reset" breaks the connection amid the request, and "hold" keeps it open
    without an answer until the test is over.
    """

    url: str = ""
    requests: list[Request] = field(default_factory=list)
    kept: list[str] = field(default_factory=list)
    answer: Callable[[Request], object] = lambda request: (204, {}, "")
    over: threading.Event = field(default_factory=threading.Event)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def in_turn(self, *answers):
        """Answer with these, one after the other, and then take everything."""
        waiting = list(answers)

        def answer(request):
            return waiting.pop(0) if waiting else (204, {}, "")

        self.answer = answer


def handler(stub):
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = 1 << 16  # one packet an answer

        def do_POST(self):
            length = int(self.headers["Content-Length"] or 0)
            split = urlsplit(self.path)
            query = {name: values[0] for name, values in parse_qs(split.query).items()}
            headers = {name.lower(): value for name, value in self.headers.items()}
            request = Request(split.path, query, headers, [], time.monotonic())
            if getattr(stub.answer, "early", False):
                with stub.lock:
                    stub.requests.append(request)
                    told = stub.answer(request)
                if told == "reset":
                    self.rfile.read(min(length, 64))
                    linger = struct.pack("ii", 1, 0)
                    self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
                    self.connection.shutdown(socket.SHUT_RDWR)
                    self.close_connection = True
                    return
                request.lines = self.body(length)
            else:
                request.lines = self.body(length)
                with stub.lock:
                    stub.requests.append(request)
                    told = stub.answer(request)
            if told == "hold":
                stub.over.wait(120)
                self.close_connection = True
                return
            status, extra, text = told
            if status < 300:
                with stub.lock:
                    stub.kept += request.lines
            data = text.encode()
            self.send_response(status)
            for name, value in extra.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def body(self, length):
            data = self.rfile.read(length)
            if self.headers["Content-Encoding"] == "gzip":
                data = gzip.decompress(data)
            return data.decode().splitlines()

        def log_message(self, *args):
            pass

    return Handler


@pytest.fixture
def stub():
    stub = Stub()
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler(stub))
    server.daemon_threads = True
    server.block_on_close = False
    stub.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield stub
    stub.over.set()
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def name():
    """A database or measurement of the test's own."""
    return f"t{uuid.uuid4().hex[:10]}"


@pytest.fixture(name="flows")
def give_flows():
    return flows


@pytest.fixture(name="bound")
def give_bound():
    return bound


@pytest.fixture(name="deliver")
def give_deliver():
    return write_task


@pytest.fixture(name="positions")
def give_positions():
    return positions
