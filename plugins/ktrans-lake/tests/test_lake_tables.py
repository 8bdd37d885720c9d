"""Tables as others read them: columns, partitions, statistics, and what becomes of them over time."""

import datetime as dt
import json
import shutil
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import duckdb
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from deltalake import DeltaTable
from pyiceberg.transforms import BucketTransform, MonthTransform

from ktrans.api import ConfigError, StateError
from ktrans.flow.schema import FLOW_SCHEMA
from ktrans.state.epoch_store import EpochStore
from ktrans.testing.hostile import hostile_rows
from ktrans.testing.world import Crash
from tests.unit.engine.log_site import Site

from .conftest import NAME, Lake, stage, write

DAY = "out/date={start_time:%Y-%m-%d}/account_id={account_id}/"
NOON = dt.datetime(2026, 5, 4, 12, tzinfo=dt.UTC)
TEXT = pa.dictionary(pa.int32(), pa.string())
FLOWS = pa.schema(
    [
        pa.field("start_time", pa.timestamp("us", "UTC"), metadata={"description": "First packet"}),
        ("account_id", TEXT),
        ("src_port", pa.int32()),
        ("protocol", pa.int16()),
        ("bytes", pa.int64()),
        ("attrs", pa.map_(pa.string(), pa.string())),
    ]
)


def flows(count=4, account="a", **more):
    """Rows of which each starts six hours after the one before."""
    columns = {
        "start_time": [NOON + at * dt.timedelta(hours=6) for at in range(count)],
        "account_id": [account] * count,
        "src_port": list(range(1000, 1000 + count)),
        "protocol": [6] * count,
        "bytes": [10 + at for at in range(count)],
        "attrs": [[("k", "v")]] * count,
    }
    arrays = [pa.array(columns[field.name], field.type) for field in FLOWS]
    batch = pa.RecordBatch.from_arrays(arrays, schema=FLOWS)
    for name, values in more.items():
        batch = batch.append_column(name, values)
    return batch


def ports(table):
    return sorted(table["src_port"].to_pylist())


def test_a_delta_table_has_the_columns_the_partitions_and_the_statistics(delta):
    statistics = {"type": "parquet", "statistics": ["start_time", "src_port"]}
    write(delta.sink(FLOWS, path=DAY, format=statistics), flows())
    table = delta.table()
    assert table.metadata().partition_columns == ["date", "account_id"]
    types = {field.name: str(field.type.to_json()) for field in table.schema().fields}
    assert types["start_time"] == '"timestamp"'
    assert (types["date"], types["account_id"]) == ('"date"', '"string"')
    assert table.schema().fields[0].metadata == {"comment": "First packet"}
    actions = pa.table(table.get_add_actions(flatten=True))
    assert actions["num_records"].to_pylist() == [2, 2]
    assert actions["min.start_time"].to_pylist() == [NOON, NOON + dt.timedelta(hours=12)]
    assert actions["max.src_port"].to_pylist() == [1001, 1003]
    assert actions["null_count.src_port"].to_pylist() == [0, 0]
    columns = pq.read_schema(delta.files()[0]).names
    assert "account_id" not in columns  # a partition is no column of the files in Delta Lake


def test_an_iceberg_table_has_the_columns_the_partitions_and_the_statistics(iceberg):
    write(iceberg.sink(FLOWS, path=DAY), flows())
    table = iceberg.table()
    assert [(f.name, str(f.transform)) for f in table.spec().fields] == [
        ("start_time_day", "day"),
        ("account_id", "identity"),
    ]
    assert table.schema().find_field("start_time").doc == "First packet"
    assert str(table.schema().find_field("protocol").field_type) == "int"
    files = table.inspect.files().to_pylist()
    assert [file["record_count"] for file in files] == [2, 2]
    bounds = [file["readable_metrics"]["start_time"] for file in files]
    assert [one["lower_bound"] for one in bounds] == [NOON, NOON + dt.timedelta(hours=12)]
    days = [file["partition"]["start_time_day"] for file in files]
    assert days == [dt.date(2026, 5, 4), dt.date(2026, 5, 5)]
    later = table.scan(row_filter="start_time >= '2026-05-05T00:00:00+00:00'")
    assert len(list(later.plan_files())) == 1
    assert later.to_arrow().num_rows == 2


