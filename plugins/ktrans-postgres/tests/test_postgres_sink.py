"""What the table of the sink holds, what it refuses, and what is said when something is missing."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor, wait

import psycopg
import pyarrow as pa
import pytest
from ktrans_postgres.sink_config import PostgresSinkConfig
from ktrans_postgres.tables import lock_key

from ktrans.api import (
    AccessError,
    ConfigError,
    Context,
    EpochId,
    StateError,
    TaskId,
    UnavailableError,
)
from ktrans.kit.flow import FLOW_SCHEMA
from ktrans.kit.rows.refuse import encode_rows
from ktrans.testing.hostile import hostile_rows
from tests.new_tables import create_at_once

pytestmark = pytest.mark.service("postgres")

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
    columns = [pa.array([row.get(field.name)], _storage(field.type)) for field in FLOW_SCHEMA]
    return pa.RecordBatch.from_arrays(
        [column.cast(field.type) for column, field in zip(columns, FLOW_SCHEMA, strict=True)],
        schema=FLOW_SCHEMA,
    )


def _storage(kind):
    return pa.int64() if pa.types.is_timestamp(kind) else kind


def send(sink, *batches, epoch=1, task=0, history=""):
    """Write a task and commit it; return the rejects."""
    one = EpochId("flows", epoch, history)
    sink.prepare(one)
    writer = sink.writer(TaskId(one, task))
    refused = []
    for batch in batches:
        encoded, more = encode_rows(writer.encode, batch)
        refused += more
        for each in encoded:
            writer.write(each)
    sink.commit(one, [writer.finish()])
    return refused


@pytest.fixture
def context(tmp_path):
    return Context("flows", "table", tmp_path)


def test_a_flow_comes_back_as_it_went_in(database, context):
    sink = database.sink(FLOW_SCHEMA, context, create_table=True)
    assert send(sink, flow()) == []
    (row,) = database.query(
        "SELECT host(src_addr), family(dst_addr), src_port, protocol, bytes, action, attrs, region,"
        " to_char(start_time AT TIME ZONE 'UTC', 'YYYY-MM-DD') FROM flows"
    )
    attrs = {"tcp": "3", "a'b": 'c"d'}
    expected = ("10.0.0.1", 6, 50000, 6, 2**53 + 1, "accept", attrs, None, "2026-01-01")
    assert row == expected
    types = dict(
        database.query(
            "SELECT column_name, udt_name FROM information_schema.columns WHERE table_name = 'flows'"
        )
    )
    expected = {"src_addr": "inet", "start_time": "timestamptz", "src_port": "int4"}
    expected |= {"protocol": "int2", "bytes": "int8", "attrs": "jsonb", "action": "text"}
    assert expected.items() <= types.items()


def test_each_hostile_row_arrives_or_is_a_reject_that_says_why(database, context):
    sink = database.sink(FLOW_SCHEMA, context, create_table=True)
    rows = hostile_rows(FLOW_SCHEMA, GOOD)
    refused = send(sink, rows)
    bad = {n for each in refused for n in each.rows["source_pos"].to_pylist()}
    there = {n for (n,) in database.query("SELECT source_pos FROM flows")}
    assert there | bad == set(rows["source_pos"].to_pylist())
    assert not there & bad
    assert 1 in there
    reasons = {each.reason for each in refused}
    assert reasons == {"text_not_storable", "bad_address", "time_out_of_range"}
    kept = database.query("SELECT region FROM flows WHERE length(region) > 1000")
    assert kept == [("x" * 300_000,)]


def test_values_that_a_table_of_the_users_own_cannot_hold_are_rejects(database, context):
    database.query(
        "CREATE TABLE flows (n smallint NOT NULL, word varchar(3), addr inet, big bigint, words text[],"
        " made timestamptz DEFAULT now())"
    )
    batch = pa.record_batch(
        {
            "n": pa.array([1, 2, 40000, None, 5, 6, 7, 8], pa.int64()),
            "word": pa.array(["abc", "äöü", "a", "b", "abcd", "f", "g", "h"]).dictionary_encode(),
            "addr": ["10.0.0.0/8", "::1", None, None, None, "10.0.0.300", None, "1.2.3.4/33"],
            "big": pa.array([2**63 - 1, 0, 0, 0, 0, 0, 2**63, 0], pa.uint64()),
            "words": [["a", None, '"{,}'], [], None, None, None, None, None, None],
        }
    )
    sink = database.sink(batch.schema, context)
    refused = send(sink, batch)
    assert sorted((each.reason, n) for each in refused for n in each.rows["n"].to_pylist()) == [
        ("bad_address", 6),
        ("bad_address", 8),
        ("null_not_allowed", None),
        ("out_of_range", 40000),
        ("row_not_encodable", 7),
        ("text_not_storable", 5),
    ]
    found = database.query("SELECT n, word, text(addr), big, words FROM flows ORDER BY n")
    assert found == [
        (1, "abc", "10.0.0.0/8", 2**63 - 1, ["a", None, '"{,}']),
        (2, "äöü", "::1/128", 0, []),
    ]
    assert database.query("SELECT count(made) FROM flows") == [(2,)]


def test_networks_and_dates_that_postgresql_does_not_take_are_rejects(database, context):
    nets = ["10.0.0.1/255.255.255.0", "10.0.0.1/0.0.0.255", "10.0.0.1/24", "10.0.0.0/24", "::1"]
    days = pa.array([0, 0, 0, 0, 0, 2**31 - 1, -(2**31)], pa.int32()).cast(pa.date32())
    batch = pa.record_batch(
        {
            "n": list(range(7)),
            "src_addr": [*nets, None, None],
            "block": [None, None, *nets[2:], None, None],
            "day": days,
        }
    )
    sink = database.sink(batch.schema, context, create_table=True, types={"block": "cidr"})
    refused = send(sink, batch)
    assert sorted((each.reason, n) for each in refused for n in each.rows["n"].to_pylist()) == [
        ("bad_address", 0),
        ("bad_address", 1),
        ("bad_address", 2),
        ("time_out_of_range", 5),
        ("time_out_of_range", 6),
    ]
    assert database.query("SELECT text(src_addr), text(block) FROM flows ORDER BY n") == [
        ("10.0.0.0/24", "10.0.0.0/24"),
        ("::1/128", "::1/128"),
    ]


def test_lists_of_nested_values_are_json(database, context):
    kind = pa.list_(pa.struct([("port", pa.int32())]))
    batch = pa.record_batch({"ports": pa.array([[{"port": 1}, None], [], None], kind)})
    assert send(database.sink(batch.schema, context, create_table=True), batch) == []
    found = [ports for (ports,) in database.query("SELECT ports FROM flows")]
    assert found == [[{"port": 1}, None], [], None]


def test_text_that_is_not_utf8_is_a_reject(database, context):
    broken = pa.StringArray.from_buffers(
        3, pa.array([0, 1, 2, 3], pa.int32()).buffers()[1], pa.py_buffer(b"a\xffb")
    )
    batch = pa.RecordBatch.from_arrays([broken], ["word"])
    sink = database.sink(batch.schema, context, create_table=True)
    (refused,) = send(sink, batch)
    assert (refused.reason, refused.rows.num_rows) == ("invalid_utf8", 1)
    assert database.query("SELECT word FROM flows ORDER BY 1") == [("a",), ("b",)]


def test_the_statement_for_a_missing_table_is_printed_and_works(database, context):
    sink = database.sink(FLOW_SCHEMA, context)
    for attempt in (sink.check, lambda: sink.writer(TaskId(EpochId("flows", 1), 0))):
        with pytest.raises(ConfigError, match="does not exist") as caught:
            attempt()
        assert caught.value.code == "table_missing"
    assert database.query("SELECT count(*) FROM pg_class WHERE relname = 'flows'") == [(0,)]
    for statement in caught.value.hint.partition("execute:")[2].split(";"):
        if statement.strip():
            database.query(statement)
    sink.check()
    assert send(sink, flow()) == []
    assert database.query(
        "SELECT indexdef LIKE '%brin (start_time)%' FROM pg_indexes WHERE tablename = 'flows'"
    ) == [(True,)]


def test_columns_are_added_where_that_is_allowed(database, context):
    send(database.sink(FLOW_SCHEMA, context, create_table=True), flow())
    wider = FLOW_SCHEMA.append(pa.field("src_country", pa.string()))
    with pytest.raises(ConfigError, match="no column 'src_country'") as caught:
        database.sink(wider, context).check()
    assert 'ADD COLUMN IF NOT EXISTS "src_country" text' in caught.value.hint
    sink = database.sink(wider, context, add_columns=True)
    sink.check()
    assert database.query(
        "SELECT count(*) FROM information_schema.columns WHERE column_name = 'src_country'"
    ) == [(0,)], "a check changes nothing"
    batch = flow()
    country = pa.array(["NL"])
    send(sink, pa.RecordBatch.from_arrays([*batch.columns, country], schema=wider), epoch=2)
    assert database.query("SELECT src_country FROM flows ORDER BY 1") == [("NL",), (None,)]


def test_a_table_that_another_pipeline_creates_meanwhile_gets_the_columns_of_both(
    database, context, tmp_path, monkeypatch
):
    other = Context("more", "table", tmp_path / "more")
    create_at_once(database, context, other, send, monkeypatch)
    assert database.query("SELECT count(*), max(a), max(b) FROM flows") == [(2, "x", "x")]


def test_types_are_chosen_by_the_user_where_they_say_so(database, context):
    options = {"types": {"src_addr": "text", "attrs": "json"}, "create_table": True}
    sink = database.sink(FLOW_SCHEMA, context, **options)
    assert send(sink, flow(src_addr="anonymous")) == []
    assert database.query("SELECT src_addr, json_typeof(attrs) FROM flows") == [
        ("anonymous", "object")
    ]


def test_a_column_that_needs_a_value_is_named_before_any_row(database, context):
    database.query("CREATE TABLE flows (n bigint, tenant text NOT NULL)")
    sink = database.sink(pa.schema([("n", pa.int64())]), context)
    with pytest.raises(ConfigError, match="'tenant' needs a value"):
        sink.check()


def test_a_table_becomes_a_hypertable_where_timescaledb_is(database, context):
    """TimescaleDB is no package of Debian: its extension is a row, and its function a stand-in."""
    database.query(
        "INSERT INTO pg_extension SELECT 99999, 'timescaledb', extowner, extnamespace, false, '2.17',"
        " NULL, NULL FROM pg_extension LIMIT 1"
    )
    database.query("CREATE TABLE made (hypertable text, time_column text)")
    database.query(
        "CREATE FUNCTION create_hypertable(regclass, name, if_not_exists boolean) RETURNS void"
        " LANGUAGE plpgsql AS $$ BEGIN INSERT INTO made VALUES ($1::text, $2::text);"
        " EXECUTE format('ALTER TABLE %s ALTER COLUMN %I SET NOT NULL', $1, $2); END $$"
    )
    sink = database.sink(FLOW_SCHEMA, context, create_table=True, time="end_time")
    refused = send(sink, flow(end_time=None), flow(end_time=DAY))
    assert [each.reason for each in refused] == ["null_not_allowed"]
    assert database.query("SELECT * FROM made") == [("flows", "end_time")]
    assert database.query("SELECT count(*) FROM flows") == [(1,)]
    assert database.query("SELECT count(*) FROM pg_indexes WHERE tablename = 'flows'") == [(0,)]
    other = database.sink(FLOW_SCHEMA, context, create_table=True, table="t", hypertable="never")
    send(other, flow(), epoch=2)
    assert database.query("SELECT count(*) FROM made") == [(1,)]


def test_marks_of_earlier_epochs_go_and_a_process_that_comes_back_adds_nothing(
    database, context, tmp_path
):
    behind = database.sink(
        FLOW_SCHEMA, Context("flows", "table", tmp_path / "b"), create_table=True
    )
    late = behind.writer(TaskId(EpochId("flows", 1, "h"), 0))
    late.write(late.encode(flow()))
    receipt = late.finish()
    sink = database.sink(FLOW_SCHEMA, context, create_table=True)
    for epoch in (1, 2, 3):
        send(sink, flow(), epoch=epoch, history="h")
    assert database.query("SELECT epoch FROM ktrans_marks") == [(3,)]
    behind.commit(EpochId("flows", 1, "h"), [receipt])
    assert database.query("SELECT count(*) FROM flows") == [(3,)]
    send(sink, flow(), epoch=1, history="another")
    assert database.query("SELECT count(*) FROM flows") == [(4,)]


@pytest.mark.parametrize("isolation", ["read committed", "repeatable read"])
def test_a_process_that_waits_for_another_one_sees_its_marks(
    database, tmp_path, eventually, isolation
):
    """The other one goes on with the next epoch, since this one was suspended."""
    database.query(
        f"ALTER DATABASE {database.name} SET default_transaction_isolation = '{isolation}'"
    )
    sink = database.sink(FLOW_SCHEMA, Context("flows", "table", tmp_path), create_table=True)
    send(sink, flow(), history="h")
    late = EpochId("flows", 2, "h")
    writer = sink.writer(TaskId(late, 0))
    writer.write(writer.encode(flow()))
    receipt = writer.finish()
    key = lock_key("public", sink.origin(late))
    waiting = "SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = "
    with ThreadPoolExecutor(1) as pool, psycopg.connect(database.url) as other:
        other.execute("SELECT pg_advisory_xact_lock(%s)", (key,))
        done = pool.submit(sink.commit, late, [receipt])
        eventually(
            lambda: database.query(f"{waiting}'{database.name}'"), "it waits for the other one"
        )
        other.execute("INSERT INTO ktrans_marks VALUES (%s, 3, 'later')", (sink.origin(late),))
        other.commit()
        done.result(60)
    assert database.query("SELECT count(*) FROM flows") == [(1,)]


def test_an_epoch_of_an_older_state_is_refused_though_nothing_beside_the_table_knows(
    database, tmp_path
):
    """All of the machine was restored from a backup, and the table was not."""
    first = database.sink(FLOW_SCHEMA, Context("flows", "table", tmp_path / "a"), create_table=True)
    for epoch in (1, 2):
        send(first, flow(), epoch=epoch)
    for epoch in (1, 2):
        restored = database.sink(FLOW_SCHEMA, Context("flows", "table", tmp_path / "b"))
        with pytest.raises(StateError, match="has epoch 2 already"):
            send(restored, flow(), epoch=epoch)
        restored.prepare(EpochId("flows", epoch, decided=True))
    send(database.sink(FLOW_SCHEMA, Context("flows", "table", tmp_path / "b")), flow(), epoch=3)
    assert database.query("SELECT count(*) FROM flows") == [(3,)]


def test_a_server_that_restarts_amid_a_delivery_is_waited_for(
    database, context, postgres_server, stopped_server
):
    sink = database.sink(FLOW_SCHEMA, context, create_table=True)
    send(sink, flow())
    with ThreadPoolExecutor(1) as pool:
        with stopped_server():
            done = pool.submit(send, sink, flow(), epoch=2)
            wait([done], 0.5)
            assert not done.done()
        assert done.result(60) == []
    assert database.query("SELECT count(*) FROM flows") == [(2,)]


def test_a_connection_that_is_cut_within_the_transaction_changes_nothing(database, context):
    sink = database.sink(FLOW_SCHEMA, context, create_table=True)
    send(sink, flow())
    database.query(
        "CREATE FUNCTION cut() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
        " PERFORM nextval('cuts'); IF (SELECT last_value FROM cuts) < 3 THEN"
        " PERFORM pg_terminate_backend(pg_backend_pid()); END IF; RETURN NEW; END $$"
    )
    database.query("CREATE SEQUENCE cuts")
    database.query("CREATE TRIGGER cut BEFORE INSERT ON flows FOR EACH ROW EXECUTE FUNCTION cut()")
    send(sink, flow(), epoch=2)
    assert database.query("SELECT count(*) FROM flows") == [(2,)]
    assert database.query("SELECT last_value FROM cuts") == [(3,)]


def test_check_says_what_is_wrong(database, postgres_server, context, stopped_server):
    def sink(**options):
        return database.sink(FLOW_SCHEMA, context, create_table=True, **options)

    sink().check()
    assert database.query("SELECT count(*) FROM pg_class WHERE relname = 'flows'") == [(0,)]
    keyed = f"postgresql://keyed@127.0.0.1:{postgres_server.port}/{database.name}"
    with pytest.raises(AccessError, match="password authentication failed"):
        sink(url=keyed, password="wrong").check()
    with pytest.raises(AccessError, match="lacks INSERT on the table, or CREATE"):
        sink(url=keyed, password=postgres_server.password).check()
    with pytest.raises(AccessError, match='database "nowhere" does not exist'):
        sink(url=postgres_server.url("nowhere")).check()
    with stopped_server(), pytest.raises(UnavailableError, match="cannot be reached"):
        sink().check()


def test_the_rights_that_the_readme_names_are_enough(database, postgres_server, context):
    send(database.sink(FLOW_SCHEMA, context, create_table=True), flow())
    database.query("GRANT INSERT ON flows TO keyed")
    database.query("GRANT SELECT, INSERT, DELETE ON ktrans_marks TO keyed")
    url = f"postgresql://keyed@127.0.0.1:{postgres_server.port}/{database.name}"
    mine = database.sink(FLOW_SCHEMA, context, url=url, password=postgres_server.password)
    mine.check()
    send(mine, flow(), epoch=2)
    assert database.query("SELECT count(*) FROM flows") == [(2,)]
    database.query("REVOKE INSERT ON flows FROM keyed")
    with pytest.raises(AccessError, match="permission denied") as caught:
        send(mine, flow(), epoch=3)
    assert postgres_server.password not in f"{caught.value} {caught.value.hint} {mine.config!r}"


def test_a_constraint_stops_the_run_with_the_message_of_the_server(database, context):
    sink = database.sink(FLOW_SCHEMA, context, create_table=True)
    send(sink, flow())
    database.query("ALTER TABLE flows ADD CHECK (src_port < 60000)")
    with pytest.raises(Exception, match="violates check constraint") as caught:
        send(sink, flow(src_port=61000), epoch=2)
    assert "constraints" in caught.value.hint
    assert database.query("SELECT count(*) FROM flows") == [(1,)]


@pytest.mark.parametrize("name", ["flows; DROP TABLE x", "a" * 64, ""])
def test_names_of_tables_are_names(name):
    with pytest.raises(ValueError):
        PostgresSinkConfig(table=name)
