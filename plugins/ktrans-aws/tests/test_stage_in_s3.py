"""Rows of a database sink that wait in S3: runs that die, each on a machine of its own."""

import shutil
import sqlite3
import subprocess
import sys
import time
from collections import Counter

import pytest

from ktrans.config.load import load_pipeline
from ktrans.engine.assemble import assemble
from ktrans.engine.placement import placement
from ktrans.registry.catalogue import Catalogue

pytestmark = pytest.mark.service("s3")
ROWS = 6000
PLUGIN = '''
import os, signal, sqlite3
from ktrans.api import Spec, hookimpl
from ktrans.kit.buffered_sink import BufferedSink
from ktrans.kit.stage_option import BufferedSinkConfig


def die(at):
    """Kill this process at the n-th call, as DIE says: `name n`."""
    name, _, number = os.environ.get("DIE", "").partition(" ")
    if name == at:
        die.calls += 1
        if die.calls == int(number):
            os.kill(os.getpid(), signal.SIGKILL)


die.calls = 0


class AcmeConfig(BufferedSinkConfig, type="acme"):
    database: str


class AcmeSink(BufferedSink[AcmeConfig]):
    def needs(self):
        return ["source_uri", "source_pos"]

    def encode(self, batch):
        die("encode")
        return super().encode(batch.select(["source_uri", "source_pos"]))

    def bind(self, schema):
        super().bind(__import__("pyarrow").schema([schema.field(n) for n in self.needs()]))

    def prepare(self, epoch):
        die("prepare")
        super().prepare(epoch)

    def deliver(self, delivery):
        with sqlite3.connect(self.config.database) as database:
            database.execute("create table if not exists marks (mark primary key)")
            database.execute("create table if not exists flows (uri, pos)")
            known = "select 1 from marks where mark = ?"
            if not database.execute(known, (delivery.mark,)).fetchone():
                for batch in delivery.batches():
                    rows = [tuple(row.values()) for row in batch.to_pylist()]
                    database.executemany("insert into flows values (?, ?)", rows)
                database.execute("insert into marks values (?)", (delivery.mark,))
            die("deliver")
        database.close()
        die("delivered")


@hookimpl
def ktrans_components():
    return [Spec(kind="sink", type="acme", build=f"{__name__}:AcmeSink",
                 config=f"{__name__}:AcmeConfig", summary="Rows in SQLite",
                 delivery="exactly_once")]
'''


class World:
    def __init__(self, cloud, folder, monkeypatch):
        self.cloud, self.folder = cloud, folder
        self.executor = "threads"
        plugins = folder / "plugins"
        plugins.mkdir()
        (plugins / "acme.py").write_text(PLUGIN)
        monkeypatch.setenv("KTRANS_PLUGINS_DIR", str(plugins))
        for name, value in cloud.server.environ.items():
            monkeypatch.setenv(name, value)

    @property
    def config(self):
        """Write the pipeline file as on a new machine, where nothing else is."""
        shutil.rmtree(self.folder / ".ktrans", ignore_errors=True)
        path = self.folder / "flows.yaml"
        path.write_text(f"""
version: 1
source: {{type: generate, rows: {ROWS}, rows_per_object: 500}}
sinks:
  - {{type: acme, database: {self.folder}/db, stage: "s3://{self.cloud.bucket}/waiting/"}}
state: {{type: s3, bucket: {self.cloud.bucket}, lease_time: 2s}}
engine: {{task_size: 1, epoch_splits: 4, workers: 2, executor: {self.executor}}}
""")
        return path

    def run(self, monkeypatch, die=""):
        monkeypatch.setenv("DIE", die)
        for _ in range(20):
            done = subprocess.run(
                [sys.executable, "-m", "ktrans", "run", "--once", str(self.config)],
                capture_output=True,
                text=True,
                check=False,
                timeout=120,
            )
            if done.returncode != 75:  # the dead run's lease ends
                return done
            time.sleep(0.5)
        raise AssertionError(done.stderr)

    def rows(self):
        database = sqlite3.connect(self.folder / "db")
        found = Counter(database.execute("select uri, pos from flows"))
        database.close()
        return found

    def waiting(self):
        return [key for key in self.cloud.keys("waiting/") if "/last-" not in key]


@pytest.fixture
def world(cloud, tmp_path, monkeypatch):
    return World(cloud, tmp_path, monkeypatch)


@pytest.mark.slow
@pytest.mark.parametrize("die", ["encode 3", "deliver 3", "delivered 2", "prepare 2"])
def test_rows_arrive_once_whatever_machine_dies_and_none_stay_in_the_bucket(
    world, monkeypatch, die
):
    assert world.run(monkeypatch, die).returncode == -9
    assert world.run(monkeypatch, die.partition(" ")[0] + " 7").returncode in (-9, 0)
    last = world.run(monkeypatch)
    assert last.returncode == 0, last.stderr
    rows = world.rows()
    assert len(rows) == ROWS
    assert set(rows.values()) == {1}
    assert world.waiting() == []


def test_other_processes_stage_what_this_one_delivers(world, monkeypatch):
    world.executor = "processes"
    done = world.run(monkeypatch)
    assert done.returncode == 0, done.stderr
    rows = world.rows()
    assert len(rows) == ROWS
    assert set(rows.values()) == {1}
    assert world.waiting() == []
    local = world.folder / ".ktrans/staged/flows.acme"
    assert not local.exists() or not list(local.iterdir())


def test_a_bucket_frees_the_tasks_from_this_machine(world):
    catalogue = Catalogue()
    assembly = assemble(load_pipeline(world.config, catalogue), catalogue)
    assert [bound.component for bound in placement(assembly).bounds] == ["sink rejects"]
    assert assembly.check() == []
    assembly.close()
    assert world.waiting() == []
