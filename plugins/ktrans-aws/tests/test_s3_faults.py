"""S3 as it is on a bad day: throttling, broken connections, processes that die."""

import gzip
import io
import json
import os
import random
import signal
import subprocess
import sys
import threading
from collections import Counter
from datetime import UTC, datetime
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

import pyarrow.parquet as pq
import pytest

from ktrans.api import AccessError, Budget, RetryableError
from ktrans.testing.contracts.sinks import EPOCH, FIRST, SCHEMA, numbers, run
from ktrans.testing.contracts.sources import PlainMemory

pytestmark = pytest.mark.service("s3")

HEADER = (
    "version account-id interface-id srcaddr dstaddr srcport dstport protocol packets bytes "
    "start end action log-status\n"
)


class Proxy(ThreadingHTTPServer):
    """Stands before a server and spoils some of its answers.

    `spoil` is called with method and path of each request; it gives None, an HTTP answer (status,
    body) or the number of bytes of the true body after which the connection is reset.
    """

    daemon_threads = True

    def __init__(self, target):
        self.target = urlsplit(target)
        self.spoil = lambda method, path: None
        self.seen = Counter()
        super().__init__(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server_address[1]}"
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def handle_error(self, request, client_address):
        """Clients that hang up are nothing to talk about."""


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *args):
        pass

    def _any(self):
        server = self.server
        server.seen[self.command] += 1
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        spoilt = server.spoil(self.command, self.path)
        if isinstance(spoilt, tuple):
            self._answer(*spoilt)
            return
        upstream = HTTPConnection(server.target.hostname, server.target.port, timeout=120)
        upstream.request(self.command, self.path, body, dict(self.headers))
        answer = upstream.getresponse()
        data = answer.read()
        self.send_response(answer.status)
        for name, value in answer.getheaders():
            if name.lower() not in ("connection", "transfer-encoding", "content-length"):
                self.send_header(name, value)
        length = answer.getheader("Content-Length") if self.command == "HEAD" else len(data)
        self.send_header("Content-Length", length)
        self.end_headers()
        self.wfile.write(data if spoilt is None else data[:spoilt])
        upstream.close()
        if spoilt is not None:
            self.close_connection = True

    do_GET = do_PUT = do_POST = do_HEAD = do_DELETE = _any  # noqa: N815

    def _answer(self, status, code):
        text = f"<Error><Code>{code}</Code><Message>spoilt</Message></Error>".encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)


@pytest.fixture
def proxy(s3_server):
    made = Proxy(s3_server.url)
    yield made
    made.shutdown()
    made.server_close()


def first(source):
    return source.plan(None, PlainMemory(), Budget()).splits[0]


def read(source, split):
    with source.open(split) as payload, payload.open() as stream:
        return stream.read()


def every(count, spoilt, matches):
    """Spoil each `count`th of some requests, the first one included."""
    seen = iter(range(10**9))
    return lambda method, path: (
        spoilt if matches(method, path) and next(seen) % count == 0 else None
    )


def test_a_reset_amid_a_body_is_taken_up_where_it_broke(cloud, proxy):
    data = random.Random(3).randbytes(3_000_000)
    cloud.put("o", data)
    proxy.spoil = every(2, 100_000, lambda method, path: method == "GET" and path.endswith("/o"))
    with cloud.source(endpoint_url=proxy.url, part_size=1 << 19) as source:
        assert read(source, first(source)) == data


def test_throttling_is_waited_out(cloud, proxy):
    for i in range(5):
        cloud.put(f"{i}", b"x" * i + b"x")
    proxy.spoil = every(3, (503, "SlowDown"), lambda method, path: True)
    with cloud.source(endpoint_url=proxy.url, layout="plain") as source:
        plan = source.plan(None, PlainMemory(), Budget())
        assert [len(read(source, split)) for split in plan.splits] == [1, 2, 3, 4, 5]
    with cloud.sink(endpoint_url=proxy.url, format={"type": "jsonl"}) as sink:
        sink.bind(SCHEMA)
        sink.prepare(EPOCH)
        sink.commit(EPOCH, [run(sink, FIRST)])
    rows = [
        json.loads(line)["n"] for data in cloud.data("out/").values() for line in data.splitlines()
    ]
    assert sorted(rows) == numbers(FIRST)


def test_a_service_that_stays_busy_is_an_error_that_may_pass(cloud, proxy):
    proxy.spoil = lambda method, path: (503, "SlowDown")
    with (
        cloud.source(endpoint_url=proxy.url, max_attempts=2) as source,
        pytest.raises(RetryableError, match="SlowDown"),
    ):
        source.plan(None, PlainMemory(), Budget())


