"""Real flow logs, if KTRANS_SAMPLES names a folder of them, against what other tools made of them.

The folder holds `aws/<project>/...`; expected values come from the files beside the logs.
"""

import json
import os
import re
from datetime import UTC, datetime
from pathlib import Path

import pytest

from ktrans.api import BytesPayload, Context, RejectError, Split
from ktrans.decoders.auto import AutoDecoder, AutoDecoderConfig
from ktrans.decoders.carriers.decoder import CarrierDecoder
from ktrans.registry.catalogue import Catalogue

FOLDER = os.environ.get("KTRANS_SAMPLES")
pytestmark = pytest.mark.skipif(not FOLDER, reason="KTRANS_SAMPLES names no folder")

# file name: rows, rejects
COUNTS = {
    "valid_vpc_flow_log.log": (1, 0),
    "valid_vpc_flow_log_multi.log": (2, 0),
    "valid_vpc_flow_log_ecs.log": (1, 0),
    "valid_tgw_flow_log.log": (1, 0),
    "vpc_flow_log_too_few_fields.log": (0, 1),
    "valid_vpc_flow_cw.json": (2, 0),
    "valid_vpc_flow_cw_custom.json": (2, 0),
    "v2-records.log": (5, 0),
    "v3-file.log": (2, 0),
    "v4-file.log": (2, 0),
    "skipdata-millisecond-timestamps.log": (1, 0),
    "flows-pandas-handmade.parquet": (3, 0),
    "test_parquet.parquet": (8, 0),
}
FORMATS = {"valid_vpc_flow_cw_custom.json": "version interface-id srcaddr dstaddr"}
OTEL = {
    "aws.vpc.flow.log.version": "log_version",
    "network.interface.name": "interface_id",
    "aws.eni.id": "interface_id",
    "source.port": "src_port",
    "destination.port": "dst_port",
    "aws.vpc.flow.packets": "packets",
    "aws.vpc.flow.bytes": "bytes",
    "aws.vpc.flow.status": "log_status",
    "source.address": "src_addr",
    "destination.address": "dst_addr",
    "aws.tgw.source.vpc.id": "src_vpc",
    "aws.tgw.destination.vpc.id": "dst_vpc",
    "network.tcp.flags": "tcp_flags",
}


def find(name):
    found = sorted(Path(FOLDER, "aws").rglob(name))
    if not found:
        pytest.skip(f"no {name} among the samples")
    return found[0]


def decode(path):
    config = AutoDecoderConfig(format=FORMATS.get(path.name))
    decoder = CarrierDecoder(AutoDecoder(config, Context(registry=Catalogue())))
    decoder.schema(None)
    payload = BytesPayload(Split(path.name, path.name), path.read_bytes())
    rows, rejects = [], []
    for block in decoder.blocks(payload):
        done = decoder.decode(block)
        rejected = [] if done.rejects is None else done.rejects.to_pylist()
        assert done.records == done.batch.num_rows + len(rejected) + done.skipped
        rows += done.batch.to_pylist()
        rejects += rejected
    return rows, rejects


@pytest.mark.parametrize("name", COUNTS)
def test_every_record_is_a_row_or_a_reject(name):
    rows, rejects = decode(find(name))
    assert (len(rows), len(rejects)) == COUNTS[name]


def test_a_table_without_addresses_is_refused():
    with pytest.raises(RejectError, match="no decoder recognises"):
        decode(find("v6-tgw-file.log"))


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("valid_vpc_flow_log.log", "valid_vpc_flow_log_expected.yaml"),
        ("valid_vpc_flow_log_multi.log", "valid_vpc_flow_log_expected_multi.yaml"),
        ("valid_vpc_flow_log_ecs.log", "valid_vpc_flow_log_ecs_expected.yaml"),
        ("valid_tgw_flow_log.log", "valid_tgw_flow_log_expected.yaml"),
        ("valid_vpc_flow_cw.json", "valid_vpc_flow_cw_expected.yaml"),
        ("valid_vpc_flow_cw_custom.json", "valid_vpc_flow_cw_custom_expected.yaml"),
    ],
)
def test_values_agree_with_opentelemetry(name, expected):
    rows, _ = decode(find(name))
    records = find(expected).read_text().partition("logRecords:")[2].split("- attributes:")[1:]
    assert len(records) == len(rows)
    pair = re.compile(r"key: (\S+)\s+value:\s+\w+Value: \"?([^\"\n]+)\"?")
    for row, record in zip(rows, records, strict=True):
        compared = 0
        for key, value in pair.findall(record):
            if key in OTEL:
                assert str(row[OTEL[key]]) == value, key
                compared += 1
            elif key == "aws.vpc.flow.action":
                assert row["action"] == value.lower()
            elif key == "aws.vpc.flow.start":
                assert row["start_time"] == datetime.fromtimestamp(int(value), UTC)
        assert compared >= 3


def test_values_agree_with_flowlogs_reader():
    known = json.loads(find("expected_from_unit_tests.json").read_text())["test_serial.expected"]
    names = {
        "account_id": "account_id",
        "srcaddr": "src_addr",
        "dstaddr": "dst_addr",
        "srcport": "src_port",
        "dstport": "dst_port",
        "protocol": "protocol",
        "packets": "packets",
        "bytes": "bytes",
        "vpc_id": "vpc_id",
        "subnet_id": "subnet_id",
        "instance_id": "instance_id",
        "tcp_flags": "tcp_flags",
    }
    rows, _ = decode(find("v3-file.log"))
    for row, record in zip(rows, known, strict=False):
        for theirs, ours in names.items():
            if theirs in record:
                assert row[ours] == record[theirs]
        assert row["start_time"] == datetime.fromisoformat(record["start"]).replace(tzinfo=UTC)


def test_values_agree_with_sekoia_on_parquet():
    known = [
        json.loads(text) for text in json.loads(find("test_parquet_expected.json").read_text())
    ]
    rows, _ = decode(find("test_parquet.parquet"))
    # that tool leaves out the last row, a flow between private addresses
    for row, record in zip(rows[:-1], known, strict=True):
        assert (row["src_addr"], row["dst_addr"]) == (record["srcaddr"], record["dstaddr"])
        assert (row["packets"], row["bytes"]) == (record["packets"], record["bytes"])
        assert row["action"] == record["action"].lower()


def test_an_object_as_aws_delivers_it_in_parquet():
    rows, rejects = decode(find("*_vpcflowlogs_*.parquet"))
    assert (len(rows), rejects) == (7, [])
    assert {row["region"] for row in rows} <= {None, "eu-west-3"}
    assert all(row["attrs"] is None for row in rows)


def test_what_is_no_flow_log_is_refused():
    with pytest.raises(RejectError, match="no decoder recognises"):
        decode(find("s3-event-notification-sqs-body.json"))
