"""A receiver that is killed at random loses nothing that it has acknowledged, and takes nothing twice."""

import base64
import json
import os
import random
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from http.client import HTTPConnection, HTTPException

import pytest

KILLS = 20
CLIENTS = ("firehose", "pubsub_push", "keyed", "plain")


class Client(threading.Thread):
    """Posts requests until it is stopped, each again until it is acknowledged, as the services do.

    Attributes:
        acknowledged: the numbers of the rows that were acknowledged.
    """

    def __init__(self, kind, port, first):
        super().__init__(name=kind)
        self.kind = kind
        self.acknowledged = []
        self.stopped = threading.Event()
        self._port = port
        self._next = first

    def run(self):
        rng = random.Random(self._next)
        while not self.stopped.is_set():
            rows = range(self._next, self._next + rng.randint(1, 40))
            self._next = rows.stop
            path, headers, body = getattr(self, f"_{self.kind}")(rows)
            while not self._post(path, headers, body):
                time.sleep(0.05)
            self.acknowledged += rows
            time.sleep(0.005)

    def _post(self, path, headers, body):
        connection = HTTPConnection("127.0.0.1", self._port, timeout=10)
        try:
            connection.request("POST", path, body, headers)
            return connection.getresponse().status == 200
        except (OSError, HTTPException):
            return False
        finally:
            connection.close()

    def _firehose(self, rows):
        records = [{"data": packed(line(row))} for row in rows]
        headers = {
            "X-Amz-Firehose-Request-Id": f"request-{rows.start}",
            "X-Amz-Firehose-Access-Key": "sesame",
        }
        return "/firehose", headers, json.dumps({"records": records})

    def _pubsub_push(self, rows):
        text = "\n".join(line(row) for row in rows)
        message = {"data": packed(text), "messageId": str(rows.start)}
        return "/push?token=sesame", {}, json.dumps({"message": message, "subscription": "s"})

    def _keyed(self, rows):
        headers = {"Authorization": "Bearer sesame", "Idempotency-Key": f"key-{rows.start}"}
        return "/flows", headers, "\n".join(line(row) for row in rows)

    def _plain(self, rows):
        return "/flows", {"Authorization": "Bearer sesame"}, "\n".join(map(line, rows))


def packed(text):
    return base64.b64encode(text.encode()).decode()


def line(row):
    return (
        f"2 123456789012 eni-1 10.0.0.1 10.0.0.2 44 443 6 1 {row} 1777882300 1777882360 ACCEPT OK"
    )


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def write_config(folder, port):
    tokens = ["sesame"]
    endpoints = [
        {"path": "/firehose", "protocol": "firehose", "tokens": tokens},
        {"path": "/push", "protocol": "pubsub_push", "tokens": tokens},
        {"path": "/flows", "protocol": "ndjson", "tokens": tokens},
    ]
    source = {
        "type": "http",
        "listen": f":{port}",
        "endpoints": endpoints,
        "segment_age": 0.2,
        "idle_timeout": 0.5,
    }
    config = {
        "name": "site",
        "source": source,
        "decoder": {"type": "aws_vpc"},
        "sinks": [{"type": "file", "path": "out/", "format": {"type": "jsonl"}}],
        "rejects": {"type": "file", "path": "rejects/"},
        "engine": {"workers": 1, "poll_interval": 0.1, "retry_wait": 0.01},
    }
    path = folder / "pipeline.yaml"
    path.write_text(json.dumps(config))
    return path


def start(config, *args):
    with (config.parent / "log").open("ab") as log:
        return subprocess.Popen(
            [sys.executable, "-m", "ktrans", "run", str(config), *args],
            stdout=subprocess.DEVNULL,
            stderr=log,
            env={**os.environ, "NO_COLOR": "1"},
        )


def stored(folder):
    """Return how often each row is in the sink."""
    rows = Counter()
    for path in (folder / "out").glob("*.jsonl"):
        for text in path.read_bytes().splitlines():
            rows[json.loads(text)["bytes"]] += 1
    return rows


@pytest.mark.slow
def test_twenty_kills_while_clients_post(tmp_path):
    """Once with an id, at least once without; a graceful stop in between answers what is in flight."""
    port = free_port()
    config = write_config(tmp_path, port)
    clients = [Client(kind, port, 10_000_000 * n) for n, kind in enumerate(CLIENTS, 1)]
    for client in clients:
        client.start()
    rng = random.Random(6)
    acknowledged = 0
    try:
        for kill in range(KILLS):
            process = start(config, "--follow")
            until = time.monotonic() + 60
            while (count := sum(len(c.acknowledged) for c in clients)) < acknowledged + 60:
                assert process.poll() is None, (tmp_path / "log").read_text()
                assert time.monotonic() < until
                time.sleep(0.02)
            time.sleep(rng.uniform(0, 0.8))
            acknowledged = count
            process.send_signal(signal.SIGTERM if kill % 7 == 6 else signal.SIGKILL)
            process.wait(60)
    finally:
        for client in clients:
            client.stopped.set()
    process = start(config)  # ends once the last requests are in
    for client in clients:
        client.join(60)
    assert process.wait(120) == 0
    assert start(config).wait(120) == 0
    assert list((tmp_path / "rejects").glob("*")) == []
    rows = stored(tmp_path)
    for client in clients:
        wanted = set(client.acknowledged)
        assert len(wanted) > KILLS
        missing = [row for row in wanted if rows[row] == 0]
        assert missing == [], client.kind
        if client.kind != "plain":
            assert {row: rows[row] for row in wanted if rows[row] != 1} == {}, client.kind
    assert rows.keys() == {row for client in clients for row in client.acknowledged}
