"""Oracle Cloud VCN flow logs: wrappers, quality events, times, what other functions add."""

import json

import pytest

EVENT = "com.oraclecloud.vcn.flowlogs.DataEvent"
DATA = {
    "sourceAddress": "10.0.0.1",
    "destinationAddress": "10.0.0.2",
    "startTime": 1772359200,
    "endTime": 1772359260,
    "version": "2",
}


def record(data=None, **more):
    return {"data": {**DATA, **(data or {})}, "type": EVENT, **more}


def test_57_with_and_without_the_wrapper_even_in_one_object(run):
    lines = [record(id="a"), {"logContent": record(id="b")}, {"logContent": record(id="b")}]
    done = run([json.dumps(line) for line in lines], "oci_vcn")
    assert [row["record_id"] for row in done.rows] == ["a", "b", "b"]
    assert {row["src_addr"] for row in done.rows} == {"10.0.0.1"}
    assert [dict(row["attrs"]) for row in done.rows] == [{"type": EVENT}] * 3


@pytest.mark.parametrize(("kind", "status"), [("NoData", "NODATA"), ("SkipData", "SKIPDATA")])
def test_57_quality_events_are_rows_without_a_flow(run, kind, status):
    event = EVENT.replace("DataEvent", f"QualityEvent.{kind}")
    data = {
        "sourceAddress": None,
        "destinationAddress": None,
        "protocol": None,
        "status": None,
        "bytesOut": None,
    }
    [row] = run(json.dumps({**record(data), "type": event}), "oci_vcn").rows
    assert row["log_status"] == status
    assert row["src_addr"] is row["protocol"] is row["bytes"] is row["action"] is None
    assert row["start_time"] is not None


def test_57_version_is_text_and_the_time_is_that_of_the_data(run):
    line = json.dumps({"datetime": 1, "logContent": record(time="2020-01-01T00:00:00Z")})
    [row] = run(line, "oci_vcn").rows
    assert row["log_version"] == 2
    assert row["start_time"].timestamp() == 1772359200
    without = record({"startTime": None}, time="2026-03-01T10:00:00Z")
    assert run(json.dumps(without), "oci_vcn").rows[0]["start_time"].timestamp() == 1772359200


def test_57_what_functions_add_is_kept(run):
    [row] = run(json.dumps(record({"targetSystem": "S"}, extra={"k": [1]})), "oci_vcn").rows
    assert dict(row["attrs"]) == {"data.targetSystem": "S", "extra": '{"k":[1]}', "type": EVENT}


def test_other_logs_in_the_stream_are_skipped_and_counted(run):
    lines = [
        record(),
        {"data": {"message": "x"}, "type": "com.oraclecloud.objectstorage.getobject"},
    ]
    done = run([json.dumps(line) for line in lines], "oci_vcn")
    assert (len(done.rows), done.skipped, done.rejects) == (1, 1, [])
    assert done.foreign == {"type com.oraclecloud.objectstorage.getobject": 1}


def test_17_icmp_has_no_ports(run):
    [row] = run(
        json.dumps(record({"protocol": 1, "sourcePort": 0, "destinationPort": 0})), "oci_vcn"
    ).rows
    assert row["src_port"] is row["dst_port"] is None


@pytest.mark.parametrize("kind", [5, 1.5, True, ["a.b"], {"a.b": "c"}, "flows"])
@pytest.mark.parametrize("columns", [None, ["src_addr", "source_pos"]])
def test_a_type_that_is_no_event_name_is_refused_whatever_stands_beside_it(run, kind, columns):
    lines = [record(), {**record(), "type": kind}, {"logContent": {**record(), "type": kind}}]
    alone = run(json.dumps(lines[1]), "oci_vcn", columns=columns)
    assert alone.reasons == {1: "wrong_type"}
    done = run([json.dumps(line) for line in lines], "oci_vcn", columns=columns)
    assert (done.positions, done.reasons) == ([1], {2: "wrong_type", 3: "wrong_type"})


@pytest.mark.parametrize(
    ("key", "region"),
    [
        ("iad", "us-ashburn-1"),
        ("phx", "us-phoenix-1"),
        ("eu-frankfurt-1", "eu-frankfurt-1"),
        ("xx-new-1", "xx-new-1"),
        ("", None),
    ],
)
def test_short_keys_of_regions_become_their_names(run, key, region):
    line = record(oracle={"vnicocid": f"ocid1.vnic.oc1.{key}.abc"})
    [row] = run(json.dumps(line), "oci_vcn").rows
    assert row["region"] == region