@pytest.mark.filterwarnings("ignore:Iceberg scan planning")
def test_every_reader_gets_the_same_rows(lake):
    write(lake.sink(FLOWS, path=DAY), flows())
    write(lake.sink(FLOWS, path=DAY), flows(2, account="b/=%é"), 2)
    own = lake.rows()
    scan = pl.scan_delta(str(lake.root)) if lake.kind == "delta" else pl.scan_iceberg(lake.table())
    frame = scan.collect()
    counted = duckdb.sql(
        "select account_id, count(*), sum(bytes) from own group by all order by all"
    ).fetchall()
    assert counted == [("a", 4, 46), ("b/=%é", 2, 21)]
    sums = frame.group_by("account_id").agg(pl.len(), pl.col("bytes").sum()).sort("account_id")
    assert [tuple(row) for row in sums.rows()] == counted
    assert frame.filter(pl.col("account_id") == "b/=%é").height == 2
    assert frame["start_time"].to_list() == own["start_time"].to_pylist()
    assert frame["attrs"].dtype.is_nested()
    assert own["attrs"].to_pylist()[0] == [("k", "v")]


def test_rows_with_any_values_come_back_as_they_were(lake):
    rows = hostile_rows(FLOW_SCHEMA, {"src_addr": "10.0.0.1", "region": "eu", "bytes": 1})
    write(
        lake.sink(
            FLOW_SCHEMA,
            path="out/region={region}/",
            format={"type": "parquet", "statistics": "all"},
        ),
        rows,
    )
    found = lake.rows().sort_by("source_pos")
    sent = pa.Table.from_batches([rows]).sort_by("source_pos")
    for field in FLOW_SCHEMA:
        kind = field.type.value_type if pa.types.is_dictionary(field.type) else field.type
        expected = sent[field.name].cast(kind).combine_chunks()
        if field.name == "region" and lake.kind == "delta":  # it has no empty text in partitions
            expected = pa.array([text or None for text in expected.to_pylist()])
        if pa.types.is_timestamp(kind) or pa.types.is_integer(kind):
            got = found[field.name].cast(pa.int64()).combine_chunks()
            assert got.equals(expected.cast(pa.int64())), field.name
        else:
            assert found[field.name].to_pylist() == expected.to_pylist(), field.name


def test_an_hour_in_the_path_is_an_hour_of_iceberg(iceberg):
    path = "out/date={start_time:%Y-%m-%d}/hour={start_time:%H}/"
    write(iceberg.sink(FLOWS, path=path), flows())
    (field,) = iceberg.table().spec().fields
    assert (field.name, str(field.transform)) == ("start_time_hour", "hour")
    assert ports(iceberg.rows()) == [1000, 1001, 1002, 1003]


@pytest.mark.parametrize(
    ("path", "transforms"),
    [
        ("out/year={start_time:%Y}/date={start_time:%Y-%m-%d}/", {"start_time": "day"}),
        ("out/month={start_time:%Y-%m}/day={start_time:%m-%d}/", {"start_time": "month"}),
        ("out/year={start_time:%Y}/week={start_time:%V}/", {"start_time": "year"}),
        ("out/week={start_time:%G-W%V}/", {}),
        ("out/date={day:%Y-%m-%d}/{day:%H}/", {"day": "day"}),
    ],
)
def test_any_formats_of_times_in_a_path_make_partitions_of_iceberg(iceberg, path, transforms):
    rows = flows(day=pa.array([NOON.date()] * 4))
    write(iceberg.sink(rows.schema, path=path), rows)
    table = iceberg.table()
    fields = {
        table.schema().find_field(f.source_id).name: str(f.transform) for f in table.spec().fields
    }
    assert fields == transforms
    late = table.scan(row_filter="start_time >= '2026-05-05T00:00:00+00:00' and day = '2026-05-04'")
    assert ports(late.to_arrow()) == [1002, 1003]


