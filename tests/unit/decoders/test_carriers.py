"""Records inside something else: what carries them changes nothing but what it says itself."""

import base64
import gzip
import io
import json
import zipfile

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from ktrans.api import BytesPayload, Limits, RejectError, Split, TruncatedError
from tests.unit.decoders.carried import CARRIERS, MILLIS, avro, dumps, envelope, lines, parquet
from tests.unit.decoders.conftest import GOOD, build, gather

TGW = (
    "6 TransitGateway 012345678901 tgw-0abc tgw-attach-0a 222222222222 333333333333 vpc-0a vpc-0b "
    "subnet-0a subnet-0b eni-0a eni-0b euc1-az1 euc1-az2 tgw-attach-0b 10.1.1.1 10.2.2.2 3345 80 6 "
    "7 900 1764000000 1764000055 OK IPv4 0 0 0 0 3 eu-central-1 egress - -"
)
VPC = [GOOD.replace("10.0.0.1", f"10.0.0.{number}") for number in range(1, 8)]
GCP = [
    dumps(
        {
            "insertId": f"i{number}",
            "logName": "projects/p/logs/compute.googleapis.com%2Fvpc_flows",
            "timestamp": "2025-11-24T16:01:02Z",
            "jsonPayload": {
                "connection": {"src_ip": f"10.0.0.{number}", "dest_ip": "8.8.8.8", "protocol": 6},
                "bytes_sent": "77",
                "start_time": "2025-11-24T16:01:00Z",
            },
        }
    )
    for number in range(1, 8)
]
AZURE = [
    dumps(
        {
            "records": [
                {
                    "time": "2026-11-20T10:01:00Z",
                    "category": "FlowLogFlowEvent",
                    "flowLogVersion": 4,
                    "flowRecords": {
                        "flows": [
                            {
                                "aclID": "a",
                                "flowGroups": [
                                    {
                                        "rule": "r",
                                        "flowTuples": [
                                            f"1795168860000,10.0.0.{number},52.0.0.1,{port},443,6,O,C,NX,5,500,4,400"
                                            for port in (1, 2)
                                        ],
                                    }
                                ],
                            }
                        ]
                    },
                }
            ]
        }
    )
    for number in range(1, 8)
]
RECORDS = {"aws_vpc": VPC, "gcp_vpc": GCP, "azure_vnet": AZURE}
KEPT = ("src_addr", "dst_addr", "src_port", "bytes", "start_time", "log_type")


def read(data, decoder="aws_vpc", limits=None, **options):
    built = build(decoder, limits=limits, **options)
    return gather(built, built.blocks(BytesPayload(Split("mem://o", "mem://o"), data)))


def kept(result):
    return [{name: row[name] for name in KEPT} for row in result.rows]


@pytest.mark.slow
@pytest.mark.parametrize("block_bytes", [300, 1 << 20])
@pytest.mark.parametrize("chosen", ["named", "auto"])
@pytest.mark.parametrize("log", RECORDS)
@pytest.mark.parametrize("carrier", CARRIERS)
def test_a_carrier_changes_no_row(carrier, log, chosen, block_bytes):
    decoder = log if chosen == "named" else "auto"
    plain = read(CARRIERS["plain"](RECORDS[log]), log)
    result = read(CARRIERS[carrier](RECORDS[log]), decoder, Limits(block_bytes=block_bytes))
    assert kept(result) == kept(plain)
    assert not result.rejects
    assert len(set(result.positions)) == len(result.rows)
    assert result.positions == sorted(result.positions)


@pytest.mark.parametrize(
    "carrier", ["vector", "cloudwatch", "tail", "console", "event hubs", "cri"]
)
def test_the_time_of_the_carrier_is_that_of_logging(carrier):
    [row] = read(CARRIERS[carrier](VPC[:1])).rows
    assert int(row["logged_at"].timestamp()) * 1000 == MILLIS


def test_header_lines_hold_for_the_messages_behind_them():
    head = "srcaddr dstaddr bytes"
    records = [head, *(f"10.0.0.{number} 10.0.1.1 7" for number in range(1, 40))]
    records += [
        "dstaddr srcaddr bytes",
        *(f"10.0.0.{number} 10.0.1.1 7" for number in range(40, 80)),
    ]
    for carrier in ("vector", "cloudwatch", "docker", "tail"):
        result = read(CARRIERS[carrier](records), limits=Limits(block_bytes=200))
        assert len(result.rows) == 79
        assert [row["src_addr"] for row in result.rows[-2:]] == ["10.0.1.1"] * 2
        assert {row["dst_addr"] for row in result.rows[:39]} == {"10.0.1.1"}
        assert result.skipped == 2


