"""What the table of the sink holds, what it refuses, and what is said when something is missing."""

from __future__ import annotations

from urllib.parse import urlencode

import pyarrow as pa
import pytest
from ktrans_clickhouse.config import ClickhouseSinkConfig

from ktrans.api import (
    AccessError,
    ConfigError,
    Context,
    EpochId,
    RunError,
    TaskId,
    UnavailableError,
)
from ktrans.kit.flow import FLOW_SCHEMA
from ktrans.kit.rows.refuse import encode_rows
from ktrans.testing.hostile import hostile_rows
from ktrans.testing.http_stub import HttpStub
from tests.new_tables import create_at_once

pytestmark = pytest.mark.service("clickhouse")

DAY = 1_767_225_600_000_000
GOOD = {
    "start_time": DAY,
    "src_addr": "10.0.0.1",
    "dst_addr": "2001:db8::1",
    "src_port": 50000,
    "protocol": 6,
    "bytes": 2**53 + 1,
    "action": "accept",
    "attrs": [("tcp", "3"), ("a'b", 'c"d')],
}


def flow(**values):
    """Return one row of the flow schema."""
    row = {**GOOD, **values}
    columns = [
        pa.array([row.get(field.name)], _storage(field.type)).cast(field.type)
        for field in FLOW_SCHEMA
    ]
    return pa.RecordBatch.from_arrays(columns, schema=FLOW_SCHEMA)


def flows(column, values):
    """Return a row of the flow schema for each value of a column."""
    rows = flow().take(pa.array([0] * len(values)))
    kind = FLOW_SCHEMA.field(column).type
    array = pa.array(values, pa.int64()).cast(kind)
    return rows.set_column(FLOW_SCHEMA.names.index(column), FLOW_SCHEMA.field(column), array)


def _storage(kind):
    return pa.int64() if pa.types.is_timestamp(kind) else kind


def send(sink, *batches, epoch=1):
    """Write a task and commit it; return the rejects."""
    one = EpochId("flows", epoch)
    sink.prepare(one)
    writer = sink.writer(TaskId(one, 0))
    refused = []
    for batch in batches:
        encoded, more = encode_rows(writer.encode, batch)
        refused += more
        for each in encoded:
            writer.write(each)
    sink.commit(one, [writer.finish()])
    return refused


def types_of(database, table="flows"):
    return dict(
        database.query(
            f"SELECT name, type FROM system.columns WHERE table = '{table}'"
            f" AND database = '{database.name}'"
        )
    )


def test_a_flow_comes_back_as_it_went_in(database, context):
    sink = database.sink(FLOW_SCHEMA, context, create_table=True, keep="3650d")
    assert send(sink, flow()) == []
    (row,) = database.query(
        "SELECT src_addr, dst_addr, src_port, protocol, toString(bytes), action, attrs, region,"
        " toString(start_time), packets FROM flows"
    )
    attrs = {"tcp": "3", "a'b": 'c"d'}
    expected = ("10.0.0.1", "2001:db8::1", 50000, 6, str(2**53 + 1), "accept", attrs, "")
    assert row == (*expected, "2026-01-01 00:00:00.000000", None)
    expected = {"src_addr": "String", "start_time": "Nullable(DateTime64(6, 'UTC'))"}
    expected |= {"src_port": "Nullable(UInt16)", "protocol": "Nullable(UInt8)"}
    expected |= {"bytes": "Nullable(Int64)", "action": "LowCardinality(String)"}
    expected |= {"attrs": "Map(LowCardinality(String), String)"}
    assert expected.items() <= types_of(database).items()
    ((engine,),) = database.query(
        f"SELECT engine_full FROM system.tables WHERE database = '{database.name}'"
    )
    for part in (
        "PARTITION BY toDate(start_time)",
        "ORDER BY (account_id, vpc_id, start_time)",
        "toIntervalSecond(315360000)",
        "non_replicated_deduplication_window = 10000",
    ):
        assert part in engine


def test_each_hostile_row_arrives_or_is_a_reject_that_says_why(database, context):
    sink = database.sink(FLOW_SCHEMA, context, create_table=True)
    rows = hostile_rows(FLOW_SCHEMA, GOOD)
    refused = send(sink, rows)
    bad = {n for each in refused for n in each.rows["source_pos"].to_pylist()}
    there = {int(n) for (n,) in database.query("SELECT source_pos FROM flows")}
    assert there | bad == set(rows["source_pos"].to_pylist())
    assert not there & bad
    assert 1 in there
    assert {each.reason for each in refused} == {"time_out_of_range", "out_of_range"}
    assert database.query("SELECT region FROM flows WHERE length(region) > 1000") == [
        ("x" * 300_000,)
    ]


