"""The `http` sink: bodies, headers, and what statuses mean."""

import pytest
from pydantic import ValidationError

from ktrans.api import AccessError, ConfigError, UnavailableError


def test_rows_are_sent_as_lines_or_as_an_array(stub, make, flows, deliver):
    deliver(make("http"), flows(3))
    deliver(make("http", body="array", method="PUT"), flows(3))
    lines, array = stub.requests
    assert lines.json_lines() == array.json()
    assert [row["bytes"] for row in array.json()] == [0, 1, 2]
    assert (lines.method, lines.headers["content-type"]) == ("POST", "application/x-ndjson")
    assert (array.method, array.headers["content-type"]) == ("PUT", "application/json")


def test_each_request_of_csv_begins_with_the_header(stub, make, flows, deliver):
    csv = {"type": "csv"}
    deliver(make("http", format=csv, batch_rows=2, connections=1), flows(3))
    first, second = (request.body.decode().splitlines() for request in stub.requests)
    assert first[0] == second[0] == ",".join(flows(1).schema.names)
    assert (len(first), len(second)) == (3, 2)
    assert stub.requests[0].headers["content-type"] == "text/csv"


def test_influx_lines_can_be_sent_to_any_api(stub, make, flows, deliver):
    influx = {"type": "influx", "tags": ["account_id"], "fields": ["bytes"]}
    url = f"{stub.url}/api/v2/write?org=o&bucket=b"
    deliver(make("http", url=url, format=influx, content_type="text/plain"), flows(3))
    [request] = stub.requests
    assert request.query == {"org": "o", "bucket": "b"}
    assert len(request.body.splitlines()) == 3
    assert b"bytes=2i" in request.body


def test_the_id_of_a_request_is_the_same_when_it_is_sent_again(stub, make, flows, deliver):
    stub.in_turn((503, {}, b""))
    sink = make("http", id_header="Idempotency-Key", batch_rows=10, connections=1)
    deliver(sink, flows(20))
    deliver(sink, flows(20))
    keys = [request.headers["idempotency-key"] for request in stub.requests]
    assert keys[0] == keys[1] == keys[3]
    assert keys[2] == keys[4]
    assert len(set(keys)) == 2


def test_an_api_may_know_the_rows_already(stub, make, flows, deliver):
    stub.answer = lambda _: (409, {}, b"known")
    receipt, refused = deliver(make("http", there_statuses=[409]), flows(20))
    assert (receipt.rows, list(refused)) == (20, [])


def test_the_check_sends_no_rows_and_says_what_is_wrong(stub, make):
    sink = make("http", token="hush-hush")
    stub.answer = lambda _: (405, {}, b"")
    sink.check()
    assert [(request.method, request.body) for request in stub.requests] == [("HEAD", b"")]
    stub.answer = lambda _: (301, {"Location": "https://there.example/x?key=hush-hush"}, b"")
    with pytest.raises(ConfigError, match=r"answers 301 \(moved to https://there.example/x\)$"):
        sink.check()
    stub.answer = lambda _: (401, {}, b"")
    with pytest.raises(AccessError, match="answers 401"):
        sink.check()
    stub.answer = lambda _: (503, {}, b"")
    with pytest.raises(UnavailableError, match="answers 503"):
        sink.check()
    with pytest.raises(UnavailableError, match="does not answer"):
        make("http", url="http://127.0.0.1:1/").check()
    with pytest.raises(ConfigError, match="not an address"):
        make("http", url="http://a..b/").check()


@pytest.mark.parametrize(
    "wrong",
    [
        {"url": "ftp://host/"},
        {"url": "http://me:secret@host/"},
        {"body": "array", "format": {"type": "csv"}},
        {"id_header": "a b"},
    ],
)
def test_options_that_do_not_fit_are_refused(make, wrong):
    with pytest.raises(ValidationError):
        make("http", **wrong)


def test_files_are_no_texts(make):
    with pytest.raises(ConfigError, match="parquet makes files"):
        make("http", format={"type": "parquet"})
