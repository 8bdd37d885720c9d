"""Many partitions: a file for each, with its rows in order, whatever fits into memory."""

import collections
import errno
import os
import re
from dataclasses import replace

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyarrow import csv

from ktrans.api import Context, EpochId, InterruptedRunError, RetryableError, RowsError, TaskId
from ktrans.kit.files.file_writer import MAX_OPEN
from ktrans.registry.catalogue import Catalogue
from ktrans.sinks.file import FileSink

EPOCH = EpochId("flows", 1)
CATALOGUE = Catalogue()
HOSTILE = ["../x", "a/b", ".hidden", "", None, "a" * 300, "%2F", "ü", "nul\0"]


@pytest.fixture(autouse=True, scope="module")
def quick_disk():
    """Thousands of files: what they would take to be durable is not of interest here."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("ktrans.kit.files.durable.os.fsync", lambda _handle: None)
        yield


def make(folder, form="parquet", path="out/{key}/", **options):
    raw = {"type": "file", "path": path, "format": {"type": form}, "buffer_size": 1 << 16}
    config = CATALOGUE.config("sink", {**raw, **options})
    return FileSink(config, Context("flows", "lake", base_dir=folder, registry=CATALOGUE))


def batch(keys, first=0):
    numbers = range(first, first + len(keys))
    return pa.record_batch(
        {
            "key": pa.array(keys, pa.string()).dictionary_encode(),
            "n": pa.array(numbers, pa.int64()),
            "text": pa.array([f"value {number % 7}" for number in numbers]).dictionary_encode(),
            "none": pa.nulls(len(keys), pa.string()),
            "padding": pa.array(["x" * 200] * len(keys)),
        }
    )


def batches(keys, size=500):
    return [batch(keys[at : at + size], at) for at in range(0, len(keys), size)]


def write(sink, parts):
    sink.bind(parts[0].schema)
    writer = sink.writer(TaskId(EPOCH, 0))
    for part in parts:
        writer.write(writer.encode(part))
    receipt = writer.finish()
    sink.commit(EPOCH, [receipt])
    return receipt


def files(folder):
    found = sorted(path for path in (folder / "out").rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in found}


def numbers(path, form):
    if form == "parquet":
        return pq.ParquetFile(path).read()["n"].to_pylist()
    if form == "arrow":
        with pa.ipc.open_stream(path.read_bytes()) as reader:
            return reader.read_all()["n"].to_pylist()
    if form == "csv":
        return csv.read_csv(path)["n"].to_pylist()
    return [int(n) for n in re.findall(rb'\bn"?[:=](\d+)', path.read_bytes())]


@pytest.mark.parametrize("form", ["parquet", "arrow", "jsonl", "csv"])
@pytest.mark.parametrize("buffer_size", [1 << 16, 1 << 30], ids=["spills", "in-memory"])
def test_each_of_many_partitions_becomes_one_file_in_order(tmp_path, form, buffer_size):
    keys = [f"k{(n * 7919) % 100}" for n in range(4000)]
    receipt = write(make(tmp_path, form, buffer_size=buffer_size), batches(keys))
    assert receipt.rows == 4000
    assert len(files(tmp_path)) == len(receipt.outputs) == 100
    expected = collections.defaultdict(list)
    for number, key in enumerate(keys):
        expected[key].append(number)
    for name in receipt.outputs:
        path = tmp_path / name
        assert numbers(path, form) == expected[path.parent.name]


@pytest.mark.parametrize("compression", ["gzip", "zstd"])
def test_many_compressed_files_are_whole(tmp_path, compression):
    keys = [f"k{n % 40}" for n in range(2000)]
    receipt = write(make(tmp_path, "jsonl", compression=compression), batches(keys))
    query = f"select key, count(*) from read_json('{tmp_path}/out/*/*.jsonl.*') group by key"
    assert sorted(duckdb.sql(query).fetchall()) == sorted((f"k{n}", 50) for n in range(40))
    assert len(receipt.outputs) == 40


def test_hostile_values_stay_below_the_folder_and_apart(tmp_path):
    keys = (HOSTILE + [f"k{n}" for n in range(30)]) * 20
    receipt = write(make(tmp_path), batches(keys))
    assert receipt.rows == len(keys)
    top = {path.name for path in (tmp_path / "out").iterdir()} - {".ktrans-staging"}
    assert len(top) == len(HOSTILE) - 1 + 30  # null and empty text share a partition
    assert sum(len(numbers(path, "parquet")) for path in tmp_path.rglob("*.parquet")) == len(keys)


runs = st.lists(
    st.tuples(st.integers(0, 60), st.integers(1, 60), st.integers(1, 700)), min_size=1, max_size=8
)


@settings(max_examples=20)
@given(runs, st.sampled_from(["parquet", "jsonl"]), st.sampled_from([1 << 27, 20_000]))
def test_any_mixture_of_few_and_many_partitions_keeps_rows_and_order(
    tmp_path_factory, script, form, target
):
    """Stretches of few partitions go straight to files, others are gathered, some rows of each."""
    keys = [f"k{first + n % width}" for first, width, count in script for n in range(count)]
    parts, outcomes = batches(keys, 300), []
    for _ in range(2):
        folder = tmp_path_factory.mktemp("lake")
        receipt = write(make(folder, form, target_file_size=target), parts)
        assert receipt.rows == len(keys)
        outcomes.append(files(folder))
        found = collections.defaultdict(list)
        for name in sorted(files(folder)):
            found[name.split("/")[1]] += numbers(folder / name, form)
    assert outcomes[0] == outcomes[1], "the same rows give the same files"
    expected = collections.defaultdict(list)
    for number, key in enumerate(keys):
        expected[key].append(number)
    assert found == expected


def test_partitions_in_sequence_are_streamed_with_few_open_files(tmp_path):
    """As hours are: each is written while it comes, and its file closed when room is needed."""
    sink = make(tmp_path, "jsonl")
    keys = [f"h{n // 1000:02}" for n in range(60_000)]
    sink.bind(batch(["x"]).schema)
    writer = sink.writer(TaskId(EPOCH, 0))
    for part in batches(keys):
        writer.write(writer.encode(part))
        assert len(writer._files) <= MAX_OPEN
        assert writer._gather.held_bytes + writer._files.buffered_bytes <= 1 << 16
    receipt = writer.finish()
    assert receipt.rows == 60_000
    assert len(receipt.outputs) <= 60 + 3


def test_a_partition_that_comes_back_does_not_make_many_files(tmp_path):
    keys = [f"k{n % 50}" if n // 500 % 2 else "k7" for n in range(20_000)]
    receipt = write(make(tmp_path), batches(keys))
    assert len(receipt.outputs) == 50


@pytest.mark.parametrize("when", ["spilling", "finishing"])
def test_a_full_disk_leaves_nothing_behind(tmp_path, monkeypatch, when):
    sink = make(tmp_path)
    parts = batches([f"k{n % 300}" for n in range(3000)])
    sink.bind(parts[0].schema)

    def full(*_args, **_options):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    writer = sink.writer(TaskId(EPOCH, 0))
    place = "spill_file.mmap.mmap" if when == "spilling" else "durable.os.fsync"
    monkeypatch.setattr(f"ktrans.kit.files.{place}", full)
    with pytest.raises(RetryableError) as caught:  # noqa: PT012  # each of the steps may find it
        for part in parts:
            writer.write(writer.encode(part))
        writer.finish()
    assert caught.value.code == "disk_full"
    assert files(tmp_path) == {}
    assert list(tmp_path.rglob("*.parquet")) == []


def test_rows_that_a_format_refuses_are_refused_before_they_are_gathered(tmp_path):
    influx = {"type": "influx", "tags": ["key"], "fields": ["n"], "uniqueness": "none"}
    sink = make(tmp_path, format=influx)
    rows = pa.record_batch(
        {
            "start_time": pa.array([10**18] * 40, pa.timestamp("us", "UTC")),
            "key": pa.array([f"k{n}" for n in range(40)]).dictionary_encode(),
            "n": pa.array(range(40), pa.int64()),
        }
    )
    sink.bind(rows.schema)
    with pytest.raises(RowsError):
        sink.writer(TaskId(EPOCH, 0)).encode(rows)


def test_a_run_that_gives_up_does_not_write_the_files_that_are_left(tmp_path):
    sink = make(tmp_path, "jsonl")
    asked = iter(range(1000))
    sink.context = replace(sink.context, abandoned=lambda: next(asked) == 3)
    parts = batches([str(key) for key in range(100)])
    sink.bind(parts[0].schema)
    writer = sink.writer(TaskId(EPOCH, 0))
    for part in parts:
        writer.write(writer.encode(part))
    with pytest.raises(InterruptedRunError):
        writer.finish()
    assert next(asked) == 4
    assert files(tmp_path) == {}
