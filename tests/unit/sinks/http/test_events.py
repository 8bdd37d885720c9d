"""The sinks of Splunk, Loki, Datadog and New Relic: what they send, and what answers mean.

The stubs take only what the documentation of each API takes.
"""

import gzip
import json
import uuid

import pyarrow as pa
import pytest
from pydantic import ValidationError

from ktrans.api import AccessError, ConfigError, RetryableError, RunError

SECRET = "hush-hush-hush"
SECOND = 1_767_225_600


def reply(status, **value):
    return status, {}, json.dumps(value).encode()


class Splunk:
    """HEC as documented: token, channel, events one after the other, acknowledgement on demand."""

    def __init__(self, acks=0):
        self.events, self.acks, self.asked, self.requests = [], acks, [], 0

    def __call__(self, request):
        if request.headers.get("authorization") != f"Splunk {SECRET}":
            return reply(403, text="Invalid token", code=4)
        channel = request.headers.get("x-splunk-request-channel", "")
        uuid.UUID(channel)
        if request.path == "/services/collector/ack":
            assert request.query == {"channel": channel}
            [number] = request.json()["acks"]
            self.asked.append(number)
            return reply(200, acks={str(number): self.asked.count(number) >= self.acks})
        assert request.path == "/services/collector/event"
        if not request.body:
            return reply(400, text="No data", code=5)
        decoder, text, events = json.JSONDecoder(), request.body.decode(), []
        while text.strip():
            event, end = decoder.raw_decode(text.lstrip())
            text = text.lstrip()[end:]
            assert set(event) <= {"time", "host", "source", "sourcetype", "index", "event"}
            if event["event"]["bytes"] == 13:
                number = {"invalid-event-number": len(events)}
                return reply(400, text="Invalid data format", code=6, **number)
            if event.get("index") == "nowhere":
                return reply(400, text="Incorrect index", code=7, **{"invalid-event-number": 0})
            events.append(event)
        self.events += events
        self.requests += 1
        ack = {"ackId": self.requests} if self.acks else {}
        return reply(200, text="Success", code=0, **ack)


@pytest.fixture
def splunk(stub):
    stub.answer = Splunk()
    return stub.answer


def test_events_of_splunk(splunk, make, flows, deliver):
    options = {"token": SECRET, "index": "net", "source": "ktrans", "host": "edge"}
    receipt, refused = deliver(make("splunk_hec", **options), flows(10))
    assert (receipt.rows, list(refused), len(splunk.events)) == (10, [], 10)
    event = splunk.events[5]
    assert event["time"] == SECOND + 5
    assert event["event"]["bytes"] == 5
    given = {name: event[name] for name in ("index", "source", "sourcetype", "host")}
    assert given == {
        "index": "net", "source": "ktrans", "sourcetype": "ktrans:flow", "host": "edge"
    }  # fmt: skip


def test_an_event_that_splunk_names_is_refused_and_the_others_arrive(splunk, make, flows, deliver):
    receipt, refused = deliver(make("splunk_hec", token=SECRET), flows(20))
    assert receipt.rows == len(splunk.events) == 19
    [one] = refused
    assert (one.rows["bytes"].to_pylist(), one.reason) == ([13], "row_refused")
    assert "Invalid data format" in one.detail


def test_events_are_accepted_once_splunk_acknowledges_them(stub, make, flows, deliver):
    stub.answer = splunk = Splunk(acks=2)
    receipt, _ = deliver(make("splunk_hec", token=SECRET, batch_rows=5, connections=1), flows(10))
    assert receipt.rows == len(splunk.events) == 10
    assert splunk.asked == [1, 1, 2, 2]


def test_events_that_are_not_acknowledged_are_sent_again(stub, make, flows, deliver):
    stub.answer = splunk = Splunk(acks=10**6)
    sink = make("splunk_hec", token=SECRET, ack_timeout=0.3, retry_timeout=0.5)
    with pytest.raises(RetryableError, match="does not acknowledge"):
        deliver(sink, flows(3))
    assert len(splunk.events) >= 6


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        ((403, 4, "Invalid token"), AccessError),
        ((400, 7, "Incorrect index"), ConfigError),
        ((400, 10, "Data channel is missing"), ConfigError),
        ((200, None, "welcome"), RunError),
    ],
)
def test_what_splunk_refuses_for_all_events_ends_the_run(stub, make, flows, deliver, answer, error):
    status, code, text = answer
    stub.answer = lambda _: reply(status, code=code, text=text)
    with pytest.raises(error, match=text):
        deliver(make("splunk_hec", token=SECRET), flows(3))


@pytest.mark.parametrize(
    "answer", [{"code": [1]}, {"code": {}}, {"code": 0, "ackId": "x"}, {"code": 0, "ackId": [1]}]
)
def test_an_answer_that_is_not_of_splunk_is_told(stub, make, flows, deliver, answer):
    stub.answer = lambda _: reply(200, **answer)
    with pytest.raises(RunError, match="does not answer as Splunk does"):
        deliver(make("splunk_hec", token=SECRET), flows(3))


