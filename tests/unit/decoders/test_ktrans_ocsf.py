"""Rows read back: ktrans's own files, and OCSF Network Activity as Security Lake has it."""

from __future__ import annotations

import contextlib
import io
import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ktrans_generate.source import GenerateSource, GenerateSourceConfig

from ktrans.api import Budget, BytesPayload, Context, Head, Limits, RejectError, Split
from ktrans.api.errors import TruncatedError
from ktrans.decoders.auto import AutoDecoder, AutoDecoderConfig
from ktrans.decoders.logs import ktrans, ocsf
from ktrans.decoders.logs.aws_vpc import LOG as AWS_VPC
from ktrans.enrichers.to_ocsf import ToOcsfEnricher, ToOcsfEnricherConfig
from ktrans.flow.schema import FLOW_SCHEMA, NAMES, TEXT
from ktrans.formats.jsonl import JsonlFormat, JsonlFormatConfig
from ktrans.formats.parquet import ParquetFormat, ParquetFormatConfig
from ktrans.registry.catalogue import Catalogue
from tests.examples import examples

BUILT = {
    "ktrans": (ktrans.LOG.decoder, ktrans.LOG.config),
    "ocsf": (ocsf.LOG.decoder, ocsf.LOG.config),
    "auto": (AutoDecoder, AutoDecoderConfig),
    "aws_vpc": (AWS_VPC.decoder, AWS_VPC.config),
}
LAKE = {
    "metadata": {
        "product": {"version": "5", "name": "Amazon VPC", "vendor_name": "AWS"},
        "profiles": ["cloud", "security_control"],
        "version": "1.1.0",
    },
    "cloud": {
        "account": {"uid": "012345678901"},
        "region": "eu-west-1",
        "zone": "euw1-az1",
        "provider": "AWS",
    },
    "src_endpoint": {"port": 443, "svc_name": "-", "ip": "192.0.2.7"},
    "dst_endpoint": {
        "port": 40000,
        "svc_name": "S3",
        "ip": "10.0.0.9",
        "interface_uid": "eni-1",
        "vpc_uid": "vpc-1",
        "instance_uid": "i-1",
        "subnet_uid": "subnet-1",
    },
    "connection_info": {
        "protocol_num": 6,
        "tcp_flags": 18,
        "protocol_ver": "IPv4",
        "boundary_id": 99,
        "direction_id": 1,
        "direction": "Inbound",
    },
    "traffic": {"packets": 12, "bytes": 3000},
    "time": 1700000000000,
    "start_time": 1700000000000,
    "end_time": 1700000060000,
    "status_code": "OK",
    "severity_id": 1,
    "class_uid": 4001,
    "category_uid": 4,
    "activity_id": 6,
    "type_uid": 400106,
    "action_id": 1,
    "disposition": "Allowed",
    "unmapped": {"sublocation_id": "-", "reject_reason": "Accepted", "kept": "yes"},
}


class Nothing:
    def recall(self, keys):
        return {}


def decode(decoder, data, columns=None, block_bytes=4 << 20, final=True):
    cls, config = BUILT[decoder]
    context = Context(registry=Catalogue(), limits=Limits(block_bytes=block_bytes))
    built = cls(config(), context)
    schema = built.schema(columns)
    payload = BytesPayload(Split("o", "mem://o"), data)
    payload.final_attempt = final
    batches, rejects, skipped = [], [], 0
    for block in built.blocks(payload):
        done = built.decode(block)
        refused = [] if done.rejects is None else done.rejects.to_pylist()
        assert done.records == done.batch.num_rows + len(refused) + done.skipped
        assert done.batch.schema.names == schema.names
        done.batch.validate(full=True)
        batches.append(done.batch)
        rejects += refused
        skipped += done.skipped
    rows = [row for batch in batches for row in batch.to_pylist()]
    return rows, rejects, skipped


def flows(rows=400, log="aws_vpc_v11"):
    source = GenerateSource(GenerateSourceConfig(log=log, rows=rows))
    [split] = source.plan(None, Nothing(), Budget()).splits
    built = AWS_VPC.decoder(AWS_VPC.config(), Context())
    built.schema(None)
    payload = BytesPayload(Split("a", "s3://bucket/a.log"), source.open(split).open().read())
    return [built.decode(block).batch for block in built.blocks(payload)]


def written(name, batches):
    formats = {
        "parquet": ParquetFormat(ParquetFormatConfig()),
        "jsonl": JsonlFormat(JsonlFormatConfig()),
    }
    made, stream = formats[name], io.BytesIO()
    made.bind(batches[0].schema)
    writer = made.open(stream)
    for batch in batches:
        writer.write(made.encode(batch))
    writer.finish()
    return stream.getvalue()


