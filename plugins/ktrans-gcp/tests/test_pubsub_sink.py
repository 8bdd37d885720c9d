"""The pubsub sink against a real server: every row at least once, and recognisable if twice."""

import json
import random
import signal
import time
from collections import Counter

import grpc
import pyarrow as pa
import pytest
from ktrans_gcp.pubsub_sink import PubsubSink

from ktrans.api import AccessError, ConfigError, Context, EpochId, RunError, StageLostError, TaskId
from ktrans.registry.catalogue import Catalogue
from ktrans.testing.contracts import SinkCase, SinkContract
from ktrans.testing.contracts.sinks import EPOCH, FIRST, SCHEMA, SECOND, batches, numbers, run

pytestmark = pytest.mark.service("pubsub")


def build(target, folder, name="sink", pipeline="flows", schema=SCHEMA, **options):
    catalogue = Catalogue()
    raw = {
        "type": "pubsub",
        "project": target.project,
        "topic": target.topic,
        "endpoint": target.endpoint,
        "format": {"type": "jsonl"},
        **options,
    }
    made = PubsubSink(
        catalogue.config("sink", raw), Context(pipeline, name, folder, registry=catalogue)
    )
    made.bind(schema)
    return made


def publish(sink, *tasks):
    epoch = tasks[0].epoch
    sink.prepare(epoch)
    sink.commit(epoch, [run(sink, task) for task in tasks])


class PubsubCase(SinkCase):
    def __init__(self, topic, folder):
        self.topic, self.folder, self.seen, self.built = topic, folder, [], []

    def sink(self, name="sink", pipeline="flows"):
        self.built.append(build(self.topic, self.folder, name, pipeline))
        return self.built[-1]

    def rows(self):
        self.seen += [json.loads(message.data)["n"] for message in self.topic.receive_all()]
        return sorted(self.seen)

    def leftovers(self):
        files = (self.folder / ".ktrans").rglob("*")
        return [p.name for p in files if p.suffix in (".arrow", ".sent")]


class TestContract(SinkContract):
    covers = ("pubsub",)

    @pytest.fixture
    def case(self, topic, tmp_path):
        made = PubsubCase(topic, tmp_path)
        yield made
        for sink in made.built:
            sink.close()


def test_messages_carry_their_row_and_its_attributes(topic, tmp_path):
    schema = pa.schema(
        [
            ("account", pa.dictionary(pa.int32(), pa.string())),
            ("n", pa.int64()),
            ("at", pa.timestamp("us", "UTC")),
        ]
    )
    sink = build(
        topic,
        tmp_path,
        schema=schema,
        attributes={"who": "account", "number": "n", "at": "at"},
        fixed_attributes={"origin": "test"},
    )
    rows = pa.RecordBatch.from_pydict(
        {
            "account": pa.array(["a", None, "é"]).dictionary_encode(),
            "n": [1, 2, None],
            "at": pa.array([0, None, 1_500_000], pa.timestamp("us", "UTC")),
        },
        schema=schema,
    )
    sink.prepare(EPOCH)
    writer = sink.writer(FIRST)
    writer.write(writer.encode(rows))
    sink.commit(EPOCH, [writer.finish()])
    sink.close()
    got = sorted(topic.receive(3), key=lambda message: message.attributes["ktrans_id"])
    assert [json.loads(message.data) for message in got] == [
        {"account": "a", "n": 1, "at": "1970-01-01T00:00:00.000000Z"},
        {"n": 2},
        {"account": "é", "at": "1970-01-01T00:00:01.500000Z"},
    ]
    assert all(not message.data.endswith(b"\n") for message in got)
    assert [dict(message.attributes) for message in got] == [
        {
            "who": "a",
            "number": "1",
            "at": "1970-01-01T00:00:00.000000Z",
            "origin": "test",
            "ktrans_id": "flows.sink.00000001-0000-0",
        },
        {"number": "2", "origin": "test", "ktrans_id": "flows.sink.00000001-0000-1"},
        {
            "who": "é",
            "at": "1970-01-01T00:00:01.500000Z",
            "origin": "test",
            "ktrans_id": "flows.sink.00000001-0000-2",
        },
    ]


def test_rows_of_one_key_come_in_their_order(ordered_topic, tmp_path):
    sink = build(ordered_topic, tmp_path, ordering_key="account", batch_messages=7)
    publish(sink, FIRST)
    sink.close()
    by_key = {}
    for message in ordered_topic.receive(120):
        by_key.setdefault(message.ordering_key, []).append(json.loads(message.data)["n"])
    assert sorted(by_key) == ["a0", "a1", "a2"]
    assert all(found == sorted(found) for found in by_key.values())
    assert sum(map(len, by_key.values())) == 120


