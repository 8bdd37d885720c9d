"""KTranslate: what counts in which direction, what 0 means, and its two formats."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.examples import examples

FLOW = {"src_addr": "10.0.0.1", "dst_addr": "192.0.2.1", "eventType": "KFlow", "l4_dst_port": 1}
COUNTS = st.one_of(st.none(), st.just(0), st.integers(0, 1 << 40))


def one(run, columns=None, **more):
    options = {"scale": True} if more.pop("scaled", False) else {}
    [row] = run(json.dumps([{**FLOW, **more}]), "ktranslate", columns=columns, **options).rows
    return row


def test_the_total_is_that_of_the_record(run):
    """As Kentik adds both; a counter never moves from one direction to the other by itself."""

    @settings(max_examples=examples(60), deadline=None)
    @given(COUNTS, COUNTS, COUNTS, COUNTS)
    def holds(in_bytes, in_pkts, out_bytes, out_pkts):
        counts = {
            "in_bytes": in_bytes,
            "in_pkts": in_pkts,
            "out_bytes": out_bytes,
            "out_pkts": out_pkts,
        }
        row = one(run, **counts)
        for name, way, back in (("bytes", in_bytes, out_bytes), ("packets", in_pkts, out_pkts)):
            total = (row[name] or 0) + (row[f"{name}_rev"] or 0)
            assert total == (way or 0) + (back or 0)
        only_out = not (in_bytes or in_pkts) and bool(out_bytes or out_pkts)
        assert row["direction"] == ("egress" if only_out else None)
        if not (out_bytes or out_pkts) or only_out:
            assert row["bytes_rev"] is None
            assert row["packets_rev"] is None
        for column in ("bytes", "packets_rev", "direction"):
            assert one(run, [column], **counts)[column] == row[column]

    holds()


@pytest.mark.parametrize(("rate", "factor"), [(512, 512), ("512", 512), (0, 1), (None, 1), (1, 1)])
def test_counters_are_multiplied_by_the_rate_if_that_is_wanted(run, rate, factor):
    row = one(run, in_bytes=100, in_pkts=2, out_bytes=7, sample_rate=rate, scaled=True)
    assert (row["bytes"], row["packets"], row["bytes_rev"]) == (
        100 * factor,
        2 * factor,
        7 * factor,
    )
    assert one(run, in_bytes=100, sample_rate=rate)["bytes"] == 100


@pytest.mark.parametrize(
    ("timestamp", "micros"),
    [
        (1772359200, 1772359200_000000),
        (1772359200123, 1772359200_123000),
        (1772359200123456789, 1772359200_123456),
        (0, None),
        (None, None),
    ],
)
def test_times_of_all_versions(run, timestamp, micros):
    logged = one(run, timestamp=timestamp)["logged_at"]
    assert (logged and round(logged.timestamp() * 1_000_000)) == micros


@pytest.mark.parametrize("inside", ["custom_str", "custom_int", "custom_bigint"])
def test_custom_fields_have_the_same_names_in_both_formats(run, inside):
    flat = one(run, fooI=1, TimeFlowStart=1772359200)
    nested = one(run, **{inside: {"fooI": 1, "TimeFlowStart": 1772359200}})
    assert flat == nested
    assert dict(flat["attrs"])["fooI"] == "1"


def test_only_flows_are_rows(run):
    kinds = ["KFlow", "KSnmp", "KSynth", "KSnmpDeviceMetric", None]
    done = run("\n".join(json.dumps([{**FLOW, "eventType": kind}]) for kind in kinds), "ktranslate")
    assert len(done.rows) == 2
    assert done.skipped == 3


def test_the_source_of_a_request_for_an_address_is_kept(run):
    assert one(run, src_addr="0.0.0.0")["src_addr"] == "0.0.0.0"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("src_as", 0),
        ("vlan_in", 0),
        ("src_eth_mac", "00:00:00:00:00:00"),
        ("dst_geo", "--"),
        ("x", ""),
    ],
)
def test_what_go_writes_for_nothing_is_nothing(run, name, value):
    assert one(run, **{name: value})["attrs"] is None


def test_a_custom_0_is_a_value(run):
    assert dict(one(run, IcmpType=0)["attrs"]) == {"IcmpType": "0"}
