"""A pipeline of fakes, and a function that runs it."""

import threading
import uuid
from contextlib import closing, contextmanager
from dataclasses import replace

import pytest

from ktrans.config.model import Pipeline, RejectsEntry, SinkEntry
from ktrans.config.settings import EngineSettings, RejectLimit
from ktrans.engine.run import run
from ktrans.engine.run_context import RunOptions
from ktrans.kit.state.sqlite_database import SqliteDatabase
from ktrans.registry.catalogue import Catalogue
from ktrans.state.store import Store
from ktrans.testing import fakes


class Bench:
    """A world, a pipeline over it, and its state in a temporary folder."""

    def __init__(self, folder):
        self.name = uuid.uuid4().hex
        self.world = fakes.WORLDS[self.name] = fakes.World()
        self.catalogue = Catalogue(extra={"fakes": fakes})
        config = self.catalogue.config
        sink = {"type": "fake", "world": self.name}
        self.pipeline = Pipeline(
            name="p",
            path=folder / "p.yaml",
            base_dir=folder,
            source=config("source", {"type": "fake", "world": self.name}),
            decoder=config("decoder", {"type": "fake"}),
            enrichers=(),
            sinks=(SinkEntry("a", config("sink", sink)), SinkEntry("b", config("sink", sink))),
            rejects=RejectsEntry(config("sink", sink), RejectLimit(min_records=1_000_000)),
            engine=EngineSettings(workers=2, retry_wait=0, task_size=40, epoch_splits=4),
        )

    def change(self, **changes):
        self.pipeline = replace(self.pipeline, **changes)

    def settings(self, **changes):
        self.change(engine=self.pipeline.engine.model_copy(update=changes))

    def run(self, observer=None, stop=None, abandon=None, **options):
        return run(
            self.pipeline,
            self.catalogue,
            RunOptions(**options),
            observer,
            stop or threading.Event(),
            abandon,
        )

    def fill(self, objects=6, lines=5):
        for number in range(objects):
            text = "".join(f"{number * 10 + i} {i} row-{number}-{i}\n" for i in range(lines))
            self.world.objects[f"object-{number:03}"] = text

    @property
    def state_path(self):
        return self.pipeline.base_dir / self.pipeline.state.path

    @contextmanager
    def store(self):
        with closing(SqliteDatabase(self.state_path)) as database:
            yield Store(database)

    def names(self, sink="a"):
        return sorted(row[2] for row in self.world.rows(sink))


@pytest.fixture
def bench(tmp_path):
    bench = Bench(tmp_path)
    yield bench
    del fakes.WORLDS[bench.name]
