"""Requests as they are sent, answers of servers that differ, and options."""

import json

import pyarrow as pa
import pytest
from ktrans_prometheus.config import PrometheusSinkConfig
from ktrans_prometheus.names import names_of
from pydantic import ValidationError

from ktrans.api import AccessError, ConfigError, RetryableError, RunError, UnavailableError
from ktrans.kit.rows.points import SERIES
from ktrans.testing.http_stub import HttpStub

TOKEN = "secret-of-mimir"
DONE = (204, {}, b"")
END = "window_end"


@pytest.fixture
def stub():
    with HttpStub(lambda _: DONE) as stub:
        yield stub


def plain(request):
    """Return a request's bytes, decompressed."""
    size, shift, at = 0, 0, 0
    while True:
        byte = request.body[at]
        size |= (byte & 127) << shift
        at, shift = at + 1, shift + 7
        if byte < 128:
            break
    return pa.decompress(request.body, size, "snappy", asbytes=True)


def test_requests_are_as_the_protocol_says(stub, build, totals, deliver):
    batch = totals(2)
    sink = build(
        batch.schema, f"{stub.url}/push?a=b", token=TOKEN, headers={"X-Scope-OrgID": "net"}
    )
    receipt, _ = deliver(sink, batch)
    assert receipt.rows == 6
    assert len(stub.requests) == 2  # a window each
    for request in stub.requests:
        assert (request.path, request.query) == ("/push", {"a": "b"})
        wanted = {
            "content-encoding": "snappy",
            "content-type": "application/x-protobuf",
            "x-prometheus-remote-write-version": "0.1.0",
            "authorization": f"Bearer {TOKEN}",
            "x-scope-orgid": "net",
        }
        assert wanted.items() <= request.headers.items()
        assert plain(request).count(b"traffic_bytes") == 3
        assert plain(request).count(b"traffic_flows") == 2


@pytest.mark.parametrize(
    ("status", "text", "reason", "refused_rows"),
    [
        (400, b"out of bounds", "sample_too_old", 3),
        (500, b"too old sample", "sample_too_old", 3),
        (400, b"duplicate sample for timestamp", "sample_out_of_order", 1),
        (400, b"err-mimir-sample-out-of-order", "sample_out_of_order", 1),
        (409, b"store locally for endpoint x: conflict", "sample_out_of_order", 1),
        (409, b"add 1 samples: out of bounds", "sample_too_old", 3),
        (500, b'label name "a" is not unique: invalid sample', "sample_refused", 1),
        (400, b"per-user series limit of 10 exceeded", "sample_refused", 1),
    ],
)
def test_what_is_refused_for_good_is_told_by_the_text(
    stub, build, totals, deliver, status, text, reason, refused_rows
):
    stub.answer = lambda request: (status, {}, text) if b"\x02a1" in plain(request) else DONE
    batch = totals(1)
    receipt, refused = deliver(build(batch.schema, stub.url), batch)
    assert receipt.rows == 3 - refused_rows
    assert [one.reason for one in refused] == [reason]
    assert text.decode() in refused[0].detail


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        ((401, {}, b"no"), AccessError),
        ((404, {}, b""), RunError),
        ((400, {}, b"snappy: corrupt input"), RunError),
        ((415, {}, b"not this protocol"), RunError),
        ((200, {"Content-Type": "text/html"}, b"<html>Sign in</html>"), RunError),
    ],
)
def test_other_refusals_stop_the_run(stub, build, totals, deliver, answer, error):
    stub.answer = lambda _: answer
    batch = totals(2)
    sink = build(batch.schema, stub.url, token=TOKEN)
    with pytest.raises(error):
        sink.check()
    with pytest.raises(error) as caught:
        deliver(sink, batch)
    assert TOKEN not in str(caught.value)


