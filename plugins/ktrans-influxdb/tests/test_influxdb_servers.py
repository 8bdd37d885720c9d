"""Points in real servers: what arrives, what they refuse, and what writing twice does."""

import pyarrow as pa
import pytest
from ktrans_influxdb.config import InfluxdbSinkConfig
from ktrans_influxdb.sink import InfluxdbSink

from ktrans.api import AccessError, ConfigError, Context
from ktrans.testing.contracts import SinkCase, SinkContract
from ktrans.testing.contracts.sinks import SCHEMA

MOMENT = 1_700_000_000


@pytest.fixture
def v2(influx_server, bound, flows, name):
    """VictoriaMetrics, which keeps no buckets: the measurement is the test's own."""
    made = []

    def build(**options):
        place = {"org": "o", "bucket": "b", "token": "t", "measurement": name}
        options = {"tags": ["account_id"], "fields": ["bytes", "packets"], **options}
        made.append(bound(flows(1).schema, url=influx_server.url, **place, **options))
        return made[-1]

    yield build
    for one in made:
        one.close()


@pytest.fixture
def v1(influx1_server, bound, flows, name):
    """InfluxDB 1, with a database of the test's own."""
    influx1_server.create(name)
    made = []

    def build(schema=None, **options):
        login = {"user": influx1_server.user, "password": influx1_server.password}
        options = {
            "tags": ["account_id"],
            "fields": ["bytes", "packets"],
            "database": name,
            **login,
            **options,
        }
        schema = schema or flows(1).schema
        made.append(bound(schema, url=influx1_server.url, api="v1", **options))
        return made[-1]

    yield build
    for one in made:
        one.close()


@pytest.fixture
def kept(influx1_server, name):
    """All points of the measurement `flow`: a list of {column: value}."""

    def query():
        series = influx1_server.query(name, "SELECT * FROM flow")
        return [dict(zip(s["columns"], row, strict=True)) for s in series for row in s["values"]]

    return query


@pytest.mark.service("influx")
def test_points_arrive_in_victoriametrics(influx_server, v2, flows, deliver, name):
    batch = flows(3000)
    receipt, refused = deliver(v2(uniqueness="row_tag", batch_lines=700), batch)
    assert (receipt.rows, list(refused)) == (3000, [])
    points = influx_server.export(name)
    assert sorted(value for _, _, value in points["bytes"]) == [n + 1000 for n in range(3000)]
    assert sum(value for _, _, value in points["flows"]) == 3000
    assert {tags["account_id"] for tags, _, _ in points["bytes"]} == {"a0", "a1", "a2"}
    seconds = [value.as_py().timestamp() for value in batch.column("end_time")]
    assert sorted(time / 1000 for _, time, _ in points["bytes"]) == seconds


@pytest.mark.service("influx")
def test_writing_again_changes_nothing_in_victoriametrics(influx_server, v2, flows, deliver, name):
    for cut in (100, 170, 300):
        first = (flows(cut), flows(300 - cut, first=cut)) if cut < 300 else (flows(300),)
        deliver(v2(uniqueness="row_tag"), *first)
    points = influx_server.export(name)
    assert sorted(value for _, _, value in points["bytes"]) == [n + 1000 for n in range(300)]


@pytest.mark.service("influx")
def test_a_check_leaves_nothing_in_victoriametrics(influx_server, v2, name):
    v2().check()
    assert influx_server.export(name) == {}


@pytest.mark.service("influx1")
def test_points_arrive_in_influxdb_1_and_again_changes_nothing(v1, kept, flows, deliver):
    for _ in range(2):
        receipt, refused = deliver(v1(batch_lines=300), flows(1000), flows(500, uri="s3://logs/b"))
        assert (receipt.rows, list(refused)) == (1500, [])
    points = kept()
    assert len(points) == 1500
    assert sum(point["bytes"] for point in points) == sum(
        n + 1000 for count in (1000, 500) for n in range(count)
    )
    assert {point["account_id"] for point in points} == {"a0", "a1", "a2"}


@pytest.mark.service("influx1")
def test_only_rows_with_the_conflicting_field_are_refused(v1, kept, flows, deliver, positions):
    early = flows(1).append_column("bytes_rev", pa.array([1.5], pa.float64()))
    deliver(v1(early.schema, fields=["bytes", "bytes_rev"]), early)
    whole = pa.array([n if n % 2 else None for n in range(3000)], pa.int64())
    rows = flows(3000, first=1).append_column("bytes_rev", whole)

    receipt, refused = deliver(v1(rows.schema, fields=["bytes", "bytes_rev"]), rows)
    assert receipt.rows == 1500
    assert positions(refused) == [n + 1 for n in range(3000) if n % 2]
    assert {one.reason for one in refused} == {"field_type_conflict"}
    assert all("bytes_rev" in one.detail and "already exists" in one.detail for one in refused)
    assert sorted(point["bytes"] for point in kept()) == [
        1000,
        *(1001 + n for n in range(3000) if not n % 2),
    ]


@pytest.mark.service("influx1")
def test_a_conflict_in_one_shard_refuses_no_row_of_another(v1, kept, flows, deliver, positions):
    """As many rows have the field that is named as were dropped, but not the same ones."""
    words = {name: pa.array(["text"]) for name in ("x", "y")}
    early = flows(1, first=100, **words)
    deliver(v1(early.schema, fields=["bytes", "x", "y"]), early)
    month = 30 * 86_400
    times = [MOMENT + (month if n in {2, 3, 5} else 0) for n in range(6)]
    rows = flows(
        6,
        x=pa.array([1, None, 1, None, None, None], pa.int64()),
        y=pa.array([None, 1, None, 1, None, None], pa.int64()),
    )
    moments = pa.array([time * 1_000_000 for time in times], pa.timestamp("us", "UTC"))
    rows = rows.set_column(rows.schema.names.index("end_time"), "end_time", moments)
    receipt, refused = deliver(v1(rows.schema, fields=["bytes", "x", "y"]), rows)
    assert (receipt.rows, positions(refused)) == (4, [0, 1])
    found = sorted(point["bytes"] for point in kept())
    assert found == [1002, 1003, 1004, 1005, 1100]


