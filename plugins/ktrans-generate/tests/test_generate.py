"""The generate source: repeatable, bounded, and in the shapes that the clouds write."""

from __future__ import annotations

import gzip
import io
import ipaddress
import json
import re
import tracemalloc

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from ktrans_generate.catalogue import LOGS, log_named
from ktrans_generate.source import GenerateSource, GenerateSourceConfig, write_files
from pydantic import ValidationError

from ktrans.api import Budget, Context, SplitChangedError

V2 = (
    "version account-id interface-id srcaddr dstaddr srcport dstport protocol packets bytes "
    "start end action log-status"
)
SPACED = ("aws_vpc_v2", "aws_vpc_v5", "aws_vpc_v7", "aws_vpc_v11", "aws_tgw")


def objects(**options) -> list[bytes]:
    source = GenerateSource(GenerateSourceConfig(**options), Context())
    plan = source.plan(None, None, Budget())
    return [source.open(split).open().read() for split in plan.splits]


def lines(**options) -> list[str]:
    return b"".join(objects(**options)).decode().splitlines()


@pytest.mark.parametrize(
    ("log", "fields"),
    [
        ("aws_vpc_v2", 14),
        ("aws_vpc_v5", 29),
        ("aws_vpc_v7", 39),
        ("aws_vpc_v11", 54),
        ("aws_tgw", 36),
    ],
)
def test_a_header_and_as_many_fields_in_each_row(log, fields):
    head, *rows = lines(log=log, rows=2000, nodata_ratio=0.1)
    assert len(rows) == 2000
    assert len(set(head.split(" "))) == fields
    assert {len(row.split(" ")) for row in rows} == {fields}
    start, end = head.split(" ").index("start"), head.split(" ").index("end")
    for row in rows:
        assert int(row.split(" ")[start]) <= int(row.split(" ")[end])


def test_the_default_format_has_plausible_values():
    head, *rows = lines(rows=5000, ipv6_ratio=0.3, icmp_ratio=0.2, reject_ratio=0.2)
    assert head == V2
    records = [dict(zip(head.split(), row.split(" "), strict=True)) for row in rows]
    data = [r for r in records if r["log-status"] == "OK"]
    for r in data:
        src, dst = ipaddress.ip_address(r["srcaddr"]), ipaddress.ip_address(r["dstaddr"])
        assert src.version == dst.version
        assert str(src) == r["srcaddr"]
        assert {src.is_global, dst.is_global} == {False}
        assert 0 <= int(r["srcport"]) <= 65_535
        assert int(r["bytes"]) >= int(r["packets"]) > 0
        assert (int(r["srcport"]) == 0) == (r["protocol"] in {"1", "58"})
        assert (r["protocol"] == "58") <= (src.version == 6)
    shares = {
        "v6": sum(":" in r["srcaddr"] for r in data),
        "reject": sum(r["action"] == "REJECT" for r in data),
        "icmp": sum(r["srcport"] == "0" for r in data),
    }
    assert shares["v6"] / len(data) == pytest.approx(0.3, abs=0.03)
    assert shares["reject"] / len(data) == pytest.approx(0.2, abs=0.03)
    assert shares["icmp"] / len(data) == pytest.approx(0.2, abs=0.03)
    assert len({r["srcaddr"] for r in data}) > 500


def test_rows_without_data_have_dashes():
    _, *rows = lines(rows=3000, nodata_ratio=1)
    pattern = r"2 \d{12} eni-\w+ - - - - - - - \d+ \d+ - (NODATA|SKIPDATA)"
    assert all(re.fullmatch(pattern, row) for row in rows)
    assert any(row.endswith("SKIPDATA") for row in rows)


@pytest.mark.parametrize("log", SPACED)
def test_bad_rows_are_of_many_kinds_and_as_many_as_asked_for(log):
    options = {"log": log, "rows": 4000, "nodata_ratio": 0}
    good = b"".join(objects(**options)).split(b"\n")
    mixed = b"".join(objects(**options, bad_ratio=0.25)).split(b"\n")
    changed = [new for old, new in zip(good, mixed, strict=True) if old != new]
    assert len(changed) / 4000 == pytest.approx(0.25, abs=0.03)
    text = b"\n".join(changed)
    for sign in (
        b" 1.5 ",
        b"10.0.0.300",
        b"0x1F",
        b"yesterday",
        b"one too many",
        b"\xff\xfe",
    ):
        assert sign in text


