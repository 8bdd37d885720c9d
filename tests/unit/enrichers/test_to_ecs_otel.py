"""Flow rows as Elastic Common Schema documents and as OpenTelemetry log records."""

from __future__ import annotations

import datetime as dt

import pyarrow as pa
import pytest

from ktrans.enrichers.to_ecs import ToEcsEnricher, ToEcsEnricherConfig
from ktrans.enrichers.to_otel import ToOtelEnricher, ToOtelEnricherConfig
from ktrans.flow.maps import extended, map_value
from ktrans.flow.schema import ATTRS, FLOW_SCHEMA, NAMES, TEXT
from ktrans.flow.target_schemas import TARGETS, attributes_from

T0 = dt.datetime(2026, 3, 1, 12, tzinfo=dt.UTC)
ROW = {
    "provider": "aws",
    "log_type": "aws.vpc",
    "log_version": 5,
    "start_time": T0,
    "end_time": T0 + dt.timedelta(seconds=60),
    "src_addr": "10.0.0.1",
    "dst_addr": "2001:db8::9",
    "src_port": 40000,
    "dst_port": 443,
    "protocol": 6,
    "ip_version": 6,
    "packets": 3,
    "bytes": 500,
    "direction": "ingress",
    "reporter": "destination",
    "action": "reject",
    "log_status": "OK",
    "account_id": "012345678901",
    "interface_id": "eni-1",
    "attrs": [("a.b", "1")],
    "source_uri": "mem://a",
    "source_pos": 1,
}


def reshape(kind, config, *rows, **options):
    given = pa.RecordBatch.from_pylist(list(rows), schema=FLOW_SCHEMA)
    enricher = kind(config(**options))
    schema = enricher.bind(given.schema)
    out = enricher.apply(given)
    out.validate(full=True)
    assert out.schema.equals(schema, check_metadata=True)
    return out.to_pylist()


def ecs(*rows, **options):
    return reshape(ToEcsEnricher, ToEcsEnricherConfig, *rows, **options)


def otel(*rows, **options):
    return reshape(ToOtelEnricher, ToOtelEnricherConfig, *rows, **options)


def test_ecs_document():
    [doc] = ecs(ROW)
    assert doc["@timestamp"] == ROW["end_time"]
    event = doc["event"]
    assert (event["kind"], event["category"]) == ("event", ["network"])
    assert (event["type"], event["outcome"]) == (["connection", "denied"], "failure")
    assert event["duration"] == 60_000_000_000
    assert doc["source"]["bytes"] == 500
    assert doc["destination"]["bytes"] is None
    assert doc["network"]["bytes"] is None
    assert (doc["network"]["transport"], doc["network"]["iana_number"]) == ("tcp", "6")
    assert doc["network"]["type"] == "ipv6"
    assert doc["observer"]["ingress"]["interface"]["id"] == "eni-1"
    assert doc["observer"]["egress"] is None
    assert doc["cloud"]["account"] == {"id": "012345678901"}
    assert doc["related"]["ip"] == ["10.0.0.1", "2001:db8::9"]
    labels = dict(doc["labels"])
    assert labels["a_b"] == "1"
    assert labels["log_version"] == "5"
    assert doc["rule"] is None


def test_ecs_addresses_behind_nat_and_totals_of_both_directions():
    [doc] = ecs({**ROW, "src_pkt_addr": "10.7.7.7", "bytes_rev": 20, "packets_rev": 1})
    assert doc["source"]["ip"] == "10.7.7.7"
    assert doc["source"]["nat"] == {"ip": "10.0.0.1"}
    assert doc["related"]["ip"] == ["10.0.0.1", "2001:db8::9", "10.7.7.7"]
    assert (doc["network"]["bytes"], doc["destination"]["packets"]) == (520, 1)


def test_ecs_related_addresses_hold_each_once_whatever_the_order():
    rows = [
        {**ROW, "src_addr": "a", "dst_addr": "b", "src_pkt_addr": "b", "dst_pkt_addr": "a"},
        {**ROW, "src_addr": None, "dst_addr": "b", "src_pkt_addr": "b", "dst_pkt_addr": None},
        {**ROW, "src_addr": "c", "dst_addr": "c", "src_pkt_addr": None, "dst_pkt_addr": "d"},
    ]
    assert [doc["related"]["ip"] for doc in ecs(*rows)] == [["a", "b"], ["b"], ["c", "d"]]


def test_ecs_times_the_wrong_way_round_lasted_no_time():
    [doc] = ecs({**ROW, "end_time": T0 - dt.timedelta(seconds=1)})
    assert doc["event"]["duration"] == 0


def test_ecs_parts_can_be_left_out_and_lineage_added():
    [doc] = ecs(ROW, parts=["lineage"])
    assert "labels" not in doc
    assert "related" not in doc
    assert doc["log"]["file"]["path"] == "mem://a"


def test_otel_record_of_aws():
    [log] = otel({**ROW, "dst_pkt_addr": "2001:db8::77"})
    assert log["timeUnixNano"] == int(T0.timestamp()) * 1_000_000_000
    assert log["severityNumber"] == 9
    assert log["body"] == [("a.b", "1")]
    assert log["resource"]["cloud.provider"] == "aws"
    attributes = log["attributes"]
    assert attributes["source.address"] == "10.0.0.1"
    assert attributes["destination.address"] == "2001:db8::77"
    assert attributes["network.local.address"] == "2001:db8::9"
    assert attributes["network.io.direction"] == "receive"
    assert attributes["aws.vpc.flow.action"] == "REJECT"
    assert attributes["aws.vpc.flow.start"] == int(T0.timestamp())
    assert attributes["flow.bytes"] == 500
    assert attributes["gcp.vpc.flow.bytes_sent"] is None


def test_otel_vendor_attributes_are_those_of_the_rows_own_cloud():
    gcp = {**ROW, "provider": "gcp", "log_type": "gcp.vpc", "rtt_us": 12_500}
    first, second = (log["attributes"] for log in otel(gcp, ROW, parts=["vendor"]))
    assert first["gcp.vpc.flow.reporter"] == "DEST"
    assert first["gcp.vpc.flow.network.rtt_ms"] == 12
    assert first["aws.vpc.flow.bytes"] is None
    assert second["aws.vpc.flow.bytes"] == 500
    assert second["gcp.vpc.flow.bytes_sent"] is None
    assert "flow.bytes" not in first


def test_otel_extra_attributes_keep_their_dots():
    [log] = otel(ROW, extra={"source.geo.country": "region"})
    assert log["attributes"]["source.geo.country"] is None


@pytest.mark.parametrize("target", TARGETS)
def test_every_flow_column_has_a_home_in_every_target(target):
    aside = {"source_pos"}
    if target in ("OCSF", "KTranslate"):
        aside.add("source_uri")
    homeless = {name for name in NAMES if not attributes_from(name)[target]} - aside
    assert not homeless


def test_maps_are_searched_and_extended_row_by_row():
    maps = pa.array([None, [("k", "1")], [], [("x", "2"), ("k", None)]], ATTRS)
    for part in (maps, pa.concat_arrays([maps, maps]).slice(4)):
        rows, values = map_value(part, "k")
        assert (rows.tolist(), values.to_pylist()) == ([1, 3], ["1", None])
        more = pa.array(["m", None, None, "n"], TEXT)
        assert extended(part, [("new", more)]).to_pylist() == [
            [("new", "m")],
            [("k", "1")],
            None,
            [("x", "2"), ("k", None), ("new", "n")],
        ]
