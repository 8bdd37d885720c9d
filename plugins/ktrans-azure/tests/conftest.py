"""An account in Azurite, hour blobs that grow as in Azure, and pipelines over them."""

import itertools
import json
import os
import subprocess
import sys
import threading
import uuid
from collections import Counter
from datetime import UTC, datetime
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from ktrans.kit.retry import Retry

SUBSCRIPTION = "5A5A0000-1111-4222-8333-444455556666"
NSG_ROOT = (
    f"resourceId=/SUBSCRIPTIONS/{SUBSCRIPTION}/RESOURCEGROUPS/SHOP/PROVIDERS/MICROSOFT.NETWORK"
    "/NETWORKSECURITYGROUPS/FRONT/"
)
_LOG = f"flowLogResourceID=/{SUBSCRIPTION}_NETWORKWATCHERRG"
_WATCHERS = (
    f"SUBSCRIPTIONS/{SUBSCRIPTION}/RESOURCEGROUPS/NETWORKWATCHERRG/PROVIDERS/MICROSOFT.NETWORK"
    "/NETWORKWATCHERS"
)
VNET_ROOTS = (
    f"{_LOG}/NETWORKWATCHER_WESTEUROPE_SHOP/",
    f"flowLogResourceID=/{_WATCHERS}/NETWORKWATCHER_EASTUS2/FLOWLOGS/SHOP/",
    f"{_LOG}/NETWORKWATCHER_UKSOUTH_SHOP-NET-SHOP-FLOWLOGS/",
)
OPENER, CLOSER = b'{"records":[', b"]}"
_numbers = itertools.count(1)


def hour_name(root: str, hour: datetime, mac: str = "002248A1B2C3") -> str:
    return f"{root}y={hour:%Y}/m={hour:%m}/d={hour:%d}/h={hour:%H}/m=00/macAddress={mac}/PT1H.json"


def vnet_record(tuples: int, first: int, mac: str = "002248A1B2C3") -> bytes:
    """A record of some tuples, each with a number of its own as its bytes sent."""
    flows = [
        f"1771200000000,10.0.0.4,192.0.2.7,{10_000 + n % 50_000},443,6,O,C,NX,1,{n},0,0"
        for n in range(first, first + tuples)
    ]
    group = {"rule": "DefaultRule_AllowInternetOutBound", "flowTuples": flows}
    record = {
        "time": "2026-02-16T00:01:00.1234567Z",
        "flowLogVersion": 4,
        "flowLogGUID": "66aa66aa-bbbb-4ccc-8ddd-eeeeffff0000",
        "macAddress": mac,
        "category": "FlowLogFlowEvent",
        "flowLogResourceID": f"/{SUBSCRIPTION}_NETWORKWATCHERRG/NETWORKWATCHER_WESTEUROPE_SHOP",
        "targetResourceID": "/subscriptions/5a5a/resourceGroups/shop/providers/Microsoft.Network"
        "/virtualNetworks/shop",
        "operationName": "FlowLogFlowEvent",
        "flowRecords": {"flows": [{"aclID": "front", "flowGroups": [group]}]},
    }
    return json.dumps(record, separators=(",", ":")).encode()


def nsg_record(tuples: int, first: int, mac: str = "002248A1B2C3") -> bytes:
    flows = [
        f"1771200000,10.0.0.4,192.0.2.7,{10_000 + n % 50_000},443,T,O,A,C,1,{n},0,0"
        for n in range(first, first + tuples)
    ]
    groups = [{"mac": mac, "flowTuples": flows}]
    record = {
        "time": "2026-02-16T00:01:00.1234567Z",
        "systemId": "0fedc0de-1111-4222-8333-444455556666",
        "macAddress": mac,
        "category": "NetworkSecurityGroupFlowEvent",
        "resourceId": f"/SUBSCRIPTIONS/{SUBSCRIPTION}/NETWORKSECURITYGROUPS/FRONT",
        "operationName": "NetworkSecurityGroupFlowEvents",
        "properties": {"Version": 2, "flows": [{"rule": "UserRule_web", "flows": groups}]},
    }
    return json.dumps(record, separators=(",", ":")).encode()