def test_a_request_has_one_ordering_key(ordered_topic, proxy, tmp_path):
    """Pub/Sub refuses others; the servers of these tests do not."""
    from google.pubsub_v1.types import PublishRequest

    seen = []

    def look(request, forward):
        seen.append({m.ordering_key for m in PublishRequest.deserialize(request).messages})
        return forward(request)

    proxy.faults["Publish"] = [look] * 1000
    sink = build(ordered_topic, tmp_path, ordering_key="account", endpoint=f"http://{proxy.host}")
    publish(sink, FIRST)
    sink.close()
    assert len(seen) >= 3
    assert all(len(keys) == 1 for keys in seen)


@pytest.mark.parametrize("kind", ["arrow", "parquet", "jsonl"])
def test_rows_together_make_a_file(topic, tmp_path, kind):
    sink = build(topic, tmp_path, format={"type": kind}, rows_per_message=25)
    publish(sink, FIRST)
    sink.close()
    messages = topic.receive(6)  # batches of 40 rows make 25 and 15
    if kind == "jsonl":
        found = [json.loads(line)["n"] for m in messages for line in m.data.splitlines()]
    else:
        found = [n for m in messages for n in _table(kind, m.data)["n"].to_pylist()]
    assert sorted(found) == numbers(FIRST)


def _table(kind, data):
    if kind == "parquet":
        import pyarrow.parquet as pq

        return pq.read_table(pa.BufferReader(data))
    return pa.ipc.open_stream(data).read_all()


def test_files_that_come_out_too_large_are_halved(topic, tmp_path):
    sink = build(topic, tmp_path, rows_per_message=40, max_message_size=400)
    publish(sink, FIRST)
    sink.close()
    found, sizes = [], []
    while len(found) < 120:
        for message in topic.receive(1):
            sizes.append(len(message.data))
            found += [json.loads(line)["n"] for line in message.data.splitlines()]
    assert sorted(found) == numbers(FIRST)
    assert max(sizes) <= 400


@pytest.mark.parametrize("together", [1, 2])
def test_rows_that_no_message_can_hold_are_refused(topic, tmp_path, together):
    sink = build(topic, tmp_path, rows_per_message=together, max_message_size=500)
    rows = pa.RecordBatch.from_pydict(
        {"account": pa.array(["a", "b" * 600, "c"]).dictionary_encode(), "n": [1, 2, 3]},
        schema=SCHEMA,
    )
    sink.prepare(EPOCH)
    writer = sink.writer(FIRST)
    writer.write(writer.encode(rows))
    receipt = writer.finish()
    (refused,) = writer.refused()
    assert (refused.reason, refused.rows["n"].to_pylist()) == ("message_too_large", [2])
    assert receipt.rows == 2
    sink.commit(EPOCH, [receipt])
    sink.close()
    lines = [line for m in topic.receive_all() for line in m.data.splitlines()]
    assert sorted(json.loads(line)["n"] for line in lines) == [1, 3]


def test_an_attribute_that_is_too_long_is_refused(topic, tmp_path):
    sink = build(topic, tmp_path, attributes={"who": "account"})
    rows = pa.RecordBatch.from_pydict(
        {"account": pa.array(["a" * 1024, "b" * 1025]).dictionary_encode(), "n": [1, 2]},
        schema=SCHEMA,
    )
    writer = sink.writer(FIRST)
    writer.write(writer.encode(rows))
    assert writer.finish().rows == 1
    assert [r.reason for r in writer.refused()] == ["attribute_too_long"]
    sink.close()


@pytest.mark.parametrize("code", [grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.RESOURCE_EXHAUSTED])
def test_passing_faults_are_waited_out(topic, proxy, tmp_path, code):
    proxy.faults["Publish"] = [code] * 4
    sink = build(topic, tmp_path, endpoint=f"http://{proxy.host}", batch_messages=50)
    publish(sink, FIRST)
    sink.close()
    assert proxy.faults["Publish"] == []
    assert sorted(json.loads(m.data)["n"] for m in topic.receive(120)) == numbers(FIRST)


def test_a_commit_that_stopped_half_way_goes_on_where_it_was(topic, proxy, tmp_path):
    proxy.faults["Publish"] = [lambda r, forward: forward(r)] * 3 + [
        grpc.StatusCode.PERMISSION_DENIED
    ]
    options = {"endpoint": f"http://{proxy.host}", "batch_messages": 20, "publishers": 1}
    sink = build(topic, tmp_path, **options)
    sink.prepare(EPOCH)
    receipts = [run(sink, FIRST), run(sink, SECOND)]
    with pytest.raises(AccessError) as caught:
        sink.commit(EPOCH, receipts)
    assert "roles/pubsub.publisher" in caught.value.hint
    sink.close()
    again = build(topic, tmp_path, **options)
    again.commit(EPOCH, receipts)
    again.close()
    assert sorted(json.loads(m.data)["n"] for m in topic.receive(240)) == numbers(FIRST, SECOND)
    assert topic.receive_all() == []


