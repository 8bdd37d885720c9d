"""Answers that a healthy server does not give: refusals, faults, silence."""

import json
import re
import threading

import pyarrow as pa
import pytest

from ktrans.api import (
    AccessError,
    ConfigError,
    Context,
    InterruptedRunError,
    RetryableError,
    RunError,
    UnavailableError,
)

TAGS = {"tags": ["account_id"], "fields": ["bytes", "packets"]}
TOKEN = "very-secret-token"
OK = (204, {}, "")


@pytest.fixture
def sink(stub, bound, flows):
    """Build a sink that writes to the stub, by version 2 unless told otherwise."""
    made = []

    def build(api="v2", **options):
        place = {
            "v1": {"database": "d", "user": "u", "password": TOKEN},
            "v2": {"org": "o", "bucket": "b", "token": TOKEN},
            "v3": {"database": "d", "token": TOKEN},
        }[api]
        made.append(bound(flows(1).schema, url=stub.url, api=api, **TAGS, **place, **options))
        return made[-1]

    yield build
    for one in made:
        one.close()


def numbers(lines):
    """Rows by their field `bytes`, which is the row's number plus 1000."""
    return sorted(int(re.search(r"bytes=(\d+)i", line).group(1)) - 1000 for line in lines)


V3_QUERY = {"db": "d", "precision": "nanosecond", "accept_partial": "true", "no_sync": "false"}


@pytest.mark.parametrize(
    ("api", "asked"),
    [
        ("v1", ("/write", {"db": "d", "precision": "n"}, "Basic ")),
        ("v2", ("/api/v2/write", {"org": "o", "bucket": "b", "precision": "ns"}, f"Token {TOKEN}")),
        ("v3", ("/api/v3/write_lp", V3_QUERY, f"Token {TOKEN}")),
    ],
)
@pytest.mark.parametrize("compress", [True, False])
def test_requests_look_as_each_version_wants_them(stub, sink, flows, deliver, api, asked, compress):
    path, query, login = asked
    receipt, refused = deliver(sink(api, gzip=compress, batch_lines=40), flows(100))
    assert receipt.rows == 100
    assert refused == []
    assert len(stub.requests) == 3
    for request in stub.requests:
        assert request.path == path
        assert request.query == query
        assert request.headers["authorization"].startswith(login)
        assert ("content-encoding" in request.headers) == compress
    assert numbers(stub.kept) == list(range(100))


def test_small_batches_share_requests(stub, sink, flows, deliver):
    receipt, _ = deliver(sink(batch_lines=50), *(flows(7, first=7 * n) for n in range(20)))
    assert receipt.rows == 140
    sizes = [len(request.lines) for request in stub.requests]
    assert sorted(sizes) == [40, 50, 50]  # two requests at a time arrive in any order
    assert numbers(stub.kept) == list(range(140))


def test_bytes_bound_requests_too(stub, sink, flows, deliver):
    deliver(sink(batch_size=1024), flows(200))
    assert all(sum(len(x) + 1 for x in request.lines) <= 1024 for request in stub.requests)
    assert numbers(stub.kept) == list(range(200))


def test_a_task_without_rows_asks_for_nothing(stub, sink, deliver):
    receipt, refused = deliver(sink())
    assert (receipt.rows, list(refused), stub.requests) == (0, [], [])


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504, 408])
@pytest.mark.slow
def test_a_busy_server_is_asked_again(stub, sink, flows, deliver, status):
    stub.in_turn((status, {}, '{"error":"engine: cache full"}'), (status, {}, ""))
    receipt, refused = deliver(sink(), flows(10))
    assert (receipt.rows, list(refused), len(stub.requests)) == (10, [], 3)


@pytest.mark.slow
def test_retry_after_is_waited_for(stub, sink, flows, deliver):
    stub.in_turn((429, {"Retry-After": "2"}, ""))
    deliver(sink(), flows(10))
    first, second = stub.requests
    assert second.at - first.at >= 2


def test_a_server_that_stays_busy_is_left_to_the_engine(stub, sink, flows, deliver):
    stub.answer = lambda request: (503, {"Retry-After": "600"}, "overloaded")
    with pytest.raises(RetryableError, match="overloaded") as caught:
        deliver(sink(retry_timeout=60), flows(10))
    assert caught.value.retry_after_secs == 600
    assert len(stub.requests) == 1


def test_a_broken_connection_is_tried_again(stub, sink, flows, deliver):
    waiting = ["reset", "reset"]

    def answer(request):
        return waiting.pop() if waiting else OK

    answer.early = True
    stub.answer = answer
    receipt, _ = deliver(sink(gzip=False), flows(20_000))
    assert receipt.rows == 20_000
    assert numbers(stub.kept) == list(range(20_000))


def test_a_silent_server_is_asked_again(stub, sink, flows, deliver):
    stub.in_turn("hold")
    receipt, _ = deliver(sink(timeout=0.5), flows(10))
    assert (receipt.rows, len(stub.requests)) == (10, 2)


