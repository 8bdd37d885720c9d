"""The file sink: where rows go, how files are named, cut, compressed, and what goes wrong."""

import contextlib
import errno
import gzip
import json
import os
import subprocess
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pydantic import ValidationError

from ktrans.api import (
    AccessError,
    ComponentConfig,
    ConfigError,
    Context,
    EpochId,
    RetryableError,
    TaskId,
)
from ktrans.flow.schema import TEXT, TIME
from ktrans.formats.jsonl import JsonlFormat, JsonlFormatConfig
from ktrans.formats.parquet import ParquetFormat, ParquetFormatConfig
from ktrans.kit.files.staging import Staging, os_errors
from ktrans.kit.rows.influx import InfluxFormat, InfluxFormatConfig
from ktrans.sinks.file import FileSink, FileSinkConfig

EPOCH = EpochId("flows", 7)
TASK = TaskId(EPOCH, 0)
FORMATS = {
    "parquet": (ParquetFormat, ParquetFormatConfig),
    "jsonl": (JsonlFormat, JsonlFormatConfig),
    "influx": (InfluxFormat, InfluxFormatConfig),
}


class Registry:
    def config(self, kind, raw):
        return FORMATS[raw["type"]][1](**raw)

    def build(self, kind, config, context):
        return FORMATS[config.type][0](config, context)


def make(folder, path, *, pipeline="flows", name="lake", **options):
    config = FileSinkConfig(path=path, **{"format": JsonlFormatConfig(), **options})
    return FileSink(config, Context(pipeline, name, base_dir=folder, registry=Registry()))


def flows(times, accounts, **more):
    return pa.record_batch(
        {
            "start_time": pa.array(times, TIME),
            "account_id": pa.array(accounts, TEXT),
            "n": pa.array(range(len(times)), pa.int64()),
            **more,
        }
    )


def stage(sink, *batches):
    sink.bind(batches[0].schema)
    writer = sink.writer(TASK)
    for batch in batches:
        writer.write(writer.encode(batch))
    return writer.finish()


def put(sink, *batches):
    receipt = stage(sink, *batches)
    sink.commit(EPOCH, [receipt])
    return receipt


def tree(folder):
    """File names below a folder, with the `n` of their rows."""
    found = {}
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            rows = [json.loads(line) for line in path.read_text().splitlines()]
            found[str(path.relative_to(folder))] = [row["n"] for row in rows]
    return found


def at(day, hour=0):
    return datetime(2026, 3, day, hour, 30, tzinfo=UTC)


def test_rows_go_to_the_folders_of_their_values_in_their_order(tmp_path):
    sink = make(tmp_path, "out/flows/date={start_time:%Y-%m-%d}/hour={start_time:%H}/{account_id}/")
    times = [at(1), at(2), at(1), at(1, 5), at(1), None]
    receipt = put(sink, flows(times, ["x", "x", "y", "x", "x", None]))
    name = "flows.lake.00000007-0000-00000.jsonl"
    null = "__HIVE_DEFAULT_PARTITION__"
    assert tree(tmp_path) == {
        f"out/flows/date=2026-03-01/hour=00/x/{name}": [0, 4],
        f"out/flows/date=2026-03-01/hour=00/y/{name}": [2],
        f"out/flows/date=2026-03-01/hour=05/x/{name}": [3],
        f"out/flows/date=2026-03-02/hour=00/x/{name}": [1],
        f"out/flows/date={null}/hour={null}/{null}/{name}": [5],
    }
    assert receipt.rows == 6


