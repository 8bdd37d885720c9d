"""Rows of the flow schema with every value that somebody could put there: no row harms another."""

import json

import pytest
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest

from ktrans.flow.schema import FLOW_SCHEMA
from ktrans.kit.rows.refuse import encode_rows
from ktrans.testing.hostile import hostile_rows
from ktrans.testing.tasks import TASK
from tests.unit.sinks.http.conftest import SECOND

GOOD = {"source_uri": "s3://a", "src_addr": "10.0.0.1", "end_time": SECOND * 1_000_000}
KEY = {"token": "hush-hush"}


def bulk(request):
    lines = request.json_lines()
    assert all(set(line) == {"create"} for line in lines[::2])
    return lines[1::2]


def loki(request):
    streams = request.json()["streams"]
    return [json.loads(value[1]) for stream in streams for value in stream["values"]]


def otlp(request):
    """As many as there are records: the others are read by their attributes elsewhere."""
    blocks = ExportLogsServiceRequest.FromString(request.body).resource_logs
    return [
        {each.key: each.value.int_value for each in record.attributes if each.key == "source_pos"}
        for block in blocks
        for record in block.scope_logs[0].log_records
    ]


@pytest.mark.parametrize(
    ("kind", "options", "read", "answer"),
    [
        ("http", {}, lambda request: request.json_lines(), b""),
        ("elasticsearch", {}, bulk, b'{"errors": false, "items": []}'),
        ("splunk_hec", KEY, lambda r: [e["event"] for e in r.json_lines()], b'{"code": 0}'),
        ("loki", {"label_columns": ["action"], "metadata_columns": ["src_addr", "bytes"]}, loki, b""),
        ("datadog", {"api_key": "k"}, lambda r: [json.loads(e["message"]) for e in r.json()], b""),
        ("new_relic", {"license_key": "k"}, lambda r: [e["attributes"] for e in r.json()[0]["logs"]], b""),
        ("otlp", {}, otlp, b""),
    ],
)  # fmt: skip
def test_each_row_arrives_or_is_refused_by_itself(stub, make, kind, options, read, answer):
    arrived = []

    def take(request):
        arrived.extend(row.get("source_pos") for row in read(request))
        return 200, {}, answer

    stub.answer = take
    rows = hostile_rows(FLOW_SCHEMA, GOOD)
    sink = make(kind, FLOW_SCHEMA, **options)
    writer = sink.writer(TASK)
    encoded, refused = encode_rows(writer.encode, rows)
    for each in encoded:
        writer.write(each)
    receipt = writer.finish()
    bad = [n for one in refused for n in one.rows["source_pos"].to_pylist()]
    assert receipt.rows + len(bad) == rows.num_rows
    assert len(bad) < 10
    assert sorted([*arrived, *bad]) == rows["source_pos"].to_pylist()
