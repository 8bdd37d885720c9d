"""What holds for every decoder, on the logs that `generate` makes and on rubbish."""

import json
from dataclasses import replace
from datetime import date

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ktrans_generate.catalogue import LOGS
from ktrans_generate.objects import pieces
from ktrans_generate.source import GenerateSourceConfig

from ktrans.api import (
    BytesPayload,
    Context,
    Limits,
    RejectError,
    Split,
    TruncatedError,
)
from ktrans.decoders.carriers.decoder import CarrierDecoder
from ktrans.flow.schema import FLOW_SCHEMA, NAMES
from ktrans.registry.catalogue import Catalogue
from ktrans.testing.contracts import DecoderContract
from tests.examples import examples

CATALOGUE = Catalogue()
DECODERS = [spec.type for spec in CATALOGUE.specs("decoder")]
MADE = {
    "aws_vpc_v2": "aws_vpc",
    "aws_vpc_v5": "aws_vpc",
    "aws_vpc_v7": "aws_vpc",
    "aws_vpc_v11": "aws_vpc",
    "aws_tgw": "aws_tgw",
    "aws_cloudwatch_envelope": "aws_vpc",
    "azure_nsg_v1": "azure_nsg",
    "azure_nsg_v2": "azure_nsg",
}
"""The decoder of each log that `generate` makes, where the names differ."""
NEEDS_OPTIONS = {
    "flow_json": {"fields": {"src_addr": "a", "dst_addr": "d", "bytes": "b"}},
    "flow_csv": {"fields": {"src_addr": "a", "dst_addr": "d", "bytes": "b"}},
    "flow_kv": {"fields": {"src_addr": "a", "dst_addr": "d", "bytes": "b"}},
}
HEADERLESS = {"aws_cloudwatch_export"}


def log_bytes(log, **options):
    config = GenerateSourceConfig.model_validate(
        {"log": log, "rows": 500, "rows_per_object": 500, "seed": 3, "hosts": 20, **options}
    )
    return b"".join(pieces(config.recipe(), 0))


def make(kind, columns=None, limits=None):
    raw = {"type": kind, **NEEDS_OPTIONS.get(kind, {})}
    context = Context(registry=CATALOGUE, limits=limits or Limits())
    built = CATALOGUE.build("decoder", CATALOGUE.config("decoder", raw), context)
    decoder = CarrierDecoder(built)
    schema = decoder.schema(columns)
    return decoder, schema


def decode(kind, data, columns=None, limits=None):
    """Return all rows as a table, and what was counted."""
    decoder, schema = make(kind, columns, limits)
    payload = BytesPayload(Split("k", "mem://object"), data)
    batches, records, rejects, skipped = [], 0, 0, 0
    for block in decoder.blocks(payload):
        assert block.nbytes >= 0
        decoded = decoder.decode(block)
        again = decoder.decode(block)
        assert again.batch.equals(decoded.batch)
        refused = decoded.rejects.num_rows if decoded.rejects is not None else 0
        assert decoded.records == decoded.batch.num_rows + refused + decoded.skipped
        assert decoded.batch.schema.equals(schema)
        decoded.batch.validate(full=True)
        batches.append(decoded.batch)
        records, rejects, skipped = (
            records + decoded.records,
            rejects + refused,
            skipped + decoded.skipped,
        )
    return pa.Table.from_batches(batches, schema), records, rejects, skipped


LOG_NAMES = sorted(set(LOGS) - HEADERLESS)
logs = pytest.mark.parametrize("log", LOG_NAMES)


class TestDecoders(DecoderContract):
    covers = tuple({MADE.get(name, name) for name in LOG_NAMES})

    @pytest.fixture(autouse=True, params=LOG_NAMES)
    def chosen(self, request):
        self.name = request.param

    def make(self, context):
        kind = MADE.get(self.name, self.name)
        raw = {"type": kind, **NEEDS_OPTIONS.get(kind, {})}
        context = replace(context, registry=CATALOGUE)
        return CarrierDecoder(CATALOGUE.build("decoder", CATALOGUE.config("decoder", raw), context))

    def log(self):
        return log_bytes(self.name, rows=80, rows_per_object=80, bad_ratio=0.05)


