"""The `azure_monitor` sink, against a stub that takes only what Microsoft's documentation says."""

import json
import time
from typing import NamedTuple

import pyarrow as pa
import pytest
from ktrans_azure.monitor_sink import AzureMonitorSink, AzureMonitorSinkConfig
from pydantic import ValidationError

from ktrans.api import AccessError, ConfigError, Context
from ktrans.kit.http import sender
from ktrans.testing.contracts import SinkCase, SinkContract
from ktrans.testing.contracts.sinks import SCHEMA
from ktrans.testing.http_stub import HttpStub
from ktrans.testing.tasks import write_task

RULE, STREAM, TOKEN = "dcr-0123456789abcdef", "Custom-Flows_CL", "token-of-the-identity"
TIME = 1_767_225_600


class Token(NamedTuple):
    token: str
    expires_on: float


class Identity:
    """Issues tokens that expire, and counts them."""

    def __init__(self, lifetime=3600):
        self.issued, self.lifetime = 0, lifetime

    def get_token(self, scope):
        assert scope == "https://monitor.azure.com/.default"
        self.issued += 1
        return Token(TOKEN, time.time() + self.lifetime)

    def close(self):
        pass


class Monitor:
    """The Logs Ingestion API of one rule and stream."""

    def __init__(self):
        self.rows, self.allowed = [], True

    def __call__(self, request):
        if request.headers.get("authorization") != f"Bearer {TOKEN}":
            return 401, {}, b""
        if not self.allowed:
            return 403, {}, error("OperationFailed", "the identity has no access to the rule")
        assert request.query == {"api-version": "2023-01-01"}
        assert request.headers["content-type"] == "application/json"
        if not request.path.startswith(f"/dataCollectionRules/{RULE}/streams/"):
            return 404, {}, error("NotFound", "there is no such rule")
        if request.path.rpartition("/")[2] != STREAM:
            return 400, {}, error("InvalidStream", "the rule has no such stream")
        if len(request.body) > 1_000_000:
            return 413, {}, error("ContentLengthLimitExceeded", "too large")
        rows = request.json()
        assert all(row["TimeGenerated"].endswith("Z") for row in rows)
        self.rows += rows
        return 204, {}, b""


def error(code, message):
    return json.dumps({"error": {"code": code, "message": message}}).encode()


def timed(batch):
    times = pa.array([TIME] * batch.num_rows, pa.timestamp("s", "UTC"))
    return batch.append_column("end_time", times)


def rows(count):
    return timed(pa.record_batch({"n": pa.array(range(count))}))


@pytest.fixture
def monitor(monkeypatch):
    monkeypatch.setattr(sender, "FIRST_WAIT_SECS", 0.01)
    with HttpStub(Monitor()) as stub:
        yield stub


@pytest.fixture
def make(monitor):
    made = []

    def build(schema=None, identity=None, **options):
        raw = {"url": monitor.url, "rule": RULE, "stream": STREAM, **options}
        sink = AzureMonitorSink(AzureMonitorSinkConfig(**raw))
        sink._credential = identity or Identity()
        sink.bind(schema or rows(1).schema)
        made.append(sink)
        return sink

    yield build
    for sink in made:
        sink.close()


def deliver(sink, *batches):
    return write_task(sink, *batches)[0]


def test_rows_arrive_with_their_time_and_one_token(monitor, make):
    identity = Identity()
    assert deliver(make(identity=identity, batch_rows=100), rows(1000)).rows == 1000
    assert sorted(row["n"] for row in monitor.answer.rows) == list(range(1000))
    assert {row["TimeGenerated"] for row in monitor.answer.rows} == {"2026-01-01T00:00:00.000000Z"}
    assert identity.issued == 1


def test_a_token_that_expires_soon_is_renewed(make):
    identity = Identity(lifetime=100)
    deliver(make(identity=identity, batch_rows=100, connections=1), rows(300))
    assert identity.issued == 3


def test_rows_may_have_the_column_already(monitor, make):
    times = pa.array([TIME], pa.timestamp("s", "UTC"))
    batch = pa.record_batch({"TimeGenerated": times, "n": [1]})
    deliver(make(batch.schema), batch)
    assert monitor.answer.rows == [{"TimeGenerated": "2026-01-01T00:00:00.000000Z", "n": 1}]


def test_a_busy_api_is_asked_again(monitor, make):
    monitor.in_turn((429, {"Retry-After": "0"}, b""), (503, {}, b""))
    assert deliver(make(), rows(10)).rows == 10
    assert len(monitor.requests) == 3


@pytest.mark.parametrize(
    ("options", "message"),
    [({"rule": "dcr-ffff"}, "no such rule"), ({"stream": "Custom-Other"}, "no such stream")],
)
def test_a_wrong_rule_or_stream_is_told_before_and_in_the_run(monitor, make, options, message):
    for attempt in (lambda: make(**options).check(), lambda: deliver(make(**options), rows(1))):
        with pytest.raises(ConfigError, match=message):
            attempt()
    assert monitor.answer.rows == []


def test_the_check_looks_at_the_role_and_writes_nothing(monitor, make):
    make().check()
    assert monitor.answer.rows == []
    monitor.answer.allowed = False
    with pytest.raises(AccessError, match="no access to the rule"):
        make().check()


def test_no_identity_is_an_access_error(make):
    from azure.core.exceptions import ClientAuthenticationError

    class Nobody(Identity):
        def get_token(self, scope):
            raise ClientAuthenticationError("nobody is logged in")

    with pytest.raises(AccessError, match="no usable credentials"):
        make(identity=Nobody()).check()


def test_a_token_is_only_shown_to_https():
    with pytest.raises(ValidationError):
        AzureMonitorSinkConfig(url="http://monitor.example", rule=RULE, stream=STREAM)


class MonitorCase(SinkCase):
    stages = False

    def __init__(self, stub):
        self.stub = stub

    def sink(self, name="sink", pipeline="flows"):
        config = AzureMonitorSinkConfig(url=self.stub.url, rule=RULE, stream=STREAM, batch_rows=50)
        sink = AzureMonitorSink(config, Context(pipeline, name))
        sink._credential = Identity()
        sink.bind(timed(pa.RecordBatch.from_pylist([], SCHEMA)).schema)
        make = sink.writer

        def writer(task):
            made = make(task)
            encode = made.encode
            made.encode = lambda batch: encode(timed(batch))
            return made

        sink.writer = writer
        return sink

    def rows(self):
        """Return the rows; they may have arrived more than once."""
        return sorted({row["n"] for row in self.stub.answer.rows})


class TestContract(SinkContract):
    covers = ("azure_monitor",)

    @pytest.fixture
    def case(self, monitor):
        return MonitorCase(monitor)
