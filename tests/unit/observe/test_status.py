"""What `run --http` tells: when it is ready, and what it counts."""

import json
import socket
import urllib.error
import urllib.request

import pytest

from ktrans.api import RetryableError, UnavailableError, UsageError
from ktrans.engine.observer import Meter
from ktrans.kit.listen import is_local, parse_address
from ktrans.observe.graph import Edge, Graph, Node
from ktrans.observe.process_status import ProcessStatus
from ktrans.observe.status_server import StatusServer

GRAPH = Graph(
    "p",
    (Node("n0", "source", "source", "file"), Node("n1", "sink", "lake", "file")),
    (Edge("n0", "n1", "bytes"),),
)
ROWS = {"rows": 90, "bytes": 0, "packets": 0}
SUMMARY = {
    "splits": 2,
    "input_bytes": 5000,
    "seconds": 0.1,
    "ledger": {
        "records": 100,
        "skipped": 2,
        "rejected": {"bad_integer": 8},
        "refused": {"record_too_large": 1},
        "expect": {"no way in": 3},
        "decoded": ROWS,
        "nodata": 0,
        "skipdata": 0,
        "stages": [
            {
                "name": "lake",
                "kind": "sink",
                "in": ROWS,
                "out": {"rows": 89, "bytes": 0, "packets": 0},
                "filtered": {"rows": 0, "bytes": 0, "packets": 0},
                "refused": {"rows": 1, "bytes": 0, "packets": 0},
            }
        ],
    },
    "sinks": {"lake": {"rows": 89, "bytes": 700, "outputs": 1}},
    "quarantined": [{"code": "access", "uri": "file:///x", "reason": "permission denied"}],
}


class Clock:
    now = 1_800_000_000.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def process(clock):
    process = ProcessStatus(60, clock)
    process.show("p", GRAPH)
    return process


@pytest.fixture
def status(process):
    return process.observer("p")


@pytest.fixture
def get(process):
    server = StatusServer(("127.0.0.1", 0), process)

    def get(path):
        try:
            with urllib.request.urlopen(f"{server.url}{path}", timeout=30) as answer:
                return answer.status, answer.read().decode(), answer.headers
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode(), error.headers

    yield get
    server.close()


def test_it_is_ready_while_epochs_are_recorded_or_there_is_nothing_to_do(status, clock):
    assert "starting" in status.unready()
    status.run_started("p", "r1", Meter())
    assert status.unready() == ""
    clock.now += 50
    status.caught_up()
    clock.now += 50
    assert status.unready() == ""
    clock.now += 50
    assert "100 s" in status.unready()
    status.epoch_committed(1, SUMMARY)
    assert status.unready() == ""


def test_it_is_not_ready_while_a_sink_is_down(status, clock):
    status.run_started("p", "r1", Meter())
    status.retrying("task 1", 3, 5.0, RetryableError("the broker does not answer"))
    assert "the broker does not answer" in status.unready()
    status.epoch_committed(1, SUMMARY)
    assert status.unready() == ""
    status.run_finished(
        {"outcome": "failed", "exit_code": 75, "seconds": 1, "error": {"code": "x", "message": "y"}}
    )
    assert "failed" in status.unready()


def test_it_is_not_ready_while_requests_of_a_sink_are_repeated_for_long(status, get, clock):
    status.run_started("p", "r1", Meter())
    status.outage("lake", 0.0, 1, RetryableError("no answer"))
    assert status.unready() == ""
    clock.now += 12
    assert status.unready() == "failing for 12 s: lake: no answer"
    assert 'ktrans_outage_seconds{component="lake",pipeline="p"} 12.0' in get("/metrics")[1]
    status.outage_over("lake", 12.0, 3)
    assert status.unready() == ""
    text = get("/metrics")[1]
    assert 'ktrans_outage_seconds{component="lake",pipeline="p"} 0.0' in text
    assert 'ktrans_retries_total{pipeline="p"} 4.0' in text


