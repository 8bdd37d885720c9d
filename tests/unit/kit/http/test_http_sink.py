"""The base of sinks that send over HTTP, used as a preset uses it."""

import base64
import json
import threading

import pyarrow as pa
import pytest
from pydantic import ValidationError

from ktrans.api import (
    AccessError,
    ConfigError,
    Context,
    InterruptedRunError,
    RetryableError,
    RunError,
)
from ktrans.kit.http.answers import ACCEPTED, Answer, Fault, Outcome, error_of
from ktrans.kit.http.options import HttpConfig, HttpLoginConfig
from ktrans.kit.http.sink import HttpSink
from ktrans.kit.rows.json import object_pieces
from ktrans.testing.http_stub import HttpStub
from ktrans.testing.tasks import write_task

SECRET = "very-secret-token"


class LinesSink(HttpSink[HttpConfig]):
    content_type = "application/x-ndjson"
    address = ""

    @property
    def url(self):
        return f"{self.address}/rows"

    def pieces(self, batch):
        return object_pieces(batch.schema.names, batch.columns, nulls=False, end="}\n")


class ArraySink(LinesSink):
    content_type = "application/json"
    head, tail, between = b"[", b"]", 1

    def pieces(self, batch):
        return object_pieces(batch.schema.names, batch.columns, nulls=False, end="},")


class NamingSink(LinesSink):
    """For an API that names refused rows, and those to send again, in a successful answer."""

    def judge(self, answer, rows):
        super().judge(answer, rows)
        told = answer.json
        return Outcome(
            {number: Fault("bad_port", "no such port") for number in told.get("bad", [])},
            told.get("again", []),
            RetryableError("busy rows", code="busy") if told.get("again") else None,
        )


def rows(count, first=0):
    numbers = range(first, first + count)
    return pa.record_batch(
        {
            "n": pa.array(numbers, pa.int64()),
            "who": pa.array([f"a{n % 3}" for n in numbers]).dictionary_encode(),
        }
    )


@pytest.fixture
def sink(stub):
    made = []

    def build(kind=LinesSink, context=None, config=HttpLoginConfig, **options):
        one = kind(config(type="x", **options), context)
        one.address = stub.url
        one.bind(rows(1).schema)
        made.append(one)
        return one

    yield build
    for one in made:
        one.close()


def sent(stub):
    return sorted(row["n"] for request in stub.requests for row in request.json_lines())


def positions(refused):
    return sorted(n for one in refused for n in one.rows["n"].to_pylist())


@pytest.mark.parametrize("compress", [True, False])
def test_rows_arrive_as_text_and_are_counted(stub, sink, compress):
    receipt, refused = write_task(sink(gzip=compress, batch_rows=40), rows(30), rows(70, 30))
    assert (receipt.rows, list(refused)) == (100, [])
    assert receipt.outputs == (f"{stub.url}/rows",)
    assert sorted(len(request.json_lines()) for request in stub.requests) == [20, 40, 40]
    assert sent(stub) == list(range(100))
    for request in stub.requests:
        assert (request.method, request.path) == ("POST", "/rows")
        assert request.headers["content-type"] == "application/x-ndjson"
        assert ("content-encoding" in request.headers) == compress


def test_bodies_of_arrays_are_json_also_when_they_are_split(stub, sink):
    write_task(sink(ArraySink, batch_size=1024), rows(200))
    assert len(stub.requests) > 3
    assert all(len(request.body) <= 1026 for request in stub.requests)
    assert sorted(row["n"] for one in stub.requests for row in one.json()) == list(range(200))


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"token": SECRET}, f"Bearer {SECRET}"),
        (
            {"user": "me", "password": SECRET},
            f"Basic {base64.b64encode(f'me:{SECRET}'.encode()).decode()}",
        ),
        ({"headers": {"Authorization": f"Splunk {SECRET}"}}, f"Splunk {SECRET}"),
    ],
)
def test_requests_are_authenticated_and_secrets_stay_out_of_errors(stub, sink, options, expected):
    one = sink(**options)
    write_task(one, rows(1))
    assert stub.requests[0].headers["authorization"] == expected
    stub.answer = lambda request: (401, {}, f"no {request.headers['authorization']}".encode())
    with pytest.raises(AccessError, match="401") as caught:
        write_task(one, rows(1))
    assert SECRET not in str(caught.value)
    assert base64.b64encode(f"me:{SECRET}".encode()).decode() not in str(caught.value)