def test_a_decoder_is_chosen_for_each_kind_of_record():
    groups = [
        (VPC, "/vpc"),
        ([TGW] * 2, "/tgw"),
        (["START RequestId: 1"], "/lambda"),
        (VPC, "/vpc"),
    ]
    data = "".join(dumps(envelope(records, group)) for records, group in groups).encode()
    result = read(gzip.compress(data), "auto")
    assert [row["log_type"] for row in result.rows].count("aws.tgw") == 2
    assert len(result.rows) == 16
    assert result.reasons == {10: "unknown_format"}
    mixed = lines([{"message": text} for text in [VPC[0], TGW, GCP[0], "foreign", VPC[1]]])
    result = read(mixed, "auto")
    assert {row["source_pos"]: row["log_type"] for row in result.rows} == {
        1: "aws.vpc", 2: "aws.tgw", 3: "gcp.vpc", 5: "aws.vpc",
    }  # fmt: skip
    assert result.reasons == {4: "unknown_format"}


@pytest.mark.parametrize("carrier", ["cloudwatch", "vector", "tail", "event hubs"])
@pytest.mark.parametrize("records", [[TGW, VPC[0], TGW], [AZURE[0], VPC[0]], [GCP[0], VPC[0]]], ids=["tgw", "azure", "gcp"])  # fmt: skip
def test_a_replayed_reject_is_the_row_of_a_right_first_run(carrier, records):
    data = CARRIERS[carrier](records)
    right = {row["source_pos"]: row for row in read(data, "auto").rows}
    rejects = read(data, "aws_vpc").rejects
    assert rejects
    decoder = build("auto")
    raw = [(reject["raw"], reject["carrier"]) for reject in rejects]
    again = gather(decoder, decoder.replay_carried("mem://o", raw, None))
    assert not again.rejects
    for row in again.rows:
        place = rejects[row["source_pos"] - 1]["source_pos"]
        candidates = [r for pos, r in right.items() if r["src_port"] == row["src_port"]]
        assert {**row, "source_pos": 0} in [{**each, "source_pos": 0} for each in candidates]
        assert (
            records[0] == GCP[0] or records[0] == AZURE[0] or right[place]["log_type"] == "aws.tgw"
        )


def test_a_record_with_a_message_of_its_own_is_no_carrier():
    options = {
        "fields": {"src_addr": "source.ip", "dst_addr": "destination.ip", "start_time": "ts"}
    }
    record = {"message": "connection opened", "source": {"ip": "10.0.0.1"}, "destination": {"ip": "10.0.0.2"}, "ts": 1764000060}  # fmt: skip
    [row] = read(lines([record]), "flow_json", **options).rows
    assert (row["src_addr"], row["attrs"]) == ("10.0.0.1", [("message", "connection opened")])


def zipped(name, how=zipfile.ZIP_STORED):
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", how) as file:
        file.writestr(name, "".join(f"{each}\n" for each in VPC))
    return made.getvalue()


def test_damaged_archives_are_rejects():
    moved = bytearray(zipped("a.log"))
    moved[-4] += (
        1  # the directory is said to be 64 KiB further on, so the member begins before byte 0
    )
    lzma = bytearray(zipped("a.log", zipfile.ZIP_LZMA))
    lzma[45:80] = b"\xff" * 35
    for data in (moved, lzma, zipped("é.log").replace("é".encode(), b"\xff\xff", 1)):
        result = read(bytes(data), "auto")
        assert (result.rows, set(result.reasons.values())) == ([], {"corrupt_stream"})
    with pytest.raises(RejectError, match="zip: 'utf-8' codec"):
        read(zipped("é.log").replace("é".encode(), b"\xff\xff"), "auto")
    assert len(read(zipped("Q").replace(b"Q", b"\0"), "auto").rows) == len(VPC)


def test_what_is_packed_in_parts_counts_against_one_limit():
    bomb = gzip.compress(b"x" * (40 << 20))
    part = {"data": base64.b64encode(bomb).decode()}
    with pytest.raises(RejectError, match="times its size"):
        read(json.dumps({"records": [part] * 3}).encode(), limits=Limits(max_inflate_ratio=1))


