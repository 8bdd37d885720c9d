"""What every built-in sink of an HTTP API owes the engine, on servers that keep what they are sent."""

import json
from typing import ClassVar

import pyarrow as pa
import pytest
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest

from ktrans.api import Context
from ktrans.testing.contracts import SinkCase, SinkContract
from ktrans.testing.contracts.sinks import SCHEMA
from ktrans.testing.http_stub import HttpStub
from tests.contract.test_sinks import TinyRegistry


def timed(batch):
    times = pa.array([1_767_225_600] * batch.num_rows, pa.timestamp("s", "UTC"))
    return batch.append_column("end_time", times)


class StubCase(SinkCase):
    """A server that keeps rows; rows may arrive more than once, and are shown once.

    If it is `timed`, rows get the time that events need.
    """

    stages = False
    timed = False
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
        if not self.timed:
            sink.bind(SCHEMA)
            return sink
        sink.bind(timed(pa.RecordBatch.from_pylist([], SCHEMA)).schema)
        make = sink.writer

        def writer(task):
            made = make(task)
            encode = made.encode
            made.encode = lambda batch: encode(timed(batch))
            return made

        sink.writer = writer
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


class SplunkCase(StubCase):
    timed = True
    options: ClassVar = {"type": "splunk_hec", "token": "hush-hush"}

    def answer(self, request):
        self.kept += [event["event"]["n"] for event in request.json_lines()]
        return 200, {}, b'{"text": "Success", "code": 0}'


class TestSplunkHecSink(SinkContract):
    covers = ("splunk_hec",)

    @pytest.fixture
    def case(self, stub, tmp_path):
        return SplunkCase(stub, tmp_path)


class LokiCase(StubCase):
    timed = True
    options: ClassVar = {"type": "loki", "label_columns": ["account"]}

    def rows_in(self, request):
        streams = request.json()["streams"]
        return [json.loads(value[1])["n"] for stream in streams for value in stream["values"]]


class TestLokiSink(SinkContract):
    covers = ("loki",)

    @pytest.fixture
    def case(self, stub, tmp_path):
        return LokiCase(stub, tmp_path)


class DatadogCase(StubCase):
    timed = True
    options: ClassVar = {"type": "datadog", "api_key": "hush-hush"}

    def rows_in(self, request):
        return [json.loads(log["message"])["n"] for log in request.json()]


class TestDatadogSink(SinkContract):
    covers = ("datadog",)

    @pytest.fixture
    def case(self, stub, tmp_path):
        return DatadogCase(stub, tmp_path)


class NewRelicCase(StubCase):
    timed = True
    options: ClassVar = {"type": "new_relic", "license_key": "hush-hush"}

    def rows_in(self, request):
        return [log["attributes"]["n"] for log in request.json()[0]["logs"]]


class TestNewRelicSink(SinkContract):
    covers = ("new_relic",)

    @pytest.fixture
    def case(self, stub, tmp_path):
        return NewRelicCase(stub, tmp_path)


class OtlpCase(StubCase):
    timed = True
    options: ClassVar = {"type": "otlp"}

    def answer(self, request):
        for block in ExportLogsServiceRequest.FromString(request.body).resource_logs:
            for record in block.scope_logs[0].log_records:
                found = {each.key: each.value for each in record.attributes}
                self.kept.append(found["n"].int_value)
        return 200, {}, b""


class TestOtlpSink(SinkContract):
    covers = ("otlp",)

    @pytest.fixture
    def case(self, stub, tmp_path):
        return OtlpCase(stub, tmp_path)