def test_health_readiness_and_unknown_pages(get, status):
    assert get("healthz")[:2] == (200, "ok\n")
    code, text, _ = get("readyz")
    assert code == 503
    assert "starting" in text
    status.run_started("p", "r1", Meter())
    assert get("readyz")[:2] == (200, "ready\n")
    assert get("nothing")[0] == 404


def test_status_adds_up_epochs(get, status):
    status.run_started("p", "r1", Meter(splits_known=9, splits_done=4))
    status.epoch_committed(1, SUMMARY)
    status.epoch_committed(2, SUMMARY)
    [result] = json.loads(get("status.json")[1])["pipelines"]
    assert result["totals"] == {"records": 200, "rows": 180, "skipped": 4, "input_bytes": 10_000}
    assert result["rejects"] == {"bad_integer": 16, "record_too_large": 2}
    assert result["stages"][0]["refused"] == 2
    assert result["sinks"] == [{"id": "lake", "rows": 178, "bytes": 1400, "outputs": 2}]
    assert result["waiting_splits"] == 5
    assert result["errors"][0]["code"] == "access"


def test_metrics_are_in_the_text_format(get, status):
    status.run_started("p", "r1", Meter(splits_known=9, splits_done=4))
    status.epoch_committed(1, SUMMARY)
    _, text, headers = get("metrics")
    assert headers["Content-Type"].startswith("text/plain; version=0.0.4")
    lines = text.splitlines()
    assert 'ktrans_rows_received_total{pipeline="p"} 90.0' in lines
    assert 'ktrans_rejects_total{pipeline="p",reason="record_too_large"} 1.0' in lines
    assert 'ktrans_splits_waiting{pipeline="p"} 5.0' in lines
    assert 'ktrans_ready{pipeline="p"} 1.0' in lines


def test_the_page_needs_nothing_from_elsewhere(get):
    code, text, headers = get("")
    assert code == 200
    assert 'data-pipeline="p"' in text
    assert "<svg" in text
    assert "default-src 'none'" in headers["Content-Security-Policy"]
    assert "http://" not in text.replace("http://www.w3.org/2000/svg", "")
    assert "https://" not in text


def test_a_port_that_is_taken_is_an_error_that_names_it(process):
    first = StatusServer(("127.0.0.1", 0), process)
    try:
        with pytest.raises(UnavailableError, match=str(first.port)):
            StatusServer(("127.0.0.1", first.port), process)
    finally:
        first.close()


@pytest.mark.parametrize(
    ("text", "address"),
    [
        (":9090", ("127.0.0.1", 9090)),
        ("0.0.0.0:80", ("0.0.0.0", 80)),
        ("[::1]:9090", ("::1", 9090)),
    ],
)
def test_without_a_host_it_is_this_machine_only(text, address):
    assert parse_address(text) == address


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("localhost", True),
        ("LOCALHOST:9090", True),
        ("ktrans.localhost:80", True),
        ("127.0.0.1:9090", True),
        ("127.8.8.8", True),
        ("[::1]:9090", True),
        ("::1", True),
        ("evil.example:9090", False),
        ("127.0.0.1.evil.example", False),
        ("localhost.evil.example:9090", False),
        ("0.0.0.0:9090", False),
        ("[::2]", False),
        ("", False),
    ],
)
def test_hosts_that_can_only_be_this_machine(host, expected):
    assert is_local(host) is expected


def test_a_name_from_elsewhere_that_leads_to_this_machine_gets_nothing(process):
    def asked(server, host):
        url = f"http://127.0.0.1:{server.port}/status.json"
        request = urllib.request.Request(url, headers={"Host": host})
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode()

    server = StatusServer(("127.0.0.1", 0), process)
    everyone = StatusServer(("0.0.0.0", 0), process)
    try:
        assert asked(server, f"localhost:{server.port}")[0] == 200
        code, text = asked(server, f"rebound.example:{server.port}")
        assert code == 421
        assert "pipelines" not in text
        assert asked(everyone, "ktrans.example")[0] == 200
    finally:
        server.close()
        everyone.close()