def test_oauth2_tokens_are_fetched_once_and_renewed_when_refused(stub, sink):
    valid = ["t1"]

    def answer(request):
        if request.path == "/token":
            assert b"client_secret=hush" in request.body
            return 200, {}, json.dumps({"access_token": valid[0], "expires_in": 3600}).encode()
        ok = request.headers["authorization"] == f"Bearer {valid[0]}"
        return (200 if ok else 401), {}, b""

    stub.answer = answer
    client = {"token_url": f"{stub.url}/token", "client_id": "me", "client_secret": "hush"}
    one = sink(oauth2=client, batch_rows=10)
    assert write_task(one, rows(50))[0].rows == 50
    assert [request.path for request in stub.requests].count("/token") == 1
    valid[0] = "t2"
    assert write_task(one, rows(10))[0].rows == 10
    assert [request.path for request in stub.requests].count("/token") == 2


def test_a_refused_client_of_oauth2_is_an_access_error(stub, sink):
    stub.answer = lambda _: (400, {}, b'{"error": "invalid_client"}')
    client = {"token_url": f"{stub.url}/token", "client_id": "me", "client_secret": "hush"}
    with pytest.raises(AccessError, match="invalid_client"):
        write_task(sink(oauth2=client), rows(1))


@pytest.mark.parametrize("status", [408, 429, 500, 503])
def test_a_busy_server_is_asked_again(stub, sink, status):
    stub.in_turn((status, {}, b"busy"), "reset", (status, {}, b""))
    receipt, refused = write_task(sink(), rows(10))
    assert (receipt.rows, list(refused), len(stub.requests)) == (10, [], 4)


def test_retry_after_is_waited_for(stub, sink):
    stub.in_turn((429, {"Retry-After": "1"}, b""))
    write_task(sink(), rows(10))
    first, second = stub.requests
    assert second.at - first.at >= 1


def test_a_server_that_stays_busy_is_left_to_the_engine(stub, sink):
    stub.answer = lambda _: (503, {"Retry-After": "600"}, b'{"error": {"message": "overloaded"}}')
    with pytest.raises(RetryableError, match="503: overloaded") as caught:
        write_task(sink(retry_timeout=5), rows(10))
    assert caught.value.retry_after_secs == 600
    assert len(stub.requests) == 1


def test_a_server_that_is_away_is_reported_and_comes_back(sink):
    with HttpStub() as stub:
        port = stub.port
    reports = []

    class Health:
        def failed(self, error):
            reports.append(error)
            if len(reports) == 2:
                self.back = HttpStub(port=port).__enter__()

        def works(self):
            reports.append(None)

    health = Health()
    one = sink(context=Context(health=health))
    one.address = f"http://127.0.0.1:{port}"
    receipt, _ = write_task(one, rows(10))
    health.back.__exit__()
    assert receipt.rows == 10
    assert sent(health.back) == list(range(10))
    assert [getattr(each, "code", None) for each in reports] == ["unreachable", "unreachable", None]


def test_the_waiting_ends_with_the_grace_period_and_not_before(stub, sink):
    stub.in_turn((503, {}, b""))
    assert write_task(sink(context=Context(stopping=lambda: True)), rows(10))[0].rows == 10
    stub.answer = lambda _: (503, {}, b"")
    abandoned = threading.Event()
    threading.Timer(0.3, abandoned.set).start()
    with pytest.raises(InterruptedRunError):
        write_task(sink(context=Context(abandoned=abandoned.is_set)), rows(10))


@pytest.mark.parametrize(
    ("status", "error"),
    [(401, AccessError), (403, AccessError), (404, ConfigError), (301, ConfigError)],
)
def test_what_does_not_pass_ends_the_run(stub, sink, status, error):
    stub.answer = lambda _: (status, {"Location": "/elsewhere"}, b"")
    with pytest.raises(error, match=f"answers {status}"):
        write_task(sink(), rows(10))
    assert len(stub.requests) == 1


def test_a_body_that_is_too_large_is_halved_and_a_row_that_is_is_refused(stub, sink):
    stub.answer = lambda request: (413 if len(request.body) > 200 else 200, {}, b"too large")
    wide = pa.record_batch({"n": [500], "who": pa.array(["x" * 300]).dictionary_encode()})
    receipt, refused = write_task(sink(), rows(50), wide)
    assert receipt.rows == 50
    [only] = refused
    assert (positions(refused), only.reason) == ([500], "record_too_large")
    assert "too large" in only.detail


def test_rows_that_the_answer_does_not_name_are_found(stub, sink):
    bad = {3, 4, 77}

    def answer(request):
        wrong = bad & {row["n"] for row in request.json_lines()}
        return (400, {}, b'{"error": "a row is wrong"}') if wrong else (200, {}, b"")

    stub.answer = answer
    receipt, refused = write_task(sink(), rows(100))
    assert receipt.rows == 97
    assert positions(refused) == [3, 4, 77]
    assert {(one.reason, one.detail.partition(": ")[2]) for one in refused} == {
        ("row_refused", "a row is wrong")
    }


def test_a_server_that_refuses_everything_is_not_asked_without_end(stub, sink):
    stub.answer = lambda _: (422, {}, b"never")
    with pytest.raises(RunError, match=r"1000 requests .* never") as caught:
        write_task(sink(gzip=False), rows(3000))
    assert caught.value.code == "refused"
    assert len(stub.requests) == 1000


