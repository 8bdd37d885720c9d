"""The collector goflow2: nanoseconds, names of protocols, counters as they are."""

import json

import pytest

FLOW = {
    "time_flow_start_ns": 1772359200123456789,
    "src_addr": "10.0.0.1",
    "dst_addr": "192.0.2.1",
    "sampler_address": "x",
}


def one(run, **more):
    [row] = run(json.dumps({**FLOW, **more}), "goflow2").rows
    return row


def test_times_are_nanoseconds_and_0_is_none(run):
    row = one(run, time_flow_end_ns=0, time_received_ns="1772359201000000000")
    assert row["start_time"].microsecond == 123456
    assert row["end_time"] is None
    assert row["logged_at"].timestamp() == 1772359201


@pytest.mark.parametrize(
    "times",
    [
        {"time_flow_start": 1772359200, "time_flow_start_ms": 1772359200123},
        {"TimeFlowStart": 1772359200, "TimeFlowStartMs": 1772359200123},
        {"time_flow_start_ms": 1772359200000, "time_flow_start_ns": 1772359200123000000},
        {"TimeFlowStartMs": "1772359200000", "TimeFlowStartNs": "1772359200123000000"},
        {"TimeFlowStartMs": 1772359200123, "TimeFlowStartNs": 0},
    ],
)
def test_the_most_exact_time_counts(run, times):
    line = json.dumps({"src_addr": "10.0.0.1", "dst_addr": "10.0.0.2", **times})
    [row] = run(line, "goflow2").rows
    assert (row["start_time"].second, row["start_time"].microsecond) == (0, 123000)
    assert row["attrs"] is None


@pytest.mark.parametrize(
    ("rate", "factor"), [(1000, 1000), ("1000", 1000), (0, 1), (None, 1), (1, 1)]
)
def test_counters_are_multiplied_by_the_rate_if_that_is_wanted(run, rate, factor):
    line = json.dumps({**FLOW, "bytes": 100, "packets": 2, "sampling_rate": rate})
    [row] = run(line, "goflow2", scale=True).rows
    assert (row["bytes"], row["packets"]) == (100 * factor, 2 * factor)
    [some] = run(line, "goflow2", columns=["bytes"], scale=True).rows
    assert some["bytes"] == 100 * factor


def test_scaled_counters_that_are_too_large_are_refused(run):
    line = json.dumps({**FLOW, "bytes": 1 << 62, "sampling_rate": 1000})
    assert run(line, "goflow2", scale=True).reasons == {1: "out_of_range"}


def test_counters_stay_as_they_are_and_the_rate_goes_along(run):
    row = one(run, bytes=100, packets="2", sampling_rate=1000)
    assert (row["bytes"], row["packets"]) == (100, 2)
    assert dict(row["attrs"])["sampling_rate"] == "1000"


@pytest.mark.parametrize(
    ("proto", "number"), [("TCP", 6), (17, 17), ("IPv6-ICMP", 58), ("GRE", 47)]
)
def test_66_protocols(run, proto, number):
    assert one(run, proto=proto)["protocol"] == number


def test_version_1_has_other_names(run):
    old = {"TimeFlowStart": 1772359200, "SrcAddr": "10.0.0.1", "DstAddr": "192.0.2.1", "SrcPort": 9}
    old |= {"Bytes": 5, "Proto": 6}
    [row] = run(json.dumps(old), "goflow2").rows
    assert (row["src_addr"], row["bytes"], row["src_port"]) == ("10.0.0.1", 5, 9)
    assert row["start_time"].timestamp() == 1772359200


def test_frames_that_are_not_ip_are_skipped_by_their_type(run):
    frames = [{"time_flow_start_ns": 1, "src_addr": "", "etype": each} for each in ("ARP", "LLDP")]
    done = run([json.dumps(each) for each in (FLOW, *frames, {**FLOW, "etype": "MPLS"})], "goflow2")
    assert (done.positions, done.reasons) == ([1, 4], {})
    assert done.foreign == {"etype ARP": 1, "etype LLDP": 1}


def attrs(row):
    return dict(row["attrs"] or ())


def test_what_the_exporter_did_not_send_is_not_in_attrs(run):
    """goflow2 writes all fields of its record, whatever the exporter has."""
    nothing = {
        "src_as": 0,
        "next_hop": "0.0.0.0",
        "src_mac": "00:00:00:00:00:00",
        "src_net": "::/0",
    }
    nothing |= {"as_path": [], "bgp_next_hop": "", "vlan_id": 0, "sampling_rate": 0, "in_if": 0}
    nothing |= {"icmp_type": 0, "icmp_code": 0, "layer_stack": [], "ip_tos": 0}
    assert one(run, proto="TCP", dst_port=443, **nothing)["attrs"] is None


def test_autonomous_systems_hops_and_vlans_are_attrs(run):
    sent = {"src_as": 64500, "next_hop": "192.0.2.253", "vlan_id": 7, "as_path": [64500]}
    texts = {"src_as": "64500", "next_hop": "192.0.2.253", "vlan_id": "7", "as_path": "[64500]"}
    assert attrs(one(run, **sent)) == texts


@pytest.mark.parametrize(
    ("sent", "direction", "interface"),
    [
        ({"in_if": 3, "out_if": 4}, None, "3"),
        ({"in_if": 3, "out_if": 4, "flow_direction": 0}, None, "3"),
        ({"in_if": 3, "out_if": 4, "flow_direction": 1}, "egress", "4"),
        ({"InIf": 3, "OutIf": 4, "FlowDirection": 1}, "egress", "4"),
        ({"in_if": 3, "out_if": 0, "flow_direction": 1}, "egress", None),
        ({"in_if": 0, "out_if": 4}, None, None),
    ],
)
def test_the_capture_point_is_the_interface_that_the_flow_was_seen_at(
    run, sent, direction, interface
):
    line = json.dumps({**FLOW, **sent, "sampler_address": "192.0.2.254"})
    [row] = run(line, "goflow2").rows
    assert (row["direction"], row["interface_id"]) == (direction, interface)
    assert row["instance_id"] == "192.0.2.254"
    [alone] = run(line, "goflow2", columns=["interface_id"]).rows
    assert alone["interface_id"] == interface


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        ({"icmp_type": 0, "icmp_code": 0, "dst_port": 0}, {"icmp_type": "0", "icmp_code": "0"}),
        ({"icmp_type": 8, "icmp_code": 0}, {"icmp_type": "8", "icmp_code": "0"}),
        ({"icmp_type": 0, "icmp_code": 0, "dst_port": 2048}, {"dst_port": "2048"}),
    ],
)
def test_types_and_codes_of_icmp_are_kept(run, sent, kept):
    row = one(run, proto="ICMP", **sent)
    assert (row["dst_port"], attrs(row)) == (None, kept)