@pytest.mark.service("influx1")
def test_a_line_that_influxdb_1_cannot_parse_is_refused_and_the_others_arrive(
    v1, kept, flows, deliver, positions
):
    rows = flows(20)
    accounts = pa.array([f"a{n}" if n != 7 else "x" * 70_000 for n in range(20)])
    at = rows.schema.names.index("account_id")
    rows = rows.set_column(at, "account_id", accounts.dictionary_encode())
    receipt, refused = deliver(v1(rows.schema, tags=["account_id"], fields=["bytes"]), rows)
    assert (receipt.rows, positions(refused)) == (19, [7])
    assert [one.reason for one in refused] == ["line_not_parsed"]
    assert sorted(point["bytes"] for point in kept()) == [1000 + n for n in range(20) if n != 7]


@pytest.mark.service("influx1")
def test_a_conflict_in_each_row_refuses_all_at_once(v1, kept, flows, deliver, positions):
    deliver(v1(fields=["bytes"]), flows(1))
    rows = flows(500)
    at = rows.schema.names.index("bytes")
    rows = rows.set_column(at, "bytes", rows.column("bytes").cast(pa.float64()))
    receipt, refused = deliver(v1(rows.schema, fields=["bytes"]), rows)
    assert receipt.rows == 0
    assert positions(refused) == list(range(500))
    assert len(refused) == 1
    assert len(kept()) == 1


@pytest.mark.service("influx1")
def test_points_older_than_the_retention_are_refused(
    influx1_server, v1, flows, deliver, positions, name
):
    influx1_server.query(
        name, f'CREATE RETENTION POLICY short ON "{name}" DURATION 1d REPLICATION 1'
    )
    rows = flows(200)
    now = pa.array([None if n in {7, 90} else 4_000_000_000_000_000 for n in range(200)])
    late = pa.compute.coalesce(now.cast(pa.timestamp("us", "UTC")), rows.column("end_time"))
    rows = rows.set_column(rows.schema.names.index("end_time"), "end_time", late)
    receipt, refused = deliver(v1(retention_policy="short"), rows)
    assert receipt.rows == 198
    assert positions(refused) == [7, 90]
    assert {one.reason for one in refused} == {"outside_retention"}


@pytest.mark.service("influx1")
def test_too_large_a_request_is_cut_for_influxdb_1(v1, kept, flows, deliver):
    long = pa.array([f"{n:05}" + "x" * 4000 for n in range(600)])
    rows = flows(600).append_column("note", long)
    sink = v1(rows.schema, fields=["bytes", "note"], gzip=False, batch_size=4 << 20)
    receipt, refused = deliver(sink, rows)  # 2.4 MB, and the server takes 1 MB
    assert (receipt.rows, list(refused)) == (600, [])
    assert {point["note"] for point in kept()} == set(long.to_pylist())


@pytest.mark.service("influx1")
def test_influxdb_1_checks_password_database_and_policy(influx1_server, v1, flows, deliver):
    v1().check()
    wrong = v1(password="not-the-password")
    for attempt in (wrong.check, lambda: deliver(wrong, flows(1))):
        with pytest.raises(AccessError) as caught:
            attempt()
        assert "not-the-password" not in caught.value.message
    for attempt in (v1(database="absent").check, lambda: deliver(v1(database="absent"), flows(1))):
        with pytest.raises(ConfigError, match="database 'absent'") as caught:
            attempt()
        assert caught.value.code == "target_not_found"


class Stamped(InfluxdbSink):
    """Adds the time and the origin that points need to the contract's rows."""

    def writer(self, task):
        writer = super().writer(task)
        encode = writer.encode
        writer.encode = lambda batch: encode(stamped(batch))
        return writer


def stamped(batch):
    numbers = batch.column("n")
    return (
        batch.append_column("end_time", pa.array([MOMENT] * len(numbers), pa.timestamp("s", "UTC")))
        .append_column("source_uri", pa.array(["s3://logs/x"] * len(numbers)))
        .append_column("source_pos", numbers)
    )


class Influx1Case(SinkCase):
    stages = False

    def __init__(self, server, name):
        self.server, self.name = server, name

    def sink(self, name="sink", pipeline="flows"):
        config = InfluxdbSinkConfig(
            url=self.server.url,
            api="v1",
            database=self.name,
            user=self.server.user,
            password=self.server.password,
            tags=["account"],
            fields=["n"],
            max_series=None,  # counted in one process
        )
        sink = Stamped(config, Context(pipeline, name))
        sink.bind(stamped(pa.RecordBatch.from_pylist([], SCHEMA)).schema)
        return sink

    def rows(self):
        series = self.server.query(self.name, "SELECT n FROM flow")
        return sorted(row[1] for one in series for row in one["values"])


@pytest.mark.service("influx1")
class TestInfluxdbSinkContract(SinkContract):
    covers = ("influxdb",)

    @pytest.fixture
    def case(self, influx1_server, name):
        influx1_server.create(name)
        return Influx1Case(influx1_server, name)