def test_rows_that_the_answer_names_are_refused_and_others_sent_again(stub, sink):
    stub.in_turn(
        (200, {}, b'{"bad": [1, 5], "again": [7, 8]}'),
        (200, {}, b'{"again": [1]}'),
        (200, {}, b"{}"),
    )
    receipt, refused = write_task(sink(NamingSink), rows(10))
    assert (receipt.rows, positions(refused)) == (8, [1, 5])
    assert [len(request.json_lines()) for request in stub.requests] == [10, 2, 1]
    assert stub.requests[2].json_lines()[0]["n"] == 8


def test_rows_of_other_dictionaries_are_refused_and_sent_again(stub, sink):
    stub.in_turn((200, {}, b'{"bad": [0, 5], "again": [1, 6]}'), (200, {}, b"{}"))
    more = pa.record_batch(
        {"n": [9, 10, 11, 12], "who": pa.array(["z", "y", "x", "z"]).dictionary_encode()}
    )
    receipt, refused = write_task(sink(NamingSink), rows(4), more)
    assert (receipt.rows, positions(refused)) == (6, [0, 10])
    assert sorted(w for one in refused for w in one.rows["who"].to_pylist()) == ["a0", "y"]
    assert [row["who"] for row in stub.requests[1].json_lines()] == ["a1", "x"]


def test_other_tls_than_the_servers_is_told(stub, sink, tmp_path):
    one = sink()
    one.address = stub.url.replace("http:", "https:")
    with pytest.raises(RunError, match="no secure connection"):
        one.ask("GET", one.url)
    (tmp_path / "ca.pem").write_text("nothing")
    two = sink(ca_file=str(tmp_path / "ca.pem"))
    with pytest.raises(ConfigError, match="ca_file"):
        two.ask("GET", two.url)


@pytest.mark.parametrize(
    "wrong",
    [
        {"user": "me"},
        {"token": "a", "user": "me", "password": "b"},
        {"client_key": "k.pem"},
        {"headers": {"X": "a\r\nY: b"}},
        {"headers": {"X:": "a"}},
        {"oauth2": {"token_url": "https://a:99999/", "client_id": "me", "client_secret": "x"}},
        {"oauth2": {"token_url": "https://a:0/", "client_id": "me", "client_secret": "x"}},
    ],
)
def test_options_that_do_not_fit_are_refused(wrong):
    with pytest.raises(ValidationError):
        HttpLoginConfig(type="x", **wrong)


def test_the_proxy_of_the_environment_is_used(stub, sink, monkeypatch):
    monkeypatch.setenv("http_proxy", stub.url.replace("//", "//me:hush@"))
    one = sink()
    one.address = "http://rows.example:81"
    assert write_task(one, rows(5))[0].rows == 5
    assert stub.requests[0].headers["host"] == "rows.example:81"
    assert stub.requests[0].headers["proxy-authorization"].startswith("Basic ")
    monkeypatch.setenv("no_proxy", "rows.example")
    with pytest.raises(RetryableError, match="does not answer"):
        write_task(sink_at(sink, one.address), rows(5))


def sink_at(sink, address):
    one = sink(retry_timeout=0, timeout=2)
    one.address = address
    return one


def test_a_url_of_tokens_is_told_without_its_query(stub, sink):
    stub.answer = lambda _: (404, {}, b"")
    url = f"{stub.url}/token?key=in-the-query"
    with pytest.raises(ConfigError, match="/token answers 404") as caught:
        write_task(sink(oauth2={"token_url": url, "client_id": "a", "client_secret": "b"}), rows(1))
    assert "in-the-query" not in str(caught.value)


def test_tokens_are_kept_out_of_messages_and_not_all_for_ever(sink):
    client = sink().client
    for number in range(100):
        client.learn(f"token-{number}")
    assert client.scrubbed("token-99 token-98") == "*** ***"
    assert len(client._learned) < 10


@pytest.mark.parametrize("body", [b'"\xff"', b'{"message": "\xff"}', b"[" * 100_000])
def test_an_answer_that_is_no_json(body):
    assert Answer(400, {}, body).json is None
    assert Answer(400, {}, body).message


@pytest.mark.parametrize("token", [f"{SECRET}\n", f"{SECRET}\u0161"])
def test_a_token_that_no_header_can_have_is_told_without_it(stub, sink, token):
    with pytest.raises(ConfigError, match="Authorization has line ends") as caught:
        write_task(sink(token=token), rows(1))
    assert SECRET not in str(caught.value)


def test_answers_by_status():
    assert error_of(Answer(204, {}, b""), "x") is None
    assert isinstance(error_of(Answer(503, {"retry-after": "3"}, b""), "x"), RetryableError)
    assert ACCEPTED.refused == {}