def test_nobody_there_is_retryable_in_a_run_and_unavailable_in_a_check(sink, stub, bound, flows):
    config = sink().config.model_copy(update={"url": "http://127.0.0.1:9", "retry_timeout": 0.0})
    absent = type(sink())(config)
    absent.bind(flows(1).schema)
    writer = absent.writer(None)
    writer.write(writer.encode(flows(3)))
    with pytest.raises(RetryableError, match=r"http://127.0.0.1:9 does not answer"):
        writer.finish()
    writer.abort()
    with pytest.raises(UnavailableError) as caught:
        absent.check()
    assert "url" in caught.value.hint
    absent.close()


def test_a_web_page_is_no_success(stub, sink, flows, deliver):
    stub.answer = lambda request: (200, {"Content-Type": "text/html"}, "<html>Sign in</html>")
    for attempt in (lambda: deliver(sink(), flows(10)), sink().check):
        with pytest.raises(RunError, match="answers with a web page"):
            attempt()


@pytest.mark.parametrize("status", [401, 403])
def test_a_wrong_token_is_an_access_error_that_does_not_tell_it(stub, sink, flows, deliver, status):
    stub.answer = lambda request: (
        status,
        {},
        json.dumps({"code": "unauthorized", "message": f"no such token {TOKEN}"}),
    )
    for attempt in (lambda: deliver(sink(), flows(10)), sink().check):
        with pytest.raises(AccessError) as caught:
            attempt()
        text = f"{caught.value.message} {caught.value.hint} {caught.value!r}"
        assert "bucket 'b'" in text
        assert "no such token ***" in text
        assert TOKEN not in text


def test_a_password_is_not_told_in_any_form(stub, sink, flows, deliver):
    def answer(request):
        return 500, {}, f"saw {request.headers['authorization']} {TOKEN}"

    stub.answer = answer
    with pytest.raises(RetryableError) as caught:
        deliver(sink("v1", retry_timeout=0), flows(1))
    encoded = stub.requests[0].headers["authorization"].split()[1]
    assert TOKEN not in caught.value.message
    assert encoded not in caught.value.message


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (404, '{"code":"not found","message":"bucket \\"b\\" not found"}', ConfigError),
        (302, "", ConfigError),
        (400, '{"code":"invalid","message":"Please provide either orgID or org"}', RunError),
        (418, "teapot", RunError),
    ],
)
def test_a_wrong_place_stops_the_run_and_rejects_no_rows(
    stub, sink, flows, deliver, status, body, kind
):
    stub.answer = lambda request: (status, {}, body)
    with pytest.raises(kind) as caught:
        deliver(sink(), flows(10))
    assert caught.value.code == ("target_not_found" if kind is ConfigError else "write_refused")
    assert caught.value.hint
    with pytest.raises(kind):
        sink().check()


def test_a_check_sends_no_lines(stub, sink):
    sink().check()
    assert [request.lines for request in stub.requests] == [[]]


@pytest.mark.parametrize("words", ["writing requires points", "no lines in the request"])
def test_a_check_takes_a_complaint_about_no_lines_for_a_yes(stub, sink, words):
    stub.answer = lambda request: (400, {}, json.dumps({"code": "invalid", "message": words}))
    sink().check()


def test_too_large_a_request_is_halved(stub, sink, flows, deliver, positions):
    def answer(request):
        return (413, {}, "too large") if len(request.lines) > 30 else OK

    stub.answer = answer
    receipt, refused = deliver(sink(), flows(200))
    assert (receipt.rows, list(refused)) == (200, [])
    assert numbers(stub.kept) == list(range(200))


def test_a_line_too_large_by_itself_is_refused(stub, sink, flows, deliver, positions):
    stub.answer = lambda request: (
        (413, {}, "") if any("bytes=1005i" in line for line in request.lines) else OK
    )
    receipt, refused = deliver(sink(), flows(20))
    assert receipt.rows == 19
    assert [one.reason for one in refused] == ["record_too_large"]
    assert positions(refused) == [5]


def test_lines_that_version_3_names_are_refused_and_the_others_arrive(
    stub, sink, flows, deliver, positions
):
    bad = {1003: "invalid column type for column 'bytes'", 1017: "could not be parsed"}

    def answer(request):
        named = [
            {"original_line": line, "line_number": n + 1, "error_message": words}
            for n, line in enumerate(request.lines)
            for value, words in bad.items()
            if f"bytes={value}i" in line
        ]
        body = {"error": "partial write of line protocol occurred", "data": named}
        return (400, {}, json.dumps(body)) if named else OK

    stub.answer = answer
    receipt, refused = deliver(sink("v3"), flows(15), flows(15, first=15))
    assert receipt.rows == 28
    assert {(one.reason, one.detail) for one in refused} == {
        ("field_type_conflict", bad[1003]),
        ("line_not_parsed", bad[1017]),
    }
    assert positions(refused) == [3, 17]
    assert numbers(stub.kept) == [n for n in range(30) if n not in {3, 17}]
    assert len(stub.requests) == 2


