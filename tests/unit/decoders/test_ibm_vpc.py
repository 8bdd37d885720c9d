"""IBM Cloud VPC flow logs: one document an object, its header, its key, its broken forms."""

import gzip
import json

import pytest

from ktrans.api import Limits, RejectError, TruncatedError

FLOW = {
    "start_time": "2026-03-01T10:00:00Z",
    "initiator_ip": "10.0.0.1",
    "target_ip": "10.0.0.2",
    "transport_protocol": 6,
    "bytes_from_initiator": 10,
    "bytes_from_target": 20,
    "packets_from_initiator": 1,
    "packets_from_target": 2,
}
KEY = (
    "cos://logs/ibm_vpc_flowlogs_v1/account=acct1/region=eu-de/"
    "vpc-id=crn%3Av1%3Ax%3A%3Avpc%3Ar010-v/subnet-id=0717-s/endpoint-type=vnics/"
    "instance-id=0717_i/vnic-id=0717-n/record-type=all/year=2026/00000001.gz"
)


def document(*flows, **header):
    return json.dumps({"version": "0.0.1", **header, "flow_logs": list(flows)}, indent=1)


def test_58_the_header_goes_with_every_row(run):
    header = {"network_interface_id": "n1", "capture_end_time": "2026-03-01T10:05:00Z"}
    rows = run(document(FLOW, FLOW, **header), "ibm_vpc", limits=Limits(block_bytes=10)).rows
    assert [row["interface_id"] for row in rows] == ["n1", "n1"]
    assert [row["source_pos"] for row in rows] == [1, 2]
    assert {row["logged_at"].minute for row in rows} == {5}


def test_58_both_directions_are_there_and_cumulative_counters_only_as_attributes(run):
    [row] = run(document({**FLOW, "cumulative_bytes_from_target": 900}), "ibm_vpc").rows
    assert (row["bytes"], row["bytes_rev"], row["packets"], row["packets_rev"]) == (10, 20, 1, 2)
    assert dict(row["attrs"])["cumulative_bytes_from_target"] == "900"


@pytest.mark.parametrize(
    ("state", "status"), [("ok", "OK"), ("OK", "OK"), ("skip data", "SKIPDATA")]
)
def test_58_states(run, state, status):
    assert run(document(FLOW, state=state), "ibm_vpc").rows[0]["log_status"] == status


def test_58_times_without_a_zone_and_ends_before_starts_are_kept(run):
    flow = {**FLOW, "start_time": "2026-03-01T10:00:00", "end_time": "2026-03-01T09:00:00"}
    [row] = run(document(flow), "ibm_vpc").rows
    assert row["start_time"].hour == 10
    assert row["end_time"].hour == 9


def test_58_no_flows_no_rows(run):
    for text in (document(), '{"collector_crn":"c"}', '{"flow_logs":null}', ""):
        done = run(text, "ibm_vpc")
        assert done.records == 0


@pytest.mark.parametrize(
    "text", ['{"a":1,}', '{"flow_logs":[{"a":1},]}', "[1]", "text", '{"a":1}}']
)
def test_58_an_invalid_document_is_a_reject(run, text):
    done = run(text, "ibm_vpc")
    assert done.reasons == {1: "bad_json"}
    assert done.rejects[0]["raw"] == text.encode()


def test_the_key_says_what_the_header_leaves_out(run):
    [row] = run(document(FLOW), "ibm_vpc", uri=KEY).rows
    assert (row["account_id"], row["region"], row["subnet_id"]) == ("acct1", "eu-de", "0717-s")
    assert (row["interface_id"], row["instance_id"]) == ("0717-n", "0717_i")
    assert row["vpc_id"] == "crn:v1:x::vpc:r010-v"
    assert (
        run(document(FLOW, network_interface_id="own"), "ibm_vpc", uri=KEY).rows[0]["interface_id"]
        == "own"
    )


def test_account_and_region_are_in_the_crn_too(run):
    crn = "crn:v1:bluemix:public:is:us-east:a/abc::vpc:r1"
    [row] = run(document(FLOW, vpc_crn=crn), "ibm_vpc").rows
    assert (row["account_id"], row["region"], row["vpc_id"]) == ("abc", "us-east", crn)


@pytest.mark.parametrize(
    ("began", "ended", "state"),
    [(True, False, "begin"), (False, False, "continue"), (False, True, "end"), (True, True, "end")],
)
def test_where_in_its_life_a_flow_is(run, began, ended, state):
    flow = {**FLOW, "was_initiated": began, "was_terminated": ended}
    assert run(document(flow), "ibm_vpc").rows[0]["flow_state"] == state