class HourBlob:
    """A blob that grows as Azure's do: each minute one more block, put in before the closer."""

    def __init__(self, container, name: str, record=vnet_record):
        self.client = container.get_blob_client(name)
        self.name = name
        self.written: list[int] = []
        self.minutes: list[bytes] = []
        self._record = record
        self._ids = [self._stage("A", OPENER)]
        self._closer = self._stage("Z", CLOSER)

    def _stage(self, letter: str, data: bytes):
        from azure.storage.blob import BlobBlock

        name = f"{letter}{next(_numbers):032d}"
        self.client.stage_block(name, data)
        return BlobBlock(name)

    def _commit(self):
        self.client.commit_block_list([*self._ids, self._closer])

    def open(self):
        """Commit it without any record, as Azure may do first."""
        self._commit()
        return self

    def grow(self, tuples: int = 5, records: int = 2):
        """Add a minute's records."""
        texts = []
        for _ in range(records):
            first = next(_numbers) * 1000
            self.written += range(first, first + tuples)
            texts.append(self._record(tuples, first))
        return self.put(b",".join(texts))

    def put(self, data: bytes):
        """Add a block of any bytes."""
        data = (b"," if self.minutes else b"") + data
        self.minutes.append(data)
        self._ids.append(self._stage("D", data))
        self._commit()
        return self

    def rewrite(self, tuples: int = 5):
        """Write other records over all of it, as no one should."""
        self._ids = [self._stage("A", OPENER)]
        self.minutes, self.written = [], []
        return self.grow(tuples)

    @property
    def data(self) -> bytes:
        """All but the closer."""
        return OPENER + b"".join(self.minutes)


class World:
    """A container of its own, with hour blobs in it."""

    def __init__(self, azurite, name: str | None = None):
        from azure.storage.blob import BlobServiceClient

        self.azurite = azurite
        self.service = BlobServiceClient.from_connection_string(azurite.connection_string)
        self.name = name or f"logs-{uuid.uuid4().hex[:12]}"
        self.container = self.service.create_container(self.name)
        self.blobs: list[HourBlob] = []

    def hour(self, hour: datetime, root: str = VNET_ROOTS[0], mac="002248A1B2C3", spell=str):
        """Begin an hour blob."""
        record = nsg_record if root == NSG_ROOT else vnet_record
        blob = HourBlob(self.container, spell(hour_name(root, hour, mac)), record)
        self.blobs.append(blob)
        return blob

    @property
    def written(self) -> Counter:
        """The numbers of all tuples that were ever committed."""
        return Counter(n for blob in self.blobs for n in blob.written)

    def options(self, **more):
        """The options of a source over it."""
        return {
            "container": self.name,
            "connection_string": self.azurite.connection_string,
            "layout": "flow_logs",
            **more,
        }

    def close(self):
        self.service.close()


@pytest.fixture
def worlds(azurite):
    """Makes worlds."""
    made = []

    def make(**options):
        made.append(World(azurite, **options))
        return made[-1]

    yield make
    for world in made:
        world.close()


@pytest.fixture
def world(worlds):
    return worlds()


class Site:
    """A folder with a pipeline that reads a container and writes JSON lines."""

    def __init__(self, folder: Path, source: dict, **engine):
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        settings = {
            "workers": 2,
            "epoch_splits": 8,
            "retry_wait": 0.01,
            "poll_interval": 0.2,
            **engine,
        }
        self.config = folder / "pipeline.yaml"
        self.document = {
            "name": "azure-site",
            "source": {"type": "azure_blob", **source},
            "decoder": {"type": "azure_vnet"},
            "sinks": [
                {"id": "lines", "type": "file", "path": "lines/", "format": {"type": "jsonl"}}
            ],
            "rejects": {"type": "file", "path": "rejects/"},
            "state": {"path": "state.db"},
            "engine": settings,
        }

    def start(self, *args, verb="run"):
        self.config.write_text(json.dumps(self.document))
        return subprocess.Popen(
            [sys.executable, "-m", "ktrans", verb, str(self.config), *args],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**os.environ, "NO_COLOR": "1"},
        )

    def run(self, *args) -> int:
        process = self.start("--receipt", str(self.folder / "receipt.json"), *args)
        out, err = process.communicate(timeout=300)
        self.stdout, self.stderr = out.decode(), err.decode()
        return process.returncode

    def validate(self, *args) -> int:
        process = self.start(*args, verb="validate")
        out, err = process.communicate(timeout=300)
        self.stdout, self.stderr = out.decode(), err.decode()
        return process.returncode

    @property
    def receipt(self):
        return json.loads((self.folder / "receipt.json").read_text())

    def rows(self, field: str = "bytes") -> Counter:
        """The numbers of all published rows."""
        return Counter(row[field] for row in self.lines("lines"))

    def rejects(self) -> list[dict]:
        return self.lines("rejects")

    def lines(self, sink: str) -> list[dict]:
        root = self.folder / sink
        found = [p for p in root.rglob("*") if p.is_file()] if root.exists() else []
        shown = [p for p in found if not any(x[0] == "." for x in p.relative_to(root).parts)]
        return [json.loads(line) for p in sorted(shown) for line in p.read_text().splitlines()]


