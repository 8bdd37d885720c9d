"""The sink `duckdb`: held to the contract of all sinks, and run in a pipeline."""

import json
import subprocess
import sys

import duckdb
import pyarrow as pa
import pytest
from ktrans_duckdb.sink import DuckdbSink, DuckdbSinkConfig

from ktrans.api import ConfigError, Context
from ktrans.testing.contracts import PluginContract, SinkCase, SinkContract
from ktrans.testing.contracts.sinks import SCHEMA


class Case(SinkCase):
    def __init__(self, folder):
        self.folder = folder

    def sink(self, name="sink", pipeline="flows", schema=SCHEMA):
        config = DuckdbSinkConfig(database="flows.duckdb")
        sink = DuckdbSink(config, Context(pipeline, name, self.folder))
        sink.bind(schema)
        return sink

    def rows(self):
        path = self.folder / "flows.duckdb"
        if not path.exists():
            return []
        with duckdb.connect(str(path), read_only=True) as database:
            return [n for (n,) in database.execute("select n from flows order by n").fetchall()]


class TestPlugin(PluginContract):
    module = "ktrans_duckdb"


class TestDuckdbSink(SinkContract):
    covers = ("duckdb",)

    @pytest.fixture
    def case(self, tmp_path):
        return Case(tmp_path)


def test_a_column_that_the_table_lacks_is_named_before_any_row(tmp_path):
    case = Case(tmp_path)
    with duckdb.connect(str(tmp_path / "flows.duckdb")) as database:
        database.execute("create table flows (n bigint)")
    with pytest.raises(ConfigError, match="account"):
        case.sink()
    case.sink(schema=pa.schema([("n", pa.int64())]))


def test_a_pipeline_fills_the_table_once(tmp_path):
    (tmp_path / "p.yaml").write_text(
        "name: p\n"
        "source: {type: file, paths: [logs], tail_wait: 0}\n"
        "decoder: {type: aws_vpc}\n"
        "sinks: [{type: duckdb, database: flows.duckdb}]\n"
    )
    record = (
        "2 123456789012 eni-0a 10.0.0.1 10.0.0.2 {} 443 6 1 40 1767225600 1767225660 ACCEPT OK\n"
    )
    records = "".join(record.format(port) for port in range(1, 1001))
    (tmp_path / "logs").mkdir()
    for number in range(5):
        (tmp_path / "logs" / f"{number}.log").write_text(records)
    for _ in range(2):
        command = [sys.executable, "-m", "ktrans", "run", "--json", str(tmp_path / "p.yaml")]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert json.loads(done.stdout)["outcome"] == "nothing_to_do"
    with duckdb.connect(str(tmp_path / "flows.duckdb"), read_only=True) as database:
        found = database.execute(
            "select count(*), count(distinct (source_uri, source_pos)) from flows"
        )
        rows, different = found.fetchone()
    assert rows == different == 5000