def test_lines_that_nobody_names_are_found_by_halves(stub, sink, flows, deliver, positions):
    bad = {31, 32, 500, 999}

    def answer(request):
        found = bad & set(numbers(request.lines))
        line = "unable to parse 'flow,tag=line\\ 7 x': line 7"
        return (400, {}, json.dumps({"code": "invalid", "message": line})) if found else OK

    stub.answer = answer
    receipt, refused = deliver(sink(), flows(600), flows(400, first=600))
    assert receipt.rows == 996
    assert [one.reason for one in refused] == ["line_not_parsed"]
    assert positions(refused) == sorted(bad)
    assert numbers(stub.kept) == [n for n in range(1000) if n not in bad]
    assert len(stub.requests) < 100


def test_an_answer_that_names_lines_that_were_not_sent_is_not_believed(
    stub, sink, flows, deliver, positions
):
    def answer(request):
        if 4 not in numbers(request.lines):
            return OK
        return 400, {}, json.dumps({"error": "parsing failed", "data": [{"line_number": 99}]})

    stub.answer = answer
    receipt, refused = deliver(sink("v3"), flows(10))
    assert (receipt.rows, positions(refused)) == (9, [4])


@pytest.mark.parametrize("dropped", [0, 4])
def test_a_line_that_is_echoed_is_not_read_as_a_count(
    stub, bound, flows, deliver, positions, dropped
):
    """Rows have the field `packets_dropped`, and the server answers with the line in full."""

    def answer(request):
        bad = [line for line in request.lines if "bytes=1001i" in line]
        words = f"unable to parse '{bad[0]}': bad timestamp" if bad else ""
        return (400, {}, json.dumps({"code": "invalid", "message": words})) if bad else OK

    stub.answer = answer
    rows = flows(4, packets_dropped=pa.array([dropped] * 4, pa.int64()))
    options = {**TAGS, "fields": ["bytes", "packets_dropped"]}
    place = {"org": "o", "bucket": "b", "token": TOKEN}
    sink = bound(rows.schema, url=stub.url, **options, **place)
    receipt, refused = deliver(sink, rows)
    sink.close()
    assert (receipt.rows, positions(refused)) == (3, [1])
    assert [one.reason for one in refused] == ["line_not_parsed"]
    assert numbers(stub.kept) == [0, 2, 3]


def test_a_field_named_by_the_server_condemns_no_row_that_it_takes(
    stub, sink, flows, deliver, positions
):
    """It counts what one shard dropped: as many rows have the field, but not the same ones."""

    def answer(request):
        # Rows 1 and 2 have the field; the server drops row 1 for it, and row 0 for another.
        bad = [n for n in numbers(request.lines) if n in {0, 1}]
        words = 'input field "packets" on measurement is type float, already exists as integer'
        told = f"partial write: field type conflict: {words} dropped={len(bad)}"
        return (400, {}, json.dumps({"error": told})) if bad else OK

    stub.answer = answer
    packets = pa.array([None, 7, 7, None, None], pa.int64())
    rows = flows(5)
    rows = rows.set_column(rows.schema.names.index("packets"), "packets", packets)
    receipt, refused = deliver(sink("v1"), rows)
    assert (receipt.rows, positions(refused)) == (3, [0, 1])
    assert numbers(stub.kept) == [2, 3, 4]


def test_a_server_that_refuses_without_end_stops_the_run(stub, sink, flows, deliver, monkeypatch):
    monkeypatch.setattr("ktrans.kit.http.sender.MAX_REQUESTS", 50)
    stub.answer = lambda request: (
        400,
        {},
        json.dumps({"message": "partial write: unable to parse something dropped=0"}),
    )
    with pytest.raises(RunError, match=r"50 requests did not find them all.*unable to parse"):
        deliver(sink(connections=1), flows(5000))
    assert len(stub.requests) == 50


def test_more_series_than_the_budget_stop_the_run_before_they_are_sent(stub, sink, flows, deliver):
    with pytest.raises(RunError, match=r"max_series = 10 series.*account_id \(11\)") as caught:
        deliver(sink(max_series=10), flows(100, accounts=11))
    assert caught.value.code == "too_many_series"
    assert stub.requests == []
    deliver(sink(max_series=11), flows(100, accounts=11))
    deliver(sink(max_series=None), flows(100, accounts=50))


def test_giving_up_ends_the_waiting_of_a_request(stub, sink, flows):
    asked = threading.Event()

    def answer(request):
        asked.set()
        return 503, {"Retry-After": "3600"}, ""

    stub.answer = answer
    writer = sink(retry_timeout=7200).writer(None)
    writer.write(writer.encode(flows(5000)))
    assert asked.wait(60)
    writer.abort()
    writer.abort()
    assert len(stub.requests) == 1


def test_a_run_that_gives_up_its_epoch_does_not_wait_for_the_server(stub, bound, flows, sink):
    stopped = threading.Event()

    def answer(request):
        stopped.set()
        return 503, {"Retry-After": "3600"}, ""

    stub.answer = answer
    config = sink().config.model_copy(update={"retry_timeout": 7200.0})
    stopping = type(sink())(config, Context(abandoned=stopped.is_set))
    stopping.bind(flows(1).schema)
    writer = stopping.writer(None)
    writer.write(writer.encode(flows(10)))
    with pytest.raises(InterruptedRunError):
        writer.finish()
    writer.abort()
    stopping.close()