@pytest.fixture
def site(tmp_path):
    def make(source: dict, name: str = "site", **engine) -> Site:
        return Site(tmp_path / name, source, **engine)

    return make


@pytest.fixture
def noon():
    """An hour to begin at."""
    return datetime(2026, 2, 16, 12, tzinfo=UTC)


@pytest.fixture
def roots():
    """The spellings of where blobs lie: NSG first, then those of virtual networks."""
    return (NSG_ROOT, *VNET_ROOTS)


class Proxy:
    """Stands between a client and Azurite, and lets requests fail as it is told.

    `rules` are functions (method, path, query) -> fault or None, asked in turn for each request. A
    fault is a status, (status, headers), "reset" (the answer breaks off half-way) or "lost" (the
    request is done, but nobody answers). `times(n, fault, ...)` makes a rule that ends.
    """

    def __init__(self, target: str):
        self.requests: list[tuple[str, str]] = []
        self.rules: list = []
        self.faults = 0
        _, self.account = target.rsplit("/", 1)
        host, port = target.split("/")[2].split(":")
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self, host, int(port)))
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._server.server_port}/{self.account}"

    def times(self, count, fault, method, query=None):
        """Let the first `count` requests of a kind fail; without a query, those that have none."""
        left = [count]

        def rule(verb, path, asked):
            other = bool(asked) if query is None else query not in asked
            if verb != method or other or not left[0]:
                return None
            left[0] -= 1
            return fault

        self.rules.append(rule)
        return self

    def fault(self, method, path, query):
        self.requests.append((method, f"{path}?{query}"))
        for rule in self.rules:
            fault = rule(method, path, query)
            if fault is not None:
                self.faults += 1
                return fault
        return None

    def close(self):
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def _handler(proxy, host, port):
    class Bound(Handler):
        pass

    for verb in ("GET", "PUT", "HEAD", "POST", "DELETE"):
        setattr(Bound, f"do_{verb}", Handler.serve)
    Bound.proxy, Bound.upstream = proxy, (host, port)
    return Bound


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def serve(self):
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        path, _, query = self.path.partition("?")
        fault = self.proxy.fault(self.command, path, query)
        if isinstance(fault, (int, tuple)):
            status, headers = fault if isinstance(fault, tuple) else (fault, {})
            self.answer(status, headers, b"")
            return
        upstream = HTTPConnection(*self.upstream, timeout=60)
        try:
            upstream.request(self.command, self.path, body or None, dict(self.headers.items()))
            answer = upstream.getresponse()
            data = answer.read()
        finally:
            upstream.close()
        if fault == "lost":
            self.close_connection = True
        else:
            self.answer(answer.status, dict(answer.getheaders()), data, broken=fault == "reset")

    def answer(self, status, headers, data, broken=False):
        self.send_response(status)
        for name, value in headers.items():
            if name.lower() not in ("content-length", "transfer-encoding", "connection"):
                self.send_header(name, value)
        size = headers.get("Content-Length") or headers.get("content-length") or len(data)
        self.send_header("Content-Length", str(size))
        self.end_headers()
        self.wfile.write(data[: len(data) // 2] if broken else data)
        self.close_connection = self.close_connection or broken

    def log_message(self, *args):
        pass


@pytest.fixture
def proxy(azurite):
    made = Proxy(azurite.blob_url)
    yield made
    made.close()


@pytest.fixture
def quick(monkeypatch):
    """Let waits between attempts be short."""
    quick = Retry(attempts=4, first_wait_secs=0.01, max_wait_secs=0.01, max_asked_secs=0.01)
    monkeypatch.setattr("ktrans_azure.account.RETRY", quick)