@pytest.mark.parametrize("cut", [1, 20, 60, 400])
def test_a_container_that_ends_early_keeps_what_is_whole(cut):
    data = avro(VPC, "null")
    result = read(data[:-cut])
    assert len(result.rows) >= 3
    assert list(result.reasons.values()) == ["truncated"]
    built = build("aws_vpc")
    payload = BytesPayload(Split("mem://o", "mem://o"), data[:-cut])
    payload.final_attempt = False
    with pytest.raises(TruncatedError):
        gather(built, built.blocks(payload))


@pytest.mark.parametrize(
    "inner", [b"PK\x03\x04 no archive", b"Obj\x01 no container", parquet({"x": [1]})]
)
def test_a_container_in_a_record_that_cannot_be_read_is_one_reject(inner):
    parts = [
        {"data": base64.b64encode(data).decode()}
        for data in (VPC[0].encode(), inner, VPC[1].encode())
    ]
    result = read(dumps({"records": parts}).encode())
    assert len(result.rows) == 2
    assert list(result.reasons) == [2]


def test_text_of_a_parquet_file_that_is_no_utf8_costs_its_row_alone():
    texts = pa.array([VPC[0].encode(), b"\xff\xfe no flow", VPC[1].encode()])
    out = pa.BufferOutputStream()
    pq.write_table(pa.table({"message": texts.view(pa.string())}), out)
    result = read(out.getvalue().to_pybytes())
    assert len(result.rows) == 2
    assert len(result.rejects) == 1


@pytest.mark.parametrize("block_bytes", [64, 1 << 20])
@pytest.mark.parametrize("carrier", ["plain", "base64 of gzip", "firehose lines", "zip", "utf-16"])
@pytest.mark.parametrize(
    "bad", ["[", "{", " [", "\ufeff{", "[]", "[{", '{"a"', '{"a":1}', "[\n\n{", "}{"]
)
def test_lines_behind_one_that_begins_like_json_are_read(bad, carrier, block_bytes):
    result = read(CARRIERS[carrier]([bad, *VPC]), limits=Limits(block_bytes=block_bytes))
    assert kept(result) == kept(read(CARRIERS["plain"](VPC)))
    assert bool(result.rejects) == (bad != "[]")  # an empty list holds no record


def test_many_lines_behind_one_that_begins_like_json_are_read():
    limits = Limits(block_bytes=1 << 12, max_line_bytes=1 << 10)
    result = read(CARRIERS["plain"](["[", *VPC * 500]), limits=limits)
    assert len(result.rows) == 3500


TEXTS = [VPC[0], "", "START", TGW, GCP[0], AZURE[0], '{"a":1}', "}{", "[", "[]", "\\", '"', "a,b\t|", "ü\u2028"]  # fmt: skip


@settings(deadline=None)
@given(
    carrier=st.sampled_from(sorted(CARRIERS)),
    decoder=st.sampled_from(["aws_vpc", "auto", "gcp_vpc", "azure_vnet", "ibm_vpc", "zeek_conn"]),
    records=st.lists(st.sampled_from(TEXTS), min_size=1, max_size=8),
    block_bytes=st.sampled_from([64, 1 << 20]),
    damage=st.none() | st.tuples(st.floats(0, 1), st.integers(0, 40), st.binary(max_size=6)),
)
@example("cloudwatch", "auto", [VPC[0], "START", TGW], 64, None)
@example("base64 of gzip", "aws_vpc", ["[", VPC[0], VPC[0]], 64, None)
@example("parquet", "aws_vpc", [VPC[0], "START"], 64, (0.125, 6, b"\x00\x00\x00\x00\x00\x80"))
def test_each_record_is_a_row_a_reject_or_skipped(carrier, decoder, records, block_bytes, damage):
    data = CARRIERS[carrier](records)
    if damage is not None:
        place, length, other = damage
        at = int(place * len(data))
        data = data[:at] + other + data[at + length :]
    try:
        result = read(data, decoder, Limits(block_bytes=block_bytes))
    except (RejectError, TruncatedError):
        return
    places = [*result.positions, *(reject["source_pos"] for reject in result.rejects)]
    assert len(places) == len(set(places))
    if damage is None and decoder == "aws_vpc":
        texts = [text for text in records if text.strip("[]{} ")]
        assert result.records >= len(texts)