def test_partitions_of_an_iceberg_table_that_is_there_follow_from_a_finer_path(iceberg):
    with iceberg.pyiceberg() as catalog:
        catalog.create_namespace("lake")
        schema = pa.schema([("start_time", pa.timestamp("us", "UTC")), ("account_id", pa.string())])
        table = catalog.create_table(NAME, schema, location=f"file://{iceberg.folder}/elsewhere")
        with table.update_spec() as spec:
            spec.add_field("start_time", MonthTransform(), "month")
            spec.add_field("account_id", BucketTransform(4), "bucket")
    write(iceberg.sink(FLOWS, path=DAY), flows())
    found = iceberg.table().scan(
        row_filter="account_id = 'a' and start_time > '2026-05-04T13:00:00+00:00'"
    )
    assert ports(found.to_arrow()) == [1001, 1002, 1003]
    with pytest.raises(ConfigError, match=r"month\(start_time\), which the path does not tell"):
        iceberg.sink(FLOWS, path="out/{account_id}/").check()


def test_a_path_that_divides_otherwise_than_the_table_is_refused_before_anything_is_read(delta):
    write(delta.sink(FLOWS, path=DAY), flows())
    sink = delta.sink(FLOWS, path="out/date={start_time:%Y-%m-%d}/")
    with pytest.raises(ConfigError, match="partitioned by date, account_id, and the path by date"):
        stage(sink, flows(), 2)
    assert sink.config.path
    assert len(delta.files()) == 2


def test_columns_that_the_pipeline_adds_are_added_to_the_table(lake):
    write(lake.sink(FLOWS), flows())
    zone = pa.array(["z"] * 4).dictionary_encode()
    wider = FLOWS.append(pa.field("src_zone", TEXT, metadata={"description": "Zone"}))
    write(lake.sink(wider), flows(src_zone=zone), 2)
    write(lake.sink(FLOWS), flows(), 3)
    assert sorted(map(str, lake.rows()["src_zone"].to_pylist())) == ["None"] * 8 + ["z"] * 4


def test_a_column_of_another_type_is_refused_and_nothing_is_published(lake):
    write(lake.sink(FLOWS), flows())
    text = FLOWS.set(2, pa.field("src_port", TEXT))
    rows = flows()
    rows = rows.set_column(2, "src_port", pa.array(["x"] * 4).dictionary_encode())
    sink = lake.sink(text)
    with pytest.raises(ConfigError, match="src_port") as caught:
        sink.check()
    assert caught.value.code == "table_columns"
    with pytest.raises(ConfigError, match="src_port"):
        sink.prepare(stage(lake.sink(FLOWS), flows(), 2)[0])
    sink.table._checked = True
    with pytest.raises(ConfigError, match="src_port"):
        write(sink, rows, 2)
    assert ports(lake.rows()) == [1000, 1001, 1002, 1003]


def test_columns_without_values_may_be_left_out_of_the_files(lake):
    options = {"format": {"type": "parquet", "null_columns": "omit"}}
    empty = flows().set_column(4, "bytes", pa.nulls(4, pa.int64()))
    write(lake.sink(FLOWS, **options), empty)
    assert "bytes" not in pq.read_schema(lake.files()[0]).names
    write(lake.sink(FLOWS, **options), flows(2), 2)
    assert sorted(map(str, lake.rows()["bytes"].to_pylist())) == ["10", "11"] + ["None"] * 4


