"""A collector that speaks OTLP over HTTP, and a pipeline to watch."""

import gzip
import os
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2 as service

PIPELINE = """\
name: watched
source: {type: file, paths: [logs/]}
decoder: {type: aws_vpc}
enrichers: [{type: services}]
sinks:
  - {id: lake, type: file, path: out/, format: {type: parquet}}
  - {id: lines, type: file, path: lines/, format: {type: jsonl}}
rejects: {type: file, path: rejects/}
"""
HEAD = (
    "version account-id interface-id srcaddr dstaddr srcport dstport protocol packets bytes "
    "start end action log-status"
)
LINE = "2 111122223333 eni-0aa 10.0.0.{n} 10.1.0.1 {n} 443 6 3 100 1767225600 1767225660 ACCEPT OK"


class Collector(ThreadingHTTPServer):
    """Keeps what it is sent; answers with `status`."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), _Handler)
        self.status = 200
        self.requests = []
        self.bodies = []

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_port}"

    @property
    def spans(self):
        return [
            span
            for request in self.requests
            for resource in request.resource_spans
            for scope in resource.scope_spans
            for span in scope.spans
        ]

    @property
    def resource(self):
        return self.attributes(self.requests[0].resource_spans[0].resource)

    @staticmethod
    def attributes(thing):
        """Return the attributes of a span, an event or a resource as plain values."""
        found = {}
        for item in thing.attributes:
            kind = item.value.WhichOneof("value")
            value = getattr(item.value, kind)
            found[item.key] = (
                [one.string_value for one in value.values] if kind == "array_value" else value
            )
        return found


class _Handler(BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.headers.get("Content-Encoding") == "gzip":
            body = gzip.decompress(body)
        if self.path == "/v1/traces" and self.server.status == 200:
            self.server.requests.append(service.ExportTraceServiceRequest.FromString(body))
        self.server.bodies.append(body)
        self.send_response(self.server.status)
        self.end_headers()
        self.wfile.write(service.ExportTraceServiceResponse().SerializeToString())

    def log_message(self, *args):
        """Log nothing."""


@pytest.fixture
def collector():
    with Collector() as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def project(tmp_path):
    """A folder with a pipeline and two logs."""
    logs = tmp_path / "logs"
    logs.mkdir()
    for name in "ab":
        lines = [HEAD, *(LINE.format(n=n) for n in range(1, 41))]
        (logs / f"{name}.log").write_text("\n".join(lines) + "\n")
    (tmp_path / "watched.yaml").write_text(PIPELINE)
    return tmp_path


@pytest.fixture
def ktrans(project):
    """Run ktrans in a process of its own, with nothing of OpenTelemetry's but what is given."""

    def run(*args, flush_secs=60, **environ):
        environ["OTEL_BSP_EXPORT_TIMEOUT"] = str(1000 * flush_secs)
        clean = {k: v for k, v in os.environ.items() if not k.startswith(("OTEL_", "TRACE"))}
        return subprocess.run(
            [sys.executable, "-m", "ktrans", *args],
            cwd=project,
            env={**clean, **environ},
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
        )

    return run