def test_what_another_attempt_left_is_not_taken_for_what_was_decided(topic, tmp_path):
    """A process that stood still goes on, or came to another machine, while one took over."""
    sleeper, other = build(topic, tmp_path), build(topic, tmp_path)
    sleeper.prepare(EPOCH)
    other.prepare(EPOCH)
    receipt = run(other, FIRST)
    again = sleeper.writer(FIRST)
    again.write(again.encode(batches(FIRST)[0]))
    again.finish()
    other.commit(EPOCH, [receipt])
    for sink in (sleeper, other):
        sink.close()
    assert sorted(json.loads(m.data)["n"] for m in topic.receive_all()) == numbers(FIRST)


def test_a_refusal_and_a_lost_stage_are_told(topic, proxy, tmp_path):
    proxy.faults["Publish"] = [grpc.StatusCode.INVALID_ARGUMENT]
    sink = build(topic, tmp_path, endpoint=f"http://{proxy.host}")
    sink.prepare(EPOCH)
    receipts = [run(sink, FIRST)]
    with pytest.raises(RunError):
        sink.commit(EPOCH, receipts)
    sink.prepare(EPOCH)
    with pytest.raises(StageLostError):
        sink.commit(EPOCH, receipts)
    sink.close()


def test_the_marks_of_old_epochs_do_not_pile_up(topic, tmp_path):
    sink = build(topic, tmp_path)
    for number in range(1, 5):
        publish(sink, TaskId(EpochId("flows", number), 0))
    sink.close()
    assert len(list((tmp_path / ".ktrans/staged").rglob("last*"))) == 1


class TestConfig:
    def test_a_format_of_files_needs_rows_together(self, topic, tmp_path):
        with pytest.raises(ConfigError) as caught:
            build(topic, tmp_path, format={"type": "parquet"})
        assert "rows_per_message" in caught.value.hint

    def test_a_column_that_is_missing(self, topic, tmp_path):
        for options in ({"attributes": {"a": "nope"}}, {"ordering_key": "nope"}):
            with pytest.raises(ConfigError) as caught:
                build(topic, tmp_path, **options)
            assert caught.value.field == next(iter(options))

    @pytest.mark.parametrize(
        "options",
        [
            {"rows_per_message": 2, "attributes": {"a": "account"}},
            {"attributes": {"goog-x": "account"}},
            {"attributes": {"ktrans_id": "account"}},
            {"fixed_attributes": {"a": "x" * 2000}},
        ],
    )
    def test_options_that_do_not_fit_together(self, topic, tmp_path, options):
        with pytest.raises(Exception, match="attribute"):
            build(topic, tmp_path, **options)


class TestCheck:
    def test_all_is_well_and_there_is_no_topic(self, topic, tmp_path):
        with build(topic, tmp_path) as sink:
            sink.check()
        with build(topic, tmp_path, topic="no-such-thing") as sink:
            with pytest.raises(ConfigError) as caught:
                sink.check()
            assert "create it" in caught.value.hint

    def test_the_right_to_publish_is_enough(self, topic, proxy, tmp_path):
        """It does not include the right to look at the topic."""
        denied = grpc.StatusCode.PERMISSION_DENIED
        proxy.faults["GetTopic"] = [denied, denied]
        proxy.faults["TestIamPermissions"] = [
            lambda request, forward: b"\x0a\x15pubsub.topics.publish",
            lambda request, forward: b"",
        ]
        with build(topic, tmp_path, endpoint=f"http://{proxy.host}") as sink:
            sink.check()
            with pytest.raises(AccessError):
                sink.check()


@pytest.mark.slow
def test_kills_amid_publishing_lose_nothing_and_repeats_are_recognisable(
    topic, proxy, site, entry, tmp_path
):
    """SIGKILL after so many requests; what comes twice has the same id."""
    logs = tmp_path / "logs"
    logs.mkdir()
    for number in range(12):
        lines = [entry(number * 100 + at) for at in range(100)]
        (logs / f"{number:02}.json").write_text("\n".join(lines) + "\n")
    site.write_config(
        {"type": "file", "paths": [str(logs)]},
        [
            {
                "id": "out",
                "type": "pubsub",
                "project": topic.project,
                "topic": topic.topic,
                "endpoint": f"http://{proxy.host}",
                "batch_messages": 10,
                "publishers": 2,
            }
        ],
        epoch_splits=4,
    )
    rng = random.Random(3)
    code = None
    kills = 0
    while code != 0 and kills < 12:
        before, wanted = len(proxy.calls), rng.randrange(1, 14)
        process = site.start()
        while process.poll() is None and len(proxy.calls) - before < wanted:
            time.sleep(0.002)
        if process.poll() is None:
            process.send_signal(signal.SIGKILL)
            kills += 1
        process.communicate()
        code = process.returncode
    assert kills >= 5
    assert site.run() == 0, site.stderr
    by_id = {}
    rows = Counter()
    for message in topic.receive_all():
        number = json.loads(message.data)["bytes"]
        rows[number] += 1
        assert by_id.setdefault(message.attributes["ktrans_id"], number) == number
    assert set(rows) == set(range(1200))
    assert len(by_id) == 1200
