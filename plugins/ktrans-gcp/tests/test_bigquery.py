"""The bigquery sink against a stand-in that is as strict as Google's protos say."""

import importlib.util
import json
import random
import shutil
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import grpc
import pyarrow as pa
import pytest
from ktrans_gcp import bigquery_stream
from ktrans_gcp.bigquery_sink import BigQuerySink
from ruamel.yaml import YAML

from ktrans.api import (
    AccessError,
    ConfigError,
    Context,
    RetryableError,
    RunError,
    StageLostError,
    UnavailableError,
)
from ktrans.kit.flow import FLOW_SCHEMA
from ktrans.registry.catalogue import Catalogue
from ktrans.state.epoch_store import EpochStore
from ktrans.testing.contracts import SinkCase, SinkContract
from ktrans.testing.contracts.sinks import EPOCH, FIRST, SCHEMA, SECOND, batches, numbers, run
from ktrans.testing.hostile import hostile_rows
from ktrans.testing.world import Crash
from tests.killed_tables import KilledTable
from tests.unit.engine.log_site import Site

_spec = importlib.util.spec_from_file_location(
    "bigquery_stub", Path(__file__).with_name("bigquery_stub.py")
)
bigquery_stub = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(bigquery_stub)
ROOT = Path(__file__).parents[3]
PATH = "projects/p/datasets/d/tables/flows"
UNAVAILABLE = grpc.StatusCode.UNAVAILABLE


@pytest.fixture
def stub():
    made = bigquery_stub.BigQueryStub()
    yield made
    made.close()


@pytest.fixture
def build(stub, tmp_path):
    built = []

    def make(schema=SCHEMA, name="sink", pipeline="flows", **options):
        catalogue = Catalogue()
        raw = {**options_of(stub), "create_table": True, "retry_time": 5, **options}
        context = Context(pipeline, name, tmp_path, registry=catalogue)
        sink = BigQuerySink(catalogue.config("sink", raw), context)
        sink.bind(schema)
        built.append(sink)
        return sink

    yield make
    for sink in built:
        sink.close()


def options_of(stub):
    place = {"type": "bigquery", "project": "p", "dataset": "d"}
    return {**place, "endpoint": stub.endpoint, "rest_endpoint": stub.rest_endpoint}


def shown(stub):
    return sorted(row["n"] for row in stub.visible(PATH))


class BigQueryCase(SinkCase):
    def __init__(self, stub, build):
        self.stub, self.build = stub, build

    def sink(self, name="sink", pipeline="flows"):
        return self.build(name=name, pipeline=pipeline)

    def rows(self):
        return shown(self.stub)


class TestContract(SinkContract):
    covers = ("bigquery",)

    @pytest.fixture
    def case(self, stub, build):
        return BigQueryCase(stub, build)


def stage(sink, *tasks):
    sink.prepare(EPOCH)
    return [run(sink, task) for task in tasks]


def test_a_table_is_created_with_partitions_and_clusters(stub, build):
    sink = build(
        FLOW_SCHEMA, cluster_by=["account_id"], partition="HOUR", partition_expiration="30d"
    )
    writer = sink.writer(FIRST)
    rows = hostile_rows(FLOW_SCHEMA, {"src_addr": "10.0.0.1"})
    writer.write(rows.slice(0, 5))
    sink.commit(EPOCH, [writer.finish()])
    made = stub.tables[PATH]
    kinds = {each["name"]: each["type"] for each in made["schema"]["fields"]}
    assert made["timePartitioning"] == {
        "type": "HOUR",
        "field": "start_time",
        "expirationMs": "2592000000",
    }
    assert made["clustering"] == {"fields": ["account_id"]}
    assert [kinds[name] for name in ("src_addr", "bytes", "protocol", "start_time", "attrs")] == [
        *("STRING", "INT64", "INT64", "TIMESTAMP", "JSON")
    ]
    assert len(stub.visible(PATH)) == 5


