"""Cilium Hubble: events without counters, wrapped or not, verdicts, workloads."""

import json

import pytest

FLOW = {
    "time": "2026-03-01T10:00:00.123456789Z",
    "IP": {"source": "10.0.0.1", "destination": "10.0.0.2"},
}


def one(run, wrapped=None, **more):
    flow = {**FLOW, **more}
    [row] = run(json.dumps(flow if wrapped is None else wrapped(flow)), "hubble").rows
    return row


@pytest.mark.parametrize(
    "wrapped",
    [
        lambda flow: flow,
        lambda flow: {"flow": flow, "node_name": "n", "time": flow["time"]},
        lambda flow: {"flow": {"flow": flow}},
        lambda flow: {"result": {"flow": flow, "node_name": "n"}},
    ],
)
def test_61_wrapped_never_once_or_twice(run, wrapped):
    row = one(run, wrapped, l4={"TCP": {"source_port": 1, "destination_port": 2}})
    assert (row["src_addr"], row["src_port"], row["dst_port"]) == ("10.0.0.1", 1, 2)
    assert row["start_time"].microsecond == 123456
    assert row["attrs"] is None


def test_61_there_are_no_counters(run):
    row = one(run)
    assert row["packets"] is row["bytes"] is None


@pytest.mark.parametrize(
    ("verdict", "action"),
    [
        ("FORWARDED", "accept"),
        ("REDIRECTED", "accept"),
        ("AUDIT", "accept"),
        ("DROPPED", "drop"),
        ("ERROR", None),
        ("TRACED", None),
        ("TRANSLATED", None),
    ],
)
def test_61_verdicts(run, verdict, action):
    row = one(run, verdict=verdict)
    assert row["action"] == action
    assert dict(row["attrs"])["verdict"] == verdict


def test_61_is_reply_is_only_there_if_it_is_known(run):
    assert one(run)["attrs"] is None
    assert one(run, is_reply=False)["attrs"] == [("is_reply", "false")]
    assert one(run, is_reply=True)["attrs"] == [("is_reply", "true")]


@pytest.mark.parametrize(
    ("l4", "protocol", "flags"),
    [
        ({"TCP": {"source_port": 1, "flags": {"SYN": True, "ACK": True}}}, 6, 18),
        ({"TCP": {"source_port": 1}}, 6, 0),
        ({"UDP": {"source_port": 1}}, 17, None),
        ({"SCTP": {"source_port": 1}}, 132, None),
        ({"ICMPv4": {}}, 1, None),
        ({"ICMPv6": {"type": 128}}, 58, None),
        ({}, None, None),
    ],
)
def test_19_protocol_and_flags(run, l4, protocol, flags):
    row = one(run, l4=l4)
    assert (row["protocol"], row["tcp_flags"]) == (protocol, flags)


@pytest.mark.parametrize(
    ("end", "name"),
    [
        ({"namespace": "a", "pod_name": "p-1", "workloads": [{"name": "p"}]}, "a/p"),
        ({"namespace": "a", "pod_name": "p-1"}, "a/p-1"),
        ({"pod_name": "p-1", "workloads": []}, "p-1"),
        ({"labels": ["reserved:world"]}, None),
    ],
)
def test_ends_are_named_after_workloads_or_pods(run, end, name):
    row = one(run, source=end, destination=end)
    assert (row["src_service"], row["dst_service"]) == (name, name)


def test_what_is_no_flow_is_skipped(run):
    lines = [
        json.dumps({"flow": FLOW}),
        '{"agent_event":{"type":"AGENT_STARTED"}}',
        '{"node_status":{}}',
    ]
    done = run(lines, "hubble")
    assert (len(done.rows), done.skipped) == (1, 2)


@pytest.mark.parametrize("wrapped", [lambda event: event, lambda event: {"result": event}])
def test_lost_events_are_a_row_that_says_that_records_were_lost(run, wrapped):
    lost = {
        "lost_events": {"source": "HUBBLE_RING_BUFFER", "num_events_lost": "12"},
        "node_name": "n1",
        "time": "2026-03-01T10:00:02Z",
    }
    done = run([json.dumps({"flow": FLOW}), json.dumps(wrapped(lost))], "hubble")
    assert [row["log_status"] for row in done.rows] == ["OK", "SKIPDATA"]
    row = done.rows[1]
    assert row["instance_id"] == "n1"
    assert row["start_time"].second == 2
    assert "12" in dict(row["attrs"])["lost_events"]
    [some] = run(json.dumps(lost), "hubble", columns=["log_status"]).rows
    assert some["log_status"] == "SKIPDATA"