def test_an_absolute_path_and_a_home_path_work(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    put(make(tmp_path, f"{tmp_path}/abs/"), flows([at(1)], ["x"]))
    put(make(tmp_path, "~/lake/"), flows([at(1)], ["x"]))
    name = "flows.lake.00000007-0000-00000.jsonl"
    assert set(tree(tmp_path)) == {f"abs/{name}", f"home/lake/{name}"}


def test_hostile_values_stay_below_the_folder(tmp_path):
    values = [
        "../../etc", "/etc/passwd", "..", ".", ".ktrans-staging", "a/b", "a\nb", "x" * 400, "", "é",
    ]  # fmt: skip
    put(make(tmp_path, "out/{account_id}/"), flows([at(1)] * len(values), values))
    assert [entry.name for entry in tmp_path.iterdir()] == ["out"]
    assert sorted(n for rows in tree(tmp_path).values() for n in rows) == list(range(len(values)))
    folders = {path.name for path in (tmp_path / "out").iterdir()}
    assert len(folders) == len(values)
    assert all(path.count("/") == 2 for path in tree(tmp_path))
    assert {"a%2Fb", "a%0Ab", "é", "__HIVE_DEFAULT_PARTITION__", "%2E."} <= folders


@pytest.mark.parametrize(
    "path",
    [
        "{account_id}/",
        "date={start_time:%Y}/",
        "/{account_id}/",
        "out/../{account_id}/../../",
        "out/{account_id}//x/",
        "out/.ktrans-staging/",
        "out/.{account_id}/",
        "out/{start_time:/%Y}/",
        "out/{start_time:../%Y}/",
        "out/{start_time:%Y/../..}/",
        "out/{start_time:%c}/",
        "out/{start_time:year}/",
        "out/{account_id!r}/",
        "out/{}/",
        "out/{account_id/",
        "out/{task}/",
        "out/flows.jsonl",
        "flows-{task}.jsonl",
        "out\\{account_id}/x/",
        "",
    ],
)
def test_a_path_that_could_leave_its_folder_or_overwrite_is_refused(path):
    with pytest.raises(ValidationError):
        FileSinkConfig(path=path)


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("out/{acount_id}/", "acount_id"),
        ("out/{start_time}/", "%Y-%m-%d"),
        ("out/{account_id:%Y}/", "not a time"),
        ("out/{tags}/", "cannot be part of a path"),
    ],
)
def test_a_path_that_does_not_fit_the_rows_is_found_before_any_row(tmp_path, path, message):
    batch = flows([at(1)], ["x"], tags=pa.array([["a"]]))
    with pytest.raises(ConfigError) as caught:
        make(tmp_path, path).bind(batch.schema)
    assert message in f"{caught.value.message} {caught.value.hint}"
    assert list(tmp_path.iterdir()) == []


def test_a_path_may_name_its_files(tmp_path):
    sink = make(tmp_path, "out/{account_id}-{task}.jsonl", target_file_size=1)
    put(sink, flows([at(1)] * 2, ["x", "y"]), flows([at(1)], ["x"]))
    assert tree(tmp_path) == {
        "out/x-flows.lake.00000007-0000.jsonl": [0],
        "out/x-flows.lake.00000007-0000-00001.jsonl": [0],
        "out/y-flows.lake.00000007-0000.jsonl": [1],
    }


def test_names_that_are_no_file_names_stay_apart(tmp_path):
    for pipeline, name in [("a/b", "c"), ("a-b", "c"), ("a", "b.c"), ("a.b", "c"), ("ä", "c")]:
        put(make(tmp_path, "out/", pipeline=pipeline, name=name), flows([at(1)], ["x"]))
    assert len(tree(tmp_path)) == 5


def test_integers_booleans_and_plain_text_make_folders_too(tmp_path):
    batch = flows(
        [at(1)] * 2,
        ["x", "x"],
        protocol=pa.array([6, None], pa.int16()),
        ok=pa.array([True, False]),
        zone=pa.array(["a", "b"]),
    )
    put(make(tmp_path, "out/{protocol}/{ok}/{zone}/"), batch)
    folders = {path.rpartition("/")[0] for path in tree(tmp_path)}
    assert folders == {"out/6/true/a", "out/__HIVE_DEFAULT_PARTITION__/false/b"}


def test_many_folders_are_split_right(tmp_path):
    accounts = [f"a{i % 300}" for i in range(3000)]
    put(make(tmp_path, "out/{account_id}/", buffer_size=65536), flows([at(1)] * 3000, accounts))
    found = {}
    for path, rows in tree(tmp_path / "out").items():
        found.setdefault(path.split("/")[0], []).extend(rows)
    assert found == {f"a{k}": list(range(k, 3000, 300)) for k in range(300)}


