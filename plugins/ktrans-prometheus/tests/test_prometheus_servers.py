"""Samples in a real Prometheus: what arrives, what is refused, and what writing again does."""

import json

import pyarrow as pa
import pytest
from ktrans_prometheus.config import PrometheusSinkConfig
from ktrans_prometheus.sink import PrometheusSink

from ktrans.api import Context, EpochId, RunError, TaskId
from ktrans.kit.rows.points import SERIES
from ktrans.testing.contracts import SinkCase, SinkContract

WRITE = "/api/v1/write"


@pytest.fixture
def url(prometheus_server):
    return prometheus_server.url + WRITE


def expected(batch, column):
    """Return the samples of a metric by account, in order of time."""
    found = {}
    for row in batch.to_pylist():
        if row[column] is not None:
            end = row["window_end"].timestamp()
            found.setdefault(row["account_id"], []).append((end, float(row[column])))
    return found


def by_account(samples):
    return {dict(labels)["account_id"]: values for labels, values in samples.items()}


@pytest.mark.service("prometheus")
def test_totals_are_samples_at_the_end_of_their_window(
    prometheus_server, url, build, totals, deliver, day
):
    batch = totals(50)
    sink = build(batch.schema, url, labels={"job": f"j{day}"}, batch_rows=2)
    receipt, refused = deliver(sink, batch)
    assert (receipt.rows, list(refused)) == (150, [])
    found = prometheus_server.samples("traffic_bytes", job=f"j{day}")
    assert by_account(found) == expected(batch, "bytes")
    assert {"action" in dict(labels) for labels in found} == {True, False}  # null is no label
    flows = prometheus_server.samples("traffic_flows", job=f"j{day}")
    assert by_account(flows) == expected(batch, "flows")


@pytest.mark.service("prometheus")
def test_an_attempt_goes_on_where_the_one_before_stopped(
    prometheus_server, url, build, totals, deliver, day
):
    batch = totals(40)
    options = {"labels": {"job": f"j{day}"}}
    writer = build(batch.schema, url, **options).writer(TaskId(EpochId("flows", 1), 0))
    writer.write(writer.encode(batch.slice(0, 100)))  # the process dies here
    receipt, refused = deliver(build(batch.schema, url, **options), batch)
    assert (receipt.rows, list(refused)) == (120, [])
    found = prometheus_server.samples("traffic_bytes", job=f"j{day}")
    assert by_account(found) == expected(batch, "bytes")
    writer.abort()


@pytest.mark.service("prometheus")
def test_rows_that_the_server_refuses_are_named_also_by_a_later_attempt(
    prometheus_server, url, build, totals, deliver, day
):
    options = {"labels": {"job": f"j{day}"}}
    later = totals(1, 1, first=10)
    deliver(build(later.schema, url, **options), later)
    batch = totals(12)
    for _ in range(2):
        receipt, refused = deliver(
            build(batch.schema, url, **options), batch, task=TaskId(EpochId("flows", 2), 0)
        )
        assert receipt.rows == 36 - 10
        assert {one.reason for one in refused} == {"sample_out_of_order"}
        rows = [row for one in refused for row in one.rows.to_pylist()]
        assert sorted(row["bytes"] for row in rows) == [w * 100 for w in range(10)]
        assert refused[0].rows.schema.names == batch.schema.names


@pytest.mark.service("prometheus")
def test_samples_that_are_too_old_are_refused_together(url, build, totals, deliver, day):
    late = totals(1, 1, first=600)
    deliver(build(late.schema, url), late)
    batch = totals(2, 300)
    receipt, refused = deliver(build(batch.schema, url), batch, task=TaskId(EpochId("flows", 3), 0))
    assert receipt.rows == 0
    assert {one.reason for one in refused} == {"sample_too_old"}
    assert sum(one.rows.num_rows for one in refused) == 600


@pytest.mark.service("prometheus")
def test_a_check_writes_nothing_and_finds_a_wrong_path(prometheus_server, url, build, totals):
    schema = totals(1).schema
    build(schema, url).check()
    with pytest.raises(RunError, match="answers 404"):
        build(schema, prometheus_server.url + "/api/v1/wrong").check()


@pytest.mark.service("influx")
def test_victoriametrics_takes_the_same(influx_server, build, totals, deliver, day):
    batch = totals(30)
    for number in (1, 2):  # again, without knowing what was sent
        sink = build(batch.schema, influx_server.url + WRITE, prefix=f"p{day}:")
        receipt, refused = deliver(sink, batch, task=TaskId(EpochId("flows", number), 0))
        assert (receipt.rows, list(refused)) == (90, [])
    points = influx_server.export(f"p{day}")
    values = sorted(value for _, _, value in points["bytes"])
    assert values == sorted(float(value) for value in batch["bytes"].to_pylist())


class TotalsSink(PrometheusSink):
    """Takes the rows of the contract as totals of one window, with a series each."""

    moment = 0

    def bind(self, schema):
        empty = {name: pa.array([], schema.field(name).type) for name in schema.names}
        super().bind(self.totals(pa.record_batch(empty)).schema)

    def encode(self, batch):
        return super().encode(self.totals(batch))

    def totals(self, batch):
        times = pa.array([self.moment * 1000] * batch.num_rows, pa.timestamp("us", "UTC"))
        meta = {"time": ["window_end"], "tags": ["account", "key"], "fields": ["n"]}
        columns = {**dict(zip(batch.schema.names, batch.columns, strict=True)), "key": batch["n"]}
        found = pa.record_batch({"window_end": times, **columns})
        return found.replace_schema_metadata({SERIES: json.dumps(meta).encode()})


class Case(SinkCase):
    stages = False

    def __init__(self, server, folder, day):
        self.server, self.folder, self.day = server, folder, day

    def sink(self, name="sink", pipeline="flows"):
        context = Context(pipeline=pipeline, name=name, base_dir=self.folder)
        config = PrometheusSinkConfig(url=self.server.url + WRITE, labels={"case": str(self.day)})
        sink = TotalsSink(config, context)
        sink.moment = self.day
        sink.bind(pa.schema([("account", pa.string()), ("n", pa.int64())]))
        return sink

    def rows(self):
        found = self.server.samples("traffic_n", case=str(self.day))
        return sorted(int(value) for values in found.values() for _, value in values)


@pytest.mark.service("prometheus")
class TestSink(SinkContract):
    covers = ("prometheus",)

    @pytest.fixture
    def case(self, prometheus_server, tmp_path, day):
        return Case(prometheus_server, tmp_path, day)