def test_types_that_tables_do_not_have_become_wider_ones_or_are_refused(lake):
    rows = pa.record_batch(
        {
            "u8": pa.array([255], pa.uint8()),
            "u16": pa.array([65535], pa.uint16()),
            "u32": pa.array([2**32 - 1], pa.uint32()),
            "u64": pa.array([2**64 - 1], pa.uint64()),
            "ns": pa.array([NOON], pa.timestamp("ns", "Europe/Berlin")),
            "large": pa.array(["x"], pa.large_string()),
            "list": pa.array([["x"]], pa.list_(pa.string())),
            "struct": pa.array([{"a": 1, "b": "x"}], pa.struct([("a", pa.int8()), ("b", TEXT)])),
            "float": pa.array([float("nan")]),
            "flag": pa.array([True]),
            "day": pa.array([dt.date(2026, 5, 4)]),
        }
    )
    write(
        lake.sink(rows.schema, path="out/{flag}/", format={"type": "parquet", "statistics": "all"}),
        rows,
    )
    (row,) = lake.rows().to_pylist()
    assert [int(row[name]) for name in ("u8", "u16", "u32", "u64")] == [
        255,
        65535,
        2**32 - 1,
        2**64 - 1,
    ]
    assert (row["ns"], row["large"], row["list"]) == (NOON, "x", ["x"])
    assert (row["struct"], row["flag"], row["day"]) == (
        {"a": 1, "b": "x"},
        True,
        dt.date(2026, 5, 4),
    )
    with pytest.raises(ConfigError, match="'wait' of type duration"):
        lake.sink(pa.schema([("wait", pa.duration("s"))]))


@pytest.mark.parametrize("last", ["\ud7ff", "\U0010ffff"])
def test_bounds_of_long_texts_are_texts_themselves(lake, last):
    rows = pa.record_batch({"name": ["a" * 15 + last + "b", last * 20, "c"]})
    statistics = {"type": "parquet", "statistics": "all"}
    write(lake.sink(rows.schema, format=statistics), rows)
    assert lake.rows()["name"].to_pylist() == rows["name"].to_pylist()
    if lake.kind == "iceberg":
        found = lake.table().scan(row_filter=f"name = '{last * 20}'").to_arrow()
        assert found.num_rows == 1


def test_a_large_unsigned_number_may_be_a_partition(lake):
    rows = pa.record_batch({"flow": pa.array([2**64 - 1, 0, None], pa.uint64()), "n": [1, 2, 3]})
    write(lake.sink(rows.schema, path="out/flow={flow}/"), rows)
    found = lake.rows().sort_by("n")["flow"].to_pylist()
    assert found == [2**64 - 1, 0, None]


