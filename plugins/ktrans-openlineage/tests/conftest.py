"""A receiver of OpenLineage events over HTTP, and a pipeline to watch."""

import gzip
import json
import os
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

PIPELINE = """\
name: watched
source: {type: file, paths: [logs/]}
decoder: {type: aws_vpc}
sinks:
  - {id: lake, type: file, path: out/, format: {type: parquet}, columns: [start_time, bytes]}
  - {id: shown, type: blackhole}
rejects: {type: file, path: rejects/}
"""
HEAD = (
    "version account-id interface-id srcaddr dstaddr srcport dstport protocol packets bytes "
    "start end action log-status"
)
LINE = "2 111122223333 eni-0aa 10.0.0.{n} 10.1.0.1 {n} 443 6 3 100 1767225600 1767225660 ACCEPT OK"


class Receiver(ThreadingHTTPServer):
    """Keeps the events that it is sent; answers with `status`."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), _Handler)
        self.status = 201
        self.events = []
        self.bodies = []
        self.paths = set()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_port}"


class _Handler(BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.headers.get("Content-Encoding") == "gzip":
            body = gzip.decompress(body)
        self.server.bodies.append(body)
        self.server.paths.add(self.path)
        if self.server.status == 201:
            self.server.events.append(json.loads(body))
        self.send_response(self.server.status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *args):
        """Log nothing."""


@pytest.fixture
def receiver():
    with Receiver() as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def project(tmp_path):
    """A folder with a pipeline and two logs, one of them with a record that is no record."""
    logs = tmp_path / "logs"
    logs.mkdir()
    for name in "ab":
        lines = [HEAD, *(LINE.format(n=n) for n in range(1, 41))]
        (logs / f"{name}.log").write_text("\n".join(lines) + "\n")
    (tmp_path / "watched.yaml").write_text(PIPELINE)
    return tmp_path


@pytest.fixture
def clean(project):
    """The environment, with nothing of OpenLineage's."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith("OPENLINEAGE")}
    return {**kept, "HOME": str(project)}


@pytest.fixture
def ktrans(project, clean):
    """Run ktrans in a process of its own."""

    def run(*args, flush_secs=60, **environ):
        environ["KTRANS_OPENLINEAGE_FLUSH_SECS"] = str(flush_secs)
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