def plain(rows):
    return [{**row, "attrs": dict(row["attrs"] or [])} for row in rows]


@pytest.mark.parametrize("name", ["parquet", "jsonl"])
@pytest.mark.parametrize("decoder", ["ktrans", "auto"])
def test_own_files_come_back_as_they_were_with_their_lineage(decoder, name):
    batches = flows()
    rows, rejects, _ = decode(decoder, written(name, batches))
    assert not rejects
    expected = plain([row for batch in batches for row in batch.to_pylist()])
    assert plain(rows) == expected
    assert rows[3]["source_uri"] == "s3://bucket/a.log"


@pytest.mark.parametrize("name", ["parquet", "jsonl"])
def test_columns_that_enrichers_added_go_to_attrs_and_missing_ones_are_null(name):
    batch = flows(5)[0].select(["start_time", "src_addr", "dst_addr", "log_type"])
    batch = batch.append_column("site", pa.array(["hq"] * batch.num_rows, TEXT))
    rows, rejects, _ = decode("ktrans", written(name, [batch]))
    assert not rejects
    assert {dict(row["attrs"])["site"] for row in rows} == {"hq"}
    assert rows[0]["source_uri"] == "mem://o"
    assert [row["source_pos"] for row in rows] == list(range(1, len(rows) + 1))
    assert rows[0]["bytes"] is None


@pytest.mark.parametrize("name", ["parquet", "jsonl"])
def test_addresses_that_were_hashed_are_read_back_too(name):
    batch = flows(3)[0]
    hashed = pa.array(["h-1", "h-2", "h-3"][: batch.num_rows], TEXT)
    batch = batch.set_column(batch.schema.get_field_index("src_addr"), "src_addr", hashed)
    rows, rejects, _ = decode("ktrans", written(name, [batch]))
    assert not rejects
    assert [row["src_addr"] for row in rows] == hashed.to_pylist()


@pytest.mark.parametrize("name", ["parquet", "jsonl"])
def test_some_columns_of_own_files_are_those_of_all(name):
    data = written(name, flows())
    whole, _, _ = decode("ktrans", data)
    wanted = ["src_addr", "bytes", "source_pos"]
    slim, _, _ = decode("ktrans", data, columns=wanted)
    assert slim == [{n: row[n] for n in NAMES if n in wanted} for row in whole]


def test_bad_lines_of_own_json_lines_are_rejected_and_the_others_kept():
    data = written("jsonl", flows(4))
    lines = data.decode().splitlines()
    broken = [lines[0], "{no json", '{"bytes":"many","src_addr":"10.0.0.1"}', lines[1]]
    rows, rejects, _ = decode("ktrans", "\n".join(broken).encode())
    assert len(rows) == 2
    assert [reject["source_pos"] for reject in rejects] == [2, 3]


def test_cutting_json_lines_elsewhere_changes_nothing():
    data = written("jsonl", flows(200))
    assert decode("ktrans", data, block_bytes=3000) == decode("ktrans", data)


def test_what_auto_sees():
    assert ktrans.LOG.recognise(Head("o", b"", tuple(NAMES))).score == 100
    assert ktrans.LOG.recognise(Head("o", b"", ("srcaddr", "dstaddr", "log_status"))) is None
    assert ktrans.LOG.recognise(Head("o", b'{"a":1}\n')) is None
    assert ocsf.LOG.recognise(Head("o", json.dumps(LAKE).encode())).score > 90
    assert ocsf.LOG.recognise(Head("o", b'{"class_uid":3002}')) is None


def lake(**changes):
    return json.loads(json.dumps(LAKE)) | changes


def as_parquet(*records):
    table = pa.Table.from_pylist(list(records))
    stream = io.BytesIO()
    pq.write_table(table, stream)
    return stream.getvalue()


def as_lines(*records):
    return "".join(f"{json.dumps(record)}\n" for record in records).encode()


@pytest.mark.parametrize("write", [as_parquet, as_lines])
@pytest.mark.parametrize("decoder", ["ocsf", "auto"])
def test_a_security_lake_record_is_a_flow(decoder, write):
    [row], rejects, _ = decode(decoder, write(LAKE))
    assert not rejects
    assert (row["provider"], row["log_type"], row["log_version"]) == ("aws", "aws.vpc", 5)
    assert (row["src_addr"], row["src_port"], row["dst_port"]) == ("192.0.2.7", 443, 40000)
    assert (row["packets"], row["bytes"], row["bytes_rev"]) == (12, 3000, None)
    assert (row["direction"], row["reporter"], row["action"]) == (
        "ingress",
        "destination",
        "accept",
    )
    assert (row["interface_id"], row["vpc_id"], row["subnet_id"]) == ("eni-1", "vpc-1", "subnet-1")
    assert (row["account_id"], row["zone"]) == ("012345678901", "euw1-az1")
    assert row["start_time"].timestamp() == 1_700_000_000
    assert (row["ip_version"], row["tcp_flags"], row["log_status"]) == (4, 18, "OK")
    assert row["source_uri"] == "mem://o"


