"""The web server of `ktrans run --http`: metrics, health checks and status, all read-only."""

from __future__ import annotations

import json
import logging
import socket
import sys
import threading
from html import escape
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from ktrans.api import UnavailableError
from ktrans.kit.listen import LOCAL, is_local
from ktrans.observe import log_events

if TYPE_CHECKING:
    from ktrans.observe.process_status import ProcessStatus

IDLE_SECS = 30.0
"""An idle connection is closed after this time, since it uses a thread."""
_TEXT = "text/plain; charset=utf-8"
_SAFE = {
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; "
    "script-src 'unsafe-inline'; connect-src 'self'; img-src data:",
    "Referrer-Policy": "no-referrer",
}


class StatusServer:
    """Serves the status of a process until it is closed.

    Port 0 chooses a free one.

    Attributes:
        local: whether it is for this machine only.

    Raises:
        UnavailableError: the port is in use, or not allowed.
    """

    def __init__(self, address: tuple[str, int], status: ProcessStatus) -> None:
        self._status = status
        self._host = address[0]
        self.local = is_local(self._host)
        try:
            self._server = _Server(address, self)
        except OSError as error:
            raise UnavailableError(
                f"cannot listen on {address[0]}:{address[1]}: {error.strerror or error}",
                code="cannot_listen",
                hint="choose another port with --http",
            ) from error
        self.port: int = self._server.server_address[1]
        self._thread = threading.Thread(
            target=self._server.serve_forever, name="http", daemon=True, args=(0.1,)
        )
        self._thread.start()

    @property
    def url(self) -> str:
        """The URL of the status page."""
        return f"http://{self._host}:{self.port}/"

    def close(self) -> None:
        """Stop serving."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    # -- pages -----------------------------------------------------------------

    def answer(self, path: str) -> tuple[int, str, str]:
        """Return the status code, the content type and the text of a page."""
        if path == "/":
            return HTTPStatus.OK, "text/html; charset=utf-8", self._page()
        if path == "/metrics":
            return HTTPStatus.OK, "text/plain; version=0.0.4; charset=utf-8", self._status.metrics()
        if path == "/healthz":
            return HTTPStatus.OK, _TEXT, "ok\n"
        if path == "/readyz":
            reasons = self._status.unready()
            code = HTTPStatus.SERVICE_UNAVAILABLE if reasons else HTTPStatus.OK
            return code, _TEXT, reasons or "ready\n"
        if path == "/status.json":
            return HTTPStatus.OK, "application/json", json.dumps(self._status.to_json())
        return HTTPStatus.NOT_FOUND, _TEXT, "not found\n"

    def _page(self) -> str:
        from ktrans.observe.drawing import svg

        page = files(__package__).joinpath("page.html").read_text("utf-8")
        parts = [
            f'<section data-pipeline="{escape(status.pipeline)}" '
            f'data-generation="{status.generation}"><h2>{escape(status.pipeline)}</h2>'
            f'<div class="graph">{svg(graph)}</div><div class="live"></div></section>'
            for status, graph in self._status.pipelines
        ]
        return page.replace("<!-- pipelines -->", "\n".join(parts))


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, address: tuple[str, int], owner: StatusServer) -> None:
        self.owner = owner
        self.address_family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        super().__init__(address, _Handler)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Log a defect; that somebody hung up is none."""
        del request, client_address
        error = sys.exception()
        if not isinstance(error, OSError):
            logging.getLogger("ktrans.observe").error(
                "the status server could not answer",
                exc_info=error,
                extra={"event": log_events.HTTP_FAILED},
            )


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    server_version = "ktrans"
    sys_version = ""
    timeout = IDLE_SECS

    def do_GET(self) -> None:
        owner = self.server.owner
        hosts = self.headers.get_all("Host", [])
        if len(hosts) > 1 or (not hosts and self.request_version == "HTTP/1.1"):  # RFC 9112, 3.2
            self._answer(HTTPStatus.BAD_REQUEST, _TEXT, "a request has one Host\n")
        elif owner.local and not is_local(self.headers.get("Host", LOCAL)):
            text = "this address is for this machine only: use localhost or 127.0.0.1\n"
            self._answer(HTTPStatus.MISDIRECTED_REQUEST, _TEXT, text)
        else:
            self._answer(*owner.answer(self.path.partition("?")[0]))

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
        """Log nothing: health checks come every few seconds."""