@pytest.mark.parametrize(
    ("version", "hosts", "code"),
    [
        ("1.1", [], 400),
        ("1.1", ["localhost", "localhost"], 400),
        ("1.0", ["localhost", "rebound.example"], 400),
        ("1.1", ["localhost"], 200),
        ("1.0", [], 200),  # health checks of old load balancers
    ],
)
def test_a_request_has_one_host(process, version, hosts, code):
    server = StatusServer(("127.0.0.1", 0), process)
    head = "".join(f"Host: {host}\r\n" for host in hosts)
    try:
        with socket.create_connection(("127.0.0.1", server.port), timeout=30) as connection:
            connection.sendall(f"GET /healthz HTTP/{version}\r\n{head}\r\n".encode())
            assert int(connection.recv(1000).split()[1]) == code
    finally:
        server.close()


def test_who_hangs_up_leaves_no_traceback(process, capfd, caplog):
    process.show("p", GRAPH)
    server = StatusServer(("127.0.0.1", 0), process)
    try:
        for _ in range(20):
            with socket.create_connection(("127.0.0.1", server.port), timeout=30) as connection:
                # With this option closing sends a reset.
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
                connection.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n" * 50)
    finally:
        server.close()
    assert capfd.readouterr().err == ""
    assert caplog.text == ""


@pytest.mark.parametrize("text", ["9090", ":", "host", ":99999", ":http"])
def test_what_is_no_address_is_a_usage_error(text):
    with pytest.raises(UsageError):
        parse_address(text)


def test_a_page_may_show_several_pipelines_that_come_and_go(process, get, clock):
    process.show("q", GRAPH)
    for name in ("p", "q"):
        process.observer(name).run_started(name, "r1", Meter())
        process.observer(name).epoch_committed(1, SUMMARY)
    lines = get("metrics")[1].splitlines()
    first = lines.index("# TYPE ktrans_rows_received_total counter")
    assert lines[first + 1 : first + 3] == [
        'ktrans_rows_received_total{pipeline="p"} 90.0',
        'ktrans_rows_received_total{pipeline="q"} 90.0',
    ]
    process.observer("q").retrying("task 1", 1, 1.0, RetryableError("no"))
    assert get("readyz")[1].startswith("q: failing")
    process.remove("q")
    assert get("readyz")[:2] == (200, "ready\n")
    assert [p["pipeline"] for p in json.loads(get("status.json")[1])["pipelines"]] == ["p"]
    process.remove("p")
    assert get("readyz")[0] == 503


def test_reloads_are_shown(process, get, clock):
    clock.now += 5
    process.reload_failed(["p.yaml:3: unknown source nope"])
    result = json.loads(get("status.json")[1])["config"]
    assert result["generation"] == 1
    assert result["failed"] == {"time": clock.now, "errors": ["p.yaml:3: unknown source nope"]}
    assert "ktrans_config_reload_failing 1.0" in get("metrics")[1]
    clock.now += 5
    process.reloaded(2)
    process.show("p", GRAPH)
    result = json.loads(get("status.json")[1])
    assert result["config"]["failed"] is None
    assert (result["config"]["generation"], result["config"]["loaded"]) == (2, clock.now)
    assert result["pipelines"][0]["generation"] == 2
    assert 'data-generation="2"' in get("")[1]
    lines = get("metrics")[1].splitlines()
    assert 'ktrans_reloads_total{outcome="applied"} 1.0' in lines
    assert 'ktrans_reloads_total{outcome="failed"} 1.0' in lines


def test_a_run_after_a_reload_goes_on_counting(status):
    for run in ("r1", "r2"):
        status.run_started("p", run, Meter())
        status.epoch_committed(1, SUMMARY)
        status.run_finished({"outcome": "stopped", "exit_code": 0, "seconds": 1, "error": None})
        assert "stopped" in status.unready()
    status.run_started("p", "r3", Meter())
    assert status.unready() == ""
    assert status.to_json()["totals"]["rows"] == 180
