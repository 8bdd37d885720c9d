"""The `otlp` sink, read by OpenTelemetry's own messages."""

import json

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import (
    ExportLogsServiceRequest,
    ExportLogsServiceResponse,
)
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
    ExportMetricsServiceResponse,
)
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord

from ktrans.api import ConfigError
from ktrans.kit.rows import protobuf as pb
from ktrans.kit.rows.points import SERIES

SECOND = 1_767_225_600
INT64 = st.integers(-(2**63), 2**63 - 1)


def plain(value):
    """A value of OpenTelemetry as a value of Python."""
    kind = value.WhichOneof("value")
    return None if kind is None else getattr(value, kind)


def attributes(message):
    return {each.key: plain(each.value) for each in message.attributes}


class Collector:
    """Takes export requests."""

    def __init__(self):
        self.records, self.metrics = [], []

    def __call__(self, request):
        assert request.headers["content-type"] == "application/x-protobuf"
        if request.path == "/v1/logs":
            for block in ExportLogsServiceRequest.FromString(request.body).resource_logs:
                [scope] = block.scope_logs
                assert scope.scope.name == "ktrans"
                self.records += [(attributes(block.resource), each) for each in scope.log_records]
        else:
            assert request.path == "/v1/metrics"
            for block in ExportMetricsServiceRequest.FromString(request.body).resource_metrics:
                [scope] = block.scope_metrics
                self.metrics += [(attributes(block.resource), each) for each in scope.metrics]
        return 200, {}, b""


@pytest.fixture
def collector(stub):
    stub.answer = Collector()
    return stub.answer


def test_each_column_of_a_row_is_an_attribute(collector, make, flows, deliver):
    rows = flows(50, share=[n / 4 for n in range(50)], ok=[n % 2 == 0 for n in range(50)])
    receipt, refused = deliver(make("otlp", rows.schema, batch_rows=20, service="edge"), rows)
    assert (receipt.rows, list(refused), len(collector.records)) == (50, [], 50)
    resource, record = next(each for each in collector.records if attributes(each[1])["bytes"] == 7)
    assert resource == {"service.name": "edge"}
    assert record.time_unix_nano == (SECOND + 7) * 10**9
    assert record.severity_number == 9
    assert attributes(record) == {
        "source_uri": "s3://logs/a",
        "source_pos": 7,
        "start_time": "2026-01-01T00:00:07.000000Z",
        "end_time": "2026-01-01T00:00:07.000000Z",
        "account_id": "a1",
        "src_addr": "10.0.0.7",
        "bytes": 7,
        "share": 1.75,
        "ok": False,
    }


def test_records_of_to_otel_keep_resource_attributes_and_body(collector, make, deliver):
    resource = pa.array(
        [{"cloud.provider": "aws", "cloud.region": None}, {"cloud.provider": "gcp"}, None],
        pa.struct([("cloud.provider", pa.string()), ("cloud.region", pa.string())]),
    )
    inner = pa.array(
        [{"source.port": 443, "flow.bytes": 9}, {"source.port": None}, None],
        pa.struct([("source.port", pa.int32()), ("flow.bytes", pa.int64())]),
    )
    batch = pa.record_batch(
        {
            "timeUnixNano": pa.array([SECOND * 10**9, None, SECOND * 10**9], pa.int64()),
            "observedTimeUnixNano": pa.array([SECOND * 10**9 + 5, None, None], pa.int64()),
            "severityNumber": pa.array([9, 9, 9], pa.int32()),
            "severityText": pa.array(["INFO"] * 3).dictionary_encode(),
            "body": pa.array([[("a", "b")], None, []], pa.map_(pa.string(), pa.string())),
            "resource": resource,
            "attributes": inner,
        }
    )
    deliver(make("otlp", batch.schema), batch)
    assert [found for found, _ in collector.records] == [
        {"service.name": "ktrans", "cloud.provider": "aws"},
        {"service.name": "ktrans", "cloud.provider": "gcp"},
        {"service.name": "ktrans"},
    ]
    first, second, third = (record for _, record in collector.records)
    assert attributes(first) == {"source.port": 443, "flow.bytes": 9}
    assert (first.severity_text, plain(first.body)) == ("INFO", '{"a":"b"}')
    assert first.observed_time_unix_nano == SECOND * 10**9 + 5
    assert (second.time_unix_nano, attributes(second), plain(second.body)) == (0, {}, None)
    assert plain(third.body) == "{}"


