"""The small web server of `ktrans run --http`: metrics, health, status. It changes nothing."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable, Sequence
from html import escape
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.resources import files
from typing import TYPE_CHECKING

from ktrans.api import UnavailableError, UsageError

if TYPE_CHECKING:
    from ktrans.engine.graph import Graph
    from ktrans.observe.status import StatusObserver

LOCAL = "127.0.0.1"
HIGHEST_PORT = 0xFFFF
_SAFE = {
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; "
    "script-src 'unsafe-inline'; connect-src 'self'; img-src data:",
    "Referrer-Policy": "no-referrer",
}


def parse_address(text: str) -> tuple[str, int]:
    """Take an address apart: `:9090` is on this machine only, `0.0.0.0:9090` for all.

    Raises:
        UsageError: it is none.
    """
    host, colon, port = text.rpartition(":")
    if not colon or not port.isdigit() or int(port) > HIGHEST_PORT:
        raise UsageError(
            f"{text!r} is no address",
            hint="take :9090 for this machine only, or 0.0.0.0:9090 for others to reach",
        )
    return host.strip("[]") or LOCAL, int(port)


class StatusServer:
    """Serves the state of some pipelines until it is closed.

    Args:
        address: host and port; port 0 takes a free one.
        pipelines: the state of each, and its graph for the page.

    Raises:
        UnavailableError: the port is taken, or may not be used.
    """

    def __init__(
        self, address: tuple[str, int], pipelines: Sequence[tuple[StatusObserver, Graph]]
    ) -> None:
        self._pipelines = list(pipelines)
        self._host = address[0]
        try:
            self._server = _Server(address, self)
        except OSError as error:
            raise UnavailableError(
                f"cannot listen on {address[0]}:{address[1]}: {error.strerror or error}",
                code="cannot_listen",
                hint="take another port with --http",
            ) from error
        self.port: int = self._server.server_address[1]
        self._thread = threading.Thread(
            target=self._server.serve_forever, name="http", daemon=True, args=(0.1,)
        )
        self._thread.start()

    @property
    def url(self) -> str:
        """Where people find it."""
        return f"http://{self._host}:{self.port}/"

    def close(self) -> None:
        """Stop serving."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    # -- what there is to see -----------------------------------------------------------------

    def metrics(self) -> tuple[int, str, str]:
        """Prometheus' text format, all pipelines one after the other."""
        seen: set[str] = set()
        lines = []
        for status, _ in self._pipelines:
            for line in status.metrics.text().splitlines():
                # A name may be explained but once, however many pipelines have it.
                if line.startswith("#") and line in seen:
                    continue
                seen.add(line)
                lines.append(line)
        return HTTPStatus.OK, "text/plain; version=0.0.4; charset=utf-8", "\n".join(lines) + "\n"

    def alive(self) -> tuple[int, str, str]:
        """Say that the process is alive."""
        return HTTPStatus.OK, "text/plain; charset=utf-8", "ok\n"

    def ready(self) -> tuple[int, str, str]:
        """Say whether all pipelines are ready, and if not, why."""
        reasons = [
            f"{status.pipeline}: {why}\n"
            for status, _ in self._pipelines
            if (why := status.unready())
        ]
        code = HTTPStatus.SERVICE_UNAVAILABLE if reasons else HTTPStatus.OK
        return code, "text/plain; charset=utf-8", "".join(reasons) or "ready\n"

    def status(self) -> tuple[int, str, str]:
        """Everything, for programs and for the page."""
        told = {"pipelines": [status.to_json() for status, _ in self._pipelines]}
        return HTTPStatus.OK, "application/json", json.dumps(told)

    def page(self) -> tuple[int, str, str]:
        """The status page."""
        from ktrans.observe.drawing import svg

        page = files(__package__).joinpath("page.html").read_text("utf-8")
        parts = [
            f'<section data-pipeline="{escape(status.pipeline)}"><h2>{escape(status.pipeline)}'
            f'</h2><div class="graph">{svg(graph)}</div><div class="live"></div></section>'
            for status, graph in self._pipelines
        ]
        text = page.replace("<!-- pipelines -->", "\n".join(parts))
        return HTTPStatus.OK, "text/html; charset=utf-8", text


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, address: tuple[str, int], owner: StatusServer) -> None:
        self.owner = owner
        self.address_family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        super().__init__(address, _Handler)


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    server_version = "ktrans"
    sys_version = ""

    def do_GET(self) -> None:
        owner = self.server.owner
        pages: dict[str, Callable[[], tuple[int, str, str]]] = {
            "/": owner.page,
            "/metrics": owner.metrics,
            "/healthz": owner.alive,
            "/readyz": owner.ready,
            "/status.json": owner.status,
        }
        found = pages.get(self.path.partition("?")[0])
        if found is None:
            self._answer(HTTPStatus.NOT_FOUND, "text/plain; charset=utf-8", "not found\n")
        else:
            self._answer(*found())

    do_HEAD = do_GET  # noqa: N815

    def _answer(self, code: int, kind: str, text: str) -> None:
        data = text.encode()
        self.send_response(code)
        for name, value in {**_SAFE, "Content-Type": kind, "Content-Length": len(data)}.items():
            self.send_header(name, str(value))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Say nothing: health checks come every few seconds."""
