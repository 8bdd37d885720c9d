"""Log events inside JSON: CloudWatch subscriptions and what wraps them."""

import base64
import gzip
import json
from datetime import UTC, datetime

import pytest

from ktrans.api import Limits

MOMENT = datetime(2023, 11, 14, 22, 13, 20, 500000, tzinfo=UTC)


def envelope(*messages, kind="DATA_MESSAGE", fields=None, first=1):
    events = [
        {"id": f"event-{number}", "timestamp": 1700000000500, "message": message}
        | ({"extractedFields": fields} if fields else {})
        for number, message in enumerate(messages, first)
    ]
    return json.dumps(
        {"messageType": kind, "owner": "111122223333", "logGroup": "g", "logEvents": events}
    ).encode()


def test_case_30_envelopes_without_newlines_between_them(run, good):
    data = envelope(good, good) + envelope(good, first=3) + b"\n" + envelope(good, first=4)
    for stored in (
        data,
        gzip.compress(data),
        gzip.compress(data[:300]) + gzip.compress(data[300:]),
    ):
        result = run(stored)
        assert result.positions == [1, 2, 3, 4]
        assert [row["record_id"] for row in result.rows] == [f"event-{n}" for n in (1, 2, 3, 4)]
        assert {row["logged_at"] for row in result.rows} == {MOMENT}


def test_case_30_control_messages_are_counted_but_are_no_flows(run, good):
    control = envelope(
        "CWL CONTROL MESSAGE: Checking health of destination.", kind="CONTROL_MESSAGE"
    )
    result = run(control + envelope(good) + control)
    assert (len(result.rows), result.skipped, result.records) == (1, 2, 3)
    assert run(control).skipped == 1


def test_case_30_the_message_counts_not_the_extracted_fields(run, good):
    row = run(envelope(good, fields={"protocol": "9", "srcaddr": "9.9.9.9"})).rows[0]
    assert (row["protocol"], row["src_addr"]) == (6, "10.0.0.1")


def test_case_30_events_of_other_formats_are_rejects_near_good_ones(run, good):
    result = run(envelope(good, "START RequestId: 1", "2 eni-1 10.0.0.1", good))
    assert result.positions == [1, 4]
    assert result.reasons == {2: "no_layout", 3: "no_layout"}
    assert result.rejects[0]["raw"] == b"START RequestId: 1"


def test_case_30_a_message_that_ends_in_braces_is_not_a_border(run, good):
    result = run(envelope("}{", '{"a":1}{"b', good) + envelope(good))
    assert result.positions == [3, 4]
    assert sorted(result.reasons) == [1, 2]


def test_case_04_missing_start_falls_back_to_the_event_time(run):
    row = run(envelope("10.0.0.1 10.0.0.2"), format="srcaddr dstaddr").rows[0]
    assert row["start_time"] == row["logged_at"] == MOMENT


def test_a_message_with_line_breaks_is_one_record(run, good):
    result = run(envelope(good + "\n", good.replace(" ", "\n", 1), "", good))
    assert result.positions == [1, 2, 4]
    assert result.skipped == 1


def test_lambda_and_kinesis_wrappers_are_opened(run, good):
    packed = base64.b64encode(gzip.compress(envelope(good))).decode()
    for outer in (
        {"awslogs": {"data": packed}},
        {"Records": [{"kinesis": {"data": packed}}]},
        {"data": packed},
    ):
        assert run(json.dumps(outer)).rows[0]["record_id"] == "event-1"


def test_plain_json_messages_keep_id_and_time(run, good):
    lines = [json.dumps({"message": good, "id": "a", "timestamp": 1700000000500}), good]
    rows = run(lines).rows
    assert [row["record_id"] for row in rows] == ["a", None]
    assert [row["logged_at"] for row in rows] == [MOMENT, None]
    assert [row["source_pos"] for row in rows] == [1, 2]


def test_a_document_that_is_not_json_is_one_reject_between_good_ones(run, good):
    bad = b'{"messageType":"DATA_MESSAGE","logEvents":oops}'
    result = run(envelope(good) + bad + envelope(good))
    assert result.positions == [1, 3]
    assert result.reasons == {2: "bad_json"}
    assert result.rejects[0]["raw"] == bad