@pytest.mark.parametrize("answer", [(503, {"Retry-After": "0"}, b""), (429, {}, b""), "reset"])
def test_a_server_that_is_busy_is_asked_again(stub, build, totals, deliver, answer):
    batch = totals(2)
    stub.in_turn(answer)
    receipt, refused = deliver(build(batch.schema, stub.url), batch)
    assert (receipt.rows, list(refused), len(stub.requests)) == (6, [], 3)


def test_windows_wait_for_each_other(stub, build, totals, deliver):
    """After a failure nothing of a later window has been sent."""
    stub.answer = lambda request: (503, {}, b"") if b"\x02a1" in plain(request) else DONE
    batch = totals(3)
    sink = build(batch.schema, stub.url, retry_timeout=0, batch_rows=1, connections=4)
    with pytest.raises(RetryableError):
        deliver(sink, batch)
    assert {plain(request)[-6:] for request in stub.requests} == {plain(stub.requests[0])[-6:]}


def test_nothing_is_sent_if_it_cannot_be_remembered(stub, build, totals, deliver):
    batch = totals(2)
    sink = build(batch.schema, stub.url)
    sink.folder.parent.parent.write_text("not a folder")
    with pytest.raises(ConfigError, match="is not a folder"):
        sink.check()
    with pytest.raises(ConfigError, match="is not a folder"):
        deliver(sink, batch)
    assert stub.requests == []


def test_a_check_of_a_server_that_is_away(stub, build, totals):
    schema = totals(1).schema
    stub.answer = lambda _: (503, {}, b"starting")
    with pytest.raises(RetryableError, match="503"):
        build(schema, stub.url).check()
    with pytest.raises(UnavailableError):
        build(schema, "http://127.0.0.1:9").check()
    stub.answer = lambda _: (413, {}, b"too large")
    with pytest.raises(RunError, match="413: too large"):
        build(schema, stub.url).check()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"url": "ftp://h"}, "http://"),
        ({"url": "http://u:p@h/"}, "options"),
        ({"url": "http://h", "prefix": "9"}, "name of a metric"),
        ({"url": "http://h", "labels": {"a-b": "c"}}, "name of a label"),
        ({"url": "http://h", "labels": {"__name__": "c"}}, "name of a label"),
        ({"url": "http://h", "gzip": True}, "gzip"),
    ],
)
def test_options_that_cannot_be(options, message):
    with pytest.raises(ValidationError, match=message):
        PrometheusSinkConfig(**options)


@pytest.mark.parametrize(
    ("series", "code"),
    [
        (None, "totals_needed"),
        ({"time": [END], "tags": ["job"], "fields": ["n"]}, "id_taken"),
        ({"time": [END], "tags": ["list"], "fields": ["n"]}, "type_not_supported"),
        ({"time": [END], "tags": [], "fields": ["text"]}, "type_not_supported"),
    ],
)
def test_rows_that_are_no_series_are_refused_before_the_run(series, code):
    columns = [
        *[(END, pa.timestamp("us", "UTC")), ("job", pa.string()), ("list", pa.list_(pa.int64()))],
        *[("text", pa.string()), ("n", pa.int64())],
    ]
    meta = {SERIES: json.dumps(series).encode()} if series else None
    config = PrometheusSinkConfig(url="http://h", labels={"job": "x"})
    with pytest.raises(ConfigError) as caught:
        names_of(pa.schema(columns, metadata=meta), config)
    assert caught.value.code == code


def test_the_time_of_the_samples_has_to_be_there():
    meta = {SERIES: json.dumps({"time": ["n"], "tags": [], "fields": ["n"]}).encode()}
    with pytest.raises(ConfigError, match="window_end"):
        names_of(
            pa.schema([("n", pa.int64())], metadata=meta), PrometheusSinkConfig(url="http://h")
        )


def test_too_many_series_stop_the_run(stub, build, totals, deliver):
    batch = totals(2, 20)
    sink = build(batch.schema, stub.url, max_series=10)
    with pytest.raises(ConfigError, match="account_id"):
        sink.sample(pa.Table.from_batches([batch]))
    with pytest.raises(RunError, match="max_series"):
        deliver(sink, batch)
    assert stub.requests == []
