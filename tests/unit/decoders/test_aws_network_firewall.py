"""AWS Network Firewall: netflow events among others, flags in hexadecimal, duplicate keys."""

import base64
import gzip
import json

import pytest

from ktrans.api import Head, Limits, TruncatedError
from ktrans.decoders.logs.aws_network_firewall import LOG


def record(event=None, **more):
    base = {"event_type": "netflow", "src_ip": "10.0.0.1", "dest_ip": "192.0.2.9"}
    return json.dumps({"firewall_name": "fw", **more, "event": {**base, **(event or {})}})


@pytest.mark.parametrize(
    ("text", "mask"),
    [("02", 2), ("1b", 27), ("1B", 27), ("00", 0), ("ff", 255), ("2", 2), ("0x02", 2)],
)
def test_19_flags_are_hexadecimal(run, text, mask):
    assert (
        run(record({"tcp": {"tcp_flags": text}}), "aws_network_firewall").rows[0]["tcp_flags"]
        == mask
    )


@pytest.mark.parametrize("text", ["-2", "g1", "1ff"])
def test_19_other_texts_are_no_flags(run, text):
    [row] = run(record({"tcp": {"tcp_flags": text}}), "aws_network_firewall").rows
    assert row["tcp_flags"] is None
    assert dict(row["attrs"]) == {"event.tcp.tcp_flags": text}


def test_only_netflow_events_are_flows(run):
    lines = [record(), *(record({"event_type": kind}) for kind in ("alert", "tls", "http"))]
    done = run(lines, "aws_network_firewall")
    assert (len(done.rows), done.skipped, done.rejects) == (1, 3, [])
    assert done.foreign == {"event_type alert": 1, "event_type tls": 1, "event_type http": 1}


def test_62_duplicate_keys_of_alerts_do_no_harm(run):
    alert = '{"firewall_name":"fw","event":{"event_type":"alert","tls":{"sni":"a","sni":"b"}}}'
    done = run([record(), alert, record()], "aws_network_firewall")
    assert done.positions == [1, 3]


def test_times_have_an_offset_without_a_colon(run):
    netflow = {"start": "2026-03-01T10:00:00.123456+0000", "end": "2026-03-01T12:00:00.0+0200"}
    [row] = run(record({"netflow": netflow}), "aws_network_firewall").rows
    assert row["start_time"].microsecond == 123456
    assert row["end_time"].hour == 10


def test_the_outer_time_stands_in_for_that_of_the_event(run):
    [row] = run(record(event_timestamp="1772359260"), "aws_network_firewall").rows
    assert row["logged_at"].timestamp() == 1772359260


def envelope(*messages, kind="DATA_MESSAGE"):
    events = [
        {"id": str(n), "timestamp": 1772359200000, "message": m} for n, m in enumerate(messages)
    ]
    return json.dumps({"messageType": kind, "logGroup": "fw", "logEvents": events})


def wrapped_by_lambda(document):
    data = base64.b64encode(gzip.compress(document.encode())).decode()
    return json.dumps({"awslogs": {"data": data}})


@pytest.mark.parametrize("wrap", [str, wrapped_by_lambda], ids=["plain", "lambda"])
@pytest.mark.parametrize("block_bytes", [64, 1 << 20])
def test_records_are_taken_out_of_log_events(run, wrap, block_bytes):
    first = envelope(record(event_timestamp="1"), record({"event_type": "alert"}))
    control = envelope("CWL CONTROL MESSAGE", kind="CONTROL_MESSAGE")
    second = envelope(record({"src_ip": "10.0.0.2"}), "no JSON", record({"src_ip": "10.0.0.300"}))
    data = "".join(map(wrap, (control, first, second)))
    done = run(data, "aws_network_firewall", limits=Limits(block_bytes=block_bytes))
    assert [(row["src_addr"], row["source_pos"]) for row in done.rows] == [("10.0.0.1", 2), ("10.0.0.2", 4)]  # fmt: skip
    assert (done.reasons, done.skipped) == ({5: "bad_json", 6: "bad_address"}, 2)


def test_log_events_of_a_stream_that_broke_off_keep_what_is_whole(run):
    data = gzip.compress((envelope(record()) + envelope(record(), record())).encode())[:-12]
    done = run(data, "aws_network_firewall")
    assert (done.positions, done.reasons) == ([1], {2: "truncated"})
    with pytest.raises(TruncatedError):
        run(data, "aws_network_firewall", final=False)


@pytest.mark.parametrize("wrap", [str, wrapped_by_lambda], ids=["plain", "lambda"])
def test_log_events_with_records_are_known(run, wrap):
    text = wrap(envelope(record({"x": 1}, event_timestamp="1"))).encode()
    assert run(text, "auto").records == 1
    assert LOG.recognise(Head("mem://o", wrap(envelope("2 1 eni-1 - - -")).encode())) is None