ROWS = [
    {"srcaddr": f"10.0.0.{n}", "dstaddr": "192.0.2.1", "port": str(n), "bytes": str(n * 100)}
    for n in range(1, 40)
]
FIELDS = {"src_addr": "srcaddr", "dst_addr": "dstaddr", "dst_port": "port", "bytes": "bytes"}


def lines(rows):
    return "".join(f"{row}\n" for row in rows).encode()


def a_ccn_log():
    ends = "ap-singapore ap-tokyo 12 {n}00 17723664{n:02} 17723664{n:02} ACCEPT OK"
    start = "1 ap-singapore ccn-9k2m4x7q 10.10.0.{n} 10.20.0.6 50100 3306 6"
    rows = [f"{start} {ends}".format(n=n) for n in range(10, 50)]
    return lines([*rows[:20], rows[20].replace("50100", "many"), "not a flow", *rows[21:]])


OTHERS = {
    "auto": ({}, lambda: log_bytes("aws_vpc_v5", rows=80, rows_per_object=80, bad_ratio=0.05)),
    "flow_csv": (
        {"fields": FIELDS},
        lambda: lines(
            ["srcaddr,dstaddr,port,bytes", *(",".join(row.values()) for row in ROWS), "x,y,z,many"]
        ),
    ),
    "flow_kv": (
        {"fields": FIELDS},
        lambda: lines(
            [
                *(" ".join(f"{key}={value}" for key, value in row.items()) for row in ROWS),
                "bytes=many srcaddr=nowhere",
                "no pair",
            ]
        ),
    ),
    "flow_json": (
        {"fields": FIELDS},
        lambda: lines([*map(json.dumps, ROWS), '{"bytes": "many"}', "{not JSON"]),
    ),
    "ktrans": (
        {},
        lambda: lines(
            [
                *(
                    json.dumps({"src_addr": row["srcaddr"], "dst_addr": "::1", "bytes": 7})
                    for row in ROWS
                ),
                '{"start_time": "noon"}',
            ]
        ),
    ),
    "tencent_ccn": ({}, a_ccn_log),
}
"""Decoders of which `generate` makes no log: their options, and a log."""


class TestOtherDecoders(DecoderContract):
    covers = tuple(OTHERS)

    @pytest.fixture(autouse=True, params=OTHERS)
    def chosen(self, request):
        self.name = request.param
        self.options, self.log = OTHERS[self.name]

    def make(self, context):
        config = CATALOGUE.config("decoder", {"type": self.name, **self.options})
        return CATALOGUE.build("decoder", config, replace(context, registry=CATALOGUE))


@logs
def test_a_made_log_decodes_without_a_reject_by_auto_and_by_name(log):
    data = log_bytes(log)
    named, _, rejects, _ = decode(MADE.get(log, log), data)
    assert rejects == 0
    assert 0 < named.num_rows <= 520
    chosen, _, rejects, _ = decode("auto", data)
    assert rejects == 0
    assert chosen.to_pylist() == named.to_pylist()


@logs
def test_bad_records_are_rejected_and_the_good_ones_beside_them_arrive(log):
    clean, *_ = decode(MADE.get(log, log), log_bytes(log))
    mixed, _, rejects, _ = decode(MADE.get(log, log), log_bytes(log, bad_ratio=0.05))
    assert rejects > 0
    assert mixed.num_rows >= clean.num_rows * 0.8


@pytest.mark.parametrize("kind", DECODERS)
def test_the_schema_is_the_flow_schema_before_anything_is_read(kind):
    assert set(NAMES) <= set(make(kind)[1].names)
    some = make(kind, ["bytes", "src_addr", "no_such_column"])[1]
    assert some.names == ["src_addr", "bytes"]
    assert some.field("bytes").type == FLOW_SCHEMA.field("bytes").type