def test_dashes_and_accepted_say_nothing():
    [row], _, _ = decode("ocsf", as_lines(LAKE))
    assert (row["src_service"], row["dst_service"]) == (None, "S3")
    assert row["action_reason"] is None
    attrs = dict(row["attrs"])
    assert attrs["unmapped.kept"] == "yes"
    assert "unmapped.sublocation_id" not in attrs


def test_doubles_and_lists_of_pairs_as_pandas_writes_them():
    odd = lake(unmapped=[["kept", "yes"], ["reject_reason", "BPA"]])
    odd["src_endpoint"]["port"] = 443.0
    odd["traffic"] = {"packets": 12.0, "bytes": 3000.0}
    odd["connection_info"]["protocol_num"] = 6.0
    [row], rejects, _ = decode("ocsf", as_parquet(odd))
    assert not rejects
    assert (row["src_port"], row["bytes"], row["protocol"]) == (443, 3000, 6)
    assert row["action_reason"] == "BPA"
    assert dict(row["attrs"])["unmapped.kept"] == "yes"


@pytest.mark.parametrize("write", [as_parquet, as_lines])
def test_records_of_other_classes_are_skipped(write):
    rows, rejects, skipped = decode("ocsf", write(LAKE, lake(class_uid=4003), LAKE))
    assert (len(rows), len(rejects), skipped) == (2, 0, 1)
    assert [row["source_pos"] for row in rows] == [1, 3]


@pytest.mark.parametrize("write", [as_parquet, as_lines])
def test_records_with_impossible_values_are_rejected(write):
    bad = lake()
    bad["src_endpoint"]["ip"] = "10.0.0.300"
    rows, rejects, _ = decode("ocsf", write(LAKE, bad))
    assert len(rows) == 1
    assert [(reject["source_pos"], reject["reason"]) for reject in rejects] == [(2, "bad_address")]
    again, _, _ = decode("ocsf", rejects[0]["raw"].replace(b"10.0.0.300", b"10.0.0.30"))
    assert again[0]["src_addr"] == "10.0.0.30"


@pytest.mark.parametrize("name", ["parquet", "jsonl"])
def test_what_to_ocsf_wrote_is_read_back(name):
    batches = flows(300, "aws_vpc_v5")
    enricher = ToOcsfEnricher(ToOcsfEnricherConfig())
    enricher.bind(FLOW_SCHEMA)
    records = [enricher.apply(batch) for batch in batches]
    rows, rejects, _ = decode("ocsf", written(name, records))
    assert not rejects
    given = [row for batch in batches for row in batch.to_pylist() if row["src_addr"]]
    same = [
        "provider",
        "log_type",
        "log_version",
        "src_addr",
        "dst_addr",
        "src_port",
        "dst_port",
        "protocol",
        "ip_version",
        "packets",
        "bytes",
        "tcp_flags",
        "direction",
        "reporter",
        "action",
        "action_reason",
        "log_status",
        "account_id",
        "region",
        "zone",
        "vpc_id",
        "subnet_id",
        "interface_id",
        "instance_id",
        "start_time",
        "end_time",
        "src_service",
    ]
    assert len(rows) == len(given)
    for read, row in zip(rows, given, strict=True):
        assert {n: read[n] for n in same} == {n: row[n] for n in same}
        moved = row["src_pkt_addr"] if row["src_pkt_addr"] != row["src_addr"] else None
        assert read["src_pkt_addr"] == moved


def test_a_parquet_file_of_something_else_is_refused_and_a_torn_one_tried_again():
    stream = io.BytesIO()
    pq.write_table(pa.table({"a": [1]}), stream)
    for decoder in ("ktrans", "ocsf"):
        with pytest.raises(RejectError, match="without the addresses and times"):
            decode(decoder, stream.getvalue())
        with pytest.raises(TruncatedError):
            decode(decoder, as_parquet(LAKE)[:-4], final=False)
        with pytest.raises(RejectError):
            decode(decoder, as_parquet(LAKE)[:-4])


@pytest.mark.parametrize("decoder", ["ktrans", "ocsf"])
@settings(max_examples=examples(30), deadline=None)
@given(junk=st.binary(max_size=300), small=st.booleans(), parquet=st.booleans())
def test_any_bytes_give_rows_or_rejects(decoder, junk, small, parquet):
    data = (b"PAR1" + junk) if parquet else as_lines(LAKE) + junk
    with contextlib.suppress(RejectError):
        decode(decoder, data, block_bytes=64 if small else 1 << 20)
