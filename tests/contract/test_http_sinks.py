"""What every built-in sink of an HTTP API owes the engine, on servers that keep what they are sent."""

import json
from typing import ClassVar

import pytest

from ktrans.api import Context
from ktrans.testing.contracts import SinkCase, SinkContract
from ktrans.testing.contracts.sinks import SCHEMA
from ktrans.testing.http_stub import HttpStub
from tests.contract.test_sinks import TinyRegistry


class StubCase(SinkCase):
    """A server that keeps rows; rows may arrive more than once, and are shown once."""

    stages = False
    options: ClassVar = {}

    def __init__(self, stub, folder):
        self.stub, self.folder = stub, folder
        stub.answer = self.answer
        self.kept = []

    def sink(self, name="sink", pipeline="flows"):
        registry = TinyRegistry()
        context = Context(pipeline, name, base_dir=self.folder, registry=registry)
        raw = {"url": self.stub.url, **self.options, "batch_rows": 50}
        sink = registry.build("sink", registry.config("sink", raw), context)
        sink.bind(SCHEMA)
        return sink

    def answer(self, request):
        self.kept += self.rows_in(request)
        return 200, {}, b"{}"

    def rows_in(self, request):
        """Return `n` of the rows of a request; raises if it is not what the API takes."""
        raise NotImplementedError

    def rows(self):
        return sorted(set(self.kept))


@pytest.fixture
def stub():
    with HttpStub() as stub:
        yield stub


class HttpCase(StubCase):
    options: ClassVar = {"type": "http"}

    def rows_in(self, request):
        return [row["n"] for row in request.json_lines()]


class ArrayCase(HttpCase):
    options: ClassVar = {"type": "http", "body": "array"}

    def rows_in(self, request):
        return [row["n"] for row in request.json()]


class TestHttpSink(SinkContract):
    covers = ("http",)

    @pytest.fixture(params=[HttpCase, ArrayCase])
    def case(self, request, stub, tmp_path):
        return request.param(stub, tmp_path)


class ElasticsearchCase(StubCase):
    """Knows documents by their ids."""

    options: ClassVar = {"type": "elasticsearch", "id_columns": ["n"]}

    def __init__(self, stub, folder):
        super().__init__(stub, folder)
        self.documents = {}

    def answer(self, request):
        lines = request.json_lines()
        items = []
        for action, document in zip(lines[::2], lines[1::2], strict=True):
            there = action["create"]["_id"] in self.documents
            self.documents.setdefault(action["create"]["_id"], document["n"])
            error = {"error": {"type": "version_conflict_engine_exception"}} if there else {}
            items.append({"create": {"status": 409 if there else 201, **error}})
        errors = any("error" in item["create"] for item in items)
        return 200, {}, json.dumps({"errors": errors, "items": items}).encode()

    def rows(self):
        return sorted(self.documents.values())


class TestElasticsearchSink(SinkContract):
    covers = ("elasticsearch",)

    @pytest.fixture
    def case(self, stub, tmp_path):
        return ElasticsearchCase(stub, tmp_path)