def test_types_that_would_store_other_values_refuse_the_rows_instead(database, context):
    database.query(
        "CREATE TABLE flows (n UInt8, v4 Nullable(IPv4), v6 IPv6, at DateTime('UTC'),"
        " big UInt64, words Array(String), double UInt16 MATERIALIZED n * 2)"
        " ENGINE = MergeTree ORDER BY n SETTINGS non_replicated_deduplication_window = 10"
    )
    late = 2**32 * 10**6
    batch = pa.record_batch(
        {
            "n": pa.array([1, 256, -1, 2, 3, 4, 5, 6], pa.int32()),
            "v4": ["10.0.0.1", None, None, None, "::1", None, "::ffff:1.2.3.4", "nowhere"],
            "v6": ["10.0.0.1", "::", "::", None, "::", "::", "::", "::"],
            "at": pa.array([DAY, 0, 0, 0, 0, late, 0, 0], pa.timestamp("us", "UTC")),
            "big": pa.array([2**64 - 1] * 8, pa.uint64()),
            "words": [["a", None]] + [None] * 7,
        }
    )
    refused = send(database.sink(batch.schema, context), batch)
    assert sorted((each.reason, n) for each in refused for n in each.rows["n"].to_pylist()) == [
        ("bad_address", 3),
        ("bad_address", 5),
        ("bad_address", 6),
        ("null_not_allowed", 2),
        ("out_of_range", -1),
        ("out_of_range", 256),
        ("time_out_of_range", 4),
    ]
    query = (
        "SELECT n, toString(v4), toString(v6), toUnixTimestamp(at), toString(big), words, double"
    )
    assert database.query(f"{query} FROM flows") == [
        (1, "10.0.0.1", "::ffff:10.0.0.1", DAY // 10**6, str(2**64 - 1), ["a", ""], 2)
    ]


def test_lists_and_dates_are_kept_as_they_are_or_refused(database, context):
    batch = pa.record_batch(
        {
            "n": [1, 2, 3],
            "structs": pa.array([[{"a": 1}], [], None], pa.list_(pa.struct([("a", pa.int8())]))),
            "numbers": pa.array([[1, None], [], None], pa.list_(pa.int64())),
            "day": pa.array([0, -(2**31), 2**31 - 1], pa.int32()).cast(pa.date32()),
        }
    )
    refused = send(database.sink(batch.schema, context, create_table=True), batch)
    assert {each.reason for each in refused} == {"time_out_of_range"}
    assert sorted(n for each in refused for n in each.rows["n"].to_pylist()) == [2, 3]
    assert database.query("SELECT structs, numbers, toString(day) FROM flows") == [
        ('[{"a":1}]', [1, None], "1970-01-01")
    ]


def test_a_table_that_another_pipeline_creates_meanwhile_gets_the_columns_of_both(
    database, context, tmp_path, monkeypatch
):
    other = Context("more", "table", tmp_path / "more")
    create_at_once(database, context, other, send, monkeypatch)
    assert database.query("SELECT count(*), max(a), max(b) FROM flows") == [(2, "x", "x")]


def test_types_are_chosen_by_the_user_where_they_say_so(database, context):
    types = {"src_addr": "IPv6", "dst_addr": "Nullable(IPv4)", "attrs": "String"}
    sink = database.sink(FLOW_SCHEMA, context, create_table=True, types=types)
    refused = send(sink, flow(dst_addr="10.0.0.2"), flow(dst_addr="::1"))
    assert [each.reason for each in refused] == ["bad_address"]
    assert types.items() <= types_of(database).items()
    assert database.query(
        "SELECT toString(src_addr), JSONExtractString(attrs, 'tcp') FROM flows"
    ) == [("::ffff:10.0.0.1", "3")]


def test_the_statement_for_a_missing_table_is_printed_and_works(database, context):
    sink = database.sink(FLOW_SCHEMA, context)
    for attempt in (sink.check, lambda: sink.writer(TaskId(EpochId("flows", 1), 0))):
        with pytest.raises(ConfigError, match="does not exist") as caught:
            attempt()
        assert caught.value.code == "table_missing"
    assert types_of(database) == {}
    database.query(caught.value.hint.partition("execute:\n")[2].rstrip(";"))
    sink.check()
    assert send(sink, flow()) == []


def test_columns_are_added_where_that_is_allowed(database, context):
    send(database.sink(FLOW_SCHEMA, context, create_table=True), flow())
    wider = FLOW_SCHEMA.append(pa.field("src country", pa.string()))
    with pytest.raises(ConfigError, match="no column 'src country'") as caught:
        database.sink(wider, context).check()
    assert "ADD COLUMN IF NOT EXISTS `src country` String" in caught.value.hint
    sink = database.sink(wider, context, add_columns=True)
    batch = flow()
    country = pa.array(["NL"])
    send(sink, pa.RecordBatch.from_arrays([*batch.columns, country], schema=wider), epoch=2)
    assert database.query("SELECT `src country` FROM flows ORDER BY 1") == [("",), ("NL",)]


def test_a_table_without_deduplication_is_refused_with_the_statement_that_mends_it(
    database, context
):
    create = "CREATE TABLE flows (n Int64) ENGINE = {} {}"
    database.query(create.format("MergeTree", "ORDER BY n"))
    schema = pa.schema([("n", pa.int64())])
    sink = database.sink(schema, context)
    for attempt in (sink.check, lambda: sink.writer(TaskId(EpochId("flows", 1), 0))):
        with pytest.raises(ConfigError, match="non_replicated_deduplication_window is 0") as caught:
            attempt()
        assert caught.value.code == "no_deduplication"
    assert sink.delivery is None
    loose = database.sink(schema, context, deduplicate=False)
    loose.check()
    assert loose.delivery == "at_least_once"
    database.query(caught.value.hint.partition(";")[0])
    sink.check()
    database.query("DROP TABLE flows")
    database.query(create.format("Memory", ""))
    with pytest.raises(ConfigError, match="engine Memory"):
        sink.check()


def test_a_task_over_hundreds_of_days_is_inserted(database, context):
    sink = database.sink(FLOW_SCHEMA, context, create_table=True)
    days = flows("start_time", [DAY + n * 86_400_000_000 for n in range(150)])
    assert send(sink, days) == []
    assert database.query("SELECT toInt32(uniqExact(toDate(start_time))) FROM flows") == [(150,)]


@pytest.mark.parametrize("fault", ["lose answer", "cut body", "late", 503, 502])
def test_an_insert_that_failed_on_the_way_is_repeated_and_rows_are_there_once(
    database, context, proxy, fault
):
    proxy.in_turn(fault, fault)
    options = {"url": proxy.url, "timeout": 2 if fault == "late" else 60}
    sink = database.sink(FLOW_SCHEMA, context, create_table=True, **options)
    rows = flows("bytes", range(500))
    assert send(sink, rows.slice(0, 200), rows.slice(200)) == []
    assert proxy.inserts >= 3
    found = database.query("SELECT toInt32(count()), toInt32(uniqExact(bytes)) FROM flows")
    assert found == [(500, 500)]
    sink.close()


@pytest.mark.parametrize("deduplicate", [True, False])
def test_equal_rows_of_two_tasks_are_all_there(database, context, deduplicate):
    sink = database.sink(FLOW_SCHEMA, context, create_table=True, deduplicate=deduplicate)
    send(sink, flow())
    send(sink, flow(), epoch=2)
    assert database.query("SELECT toInt32(count()) FROM flows") == [(2,)]


def test_other_rows_under_the_mark_of_an_earlier_task_are_not_left_out(database, tmp_path):
    """All of the machine was restored from a backup, and the table was not."""
    for folder, rows in (("a", 1), ("b", 2)):
        context = Context("flows", "table", tmp_path / folder)
        sink = database.sink(FLOW_SCHEMA, context, create_table=True)
        send(sink, flows("bytes", range(rows)))
    assert database.query("SELECT toInt32(count()) FROM flows") == [(3,)]


def test_without_deduplication_a_repeated_insert_adds_rows_again(database, context, proxy):
    """Which also shows that the engine recognises inserts only if it is asked to."""
    proxy.in_turn("lose answer")
    options = {"create_table": True, "url": proxy.url, "deduplicate": False}
    send(database.sink(FLOW_SCHEMA, context, **options), flow())
    assert database.query("SELECT toInt32(count()) FROM flows") == [(2,)]


def test_an_insert_of_which_some_blocks_are_there_is_completed(database, context, monkeypatch):
    """As a server leaves it that runs out of memory, or dies, amid an insert."""
    monkeypatch.setattr("ktrans_clickhouse.sink.BLOCK_ROWS", 1000)
    sink = database.sink(FLOW_SCHEMA, context, create_table=True)
    send(sink, flow(bytes=-1))
    database.query("ALTER TABLE flows ADD CONSTRAINT few CHECK bytes < 7000")
    rows = pa.Table.from_batches([flows("bytes", range(10_000))])
    one = EpochId("flows", 2)
    writer = sink.writer(TaskId(one, 0))
    for batch in rows.to_batches(max_chunksize=500):
        writer.write(writer.encode(batch))
    receipt = writer.finish()
    with pytest.raises(Exception, match="few"):
        sink.commit(one, [receipt])
    count = "SELECT toInt32(count()), toInt32(uniqExact(bytes)) FROM flows"
    ((before, _),) = database.query(count)
    assert 1 < before < 10_001, "some blocks are there"
    database.query("ALTER TABLE flows DROP CONSTRAINT few")
    sink.commit(one, [receipt])
    assert database.query(count) == [(10_001, 10_001)]


def test_a_gateway_that_stays_busy_ends_the_run_so_that_the_next_one_resumes(
    database, context, proxy
):
    options = {"url": proxy.url, "create_table": True, "retry_timeout": 0.5}
    sink = database.sink(FLOW_SCHEMA, context, **options)
    proxy.fault = lambda number: 503
    with pytest.raises(Exception, match="503") as caught:
        send(sink, flow())
    assert caught.value.exit_code == 75
    proxy.fault = lambda number: None
    send(database.sink(FLOW_SCHEMA, context, **options), flow())
    assert database.query("SELECT toInt32(count()) FROM flows") == [(1,)]


@pytest.mark.parametrize(
    ("fault", "kind", "exit_code"),
    [
        (
            "Code: 497. DB::Exception: keyed: Not enough privileges. (ACCESS_DENIED)",
            AccessError,
            77,
        ),
        (401, AccessError, 77),
        ("Code: 60. DB::Exception: Table does not exist. (UNKNOWN_TABLE)", ConfigError, 78),
        ("Code: 241. DB::Exception: Memory limit exceeded. (MEMORY_LIMIT_EXCEEDED)", None, 75),
        ("Code: 6. DB::Exception: Cannot parse text. (CANNOT_PARSE_TEXT)", None, 70),
    ],
)
def test_what_the_server_answers_decides_how_the_run_ends(
    database, context, proxy, fault, kind, exit_code
):
    proxy.fault = lambda number: fault
    options = {"url": proxy.url, "create_table": True, "retry_timeout": 0.3}
    with pytest.raises(kind or RunError) as caught:
        send(database.sink(FLOW_SCHEMA, context, **options), flow())
    assert caught.value.exit_code == exit_code
    assert database.query("SELECT toInt32(count()) FROM flows") == [(0,)]


def test_a_server_that_has_moved_is_told_before_any_row(database, clickhouse_server, context):
    def moved(request):
        place = f"{clickhouse_server.url}{request.path}?{urlencode(request.query)}"
        return 307, {"Location": place}, b""

    batch = pa.record_batch({"n": [1]})
    with HttpStub(moved) as stub:
        sink = database.sink(batch.schema, context, url=stub.url, create_table=True)
        for attempt in (sink.check, lambda: send(sink, batch)):
            with pytest.raises(ConfigError, match="307"):
                attempt()
        sink.close()


def test_a_right_that_is_missing_is_named_with_the_statement_that_grants_it(
    database, context, proxy
):
    proxy.denied = "CHECK GRANT ALTER ADD COLUMN"
    options = {"url": proxy.url, "create_table": True}
    database.sink(FLOW_SCHEMA, context, **options).check()
    with pytest.raises(AccessError, match="lacks the right ALTER ADD COLUMN") as caught:
        database.sink(FLOW_SCHEMA, context, add_columns=True, **options).check()
    expected = f"GRANT ALTER ADD COLUMN ON {database.name}.flows TO default"
    assert caught.value.hint == expected


def test_check_says_what_is_wrong(database, clickhouse_server, context):
    def sink(**options):
        return database.sink(FLOW_SCHEMA, context, create_table=True, **options)

    sink().check()
    assert types_of(database) == {}
    secret = {"user": "keyed", "password": "wrong-password"}
    with pytest.raises(AccessError, match="Authentication failed") as caught:
        sink(**secret).check()
    assert "wrong-password" not in f"{caught.value} {caught.value.hint} {sink(**secret).config!r}"
    sink(user="keyed", password=clickhouse_server.password).check()
    with pytest.raises(ConfigError, match="nowhere") as caught:
        sink(database="nowhere").check()
    assert caught.value.code == "not_found"
    with pytest.raises(UnavailableError, match="no answer"):
        sink(url="http://127.0.0.1:1").check()


@pytest.mark.parametrize(
    "options",
    [
        {"url": "localhost:8123"},
        {"url": "http://me:secret@host"},
        {"url": "http://host", "table": "flows; DROP"},
        {"url": "http://host", "engine": "Log"},
    ],
)
def test_options_that_cannot_be_right_are_refused(options):
    with pytest.raises(ValueError) as caught:
        ClickhouseSinkConfig(**options)
    assert "secret" not in str(caught.value)
