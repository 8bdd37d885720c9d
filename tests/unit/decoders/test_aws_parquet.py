"""Parquet objects, as AWS writes them and as other tools leave them."""

import io
import json
from datetime import UTC, datetime

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ktrans.api import RejectError, TruncatedError

TYPES = {
    "version": pa.int32(),
    "account_id": pa.string(),
    "interface_id": pa.string(),
    "srcaddr": pa.string(),
    "dstaddr": pa.string(),
    "srcport": pa.int32(),
    "dstport": pa.int32(),
    "protocol": pa.int32(),
    "packets": pa.int64(),
    "bytes": pa.int64(),
    "start": pa.int64(),
    "end": pa.int64(),
    "action": pa.string(),
    "log_status": pa.string(),
}
FLOW = [
    2,
    "012345678901",
    "eni-0a",
    "10.0.0.1",
    "10.0.0.2",
    40000,
    443,
    6,
    10,
    900,
    1700000000,
    1700000060,
    "ACCEPT",
    "OK",
]
NODATA = [
    2,
    "012345678901",
    "eni-0a",
    "-",
    "-",
    None,
    None,
    None,
    None,
    None,
    1700000000,
    1700000060,
    "-",
    "NODATA",
]


def stored(table, **options):
    sink = io.BytesIO()
    pq.write_table(table, sink, **options)
    return sink.getvalue()


def native(*rows):
    columns = zip(*rows, strict=True)
    return pa.table(
        {
            name: pa.array(values, kind)
            for (name, kind), values in zip(TYPES.items(), columns, strict=True)
        }
    )


def test_case_27_as_aws_writes_it(run, seen):
    result = run(stored(native(FLOW, NODATA)))
    assert result.positions == [1, 2]
    assert result.rejects == []
    flow, nodata = (seen(row) for row in result.rows)
    assert flow["account_id"] == "012345678901"
    assert (flow["src_port"], flow["bytes"], flow["action"]) == (40000, 900, "accept")
    assert flow["start_time"] == datetime.fromtimestamp(1700000000, UTC)
    assert not {"src_addr", "src_port", "bytes", "action"} & set(nodata)
    assert "attrs" not in flow


def test_case_27_the_same_rows_as_text(run, v2, record):
    text = run([v2, record(account_id="012345678901", interface_id="eni-0a")])
    parquet = run(stored(native(FLOW)))
    ours, theirs = text.rows[0], parquet.rows[0]
    assert ours | {"source_pos": 0} == theirs | {"source_pos": 0}


def test_case_27_rewritten_by_pandas_doubles_and_none_texts(run, seen):
    table = pa.table(
        {
            "srcaddr": ["10.0.0.1", "None", "::1"],
            "dstaddr": ["10.0.0.2", "nan", "::2"],
            "log-status": ["OK", "NODATA", "OK"],
            "srcport": pa.array([40000.0, np.nan, 1.0]),
            "dstport": ["443", "None", "80.0"],
            "protocol": ["6", "-", "17"],
            "bytes": pa.array([900.0, None, 5e9]),
            "account_id": pa.array([12345678901, 1, 2]),
            "start": pa.array([1700000000] * 3).cast(pa.timestamp("s")),
            "action": ["ACCEPT", "", "<NA>"],
        }
    )
    rows = [seen(row) for row in run(stored(table)).rows]
    assert [(r.get("src_port"), r.get("dst_port"), r.get("bytes")) for r in rows] == [
        (40000, 443, 900),
        (None, None, None),
        (1, 80, 5_000_000_000),
    ]
    assert rows[0]["account_id"] == "12345678901"
    assert rows[0]["start_time"] == datetime.fromtimestamp(1700000000, UTC)
    assert "src_addr" not in rows[1]
    assert "action" not in rows[2]


def test_case_27_names_in_any_case_and_spelling_and_order(run):
    table = pa.table(
        {
            "Bytes": [5],
            "X-Y": [1],
            "pkt-srcaddr": ["10.0.0.1"],
            "SRC_Addr": ["::2"],
            "dstAddr": ["::1"],
            "start_time": [1],
        }
    )
    row = run(stored(table)).rows[0]
    assert (row["bytes"], row["src_pkt_addr"], row["dst_addr"]) == (5, "10.0.0.1", "::1")
    assert row["attrs"] == [("x-y", "1")]


