"""Alibaba Cloud VPC flow logs: every value a text, some keys misspelt."""

import json

import pytest

BASE = {
    "srcaddr": "10.0.0.1",
    "dstaddr": "10.0.0.2",
    "eni-id": "eni-1",
    "start": "1772359200",
    "end": "1772359260",
}


def one(run, **more):
    [row] = run(json.dumps({**BASE, **more}), "alibaba_vpc").rows
    return row


def test_59_every_value_is_a_text(run):
    row = one(run, srcport="40000", protocol="6", bytes="4000000000000", **{"tcp-flags": "18"})
    assert (row["src_port"], row["protocol"], row["bytes"]) == (40000, 6, 4_000_000_000_000)
    assert row["tcp_flags"] == 18


@pytest.mark.parametrize("nothing", ["-", ""])
def test_59_missing_values(run, nothing):
    names = ("dstport", "protocol", "packets", "bytes", "action", "vm-id", "__source__")
    row = one(run, **dict.fromkeys(names, nothing))
    for name in ("dst_port", "protocol", "packets", "bytes", "action", "instance_id"):
        assert row[name] is None
    assert row["attrs"] is None


@pytest.mark.parametrize("key", ["traffic_path", "rafficPath", "TrafficPath"])
@pytest.mark.parametrize("value", ["7", "natGateway"])
def test_20_59_the_traffic_path_has_one_name_and_its_own_codes(run, key, value):
    assert one(run, **{key: value})["attrs"] == [("traffic_path", value)]


@pytest.mark.parametrize(("native", "flow"), [("in", "ingress"), ("out", "egress"), ("-", None)])
def test_direction(run, native, flow):
    assert one(run, direction=native)["direction"] == flow


def test_account_ids_keep_their_zeros(run):
    assert one(run, **{"account-id": "0012"})["account_id"] == "0012"


def test_numbers_that_came_as_numbers_are_as_good(run):
    assert one(run, srcport=40000, protocol=17, start=1772359200)["src_port"] == 40000


def test_records_of_other_topics_are_skipped_and_counted(run):
    lines = [{**BASE, "__topic__": topic} for topic in ("flow_log", "nat_gateway", "")]
    done = run(
        [json.dumps(line) for line in lines], "alibaba_vpc", columns=["src_addr", "source_pos"]
    )
    assert (done.positions, done.skipped, done.rejects) == ([1, 3], 1, [])


def test_63_negative_counters_are_null(run):
    done = run(json.dumps({**BASE, "bytes": "-5"}), "alibaba_vpc")
    assert [row["bytes"] for row in done.rows] == [None]
