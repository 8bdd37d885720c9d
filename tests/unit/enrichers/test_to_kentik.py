"""Flow rows as records of KTranslate: its names and units, and back again."""

import datetime as dt
import json

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ktrans.api import BytesPayload, Context, Split
from ktrans.enrichers.to_kentik import ToKentikEnricher, ToKentikEnricherConfig
from ktrans.flow.schema import FLOW_SCHEMA
from ktrans.formats.jsonl import JsonlFormat, JsonlFormatConfig
from ktrans.registry.catalogue import Catalogue
from tests.examples import examples

T0 = dt.datetime(2026, 3, 1, 12, tzinfo=dt.UTC)
ROW = {
    "provider": "aws",
    "log_type": "aws.vpc",
    "log_version": 5,
    "start_time": T0,
    "end_time": T0 + dt.timedelta(seconds=59.5),
    "src_addr": "10.0.0.1",
    "dst_addr": "2001:db8::9",
    "src_port": 40000,
    "dst_port": 443,
    "protocol": 6,
    "ip_version": 6,
    "packets": 3,
    "bytes": 500,
    "tcp_flags": 19,
    "direction": "ingress",
    "reporter": "destination",
    "action": "reject",
    "log_status": "OK",
    "account_id": "012345678901",
    "vpc_id": "vpc-1",
    "subnet_id": "subnet-1",
    "rtt_us": 12_999,
    "attrs": [("traffic-path", "1")],
}


def batch(*rows):
    return pa.RecordBatch.from_pylist(list(rows), schema=FLOW_SCHEMA)


def records(*rows, **options):
    """Return the records that the enricher makes, as the JSON that is written."""
    given_rows = batch(*rows)
    enricher = ToKentikEnricher(ToKentikEnricherConfig(**options))
    schema = enricher.bind(given_rows.schema)
    out = enricher.apply(given_rows)
    out.validate(full=True)
    assert out.schema.equals(schema, check_metadata=True)
    texts = JsonlFormat(JsonlFormatConfig())
    texts.bind(out.schema)
    return [json.loads(line) for text in texts.texts(out) for line in text.to_pylist()]


def test_a_record_as_the_input_for_aws_makes_it():
    [record] = records(ROW)
    assert record == {
        "timestamp": int(T0.timestamp()),
        "in_bytes": 500,
        "in_pkts": 3,
        "dst_addr": "2001:db8::9",
        "src_addr": "10.0.0.1",
        "l4_dst_port": 443,
        "l4_src_port": 40000,
        "protocol": "TCP",
        "tcp_flags": 19,
        "out_bytes": 0,
        "out_pkts": 0,
        "sample_rate": 1,
        "device_name": "vpc-1",
        "custom_str": {
            "traffic-path": "1",
            "action": "REJECT",
            "status": "OK",
            "flow_direction": "ingress",
            "reporter": "DEST",
            "account_id": "012345678901",
            "dest_vpc": "vpc-1",
            "dest_subnet": "subnet-1",
            "type": "aws.vpc",
        },
        "custom_bigint": {
            "start_time": int(T0.timestamp()),
            "end_time": int(T0.timestamp()) + 59,
            "rtt_msec": 12,
            "version": 5,
            "ip_version": 6,
        },
        "eventType": "KFlow",
        "provider": "kentik-vpc",
    }


def test_a_flat_record_has_the_same_fields_at_the_top():
    [nested], [flat] = records(ROW), records(ROW, flat=True)
    inner = {**nested.pop("custom_str"), **nested.pop("custom_bigint")}
    del inner["traffic-path"]
    assert flat == {**nested, **inner}


def test_on_the_way_out_the_other_counters_and_the_other_side():
    [record] = records({**ROW, "direction": "egress", "reporter": "source"})
    assert (record["in_bytes"], record["out_bytes"]) == (0, 500)
    assert (record["in_pkts"], record["out_pkts"]) == (0, 3)
    assert record["custom_str"]["source_vpc"] == "vpc-1"
    assert "dest_vpc" not in record["custom_str"]


@pytest.mark.parametrize("direction", ["egress", "ingress", None])
def test_both_ways_are_both_counters(direction):
    [record] = records({**ROW, "direction": direction, "bytes_rev": 7, "packets_rev": 1})
    assert (record["in_bytes"], record["out_bytes"]) == (500, 7)
    assert (record["in_pkts"], record["out_pkts"]) == (3, 1)


@pytest.mark.parametrize(
    ("number", "name"), [(6, "TCP"), (58, "IPv6-ICMP"), (47, "GRE"), (89, "OSPFIGP"), (200, None)]
)
def test_protocols_have_the_names_of_ktranslate(number, name):
    [record] = records({**ROW, "protocol": number})
    assert record.get("protocol") == name


def test_options():
    row = {**ROW, "provider": "goflow2", "region": "US"}
    [record] = records(row, sample_rate=1000, extra={"src_geo": "region"}, keep=["account_id"])
    assert record["sample_rate"] == 1000
    assert record["src_geo"] == "US"
    assert record["account_id"] == "012345678901"
    assert record["provider"] == "kentik-flow-device"


ADDRESS = st.sampled_from(["10.0.0.1", "192.0.2.9", "2001:db8::1"])
TEXTS = st.sampled_from([None, "a", 'q"\\\n', "é"])
COUNT = st.one_of(st.none(), st.integers(0, 1 << 62))
ROWS = st.fixed_dictionaries(
    {
        "src_addr": ADDRESS,
        "dst_addr": ADDRESS,
        "src_port": st.integers(0, 65535),
        "dst_port": st.integers(0, 65535),
        "protocol": st.sampled_from([6, 17]),
        "bytes": st.integers(1, 1 << 62),
        "packets": st.integers(1, 1 << 40),
        "tcp_flags": st.integers(0, 255),
        "direction": st.sampled_from([None, "ingress", "egress"]),
        "action": st.sampled_from([None, "accept", "reject"]),
        "reporter": st.sampled_from(["source", "destination"]),
        "start_time": st.just(T0),
        "end_time": st.sampled_from([None, T0]),
        "account_id": TEXTS,
        "src_vpc": TEXTS,
        "dst_service": TEXTS,
        "log_status": st.just("OK"),
    }
)


@pytest.mark.parametrize("flat", [False, True])
def test_the_decoder_reads_back_what_was_written(flat):
    catalogue = Catalogue()
    decoder = catalogue.build(
        "decoder", catalogue.config("decoder", {"type": "ktranslate"}), Context(registry=catalogue)
    )
    decoder.schema(None)

    @settings(max_examples=examples(40), deadline=None)
    @given(st.lists(ROWS, min_size=1, max_size=5))
    def holds(rows):
        data = json.dumps(records(*rows, flat=flat)).encode()
        back = []
        for block in decoder.blocks(BytesPayload(Split("a", "a"), data)):
            back += decoder.decode(block).batch.to_pylist()
        assert [{name: row[name] for name in rows[0]} for row in back] == rows

    holds()