@pytest.mark.parametrize("acks", [[1], "x", {"1": "true"}, None])
def test_a_strange_acknowledgement_is_none(stub, make, flows, deliver, acks):
    stub.answer = lambda _: reply(200, code=0, ackId=1, acks=acks)
    sink = make("splunk_hec", token=SECRET, ack_timeout=0.1, retry_timeout=0)
    with pytest.raises(RetryableError, match="does not acknowledge"):
        deliver(sink, flows(3))


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("loki", {}),
        ("datadog", {"api_key": "k"}),
        ("new_relic", {"license_key": "k"}),
        ("otlp", {}),
        ("elasticsearch", {}),
    ],
)
def test_a_web_page_is_no_success(stub, make, flows, deliver, kind, options):
    page = {"Content-Type": "text/html; charset=utf-8"}
    stub.answer = lambda _: (200, page, b"<html>Sign in</html>")
    sink = make(kind, **options)
    for use in (lambda: deliver(sink, flows(3)), sink.check):
        with pytest.raises(RunError, match="answers with a web page"):
            use()


def test_any_api_may_answer_with_a_page(stub, make, flows, deliver):
    stub.answer = lambda _: (200, {"Content-Type": "text/html"}, b"OK")
    assert deliver(make("http"), flows(3))[0].rows == 3


def test_a_busy_splunk_is_asked_again(stub, make, flows, deliver):
    stub.answer = Splunk()
    stub.in_turn(reply(503, text="Server is busy", code=9))
    assert deliver(make("splunk_hec", token=SECRET), flows(3))[0].rows == 3


class Loki:
    """The push API: streams of labels, values by time."""

    def __init__(self):
        self.lines, self.streams = [], []

    def __call__(self, request):
        assert request.path == "/loki/api/v1/push"
        assert request.headers["content-type"] == "application/json"
        self.tenant = request.headers.get("x-scope-orgid")
        for stream in request.json()["streams"]:
            assert set(stream) == {"stream", "values"}
            assert stream["stream"]
            assert all(isinstance(value, str) for value in stream["stream"].values())
            times = [int(value[0]) for value in stream["values"]]
            assert times == sorted(times)
            self.streams.append(stream["stream"])
            for value in stream["values"]:
                assert isinstance(value[0], str)
                more = value[2] if len(value) > 2 else {}
                assert all(isinstance(each, str) for each in more.values())
                self.lines.append((stream["stream"], int(value[0]), json.loads(value[1]), more))
        return 204, {}, b""


@pytest.fixture
def loki(stub):
    stub.answer = Loki()
    return stub.answer


def test_lines_of_loki_are_grouped_by_labels_and_ordered(loki, make, flows, deliver):
    rows = flows(30).take(pa.array(range(29, -1, -1)))
    sink = make(
        "loki",
        tenant="net",
        labels={"job": "k", "env": 'a"b'},
        label_columns=["account_id"],
        metadata_columns=["src_addr", "bytes"],
    )
    receipt, _ = deliver(sink, rows)
    assert receipt.rows == len(loki.lines) == 30
    assert loki.tenant == "net"
    assert sorted(map(json.dumps, loki.streams)) == [
        json.dumps({"job": "k", "env": 'a"b', "account_id": f"a{n}"}) for n in range(3)
    ]
    stream, when, line, more = next(each for each in loki.lines if each[2]["bytes"] == 7)
    assert stream["account_id"] == line["account_id"] == "a1"
    assert when == (SECOND + 7) * 10**9
    assert more == {"src_addr": "10.0.0.7", "bytes": "7"}


def test_rows_without_a_time_are_refused_by_loki_only(loki, make, flows, deliver):
    from ktrans.api import RowsError

    times = pa.array([None, SECOND * 10**6, None], pa.timestamp("us", "UTC"))
    rows = flows(3, start_time=times).set_column(3, "end_time", times)
    with pytest.raises(RowsError) as caught:
        deliver(make("loki"), rows)
    assert list(caught.value.rows.to_pylist()) == [True, False, True]
    assert deliver(make("splunk_hec", token=SECRET), rows.slice(0, 0))[0].rows == 0