@pytest.mark.parametrize("kind", DECODERS)
@settings(max_examples=examples(25), deadline=None)
@given(
    data=st.one_of(
        st.binary(max_size=300),
        st.text('{}[]":,\n abc0123-', max_size=200).map(str.encode),
        st.binary(max_size=60).map(lambda b: b"\x1f\x8b" + b),
        st.binary(max_size=60).map(lambda b: b"PAR1" + b + b"PAR1"),
    )
)
def test_rubbish_is_rejected_and_never_raises_anything_else(kind, data):
    try:
        _, records, rejects, skipped = decode(kind, data)
    except (RejectError, TruncatedError):
        return
    assert records >= rejects + skipped


@pytest.mark.parametrize("kind", DECODERS)
def test_an_object_of_no_bytes_has_no_rows(kind):
    try:
        table, _, rejects, _ = decode(kind, b"")
    except RejectError:
        return
    assert table.num_rows == 0
    assert rejects == 0


@pytest.mark.parametrize("kind", DECODERS)
def test_options_survive_a_round_trip_and_are_documented(kind):
    raw = {"type": kind, **NEEDS_OPTIONS.get(kind, {})}
    config = CATALOGUE.config("decoder", raw)
    again = CATALOGUE.config("decoder", config.model_dump(mode="json"))
    assert again == config
    for name, field in type(config).model_fields.items():
        assert field.description, name
        assert field.examples, name


@logs
@pytest.mark.parametrize("columns", [None, ["bytes", "packets"]], ids=["all", "few"])
def test_records_far_outside_reason_are_rejects(log, columns):
    data = log_bytes(log, rows=40, rows_per_object=40)
    whole, *_ = decode(MADE.get(log, log), data, columns)
    assert whole.num_rows > 0
    for limits in (Limits(latest_time=date(2001, 1, 1)), Limits(earliest_time=date(2099, 1, 1))):
        none, records, rejects, skipped = decode(MADE.get(log, log), data, columns, limits)
        assert none.num_rows == 0
        assert records == rejects + skipped
        assert rejects >= whole.num_rows


PHANTOMS = [
    {"time": "2026-11-20T10:00:01Z", "level": "info", "msg": "Starting", "subsys": "hubble"},
    {"Datetime": "2026-11-20T10:00:00Z", "SampleInterval": 100, "Action": "block"},
    {"ts": 1772359200, "start_time": 1772359200, "start": "1772359200", "bytes": 7, "packets": 1},
    {"timestamp": "2026-11-20T10:00:00Z", "jsonPayload": {"bytes_sent": "9", "reporter": "SRC"}},
    {"time_flow_start_ns": 1772359200000000000, "bytes": 5, "packets": 5, "proto": "TCP"},
    {"data": {"startTime": 1772359200, "packets": 1, "bytesOut": 4, "sourcePort": 80}},
    {"event": {"event_type": "netflow", "netflow": {"pkts": 1, "bytes": 2}}, "src_port": 1},
    {"flow": {"time": "2026-11-20T10:00:01Z", "verdict": "DROPPED", "l4": {"TCP": {}}}},
    {"time": 1772359200000, "traffic": {"bytes": 1, "packets": 1}, "class_uid": 4001},
    {"category": "FlowLogFlowEvent", "time": "2026-11-20T10:00:01Z"},
    {"foo": 1},
]


@pytest.mark.parametrize("kind", DECODERS)
@pytest.mark.parametrize("one_address", ["", "10.0.0.1"])
def test_records_without_both_addresses_are_never_rows(kind, one_address):
    sources = ("src_addr", "srcaddr", "a", "IPSourceAddress", "id.orig_h", "sourceAddress")
    ends = dict.fromkeys(sources, one_address) if one_address else {}
    data = "".join(json.dumps({**ends, **record}) + "\n" for record in PHANTOMS).encode()
    try:
        table, records, rejects, skipped = decode(kind, data)
    except RejectError:
        return
    assert table.num_rows == 0
    assert records == rejects + skipped > 0