def test_a_table_that_another_process_creates_meanwhile_is_looked_at(stub, build, monkeypatch):
    one, two = build(), build(pa.schema([("other", pa.int64())]))
    table = one._table
    look = table._checked

    def checked():
        monkeypatch.setattr(table, "_checked", look)
        there = look()
        two.writer(SECOND).write(pa.record_batch({"other": [1]}))
        return there

    monkeypatch.setattr(table, "_checked", checked)
    with pytest.raises(ConfigError, match="has no column 'account'"):
        one.writer(FIRST).write(batches(FIRST)[0])


def test_an_address_that_is_not_of_bigquery_is_told(stub, build):
    stub.tables[PATH], stub.rest_body = {}, []
    with pytest.raises(ConfigError, match="does not answer as BigQuery does"):
        build().check()


def test_any_row_arrives_or_is_refused(stub, build):
    sink = build(FLOW_SCHEMA, request_size=200_000)
    rows = hostile_rows(FLOW_SCHEMA, {"src_addr": "10.0.0.1", "dst_addr": "10.0.0.2"})
    writer = sink.writer(FIRST)
    writer.write(rows)
    receipt = writer.finish()
    reasons = Counter(one.reason for one in writer.refused() for _ in range(one.rows.num_rows))
    sink.commit(EPOCH, [receipt])
    assert receipt.rows + reasons.total() == rows.num_rows
    assert set(reasons) == {"message_too_large", "row_refused"}
    assert len(stub.visible(PATH)) == receipt.rows > reasons.total()


def test_types_of_all_kinds(stub, build):
    rows = pa.record_batch(
        {
            "texts": pa.array([["a", "b"], [], None]),
            "numbers": pa.array([[1], [2, 3], []], pa.list_(pa.int32())),
            "nested": pa.array([{"a": 1}, None, {"a": 2}]),
            "lists": pa.array([[[1]], None, []]),
            "day": pa.array([1, 2, None], pa.date32()),
            "local": pa.array([1, 2, None], pa.timestamp("ns")),
            "share": pa.array([0.5, None, 1.0], pa.float32()),
            "big": pa.array([2**64 - 1, 0, None], pa.uint64()),
            "raw": pa.array([b"\0", None, b""]),
            "flag": [True, None, False],
        }
    )
    sink = build(rows.schema)
    writer = sink.writer(FIRST)
    writer.write(rows)
    sink.commit(EPOCH, [writer.finish()])
    fields = stub.tables[PATH]["schema"]["fields"]
    assert [(each["type"], each["mode"] == "REPEATED") for each in fields] == [
        *(("STRING", True), ("INT64", True), ("JSON", False), ("JSON", False), ("DATE", False)),
        *(("DATETIME", False), ("FLOAT64", False), ("NUMERIC", False), ("BYTES", False)),
        ("BOOL", False),
    ]
    found = stub.visible(PATH)
    assert json.loads(found[0]["nested"]) == {"a": 1}
    assert (found[0]["texts"], int(found[0]["big"])) == (["a", "b"], 2**64 - 1)


def test_rows_that_bigquery_refuses_are_named_and_the_others_arrive(stub, build):
    sink = build()
    writer = sink.writer(FIRST)
    accounts = pa.array(["a", "refuse me", "b", "refuse me", None]).dictionary_encode()
    writer.write(pa.record_batch([accounts, pa.array([1, 2, 3, 4, 5])], schema=SCHEMA))
    receipt = writer.finish()
    assert receipt.rows == 3
    refused = writer.refused()
    assert sorted(one.rows["n"][0].as_py() for one in refused) == [2, 4]
    assert {(one.reason, one.detail) for one in refused} == {
        ("row_refused", "this account is refused")
    }
    sink.commit(EPOCH, [receipt])
    assert shown(stub) == [1, 3, 5]