def test_the_first_time_that_a_row_has_counts(loki, make, flows, deliver):
    times = pa.array([None, (SECOND + 50) * 10**6, None], pa.timestamp("us", "UTC"))
    deliver(make("loki"), flows(3).set_column(3, "end_time", times))
    assert [when // 10**9 - SECOND for _, when, _, _ in loki.lines] == [0, 2, 50]


@pytest.mark.parametrize(
    "wrong",
    [
        {"label_columns": ["nonsense"]},
        {"metadata_columns": ["nonsense"]},
        {"time": ["account_id"]},
    ],
)
def test_columns_that_there_are_not_are_errors(make, wrong):
    with pytest.raises(ConfigError, match=next(iter(wrong))):
        make("loki", **wrong)


@pytest.mark.parametrize("labels", [{}, {"a-b": "c"}])
def test_labels_that_loki_does_not_take_are_refused(make, labels):
    with pytest.raises(ValidationError):
        make("loki", labels=labels)
    with pytest.raises(ValidationError, match="both have 'account_id'"):
        make("loki", labels={"account_id": "x"}, label_columns=["account_id"])


class Datadog:
    """The logs API, version 2: at most 1000 logs and 5 MB."""

    def __init__(self):
        self.logs = []

    def __call__(self, request):
        if request.headers.get("dd-api-key") != SECRET:
            return reply(403, errors=[{"status": "403", "title": "Forbidden"}])
        assert request.path == "/api/v2/logs"
        logs = request.json()
        assert len(request.body) <= 5_000_000
        assert len(logs) <= 1000
        for log in logs:
            assert set(log) <= {"ddsource", "ddtags", "hostname", "message", "service", "timestamp"}
        self.logs += logs
        return 202, {}, b"{}"


def test_logs_of_datadog(stub, make, flows, deliver):
    stub.answer = datadog = Datadog()
    sink = make("datadog", api_key=SECRET, tags=["env:prod", "team:net"], host="edge")
    sink.check()
    receipt, _ = deliver(sink, flows(2500))
    assert receipt.rows == len(datadog.logs) == 2500
    log = next(log for log in datadog.logs if json.loads(log["message"])["bytes"] == 7)
    assert log["timestamp"] == (SECOND + 7) * 1000
    assert (log["ddtags"], log["hostname"], log["ddsource"], log["service"]) == (
        *("env:prod,team:net", "edge", "ktrans", "flow-logs"),
    )
    with pytest.raises(AccessError, match="403: Forbidden"):
        make("datadog", api_key="wrong").check()


class NewRelic:
    """The log API: common attributes and logs; 1 MB compressed."""

    def __init__(self):
        self.logs = []

    def __call__(self, request):
        if request.headers.get("api-key") != SECRET:
            return 403, {}, b"{}"
        assert request.path == "/log/v1"
        assert len(gzip.compress(request.body)) <= 1_000_000
        [block] = request.json()
        assert set(block) == {"common", "logs"}
        for log in block["logs"]:
            assert set(log) == {"timestamp", "attributes"}
            assert isinstance(log["timestamp"], int)
        self.logs += block["logs"]
        self.common = block["common"]
        return reply(202, requestId="x")


def test_logs_of_new_relic(stub, make, flows, deliver):
    stub.answer = relic = NewRelic()
    url = f"{stub.url}/log/v1"
    sink = make("new_relic", url=url, license_key=SECRET, attributes={"service.name": 'a"b'})
    sink.check()
    assert relic.logs == []
    receipt, _ = deliver(sink, flows(100))
    assert receipt.rows == len(relic.logs) == 100
    assert relic.common == {"attributes": {"service.name": 'a"b'}}
    assert relic.logs[7]["timestamp"] == (SECOND + 7) * 1000
    assert relic.logs[7]["attributes"]["bytes"] == 7
    with pytest.raises(AccessError, match="answers 403"):
        make("new_relic", url=url, license_key="wrong").check()


@pytest.mark.parametrize(
    ("kind", "options"),
    [("splunk_hec", {"token": SECRET}), ("loki", {}), ("datadog", {"api_key": SECRET})],
)
def test_checks_say_what_is_wrong(stub, make, kind, options):
    sink = make(kind, **options)
    stub.answer = lambda _: (400, {}, b'{"code": 5, "text": "No data"}')
    sink.check()
    stub.answer = lambda _: (401, {}, b"no")
    with pytest.raises(AccessError, match="answers 401"):
        sink.check()
    stub.answer = lambda _: (404, {}, b"no such page")
    with pytest.raises(ConfigError, match="no such page"):
        sink.check()
    assert all(b"src_addr" not in request.body for request in stub.requests)


def test_totals_of_a_rollup_and_records_of_ocsf_have_times_too(loki, make, deliver):
    window = pa.array([SECOND * 10**6], pa.timestamp("us", "UTC"))
    totals = pa.record_batch({"window_start": window, "bytes": [5]})
    deliver(make("loki", totals.schema), totals)
    ocsf = pa.record_batch({"time": pa.array([SECOND * 1000 + 1], pa.int64()), "bytes": [6]})
    deliver(make("loki", ocsf.schema), ocsf)
    assert [when for _, when, _, _ in loki.lines] == [SECOND * 10**9, SECOND * 10**9 + 10**6]
    with pytest.raises(ConfigError, match="no column has the time"):
        make("loki", pa.schema([("bytes", pa.int64())]))