def test_case_27_extra_and_partition_columns_go_to_attrs_and_the_record_wins(run):
    table = pa.table(
        {
            "srcaddr": ["10.0.0.1"],
            "dstaddr": ["10.0.0.2"],
            "start": [1],
            "bytes": [5],
            "region": ["eu-west-1"],
            "Region": ["elsewhere"],
            "aws-region": ["us-east-1"],
            "year": [2023],
            "nested": [{"a": 1}],
            "__index_level_0__": [0],
        }
    )
    row = run(stored(table)).rows[0]
    assert row["region"] == "eu-west-1"
    assert dict(row["attrs"]) == {"aws-region": "us-east-1", "year": "2023", "nested": '{"a": 1}'}
    without = run(stored(table.drop_columns(["region", "Region"]))).rows[0]
    assert without["region"] == "us-east-1"


def test_case_63_counters_that_are_no_integers_reject_their_row_only(run):
    bad = [1.5, float("inf"), -1.0]
    ends = {"srcaddr": ["10.0.0.1"] * 5, "dstaddr": ["10.0.0.2"] * 5}
    result = run(stored(pa.table({"bytes": pa.array([1.0, *bad, 2.0]), **ends})))
    assert result.positions == [1, 5]
    assert result.reasons == {2: "bad_integer", 3: "bad_integer", 4: "out_of_range"}
    raw = {"bytes": 1.5, "srcaddr": "10.0.0.1", "dstaddr": "10.0.0.2"}
    assert json.loads(result.rejects[0]["raw"]) == raw
    assert "bytes" in result.rejects[0]["detail"]
    ends = {"srcaddr": ["10.0.0.1"] * 7, "dstaddr": ["10.0.0.2"] * 7}
    words = pa.table({"bytes": ["1", "0x10", "NaN", "true", "1e3", "-5", "7.0"], **ends})
    assert sorted(run(stored(words)).reasons) == [2, 4, 5, 6]


def test_bad_addresses_and_times_are_rejects(run):
    table = pa.table(
        {"srcaddr": ["10.0.0.1", "10.0.0", "::1"], "dstaddr": ["::2"] * 3, "start": [1, 2, -5]}
    )
    result = run(stored(table))
    assert result.reasons == {2: "bad_address", 3: "bad_timestamp"}


def test_rejected_rows_can_be_replayed(run, make, collect, payload):
    table = pa.table(
        {"packets": [-5, 80], "srcaddr": ["10.0.0.1"] * 2, "dstaddr": ["10.0.0.2"] * 2}
    )
    reject = run(stored(table)).rejects[0]
    fixed = reject["raw"].replace(b"-5", b"5")
    decoder = make()
    again = collect(decoder, decoder.replay(payload("mem://o", fixed), reject["layout"]))
    assert (again.rows[0]["packets"], again.rows[0]["src_addr"]) == (5, "10.0.0.1")
    assert again.rejects == []


def test_only_the_columns_that_are_asked_for_are_read(make, payload, collect):
    data = stored(native(*[FLOW] * 10))
    decoder = make(columns=["bytes"])
    blocks = list(decoder.blocks(payload("mem://o", data)))
    required = ["srcaddr", "dstaddr", "packets", "bytes", "start", "log_status"]
    assert [block.table.schema.names for block in blocks] == [required]
    assert collect(decoder, blocks).rows == [{"bytes": 900}] * 10
    assert len(run_empty(make, payload, collect, data)) == 10


def run_empty(make, payload, collect, data):
    decoder = make(columns=["provider"])
    return collect(decoder, decoder.blocks(payload("mem://o", data))).rows


def test_row_groups_become_bounded_blocks_with_running_positions(make, payload, collect):
    data = stored(native(*[FLOW] * 1000), row_group_size=300)
    decoder = make()
    result = collect(decoder, decoder.blocks(payload("mem://o", data)))
    assert result.positions == list(range(1, 1001))


def test_parquet_without_rows_gives_none(run):
    result = run(stored(native(FLOW).slice(0, 0)))
    assert (result.rows, result.records) == ([], 0)


@pytest.mark.parametrize("keep", [4, 50, -20])
def test_a_broken_parquet_file_is_refused_as_a_whole(run, keep):
    data = stored(native(FLOW))[:keep]
    with pytest.raises(RejectError, match="Parquet"):
        run(data)
    with pytest.raises(TruncatedError, match="footer"):
        run(data, final=False)


def test_parquet_of_something_else_is_refused(run):
    with pytest.raises(RejectError, match=r"without the addresses and times of aws\.vpc"):
        run(stored(pa.table({"a": [1], "b": [2]})))