@pytest.mark.parametrize("fault", ["lose", UNAVAILABLE, grpc.StatusCode.ABORTED])
@pytest.mark.parametrize(
    "call", ["CreateWriteStream", "AppendRows", "FinalizeWriteStream", "BatchCommitWriteStreams"]
)
def test_calls_that_fail_or_lose_their_answer_are_made_again(stub, build, call, fault):
    sink = build(request_size=1000)
    stub.faults[call] = [None, fault, fault] if call == "AppendRows" else [fault, fault]
    sink.commit(EPOCH, stage(sink, FIRST, SECOND))
    assert stub.faults[call] == []
    assert shown(stub) == numbers(FIRST, SECOND)


def test_an_epoch_is_committed_as_a_whole_and_twice_is_harmless(stub, build):
    sink = build()
    receipts = stage(sink, FIRST, SECOND)
    stub.faults["BatchCommitWriteStreams"] = [grpc.StatusCode.PERMISSION_DENIED]
    with pytest.raises(AccessError):
        sink.commit(EPOCH, receipts)
    assert shown(stub) == []
    sink.commit(EPOCH, receipts)
    build().commit(EPOCH, receipts)
    assert shown(stub) == numbers(FIRST, SECOND)


def test_streams_that_bigquery_has_dropped_are_lost_and_others_are_not_committed(stub, build):
    sink = build()
    receipts = stage(sink, FIRST, SECOND)
    del stub.streams[receipts[1].data["stream"]]
    with pytest.raises(StageLostError):
        sink.commit(EPOCH, receipts)
    assert shown(stub) == []


def test_a_stream_that_was_never_finalized_is_no_reason_to_go_on(stub, build):
    sink = build()
    receipts = stage(sink, FIRST)
    stub.streams[receipts[0].data["stream"]].finalized = False
    with pytest.raises(RunError) as caught:
        sink.commit(EPOCH, receipts)
    assert "INVALID_STREAM_STATE" in caught.value.message


def test_what_is_aborted_is_never_seen(stub, build):
    sink = build()
    writer = sink.writer(FIRST)
    writer.write(batches(FIRST)[0])
    writer.abort()
    sink.commit(EPOCH, stage(sink, SECOND))
    assert shown(stub) == numbers(SECOND)


def test_a_server_that_does_not_answer_is_not_waited_for_forever(stub, build, monkeypatch):
    monkeypatch.setattr(bigquery_stream, "_FLOW_SECS", 0.5)
    sink = build(request_size=1000)
    stub.faults["AppendRows"] = [None, "hang", None, "hang"]
    sink.commit(EPOCH, stage(sink, FIRST))
    assert stub.faults["AppendRows"] == []
    assert shown(stub) == numbers(FIRST)


def test_a_server_that_is_away_ends_the_task_as_retryable(stub, build):
    sink = build(endpoint="http://127.0.0.1:1", retry_time=0.1)
    with pytest.raises(RetryableError):
        run(sink, FIRST)


class TestCheck:
    def test_a_missing_table_is_told_with_its_statement(self, stub, build):
        sink = build(create_table=False)
        for fails in (sink.check, lambda: run(sink, FIRST)):
            with pytest.raises(ConfigError) as caught:
                fails()
            assert caught.value.code == "bigquery_table"
            assert "CREATE TABLE `p.d.flows` (\n  `account` STRING,\n  `n` INT64\n)" in (
                caught.value.hint
            )
        build(create_table=True).check()
        assert stub.tables == {}
        statement = build(FLOW_SCHEMA, cluster_by=["action"])._table.statement()
        assert statement.endswith("PARTITION BY DATE(start_time)\nCLUSTER BY action")

    def test_a_table_that_does_not_fit(self, stub, build):
        sink = build()
        sink.commit(EPOCH, stage(sink, FIRST))
        build().check()
        more = SCHEMA.append(pa.field("more", pa.list_(pa.int64())))
        other = pa.schema([("account", pa.string()), ("n", pa.string())])
        for schema, hint in [(more, "ADD COLUMN `more` ARRAY<INT64>"), (other, "derive")]:
            with pytest.raises(ConfigError) as caught:
                build(schema).check()
            assert caught.value.code == "bigquery_columns"
            assert hint in caught.value.hint
        stub.tables[PATH]["schema"]["fields"][0]["mode"] = "REQUIRED"
        with pytest.raises(ConfigError) as caught:
            build(pa.schema([("n", pa.int64())])).check()
        assert "requires" in caught.value.message

    def test_rights_and_a_server_that_is_away(self, stub, build):
        sink = build()
        sink.commit(EPOCH, stage(sink, FIRST))
        stub.granted = []
        with pytest.raises(AccessError) as caught:
            build().check()
        assert "roles/bigquery.dataEditor" in caught.value.hint
        stub.rest_status = 403
        with pytest.raises(AccessError):
            build().check()
        with pytest.raises(UnavailableError):
            build(rest_endpoint="http://127.0.0.1:1").check()

    def test_columns_that_are_missing(self, build):
        for options in ({"time": "nope"}, {"cluster_by": ["nope"]}):
            with pytest.raises(ConfigError) as caught:
                build(**options)
            assert caught.value.field == next(iter(options))