def test_68_a_document_beyond_all_bounds_is_refused(run):
    limits = Limits(max_line_bytes=100, block_bytes=100)
    with pytest.raises(RejectError, match="more than 6400 bytes"):
        run(document(*[FLOW] * 100), "ibm_vpc", limits=limits)


def test_a_rejected_flow_is_read_again_with_its_header(run, make, collect, payload):
    done = run(document({**FLOW, "target_ip": "10.0.0.300"}, state="ok"), "ibm_vpc", uri=KEY)
    [reject] = done.rejects
    fixed = reject["raw"].replace(b".300", b".3")
    decoder = make("ibm_vpc")
    [row] = collect(decoder, decoder.replay(payload("r", fixed), reject["layout"])).rows
    assert (row["dst_addr"], row["region"], row["log_status"]) == ("10.0.0.3", "eu-de", "OK")


def test_58_skipped_data_without_flows_is_a_row_of_its_own(run):
    window = {
        "capture_start_time": "2026-03-01T10:00:00Z",
        "capture_end_time": "2026-03-01T10:05:00Z",
    }
    for flows in ([], None):
        text = json.dumps(
            {"state": "skip data", "network_interface_id": "n1", **window, "flow_logs": flows}
        )
        [row] = run(text, "ibm_vpc").rows
        assert (row["log_status"], row["interface_id"]) == ("SKIPDATA", "n1")
        assert (row["start_time"].minute, row["end_time"].minute) == (0, 5)
        assert row["src_addr"] is row["bytes"] is row["flow_state"] is None


def test_a_document_of_another_kind_is_refused(run):
    limits = Limits(max_line_bytes=10)
    done = run('{"version":"0.0.1"}', "ibm_vpc", limits=limits)
    assert done.reasons == {1: "no_flow_fields"}
    assert done.rejects[0]["raw"] == b'{"version"'
    assert done.rejects[0]["detail"].endswith("its first 10 bytes are kept")


def test_where_in_its_life_a_flow_is_does_not_depend_on_its_neighbours(run):
    told = {**FLOW, "was_initiated": True, "was_terminated": False}
    nulls = {**FLOW, "was_initiated": None, "was_terminated": None}
    ended = {**FLOW, "was_terminated": True}
    rows = run(document(told, FLOW, nulls, ended), "ibm_vpc").rows
    assert [row["flow_state"] for row in rows] == ["begin", None, None, "end"]
    assert run(document(ended), "ibm_vpc").rows[0]["flow_state"] == "end"


ENDS = [{"initiator_ip": f"10.0.0.{n}", "target_ip": "10.1.0.1"} for n in range(1, 4)]
FLOWS = [{**ends, "start_time": "2026-03-01T10:00:00Z"} for ends in ENDS]


def damaged(*flows, head='"network_interface_id":"nic-1","collector_crn":"c"', tail='"number":1'):
    rows = ",".join(flow if isinstance(flow, str) else json.dumps(flow) for flow in flows)
    return f'{{{head},"flow_logs":[{rows}],{tail}}}'


@pytest.mark.parametrize(
    "bad", ['{"initiator_ip":', '{"initiator_ip" "x"}', "oops", '{"a":"\x01"}']
)
def test_good_flows_beside_a_damaged_one_are_kept(run, bad):
    done = run(damaged(FLOWS[0], bad, FLOWS[1], FLOWS[2]), "ibm_vpc")
    assert [row["src_addr"] for row in done.rows] == ["10.0.0.1", "10.0.0.2", "10.0.0.3"]
    assert {row["interface_id"] for row in done.rows} == {"nic-1"}
    assert done.reasons == {2: "bad_json"}
    assert done.positions == [1, 3, 4]


def test_flows_before_the_place_where_a_document_breaks_off_are_kept(run):
    whole = damaged(*FLOWS)
    data = whole[: whole.index("10.0.0.3")]
    done = run(data, "ibm_vpc")
    assert [row["src_addr"] for row in done.rows] == ["10.0.0.1", "10.0.0.2"]
    assert done.reasons == {3: "bad_json"}
    packed = gzip.compress(whole.encode() + b" " * 10, mtime=0)[:-6]
    done = run(packed, "ibm_vpc")
    assert (len(done.rows), done.reasons) == (3, {4: "truncated"})
    with pytest.raises(TruncatedError):
        run(packed, "ibm_vpc", final=False)


def test_a_damaged_member_behind_the_flows_is_refused_alone(run):
    done = run(damaged(*FLOWS, tail='"number":'), "ibm_vpc")
    assert (len(done.rows), done.reasons) == (3, {4: "bad_json"})


def test_flows_without_what_describes_them_are_refused_with_the_document(run):
    done = run(damaged(*FLOWS, head='"network_interface_id":'), "ibm_vpc")
    assert (done.rows, done.reasons) == ([], {1: "bad_json"})