@pytest.mark.parametrize("code", ["AccessDenied", "ExpiredToken"])
def test_no_permission_and_a_session_that_is_over_stop_the_run(cloud, proxy, code):
    cloud.put("o", b"data")
    proxy.spoil = lambda method, path: (403, code) if path.endswith("/o") else None
    with cloud.source(endpoint_url=proxy.url) as source:
        split = first(source)
        with pytest.raises(AccessError, match=f"read s3://.*{code}"):
            read(source, split)
    proxy.spoil = lambda method, path: (403, code)
    with cloud.sink(endpoint_url=proxy.url) as sink, pytest.raises(AccessError):
        sink.check()


def test_an_answer_that_got_lost_after_the_upload_was_completed(cloud, proxy):
    def spoil(method, path):
        if method == "POST" and "uploadId" in path:
            return 0
        return None

    with cloud.sink(endpoint_url=proxy.url, format={"type": "jsonl"}, max_attempts=2) as sink:
        sink.bind(SCHEMA)
        sink.prepare(EPOCH)
        receipt = run(sink, FIRST)
        proxy.spoil = spoil
        sink.commit(EPOCH, [receipt])
    assert len(cloud.keys()) == 3
    assert cloud.uploads() == []


# -- whole runs -------------------------------------------------------------------------------


def line(rng):
    return (
        f"2 123456789012 eni-{rng.randrange(16**8):08x} 10.0.{rng.randrange(9)}.1 10.1.0.2 "
        f"{rng.randrange(65536)} 443 6 {rng.randrange(99)} {rng.randrange(9999)} "
        f"1767225600 1767225660 ACCEPT OK\n"
    )


class Run:
    """A pipeline from one prefix of a bucket to another."""

    def __init__(self, cloud, folder):
        self.cloud, self.folder = cloud, folder
        self.config = folder / "pipeline.yaml"
        self.day = datetime.now(UTC)
        bucket, access = cloud.bucket, json.dumps(cloud.access)[1:-1]
        self.config.write_text(
            f"""
name: flows
source: {{type: s3, bucket: {bucket}, prefix: AWSLogs/, {access}}}
decoder: {{type: aws_vpc}}
sinks:
  - id: lake
    type: s3
    bucket: {bucket}
    path: "lake/date={{start_time:%Y-%m-%d}}/"
    format: {{type: parquet}}
    {access.replace(", ", chr(10) + "    ")}
rejects: {{type: file, path: rejects/}}
state: {{path: state/state.db}}
engine: {{workers: 2, epoch_splits: 6, task_size: 20000, retry_wait: 0.01}}
"""
        )

    def start(self):
        return subprocess.Popen(
            [sys.executable, "-m", "ktrans", "run", str(self.config)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**os.environ, "NO_COLOR": "1"},
        )

    def put_logs(self, first, count, rows=100):
        for number in range(first, first + count):
            rng = random.Random(number)
            text = HEADER + "".join(line(rng) for _ in range(rows))
            key = (
                f"AWSLogs/123456789012/vpcflowlogs/us-east-1/{self.day:%Y/%m/%d}/"
                f"123456789012_vpcflowlogs_us-east-1_fl-1_{number:05}.log.gz"
            )
            self.cloud.put(key, gzip.compress(text.encode(), 1))

    def rows(self):
        rows = Counter()
        for key, data in self.cloud.data("lake/").items():
            assert key.endswith(".parquet")
            table = pq.ParquetFile(io.BytesIO(data)).read(["source_uri", "source_pos"])
            columns = (table.column(name).to_pylist() for name in ("source_uri", "source_pos"))
            rows.update(zip(*columns, strict=True))
        return rows


@pytest.mark.slow
def test_runs_that_are_killed_lose_nothing_and_publish_nothing_twice(cloud, tmp_path):
    """SIGKILL at random moments; new objects arrive whenever a run gets through."""
    pipeline = Run(cloud, tmp_path)
    pipeline.put_logs(0, 40)
    rng = random.Random(7)
    kills = 0
    while kills < 8:
        process = pipeline.start()
        try:
            process.communicate(timeout=rng.uniform(1.5, 4))
            pipeline.put_logs(40 + 10 * kills, 10)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            process.communicate()
        kills += 1
    pipeline.put_logs(1000, 5)
    process = pipeline.start()
    _, said = process.communicate(timeout=300)
    assert process.returncode == 0, said.decode()
    logs = len(cloud.keys("AWSLogs/"))
    rows = pipeline.rows()
    assert len(rows) == logs * 100
    assert max(rows.values()) == 1
    assert cloud.uploads() == []