def test_partition_columns_may_be_left_out_of_the_files(tmp_path):
    sink = make(
        tmp_path,
        "out/{account_id}/{start_time:%Y}/",
        format=ParquetFormatConfig(),
        keep_partition_columns=False,
    )
    put(sink, flows([at(1)], ["x"]))
    [path] = (tmp_path / "out").rglob("*.parquet")
    assert pq.ParquetFile(path).schema_arrow.names == ["start_time", "n"]


def test_the_columns_of_path_and_format_are_asked_for(tmp_path):
    influx = InfluxFormatConfig(tags=["action"], fields=["bytes"], uniqueness="none")
    sink = make(tmp_path, "out/{account_id}/{start_time:%Y}/", format=influx)
    assert set(sink.needs()) == {
        "action", "bytes", "end_time", "start_time", "logged_at", "account_id",
    }  # fmt: skip
    assert make(tmp_path, "out/").needs() is None


@pytest.mark.parametrize(("compression", "extension"), [("gzip", ".gz"), ("zstd", ".zst")])
def test_text_files_are_compressed_the_same_each_time(tmp_path, compression, extension):
    batch = flows([at(1)] * 500, ["x"] * 500)
    contents = []
    for run in ("one", "two"):
        put(make(tmp_path / run, "out/", compression=compression), batch)
        [path] = (tmp_path / run / "out").iterdir()
        assert path.name == f"flows.lake.00000007-0000-00000.jsonl{extension}"
        contents.append(path.read_bytes())
    assert contents[0] == contents[1]
    text = pa.input_stream(pa.py_buffer(contents[0]), compression=compression).read()
    assert [json.loads(line)["n"] for line in text.splitlines()] == list(range(500))
    if compression == "gzip":
        assert gzip.decompress(contents[0]) == text
        subprocess.run(["gzip", "-t"], input=contents[0], check=True)


def test_parquet_is_not_compressed_twice(tmp_path):
    sink = make(tmp_path, "out/", format=ParquetFormatConfig(), compression="gzip")
    with pytest.raises(ConfigError, match="inside"):
        sink.bind(flows([at(1)], ["x"]).schema)


@pytest.mark.parametrize("kind", ["parquet", "jsonl"])
def test_files_are_cut_at_their_target_size(tmp_path, kind):
    batch = flows([at(1)] * 2000, [f"{i * i * 2654435761 % 10**12:012d}" for i in range(2000)])
    config = FORMATS[kind][1](**({"row_group_rows": 2000} if kind == "parquet" else {}))
    receipt = put(make(tmp_path, "out/", format=config, target_file_size=15_000), *[batch] * 10)
    sizes = [path.stat().st_size for path in sorted((tmp_path / "out").iterdir())]
    assert len(sizes) > 2
    assert all(15_000 <= size < 300_000 for size in sizes[:-1])
    assert receipt.rows == 20_000


def test_the_first_value_of_a_column_that_was_left_out_begins_a_file(tmp_path):
    config = ParquetFormatConfig(null_columns="omit", row_group_rows=2)
    without = flows([at(1)] * 2, ["x"] * 2, vpc_id=pa.nulls(2, TEXT))
    given = flows([at(1)] * 2, ["x"] * 2, vpc_id=pa.array([None, "v"], TEXT))
    receipt = put(make(tmp_path, "out/", format=config), without, without, given, without)
    files = [pq.read_table(path) for path in sorted((tmp_path / "out").iterdir())]
    assert [table.num_rows for table in files] == [4, 4]
    assert ["vpc_id" in table.column_names for table in files] == [False, True]
    assert files[1]["vpc_id"].to_pylist() == [None, "v", None, None]
    assert receipt.rows == 8


def test_the_default_format_is_parquet(tmp_path):
    context = Context("flows", "lake", base_dir=tmp_path, registry=Registry())
    put(FileSink(FileSinkConfig(path="out/"), context), flows([at(1)], ["x"]))
    [path] = (tmp_path / "out").iterdir()
    assert pq.ParquetFile(path).metadata.num_rows == 1