def test_the_shipped_pipeline_fills_a_table(stub, tmp_path):
    tree = YAML(typ="safe").load((ROOT / "configs/to-bigquery.yaml").read_text())
    tree["source"] = {"type": "file", "paths": [str(ROOT / "examples/cloud-logs/gcp")]}
    tree["sinks"][0].update(options_of(stub))
    tree["rejects"]["path"], tree["state"]["path"] = "rejects/", "state.db"
    (tmp_path / "pipeline.yaml").write_text(json.dumps(tree))
    command = [sys.executable, "-m", "ktrans", "run", "--json", str(tmp_path / "pipeline.yaml")]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    rows = json.loads(done.stdout)["ledger"]["stages"][0]["out"]["rows"]
    assert len(stub.visible(PATH)) == rows > 0
    assert stub.tables[PATH]["clustering"] == {"fields": ["account_id", "vpc_id"]}


@pytest.mark.parametrize("gone", [False, True])
def test_rows_are_there_once_though_another_sink_lost_what_it_staged(
    stub, tmp_path, monkeypatch, gone
):
    site = Site(tmp_path)
    lake, lines = site.original["sinks"]
    columns = {"columns": ["interface_id", "src_addr"], "id": "table", "create_table": True}
    site.original["sinks"] = [lake, {**options_of(stub), **columns}, lines]
    site.write(site.original)

    def crash(*_args):
        raise Crash

    with monkeypatch.context() as patch:
        if gone:  # nothing is committed there, and BigQuery drops it
            patch.setattr(BigQuerySink, "commit", crash)
        patch.setattr(EpochStore, "record", crash)
        with pytest.raises(Crash):
            site.run()
    shutil.rmtree(tmp_path / "lake")
    if gone:
        stub.streams.clear()
    assert site.run().error is None
    assert site.rows("lake") == site.rows("lines") == site.all()
    found = Counter((row["interface_id"], row["src_addr"]) for row in stub.visible(PATH))
    assert found == site.all()


@pytest.mark.slow
def test_twenty_kills_and_each_row_is_in_the_table_once(stub, tmp_path):
    """A process is killed after so many calls: amid a task, before or after a commit."""
    columns = ["source_uri", "source_pos", "bytes"]
    options = {**options_of(stub), "create_table": True, "columns": columns}
    site = KilledTable(tmp_path, {**options, "request_size": 20_000})
    site.write_logs(24)
    rng, kills, met = random.Random(7), 0, 0
    while kills < 20:
        process = site.start()
        before = sum(stub.calls.values())
        wanted = before + rng.randrange(1, 60)
        while process.poll() is None and sum(stub.calls.values()) < wanted:
            time.sleep(0.005)
        if process.poll() is None:
            process.kill()
            kills += 1
            met += sum(stub.calls.values()) > before
        _, said = process.communicate()
        assert process.returncode in (0, -9), said
        if process.returncode == 0:
            site.write_logs(8)
    assert met >= 10
    site.finish()
    rows = Counter((row["source_uri"], row["source_pos"]) for row in stub.visible(PATH))
    assert set(rows.values()) == {1}
    assert len(rows) == site.rows
