"""The contracts of sources and sinks, over a bucket in memory."""

import json

import pytest

from ktrans.api import Budget
from ktrans.testing.contracts import SinkCase, SinkContract, SourceCase, SourceContract
from ktrans.testing.contracts.sinks import SCHEMA

LINES = [f"line {i} of the object\n".encode() for i in range(500)]


class ObjectsCase(SourceCase):
    def __init__(self, site, options):
        self.site = site
        self.options = options
        for i in range(6):
            day = f"{i % 3 + 2:02d}"
            data = b"".join(LINES[i * 80 : (i + 1) * 80])
            site.bucket.put(f"logs/a{i % 2}/2026/11/{day}/{i}.log", data)

    def build(self):
        return self.site.source(**self.options)


OPTIONS = [{}, {"layout": "plain"}, {"prefix": "logs/", "layout": "*/%Y/%m/%d/"}]


class TestObjectSource(SourceContract):
    @pytest.fixture(params=OPTIONS, ids=["auto", "plain", "template"])
    def case(self, request, site):
        return ObjectsCase(site, request.param)

    def test_an_object_is_read_in_parts(self, site):
        case = ObjectsCase(site, {"part_size": 1 << 16})
        data = bytes(range(256)) * 2000
        site.bucket.put("big", data)
        with case.build() as source:
            split = source.plan(None, site.memory, Budget()).splits[0]
            with source.open(split) as payload, payload.open() as stream:
                assert stream.read() == data
            with source.open(split) as payload, payload.random_access() as stream:
                stream.seek(-1000, 2)
                assert stream.read(3) == data[-1000:-997]
                stream.seek(100_000)
                assert stream.read(300_000) == data[100_000:400_000]
                assert payload.head(5) == data[:5]


class BucketCase(SinkCase):
    def __init__(self, site, options):
        self.site = site
        self.options = options

    def sink(self, name="sink", pipeline="flows"):
        made = self.site.sink(name, pipeline, **self.options)
        made.bind(SCHEMA)
        return made

    def rows(self):
        lines = b"".join(self.site.bucket.data().values()).splitlines()
        return sorted(json.loads(line)["n"] for line in lines)

    def leftovers(self):
        return [key for key, *_ in self.site.bucket.staged.values()]


SINKS = [{}, {"target_file_size": 1500, "buffer_size": 1 << 16}, {"if_absent": True}]


class TestObjectSink(SinkContract):
    @pytest.fixture(params=SINKS, ids=["plain", "many", "if_absent"])
    def case(self, request, site):
        return BucketCase(site, request.param)