def test_other_json_is_refused_with_its_words(run):
    result = run(b'{"Records":[{"eventVersion":"2.1"}]}{"hello":"world"}')
    assert set(result.reasons.values()) == {"bad_json"}
    assert len(result.rejects) == 2


def test_an_endless_document_is_bounded_and_the_next_one_is_found(run, good):
    limits = Limits(max_line_bytes=512, block_bytes=2048)
    endless = b'{"messageType":"' + b"x" * 100_000 + b'"}'
    result = run(envelope(good) + endless + envelope(good), limits=limits)
    assert result.positions == [1, 3]
    assert result.reasons == {2: "line_too_long"}
    assert len(result.rejects[0]["raw"]) <= 4096


def test_a_stream_cut_off_in_a_document_keeps_the_events_before_it(run, good):
    whole = gzip.compress(envelope(good) + envelope(good, first=2) * 50)
    result = run(whole[: len(whole) - 12])
    assert result.positions[0] == 1
    assert list(result.reasons.values()) == ["truncated"]
    plain = run(envelope(good) + envelope(good)[:100])
    assert plain.positions == [1]
    assert plain.reasons == {2: "truncated"}


def test_blocks_do_not_change_what_comes_out(run, good):
    data = b"".join(envelope(good, "bad", good) for _ in range(40))
    small = run(data, limits=Limits(block_bytes=300))
    large = run(data)
    assert small.rows == large.rows
    assert small.rejects == large.rejects
    assert len(small.batches) > len(large.batches)


@pytest.mark.parametrize(
    "bad", [{"message": 5}, {"message": None}, None, "text", [], 7], ids=json.dumps
)
def test_case_30_one_bad_event_does_not_lose_the_others(run, good, bad):
    document = json.loads(envelope(good, good, good))
    event = document["logEvents"][1]
    document["logEvents"][1] = {**event, **bad} if isinstance(bad, dict) else bad
    result = run(json.dumps(document))
    assert result.positions == [1, 3]
    assert result.reasons == {2: "bad_json"}
    assert json.loads(result.rejects[0]["raw"]) == document["logEvents"][1]


def test_a_reject_says_when_it_keeps_only_the_beginning(run):
    limits = Limits(max_line_bytes=64)
    long, short = (json.dumps({"other": "x" * count}) for count in (100, 3))
    [cut] = run(long, limits=limits).rejects
    assert cut["raw"] == long.encode()[:64]
    assert cut["detail"].endswith("its first 64 bytes are kept")
    [whole] = run(short, limits=limits).rejects
    assert whole["raw"] == short.encode()
    assert "kept" not in whole["detail"]


@pytest.mark.parametrize(
    ("said", "micros"),
    [
        (1700000000500, MOMENT),
        (1700000000.5, MOMENT),
        ("1700000000500", MOMENT),
        ("2023-11-14T22:13:20.5Z", MOMENT),
        ("2023-11-14 23:13:20.500+01:00", MOMENT),
        ("yesterday", None),
        ([1], None),
        (True, None),
        (1e300, None),
        (None, None),
    ],
    ids=str,
)
def test_the_time_of_an_event_is_never_fatal(run, good, said, micros):
    document = json.loads(envelope(good))
    document["logEvents"][0] |= {"timestamp": said, "id": said}
    [row] = run(json.dumps(document)).rows
    assert row["logged_at"] == micros
    assert row["record_id"] == (said if isinstance(said, str) else None)


def test_the_envelope_fills_what_records_lack_and_goes_to_attrs(run):
    document = json.loads(envelope("10.0.0.1 10.0.0.2 a b"))
    document["logStream"] = "eni-0aa11bb22cc33dd44-all"
    [row] = run(json.dumps(document), format="srcaddr dstaddr vpc_id subnet_id").rows
    assert (row["account_id"], row["interface_id"]) == ("111122223333", "eni-0aa11bb22cc33dd44")
    assert dict(row["attrs"]) == {
        "owner": "111122223333",
        "logGroup": "g",
        "logStream": "eni-0aa11bb22cc33dd44-all",
    }
    [row] = run(json.dumps(document), format="srcaddr dstaddr interface_id account_id").rows
    assert (row["account_id"], row["interface_id"]) == ("b", "a")
