"""Serves chdb, the engine of ClickHouse, by ClickHouse's HTTP interface: a program of its own.

There is no package of a current ClickHouse server. What is real: the engine with its tables,
formats, types, errors and deduplication. What is of this file: HTTP, authentication by one password,
and the choice of HTTP statuses. A body that ends early is inserted as far as it came, as the server
does, which reads blocks while they arrive.
"""

from __future__ import annotations

import base64
import json
import re
import sys
import tempfile
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from chdb.state import sqlitelike

OURS = {"query", "database", "query_id", "wait_end_of_query", "default_format"}
OURS |= {"client_protocol_version", "send_progress_in_http_headers", "buffer_size", "compress"}
OURS |= {"http_headers_progress_interval_ms", "session_id", "enable_http_compression"}
STATUSES = {516: 403, 497: 403, 81: 404, 60: 404}


class Refused(Exception):
    """An error as ClickHouse reports it."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(text)
        self.code = code


class Engine:
    """One connection to the engine, which takes one query at a time."""

    def __init__(self, folder: Path) -> None:
        self._connection = sqlitelike.connect(str(folder / "database"))
        self._folder = folder
        self._lock = threading.Lock()

    def answer(self, asked: dict[str, str], body: bytes) -> bytes:
        """Run a query, whose text is a parameter if the body has data for it."""
        with self._lock:
            self._run(f"USE `{asked.get('database') or 'default'}`")
            if "query" not in asked:
                return self._run(body.decode())
            settings = {name: value for name, value in asked.items() if name not in OURS}
            return self._insert(asked["query"], settings, body)

    def _insert(self, query: str, settings: dict[str, str], body: bytes) -> bytes:
        head, _, form = query.rpartition(" FORMAT ")
        clause = ", ".join(f"{name} = '{value}'" for name, value in settings.items())
        with tempfile.NamedTemporaryFile(dir=self._folder, suffix=".raw") as file:
            file.write(body)
            file.flush()
            setting = f" SETTINGS {clause}" if clause else ""
            return self._run(f"{head} FROM INFILE '{file.name}'{setting} FORMAT {form}")

    def _run(self, query: str) -> bytes:
        try:
            return bytes(self._connection.query(query, "TabSeparated").bytes())
        except Exception as error:
            found = re.search(r"Code: (\d+)", str(error))
            raise Refused(int(found[1]) if found else 0, str(error)) from error


def handler(engine: Engine, password: str) -> type[BaseHTTPRequestHandler]:
    """Make the class that answers requests: of the user `default`, and of `keyed` with a password."""
    logins = {
        f"Basic {base64.b64encode(text.encode()).decode()}"
        for text in ("default:", f"keyed:{password}")
    }

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self._send(200, b"Ok.\n")

        def do_POST(self) -> None:
            asked = {k: v[0] for k, v in parse_qs(urlsplit(self.path).query).items()}
            body = self._body()
            try:
                if self.headers.get("Authorization", "Basic ZGVmYXVsdDo=") not in logins:
                    raise Refused(
                        516,
                        "Code: 516. DB::Exception: Authentication failed. (AUTHENTICATION_FAILED)",
                    )
                self._send(200, engine.answer(asked, body))
            except Refused as error:
                header = {"X-ClickHouse-Exception-Code": str(error.code)}
                self._send(STATUSES.get(error.code, 500), str(error).encode(), header)

        def _body(self) -> bytes:
            if self.headers.get("Transfer-Encoding") != "chunked":
                return self.rfile.read(int(self.headers.get("Content-Length") or 0))
            pieces = []
            while line := self.rfile.readline().strip():
                piece = self.rfile.read(int(line, 16))
                pieces.append(piece)
                self.rfile.readline()
                if not piece:
                    break
            return b"".join(pieces)

        def _send(self, status: int, data: bytes, more: dict[str, str] | None = None) -> None:
            self.send_response(status)
            headers = {"Content-Length": str(len(data)), "X-ClickHouse-Timezone": "UTC"}
            headers["X-ClickHouse-Summary"] = json.dumps({"read_rows": "0"})
            for name, value in {**headers, **(more or {})}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *args: object) -> None:
            del args

    return Handler


def main(port: str, folder: str, password: str) -> None:
    """Serve until the process ends."""
    engine = Engine(Path(folder))
    server = ThreadingHTTPServer(("127.0.0.1", int(port)), handler(engine, password))
    server.daemon_threads = True
    server.serve_forever()


if __name__ == "__main__":
    main(*sys.argv[1:])