@pytest.fixture
def totals():
    times = [pa.array([(SECOND + n) * 10**6] * 2, pa.timestamp("us", "UTC")) for n in (0, 60)]
    series = {
        "time": ["window_start"], "tags": ["action"], "fields": ["bytes", "sources", "share"]
    }  # fmt: skip
    batch = pa.record_batch(
        {
            "window_start": times[0],
            "window_end": times[1],
            "action": pa.array(["accept", None]).dictionary_encode(),
            "bytes": pa.array([-5, 2**40], pa.int64()),
            "sources": pa.array([3, None], pa.int64()),
            "share": pa.array([0.5, 0.25]),
        }
    )
    return batch.replace_schema_metadata({SERIES: json.dumps(series).encode()})


def test_totals_are_metrics(collector, make, deliver, totals):
    sink = make("otlp", totals.schema, signal="metrics", gauges=["sources", "share"])
    receipt, _ = deliver(sink, totals)
    assert receipt.rows == 2
    found = []
    for resource, metric in collector.metrics:
        assert resource == {"service.name": "ktrans"}
        data = getattr(metric, metric.WhichOneof("data"))
        [point] = data.data_points
        assert point.start_time_unix_nano == SECOND * 10**9
        assert point.time_unix_nano == (SECOND + 60) * 10**9
        if metric.WhichOneof("data") == "sum":
            assert (data.aggregation_temporality, data.is_monotonic) == (1, True)
        value = getattr(point, point.WhichOneof("value"))
        found.append((metric.name, metric.WhichOneof("data"), attributes(point), value))
    accept = {"action": "accept"}
    assert sorted(found, key=str) == [
        ("flow.bytes", "sum", accept, -5),
        ("flow.bytes", "sum", {}, 2**40),
        ("flow.share", "gauge", accept, 0.5),
        ("flow.share", "gauge", {}, 0.25),
        ("flow.sources", "gauge", accept, 3),
    ]


def test_metrics_need_totals_and_gauges_their_values(make, flows, totals):
    with pytest.raises(ConfigError, match="totals of a rollup"):
        make("otlp", signal="metrics")
    with pytest.raises(ConfigError, match="'nonsense' is no value"):
        make("otlp", totals.schema, signal="metrics", gauges=["nonsense"])


def test_records_that_are_refused_in_a_success_are_found(stub, make, flows, deliver):
    def answer(request):
        [block] = ExportLogsServiceRequest.FromString(request.body).resource_logs
        numbers = [attributes(each)["bytes"] for each in block.scope_logs[0].log_records]
        response = ExportLogsServiceResponse()
        if 13 in numbers:
            response.partial_success.rejected_log_records = 1
            response.partial_success.error_message = "unlucky"
        return 200, {}, response.SerializeToString()

    stub.answer = answer
    receipt, [refused] = deliver(make("otlp"), flows(20))
    assert receipt.rows == 19
    assert refused.rows["bytes"].to_pylist() == [13]
    assert refused.detail.endswith("refuses 1 of 1 records: unlucky")


def test_data_points_that_are_refused_are_no_rows(stub, make, deliver, totals):
    def answer(request):
        response = ExportMetricsServiceResponse()
        if b"accept" in request.body:  # of two rows the two points of one are refused
            response.partial_success.rejected_data_points = 2
        return 200, {}, response.SerializeToString()

    stub.answer = answer
    receipt, [refused] = deliver(make("otlp", totals.schema, signal="metrics"), totals)
    assert (receipt.rows, refused.rows["action"].to_pylist()) == (1, ["accept"])
    assert refused.detail.endswith("refuses 2 data points of 1 rows: ")


def test_an_answer_without_partial_success_or_in_json_is_a_success(stub, make, flows, deliver):
    for body in (b"", b"{}", b"<html>", ExportLogsServiceResponse().SerializeToString()):
        stub.answer = lambda _, body=body: (200, {}, body)
        assert deliver(make("otlp"), flows(2))[0].rows == 2


@given(st.lists(st.none() | INT64, min_size=1, max_size=20), st.integers(1, 2000))
def test_integers_are_written_as_protobuf_has_them(values, field):
    column = pa.array(values, pa.int64())
    for made, code in ((pb.varint(field, column), 0), (pb.fixed64(field, column), 1)):
        for value, octets in zip(values, made.to_pylist(), strict=True):
            if value is None:
                assert octets is None
                continue
            [(number, found)] = pb.read_fields(octets)
            assert number == field
            if code == 0:
                assert found == value % 2**64
            else:
                assert int.from_bytes(found, "little", signed=True) == value


@given(st.lists(st.none() | st.text(max_size=300), min_size=1, max_size=10))
def test_texts_are_written_as_protobuf_has_them(texts):
    made = pb.message([pb.delimited(3, pa.array(texts, pa.string()))], len(texts))
    found = [LogRecord.FromString(octets).severity_text for octets in made.to_pylist()]
    assert found == [text or "" for text in texts]


@given(st.binary(max_size=40))
def test_any_bytes_can_be_read(data):
    assert isinstance(pb.read_fields(data), list)