def test_building_and_binding_touch_no_disk(tmp_path):
    sink = make(tmp_path, "out/")
    sink.bind(flows([at(1)], ["x"]).schema)
    sink.check()
    sink.prepare(EPOCH)
    sink.close()
    assert list(tmp_path.iterdir()) == []


def test_a_file_in_the_way_of_the_folder_is_a_config_error(tmp_path):
    (tmp_path / "out").write_text("mine")
    with pytest.raises(ConfigError):
        make(tmp_path, "out/deep/").check()
    with pytest.raises(ConfigError):
        put(make(tmp_path, "out/deep/"), flows([at(1)], ["x"]))
    assert (tmp_path / "out").read_text() == "mine"


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="this system has no /proc")
def test_a_folder_that_can_never_be_made_is_an_access_error():
    staging = Staging(Path("/proc/flows"), "p")
    with pytest.raises(AccessError, match="no folder can be made below /proc/flows"):
        staging.path(staging.folder(TASK), "a.csv")


def test_a_folder_that_may_not_be_written_is_an_access_error(as_user):
    as_user.chmod(0o500)
    with pytest.raises(AccessError):
        make(as_user, "out/").check()
    with pytest.raises(AccessError):
        put(make(as_user, "out/"), flows([at(1)], ["x"]))
    as_user.chmod(0o700)


@pytest.mark.parametrize(
    ("number", "kind"),
    [
        (errno.ENOSPC, RetryableError),
        (errno.EDQUOT, RetryableError),
        (errno.EACCES, AccessError),
        (errno.EROFS, AccessError),
        (errno.ENOTDIR, ConfigError),
        (errno.ENAMETOOLONG, ConfigError),
    ],
)
def test_what_the_system_says_becomes_an_error_with_a_hint(number, kind):
    with pytest.raises(kind, match="/lake/x") as caught, os_errors("/lake"):
        raise OSError(number, os.strerror(number), "/lake/x")
    assert caught.value.hint


class FullDisk:
    """A format whose files meet what a full disk says."""

    extension = ".txt"
    compressible = True

    def __init__(self, inner):
        self.inner = inner

    def __getattr__(self, name):
        return getattr(self.inner, name)

    def open(self, stream):
        writer = self.inner.open(stream)

        def refuse(data):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        stream.write = refuse
        return writer


@pytest.mark.parametrize("kind", ["parquet", "jsonl"])
def test_a_full_disk_is_tried_again_later_and_leaves_nothing(tmp_path, kind):
    build, options = FORMATS[kind]
    sink = make(tmp_path, "out/", format=options())
    sink.__dict__["format"] = FullDisk(build(options()))
    with pytest.raises(RetryableError, match="no space left") as caught:
        put(sink, flows([at(1)] * 100, ["x"] * 100))
    assert caught.value.code == "disk_full"
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_a_config_is_only_a_config():
    config = FileSinkConfig(path="out/", format=JsonlFormatConfig())
    assert isinstance(config.format, ComponentConfig)
    assert FileSinkConfig.nested == {"format": "format", "table": "table"}


def test_a_process_that_lost_its_epoch_spoils_nothing_of_the_one_that_took_it_over(tmp_path):
    """It stood still amid a file, and only finds out at its next transaction."""
    path, rows = "out/{account_id}/", flows([at(1), at(1)], ["x", "y"])
    sleeper, other = (make(tmp_path, path) for _ in range(2))
    sleeper.bind(rows.schema)
    writer = sleeper.writer(TASK)
    writer.write(writer.encode(rows.slice(0, 1)))
    other.prepare(EPOCH)
    receipt = stage(other, rows)
    with contextlib.suppress(OSError):  # its folder is gone
        writer.write(writer.encode(rows.slice(1)))
        writer.finish()
    writer.abort()
    again = sleeper.writer(TASK)
    again.write(again.encode(rows.slice(0, 1)))
    other.commit(EPOCH, [receipt])
    again.abort()
    assert sorted(tree(tmp_path).values()) == [[0], [1]]
    other.prepare(EPOCH)
    assert not (tmp_path / "out/.ktrans-staging").exists()
