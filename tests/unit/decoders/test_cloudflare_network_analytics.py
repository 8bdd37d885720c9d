"""Cloudflare Network Analytics: samples scaled up, times in three forms, zeros that mean nothing."""

import json

import pytest

PACKET = {
    "Datetime": "2026-03-01T10:00:00Z",
    "SampleInterval": 100,
    "IPSourceAddress": "198.51.100.1",
    "IPDestinationAddress": "192.0.2.1",
    "IPProtocol": 6,
    "IPTotalLength": 60,
    "SourcePort": 1000,
    "DestinationPort": 0,
    "TCPFlags": 0,
    "TCPWindowSize": 0,
    "ICMPType": 0,
    "UDPChecksum": 0,
    "GREChecksum": 0,
}


def one(run, **more):
    [row] = run(json.dumps({**PACKET, **more}), "cloudflare_network_analytics").rows
    return row


def test_60_samples_are_scaled_up(run):
    row = one(run)
    assert (row["packets"], row["bytes"]) == (100, 6000)
    assert dict(row["attrs"])["SampleInterval"] == "100"
    assert (one(run, SampleInterval="10000")["bytes"]) == 600_000
    assert one(run, IPTotalLength=0)["bytes"] is None


@pytest.mark.parametrize("interval", [None, 0])
def test_no_counter_is_invented_where_the_interval_is_not_known(run, interval):
    row = one(run, SampleInterval=interval)
    assert row["packets"] is row["bytes"] is None
    assert dict(row["attrs"])["IPTotalLength"] == "60"


@pytest.mark.parametrize(
    "time",
    ["2026-03-01T10:00:00Z", "1772359200", "1772359200000000000", 1772359200, 1772359200 * 10**9],
)
def test_60_times_in_three_forms(run, time):
    assert one(run, Datetime=time)["start_time"].timestamp() == 1772359200


def test_60_zeros_of_other_protocols_are_nothing(run):
    tcp, icmp = one(run), one(run, IPProtocol=1)
    assert (tcp["src_port"], tcp["dst_port"], tcp["tcp_flags"]) == (1000, 0, 0)
    assert dict(tcp["attrs"]) == {"SampleInterval": "100", "TCPWindowSize": "0"}
    assert icmp["src_port"] is icmp["dst_port"] is icmp["tcp_flags"] is None
    assert dict(icmp["attrs"]) == {"SampleInterval": "100", "ICMPType": "0"}


def test_outcomes(run):
    assert one(run, Outcome="pass")["action"] == "accept"
    assert one(run, Verdict="drop")["action"] == "drop"
    assert one(run, Direction="Ingress")["direction"] == "ingress"


def test_a_bad_sample_interval_is_refused(run):
    line = json.dumps({**PACKET, "SampleInterval": "many"})
    assert run(line, "cloudflare_network_analytics").reasons == {1: "wrong_type"}


def test_a_product_beyond_64_bits_is_refused_alone(run):
    largest = (1 << 63) - 1
    packets = [{**PACKET, "IPTotalLength": 1 << 62}, PACKET]
    packets.append({**PACKET, "IPTotalLength": largest, "SampleInterval": 1})
    done = run([json.dumps(packet) for packet in packets], "cloudflare_network_analytics")
    assert done.reasons == {1: "out_of_range"}
    assert f"{1 << 62} * 100" in done.rejects[0]["detail"]
    assert [row["bytes"] for row in done.rows] == [6000, largest]