def test_cloudwatch_exports_have_a_time_in_front():
    rows = lines(log="aws_cloudwatch_export", rows=500)
    assert len(rows) == 500
    assert all(re.match(r"2026-05-04T\d\d:\d\d:\d\d\.000Z 2 \d{12} eni-", row) for row in rows)


@pytest.mark.parametrize("bad", [0, 0.3])
def test_envelopes_follow_one_another_as_json(bad):
    [data] = objects(log="aws_cloudwatch_envelope", rows=1050, bad_ratio=bad)
    decoder, text, at, events = json.JSONDecoder(), data.decode(), 0, []
    while at < len(text):
        document, at = decoder.raw_decode(text, at)
        assert document["messageType"] == "DATA_MESSAGE"
        interface = document["logStream"].removesuffix("-all")
        assert all(interface in event["message"] for event in document["logEvents"])
        events += document["logEvents"]
    assert len(events) == len({event["id"] for event in events}) == 1050


@pytest.mark.parametrize("log", SPACED)
def test_parquet_says_the_same_as_text(log):
    options = {"log": log, "rows": 3000, "nodata_ratio": 0.05}
    head, *rows = lines(**options)
    [data] = objects(**options, container="parquet", compression="gzip")
    table = pq.read_table(io.BytesIO(data))
    assert table.column_names == head.replace("-", "_").split(" ")
    assert table.schema.field("packets").type == pa.int64()
    assert table.schema.field("protocol").type == pa.int32()
    texts = [
        ["-" if value is None else str(value) for value in column.to_pylist()]
        for column in table.columns
    ]
    assert [" ".join(values) for values in zip(*texts, strict=True)] == rows


def test_parquet_files_of_many_pieces_are_whole():
    [data] = objects(rows=150_000, rows_per_object=150_000, container="parquet")
    table = pq.read_table(io.BytesIO(data))
    text = lines(rows=150_000, rows_per_object=150_000)
    assert [str(n) for n in table["bytes"].to_pylist() if n is not None][-1000:] == [
        row.split(" ")[9] for row in text if row.endswith(" OK")
    ][-1000:]


def test_compression_changes_the_wrapping_only():
    plain = objects(rows=70_000, rows_per_object=70_000)
    packed = objects(rows=70_000, rows_per_object=70_000, compression="gzip")
    assert [gzip.decompress(data) for data in packed] == plain
    [zstd] = objects(rows=70_000, rows_per_object=70_000, compression="zstd")
    with pa.CompressedInputStream(pa.BufferReader(zstd), "zstd") as stream:
        assert stream.read() == plain[0]


def test_objects_differ_and_depend_on_the_seed():
    first, second = objects(rows=200, rows_per_object=100)
    assert first != second
    assert objects(rows=200, rows_per_object=100) == [first, second]
    assert objects(rows=200, rows_per_object=100, seed=2)[0] != first


def test_memory_does_not_grow_with_the_object():
    source = GenerateSource(GenerateSourceConfig(rows=600_000, rows_per_object=600_000), Context())
    split = source.plan(None, None, Budget()).splits[0]
    stream = source.open(split).open()
    stream.read(1)
    tracemalloc.start()
    pa_before, size = pa.total_allocated_bytes(), 1
    while piece := stream.read(1 << 20):
        size += len(piece)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert size > 60e6
    assert peak < 40e6
    assert pa.total_allocated_bytes() - pa_before < 20e6


def test_a_split_of_other_options_is_refused():
    plan = GenerateSource(GenerateSourceConfig(rows=10), Context()).plan(None, None, Budget())
    other = GenerateSource(GenerateSourceConfig(rows=10, seed=9), Context())
    with pytest.raises(SplitChangedError):
        other.open(plan.splits[0])


def test_options_that_do_not_fit_are_refused():
    with pytest.raises(ValidationError, match="aws_vpc_v5"):
        GenerateSourceConfig(log="aws")
    with pytest.raises(ValidationError, match="bad_ratio"):
        GenerateSourceConfig(container="parquet", bad_ratio=0.1)
    with pytest.raises(ValidationError, match="Parquet"):
        GenerateSourceConfig(container="parquet", log="aws_cloudwatch_export")


def test_every_log_of_the_table_can_be_imported():
    assert all(log_named(name).ending for name in LOGS)


def test_files(tmp_path):
    config = GenerateSourceConfig(rows=25, rows_per_object=10, compression="gzip")
    paths = write_files(tmp_path / "new", config, stem="v2")
    assert [path.name for path in paths] == [f"v2-0000{i}.log.gz" for i in range(3)]
    text = b"".join(gzip.decompress(path.read_bytes()) for path in paths).decode()
    assert text.count("\n") == 25 + 3
