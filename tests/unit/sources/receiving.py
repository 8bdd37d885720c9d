"""A listening `http` source, and a client that speaks to it."""

import json
import socket
from contextlib import contextmanager
from http.client import HTTPConnection

from ktrans.api import Budget, Context
from ktrans.sources.http import HttpSource, HttpSourceConfig
from ktrans.testing.contracts.sources import PlainMemory, read

TOKEN = "sesame"
ENDPOINTS = [
    {"path": f"/{name}", "protocol": name, "tokens": ["earlier", TOKEN]}
    for name in ("ndjson", "firehose", "pubsub_push", "event_grid", "ktranslate")
]
BEARER = {"Authorization": f"Bearer {TOKEN}"}


class Receiver:
    """A source on a free port.

    Attributes:
        source: the source.
        position: what has been read.
    """

    def __init__(self, folder, **options):
        self.memory = PlainMemory()
        self.position = None
        self._folder = folder
        self._options = {
            "listen": ":0",
            "endpoints": ENDPOINTS,
            "idle_timeout": 0.05,
            "segment_age": 0.02,
            **options,
        }
        self.source = self._build()

    def _build(self):
        context = Context("site", "source", base_dir=self._folder)
        source = HttpSource(HttpSourceConfig(**self._options), context)
        source.listen(self.position["next"] if self.position else 1)
        return source

    def restart(self):
        """Close the source, and build another one over the same spool."""
        self.source.close()
        self.source = self._build()

    def connect(self, timeout=20):
        return HTTPConnection("127.0.0.1", self.source.port, timeout=timeout)

    def raw(self, data=b"", timeout=20):
        """Open a connection and send bytes as they are."""
        client = socket.create_connection(("127.0.0.1", self.source.port), timeout=timeout)
        client.sendall(data)
        return client

    def post(self, path, body=b"", headers=BEARER, method="POST"):
        """Send a request; return the status, the headers and the body of the answer."""
        connection = self.connect()
        try:
            data = body if isinstance(body, bytes) else json.dumps(body).encode()
            connection.request(method, path, data, headers)
            answer = connection.getresponse()
            return answer.status, dict(answer.headers), answer.read()
        finally:
            connection.close()

    def lines(self):
        """Return what was received since the last call, line by line, as an epoch each reads it."""
        out = []
        while True:
            plan = self.source.plan(self.position, self.memory, Budget())
            if plan is None:
                return out
            for split in plan.splits:
                out += read(self.source, split).decode().splitlines()
            self.memory.record(plan)
            self.position = json.loads(json.dumps(plan.position))
            self.source.commit(plan)


@contextmanager
def receiving(folder, **options):
    receiver = Receiver(folder, **options)
    try:
        yield receiver
    finally:
        receiver.source.close()
