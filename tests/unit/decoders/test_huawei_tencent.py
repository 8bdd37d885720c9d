"""Huawei Cloud's and Tencent Cloud's flow logs, which are AWS's but for ids and nulls."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ktrans_generate.source import GenerateSource, GenerateSourceConfig

from ktrans.api import Budget, BytesPayload, Context, Head, Limits, RejectError, Split
from ktrans.decoders.auto import AutoDecoder, AutoDecoderConfig
from ktrans.decoders.logs import huawei_vpc, tencent_ccn, tencent_vpc
from ktrans.registry.catalogue import Catalogue
from tests.examples import examples

PROJECT = "0123456789abcdef0123456789abcdef"
UUID = "1b2c3d4e-0001-4002-8003-0a0b0c0d0e0f"
HUAWEI = f"1 {PROJECT} {UUID} 10.0.0.1 10.0.0.2 40000 53 17 1 96 1700000000 1700000600 ACCEPT OK"
TENCENT = (
    "1 1250000001 eni-0a1b2c3d 10.0.0.1 10.0.0.2 40000 443 6 4 900 1700000000 1700000060 REJECT OK"
)
CCN = (
    "1 ap-guangzhou ccn-0a1b2c3d 10.0.0.1 10.1.0.2 40000 443 6 ap-guangzhou ap-shanghai "
    "4 900 1700000000 1700000060 REJECT OK"
)
LOGS = (huawei_vpc.LOG, tencent_vpc.LOG, tencent_ccn.LOG)
BUILT = {
    **{log.name: (log.decoder, log.config) for log in LOGS},
    "auto": (AutoDecoder, AutoDecoderConfig),
}
GOOD = {"huawei_vpc": HUAWEI, "tencent_vpc": TENCENT, "tencent_ccn": CCN}


def decode(decoder, data, columns=None, block_bytes=4 << 20, **options):
    if isinstance(data, list):
        data = "".join(f"{line}\n" for line in data).encode()
    cls, config = BUILT[decoder]
    context = Context(registry=Catalogue(), limits=Limits(block_bytes=block_bytes))
    built = cls(config(**options), context)
    built.schema(columns)
    rows, rejects, records = [], [], 0
    for block in built.blocks(BytesPayload(Split("o", "mem://o"), data)):
        done = built.decode(block)
        refused = [] if done.rejects is None else done.rejects.to_pylist()
        assert done.records == done.batch.num_rows + len(refused) + done.skipped
        rows += done.batch.to_pylist()
        rejects += refused
        records += done.records
    return rows, rejects, records


def test_case_59_huawei_records_have_version_1_a_project_and_a_uuid():
    [row], rejects, _ = decode("huawei_vpc", [HUAWEI])
    assert not rejects
    assert (row["provider"], row["log_type"], row["log_version"]) == ("huawei", "huawei.vpc", 1)
    assert (row["account_id"], row["interface_id"]) == (PROJECT, UUID)
    assert (row["src_addr"], row["dst_port"], row["protocol"]) == ("10.0.0.1", 53, 17)
    assert (row["packets"], row["bytes"], row["action"]) == (1, 96, "accept")
    assert row["ip_version"] == 4


@pytest.mark.parametrize("status", ["NODATA", "SKIPDATA"])
def test_huawei_rows_without_data_are_kept_with_their_status(status):
    line = f"1 {PROJECT} {UUID} - - - - - - - 1700000000 1700000600 - {status}"
    [row], rejects, _ = decode("huawei_vpc", [line])
    assert not rejects
    assert (row["log_status"], row["src_addr"], row["bytes"]) == (status, None, None)


@pytest.mark.parametrize(
    "change", [("1 ", "2 "), (PROJECT, "12345"), (UUID, "eni-1"), (" ACCEPT", "")]
)
def test_lines_that_are_not_plainly_huaweis_are_rejected(change):
    rows, rejects, _ = decode("huawei_vpc", [HUAWEI, HUAWEI.replace(*change, 1)])
    assert len(rows) == 1
    assert [reject["source_pos"] for reject in rejects] == [2]


def test_tencent_records_of_interfaces():
    [row], rejects, _ = decode("tencent_vpc", [TENCENT])
    assert not rejects
    assert (row["provider"], row["log_type"]) == ("tencent", "tencent.vpc")
    assert (row["account_id"], row["interface_id"]) == ("1250000001", "eni-0a1b2c3d")
    assert (row["action"], row["bytes"]) == ("reject", 900)


def test_tencent_records_of_cross_region_traffic():
    [row], rejects, _ = decode("tencent_ccn", [CCN])
    assert not rejects
    assert (row["log_type"], row["region"], row["vpc_id"]) == (
        "tencent.ccn",
        "ap-guangzhou",
        "ccn-0a1b2c3d",
    )
    assert dict(row["attrs"]) == {"srcregionid": "ap-guangzhou", "dstregionid": "ap-shanghai"}


@pytest.mark.parametrize("nothing", ["-", "-1"])
def test_case_59_tencents_minus_one_is_not_reported(nothing):
    line = CCN.replace(" 4 900 ", f" {nothing} {nothing} ").replace("REJECT OK", "- NODATA")
    rows, rejects, _ = decode("tencent_ccn", [CCN, line])
    assert not rejects
    assert (rows[1]["packets"], rows[1]["bytes"]) == (None, None)
    assert rows[0]["bytes"] == 900


@pytest.mark.parametrize("decoder", GOOD)
def test_the_automatic_choice_takes_the_right_decoder(decoder):
    rows, _, _ = decode("auto", [GOOD[decoder]] * 3)
    kinds = {"huawei_vpc": "huawei.vpc", "tencent_vpc": "tencent.vpc", "tencent_ccn": "tencent.ccn"}
    assert {row["log_type"] for row in rows} == {kinds[decoder]}


def test_a_header_line_of_huawei_is_recognised_and_one_of_aws_is_not_tencents():
    names = "version project-id interface-id srcaddr dstaddr srcport dstport protocol packets "
    names += "bytes start end action log-status"
    assert huawei_vpc.LOG.recognise(Head("o", f"{names}\n".encode())).score == 100
    assert (
        tencent_vpc.LOG.recognise(Head("o", names.replace("project", "account").encode())) is None
    )
    assert tencent_ccn.LOG.recognise(Head("o", b"")) is None
    assert huawei_vpc.LOG.recognise(Head("o", b"PAR1", ("version",))) is None


@pytest.mark.parametrize("decoder", GOOD)
@settings(max_examples=examples(25), deadline=None)
@given(junk=st.binary(max_size=300), small=st.booleans())
def test_any_bytes_give_rows_or_rejects(decoder, junk, small):
    data = f"{GOOD[decoder]}\n".encode() + junk
    with contextlib.suppress(RejectError):
        decode(decoder, data, block_bytes=64 if small else 1 << 20)


class Nothing:
    def recall(self, keys):
        return {}


def generated(log, **options):
    source = GenerateSource(GenerateSourceConfig(log=log, rows=2000, **options))
    [split] = source.plan(None, Nothing(), Budget()).splits
    return source.open(split).open().read()


@pytest.mark.parametrize("log", ["huawei_vpc", "tencent_vpc"])
def test_generated_logs_decode_and_cutting_changes_nothing(log):
    data = generated(log, bad_ratio=0.02)
    whole = decode(log, data)
    assert whole[2] == 2000
    assert 0 < len(whole[1]) < 100
    assert decode(log, data, block_bytes=5000) == whole


@pytest.mark.parametrize("log", ["huawei_vpc", "tencent_vpc"])
def test_some_columns_are_those_of_all_columns(log):
    data = generated(log)
    slim, _, _ = decode(log, data, columns=["src_addr", "bytes"])
    whole, _, _ = decode(log, data)
    assert slim == [{"src_addr": row["src_addr"], "bytes": row["bytes"]} for row in whole]