def test_a_crash_between_the_files_and_the_table_is_made_good(lake, monkeypatch):
    write(lake.sink(FLOWS, path=DAY), flows())
    sink = lake.sink(FLOWS, path=DAY)
    staged = stage(sink, flows(2), 2)
    with monkeypatch.context() as crash:
        crash.setattr(type(sink.table.table), "add", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            sink.commit(*staged)
    assert lake.rows().num_rows == 4, "rows can be seen before the table names their files"
    assert len(lake.files()) == 3
    lake.sink(FLOWS, path=DAY).commit(*staged)
    assert lake.rows().num_rows == 6


def test_a_commit_that_was_done_needs_its_files_no_more(lake):
    """They may be compacted away before the run that died records the epoch."""
    sink = lake.sink(FLOWS)
    staged = stage(sink, flows())
    sink.commit(*staged)
    for path in lake.files():
        path.unlink()
    lake.sink(FLOWS).commit(*staged)
    assert lake.commits() == 1


def test_two_that_commit_the_same_epoch_add_it_once(lake):
    """A run that was fenced amid its commit goes on with it, with a table that it read before."""
    first, second = lake.sink(FLOWS), lake.sink(FLOWS)
    write(first, flows())
    staged = stage(first, flows(2), 2)
    table, store = second.table.table, second.table._store()
    stale = table._open(store) if lake.kind == "delta" else table._load(store)
    first.commit(*staged)
    method = "_open" if lake.kind == "delta" else "_load"
    answers = [stale, stale]
    real = getattr(table, method)
    setattr(table, method, lambda given: answers.pop() if answers else real(given))
    second.commit(*staged)
    assert answers == []
    assert lake.rows().num_rows == 6
    assert lake.commits() == 2


def test_histories_and_sinks_have_marks_of_their_own(lake):
    write(lake.sink(FLOWS), flows(1))
    write(lake.sink(FLOWS), flows(1), history="def456")
    write(lake.sink(FLOWS, name="other"), flows(1))
    assert lake.rows().num_rows == 3


def test_a_state_that_is_older_than_the_table_is_refused_before_anything_is_read(lake):
    """It was restored from a backup: an epoch of a known number has other rows than the table thinks."""
    write(lake.sink(FLOWS), flows(1))
    write(lake.sink(FLOWS), flows(1), 2)
    for number in (1, 2):
        with pytest.raises(StateError) as caught:
            stage(lake.sink(FLOWS), flows(2), number)
        assert caught.value.code == "table_ahead"
        sink = lake.sink(FLOWS)
        sink.table._checked = True
        with pytest.raises(StateError):
            write(sink, flows(2), number)
    write(lake.sink(FLOWS), flows(2), 3)
    assert lake.rows().num_rows == 4


def test_an_epoch_that_was_decided_may_be_processed_again_though_the_table_has_it(lake):
    """Another sink had lost what it staged, perhaps since another machine goes on."""
    write(lake.sink(FLOWS), flows())
    again = lake.sink(FLOWS)
    again.commit(*stage(again, flows(), decided=True))
    write(again, flows(1), 2)
    assert lake.rows().num_rows == 5
    with pytest.raises(StateError):
        stage(lake.sink(FLOWS), flows(), decided=True)


def test_a_run_goes_on_if_the_table_has_the_epoch_and_another_sink_has_lost_it(
    tmp_path, monkeypatch
):
    site = Site(tmp_path)
    lines, lake = site.original["sinks"]
    lake.update(path="tab/", format={"type": "parquet"}, table={"type": "delta"})
    site.original["sinks"] = [lines, lake]
    site.write(site.original)

    def record(*_args):
        raise Crash

    with monkeypatch.context() as patch:
        patch.setattr(EpochStore, "record", record)
        with pytest.raises(Crash):
            site.run()
    shutil.rmtree(tmp_path / "lake")
    assert site.run().error is None
    assert site.rows("lake") == site.all()
    assert DeltaTable(str(tmp_path / "tab")).to_pyarrow_table().num_rows == site.all().total()


def test_an_older_state_is_noticed_though_the_log_has_forgotten_what_the_epoch_was(
    delta, monkeypatch
):
    write(delta.sink(FLOWS), flows())
    monkeypatch.setattr(DeltaTable, "history", lambda _table: [])
    with pytest.raises(StateError):
        stage(delta.sink(FLOWS), flows(2))


def test_an_epoch_that_was_staged_for_another_table_is_refused(lake):
    plain = lake.registry.config("sink", {"type": "file", "path": "out/"})
    sink = lake.sink(FLOWS)
    staged = stage(sink, flows())
    without = lake.registry.build("sink", plain, sink.context)
    without.bind(FLOWS)
    with pytest.raises(StateError, match="another `table`"):
        without.commit(*staged)
    staged_without = stage(without, flows())
    with pytest.raises(StateError, match="or for none"):
        sink.commit(*staged_without)
    assert lake.files() == []


def test_only_parquet_files_make_a_table(lake):
    with pytest.raises(ConfigError, match="Parquet files, not of jsonl") as caught:
        lake.sink(FLOWS, format={"type": "jsonl"})
    assert caught.value.field == "format"


def test_partition_columns_are_lost_in_no_table(delta, tmp_path):
    with pytest.raises(ConfigError, match="would not have the column 'account_id'"):
        delta.sink(FLOWS, path="out/{account_id}/", keep_partition_columns=False)
    with pytest.raises(ConfigError, match="two columns of that name"):
        delta.sink(FLOWS, path="out/bytes={account_id}/")
    write(
        delta.sink(FLOWS, path="out/account={account_id}/", keep_partition_columns=False), flows()
    )
    assert delta.rows().column_names == [n for n in FLOWS.names if n != "account_id"] + ["account"]
    iceberg = Lake(tmp_path / "other", "iceberg")
    (tmp_path / "other").mkdir()
    write(iceberg.sink(FLOWS, path="out/{account_id}/", keep_partition_columns=False), flows())
    assert iceberg.rows()["account_id"].to_pylist() == ["a"] * 4


@pytest.mark.parametrize(
    "settings", [{"delta.columnMapping.mode": "name"}, {"delta.constraints.few": "bytes < 5"}]
)
def test_a_delta_table_with_rules_that_files_do_not_heed_is_refused(delta, settings):
    write(delta.sink(FLOWS), flows())
    log = delta.root / "_delta_log" / f"{0:020}.json"
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    for line in lines:
        if "metaData" in line:
            line["metaData"]["configuration"] |= settings
    log.write_text("\n".join(map(json.dumps, lines)))
    with pytest.raises(ConfigError) as caught:
        delta.sink(FLOWS).check()
    assert caught.value.code in {"table_features", "table_refused"}


def test_a_rewind_leaves_the_files_of_a_table(lake):
    sink = lake.sink(FLOWS)
    write(sink, flows())
    assert not sink.withdraws
    from ktrans.api import EpochId

    assert sink.withdraw([EpochId("flows", 1, "abc123")]) == 0
    assert lake.rows().num_rows == 4


def test_compaction_changes_no_rows_and_no_mark(delta):
    sink = delta.sink(FLOWS, path=DAY)
    for number in range(1, 5):
        staged = stage(sink, flows(), number)
        sink.commit(*staged)
    table = DeltaTable(str(delta.root))
    table.optimize.compact()
    table.vacuum(retention_hours=0, enforce_retention_duration=False, dry_run=False)
    assert len(delta.files()) == 2
    delta.sink(FLOWS, path=DAY).commit(*staged)
    staged = stage(delta.sink(FLOWS, path=DAY), flows(), 5)
    delta.sink(FLOWS, path=DAY).commit(*staged)
    assert delta.rows().num_rows == 20
    table = DeltaTable(str(delta.root))
    table.create_checkpoint()
    table.cleanup_metadata()
    delta.sink(FLOWS, path=DAY).commit(*staged)
    assert delta.rows().num_rows == 20


def test_rewriting_and_expiring_changes_no_rows_and_no_mark(iceberg):
    """pyiceberg's way to compact: the rows of a day replace themselves, and old snapshots go."""
    sink = iceberg.sink(FLOWS, path=DAY)
    for number in range(1, 5):
        staged = stage(sink, flows(), number)
        sink.commit(*staged)
    table = iceberg.table()
    day = "start_time >= '2026-05-04T00:00:00+00:00' and start_time < '2026-05-05T00:00:00+00:00'"
    table.overwrite(table.scan(row_filter=day).to_arrow(), overwrite_filter=day)
    table.maintenance.expire_snapshots().older_than(dt.datetime(2100, 1, 1)).commit()  # noqa: DTZ001
    assert len(iceberg.table().metadata.snapshots) == 1
    assert len(list(iceberg.table().scan(row_filter=day).plan_files())) == 1
    iceberg.sink(FLOWS, path=DAY).commit(*staged)
    write(iceberg.sink(FLOWS, path=DAY), flows(), 5)
    assert iceberg.rows().num_rows == 20


def test_several_may_come_first_to_a_catalogue(tmp_path):
    """Each connects by itself, as processes do, and finds a catalogue without tables at first."""
    for number in range(5):
        folder = tmp_path / str(number)
        folder.mkdir()
        lake = Lake(folder, "iceberg")
        sinks, start = [lake.sink(FLOWS, path=DAY) for _ in range(6)], Barrier(6)

        def check(sink, start=start):
            start.wait()
            sink.check()

        with ThreadPoolExecutor(6) as threads:
            list(threads.map(check, sinks))
        assert lake.table() is None
