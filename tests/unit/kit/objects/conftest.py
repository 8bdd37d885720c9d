"""A source and a sink over a bucket in memory."""

from datetime import UTC, datetime, timedelta

import pytest

from ktrans.api import Context
from ktrans.kit.objects.sink import ObjectSink, ObjectSinkConfig
from ktrans.kit.objects.source import ObjectSource, ObjectSourceConfig
from ktrans.registry.catalogue import Catalogue
from ktrans.testing.contracts.sources import PlainMemory
from ktrans.testing.memory_bucket import MemoryBucket

NOW = datetime(2026, 11, 5, 12, 0, tzinfo=UTC)


class Source(ObjectSource[ObjectSourceConfig]):
    bucket: MemoryBucket

    def make_store(self):
        return self.bucket

    def now(self):
        return self.bucket.now()


class Sink(ObjectSink[ObjectSinkConfig]):
    bucket: MemoryBucket

    def make_target(self):
        return self.bucket


class Clock:
    def __init__(self):
        self.time = NOW

    def __call__(self):
        return self.time

    def add(self, **span):
        self.time += timedelta(**span)


class Site:
    """A bucket, the state of a pipeline that reads it, and its runs."""

    def __init__(self):
        self.clock = Clock()
        self.bucket = MemoryBucket(now=self.clock)
        self.memory = PlainMemory()
        self.position = None
        self.options = {}

    def source(self, pipeline="p", **options):
        config = ObjectSourceConfig(type="test", **{**self.options, **options})
        made = Source(config, Context(pipeline, "source"))
        made.bucket = self.bucket
        return made

    def sink(self, name="sink", pipeline="flows", **options):
        catalogue = Catalogue()
        raw = {"type": "test", "path": "out/{account}/", **options}
        raw["format"] = catalogue.config("format", raw.get("format", {"type": "jsonl"}))
        made = Sink(ObjectSinkConfig(**raw), Context(pipeline, name, registry=catalogue))
        made.bucket = self.bucket
        return made

    def record(self, plan, failed=()):
        """Do what the engine does after an epoch; `failed` were set aside."""
        entries = {k: v for k, v in plan.remember.items() if k not in failed}
        self.memory.record(type(plan)(plan.splits, plan.position, entries))
        self.position = plan.position


@pytest.fixture
def site():
    return Site()
