"""Each row once for readers of committed records, on a real broker, whatever dies when."""

import json

import confluent_kafka
import pyarrow as pa
import pytest

from ktrans.api import (
    AccessError,
    ConfigError,
    EpochId,
    RetryableError,
    RunError,
    StageLostError,
    TaskId,
)
from ktrans.testing.contracts import SinkCase, SinkContract
from ktrans.testing.contracts.sinks import (
    EPOCH,
    FIRST,
    SCHEMA,
    SECOND,
    batches,
    numbers,
    revived,
    run,
)

pytestmark = pytest.mark.service("kafka")
NEXT = EpochId("flows", 2)


def write(writer, rows):
    for batch in rows:
        writer.write(writer.encode(batch))
    return writer.finish()


class KafkaCase(SinkCase):
    revives = False

    def __init__(self, cluster):
        self.cluster = cluster

    def sink(self, name="sink", pipeline="flows"):
        return self.cluster.sink(pipeline, name=name)

    def rows(self):
        return self.cluster.rows()


class TestContract(SinkContract):
    covers = ("kafka",)

    @pytest.fixture
    def case(self, cluster):
        return KafkaCase(cluster)


def test_rows_are_in_the_log_before_the_commit_but_not_committed(cluster):
    sink = cluster.sink()
    run(sink, FIRST)
    assert cluster.rows() == []
    assert len(cluster.read(isolation="read_uncommitted")) == 120


def test_aborted_rows_are_never_seen_by_readers_of_committed_records(cluster):
    sink = cluster.sink()
    run(sink, FIRST)
    sink.prepare(EPOCH)
    run(sink, SECOND)
    sink.commit(EPOCH, [run(sink, FIRST)])
    sink.prepare(NEXT)
    assert cluster.rows() == numbers(FIRST)
    assert len(cluster.read(isolation="read_uncommitted")) == 360


def test_a_crash_after_some_commits_writes_only_the_other_tasks_again(cluster):
    tasks = [TaskId(EPOCH, index) for index in range(4)]
    gone = cluster.sink()
    receipts = [run(gone, task) for task in tasks]
    gone.commit(EPOCH, receipts[:2])
    fresh = cluster.sink()
    with pytest.raises(StageLostError):
        fresh.commit(EPOCH, [revived(receipt) for receipt in receipts])
    fresh.prepare(EPOCH)
    again = [run(fresh, task) for task in tasks]
    assert again == receipts
    fresh.commit(EPOCH, again)
    assert cluster.rows() == numbers(*tasks)


def test_a_new_process_finds_by_the_marks_that_all_was_committed(cluster):
    gone = cluster.sink()
    receipts = [run(gone, FIRST), run(gone, SECOND)]
    gone.commit(EPOCH, receipts)
    fresh = cluster.sink()
    fresh.commit(EPOCH, [revived(receipt) for receipt in receipts])
    fresh.prepare(NEXT)
    fresh.commit(NEXT, [run(fresh, TaskId(NEXT, 0))])
    assert cluster.rows() == numbers(FIRST, SECOND, TaskId(NEXT, 0))


def test_the_marks_of_one_history_mean_nothing_in_another(cluster):
    other = EpochId("flows", 1, "b")
    sink = cluster.sink()
    sink.commit(EPOCH, [run(sink, FIRST)])
    sink.commit(other, [run(sink, TaskId(other, 0))])
    fresh = cluster.sink()
    fresh.commit(other, [run(fresh, TaskId(other, 0))])
    assert cluster.rows() == sorted(numbers(FIRST) * 2)


def test_a_transaction_that_the_broker_gave_up_is_written_again(cluster):
    """Its own timeout is over before the commit: the epoch is done again, and says what to do."""
    sink = cluster.sink(transaction_timeout=10, delivery_timeout=10)
    receipts = [run(sink, FIRST)]
    wait_until_aborted(cluster)
    with pytest.raises(StageLostError) as caught:
        sink.commit(EPOCH, receipts)
    assert "transaction_timeout" in caught.value.hint
    patient = cluster.sink()
    patient.prepare(EPOCH)
    patient.commit(EPOCH, [run(patient, FIRST)])
    assert [n for n in cluster.rows() if n >= 0] == numbers(FIRST)


def wait_until_aborted(cluster):
    """Write behind the open transaction and wait for a reader to be let past it."""
    producer = confluent_kafka.Producer({"bootstrap.servers": cluster.bootstrap})
    for partition in range(2):
        producer.produce(cluster.topic, b'{"n":-1}', partition=partition)
    assert producer.flush(60) == 0
    consumer = confluent_kafka.Consumer(
        {"bootstrap.servers": cluster.bootstrap, "group.id": "w", "auto.offset.reset": "earliest"}
    )
    consumer.assign([confluent_kafka.TopicPartition(cluster.topic, p, 0) for p in range(2)])
    seen = 0
    while seen < 2:
        message = consumer.poll(90)
        assert message is not None
        assert message.error() is None
        seen += 1
    consumer.close()


def test_a_second_process_shuts_the_first_one_out(cluster):
    first, second = cluster.sink(), cluster.sink()
    writer = first.writer(FIRST)
    writer.write(writer.encode(batches(FIRST)[0]))
    run(second, FIRST)
    with pytest.raises(RunError, match="fenced") as caught:
        write(writer, batches(FIRST))
    assert caught.value.code == "kafka_fenced"
    assert not isinstance(caught.value, RetryableError)
    assert "another process" in caught.value.hint
    writer.abort()
    assert cluster.rows() == []


def test_a_zombie_cannot_commit_what_another_process_has_taken_over(cluster):
    zombie, heir = cluster.sink(), cluster.sink()
    receipts = [run(zombie, FIRST)]
    taken = [run(heir, FIRST)]
    with pytest.raises(RunError) as caught:
        zombie.commit(EPOCH, receipts)
    assert caught.value.code == "kafka_fenced"
    heir.commit(EPOCH, taken)
    zombie.commit(EPOCH, receipts)  # it sees that the epoch is done, and adds nothing
    assert cluster.rows() == numbers(FIRST)


def test_a_broker_that_restarts_amid_an_epoch_loses_nothing(cluster):
    sink = cluster.sink()
    done = run(sink, FIRST)
    writer = sink.writer(SECOND)
    writer.write(writer.encode(batches(SECOND)[0]))
    cluster.broker.restart()
    for batch in batches(SECOND)[1:]:
        writer.write(writer.encode(batch))
    sink.commit(EPOCH, [done, writer.finish()])
    assert cluster.rows() == numbers(FIRST, SECOND)


def test_a_broker_that_dies_before_the_commit_and_comes_back(cluster):
    sink = cluster.sink()
    receipts = [run(sink, FIRST), run(sink, SECOND)]
    cluster.broker.kill()
    cluster.broker.start()
    sink.commit(EPOCH, receipts)
    assert cluster.rows() == numbers(FIRST, SECOND)


def test_a_commit_that_got_no_answer_is_found_out_by_the_next_run(cluster):
    """The broker is away: the commit gives up, the next run knows what became of it."""
    sink = cluster.sink(delivery_timeout=2, connect_timeout=60)
    receipts = [run(sink, FIRST)]
    cluster.broker.stop()
    try:
        with pytest.raises(RetryableError):
            sink.commit(EPOCH, receipts)
    finally:
        cluster.broker.start()
    fresh = cluster.sink()
    try:
        fresh.commit(EPOCH, [revived(receipt) for receipt in receipts])
    except StageLostError:
        fresh.prepare(EPOCH)
        fresh.commit(EPOCH, [run(fresh, FIRST)])
    assert cluster.rows() == numbers(FIRST)


def test_at_least_once_writes_at_once_and_again_after_a_crash(cluster):
    options = {"delivery": "at_least_once"}
    gone = cluster.sink(**options)
    receipt = run(gone, FIRST)
    assert cluster.rows() == numbers(FIRST)
    gone.commit(EPOCH, [receipt])
    fresh = cluster.sink(**options)
    fresh.commit(EPOCH, [revived(receipt)])
    run(fresh, FIRST)
    assert cluster.rows() == sorted(numbers(FIRST) * 2)


def test_rows_choose_topics_keys_headers_and_timestamps(cluster):
    times = pa.array([1_700_000_000_123_456, None], pa.timestamp("us", tz="UTC"))
    batch = pa.record_batch(
        {
            "provider": pa.array(["a ws", None]).dictionary_encode(),
            "account": pa.array(["1", "2"]).dictionary_encode(),
            "port": pa.array([443, None], pa.int32()),
            "time": times,
            "n": pa.array([1, 2]),
        }
    )
    names = [cluster.make(f"f-{cluster.own}-{word}", 1) for word in ("a_ws", "unknown")]
    sink = cluster.sink(
        topic=f"f-{cluster.own}-{{provider}}",
        schema=batch.schema,
        key=["account", "port"],
        headers={"by": "ktrans"},
        header_columns=["provider", "port"],
        timestamp_column="time",
    )
    writer = sink.writer(FIRST)
    writer.write(writer.encode(batch))
    receipt = writer.finish()
    assert [uri.rpartition("/")[2] for uri in receipt.outputs] == sorted(names)
    sink.commit(EPOCH, [receipt])
    (one,), (two,) = cluster.read(names[0]), cluster.read(names[1])
    assert (one.key(), two.key()) == (b"1|443", b"2|")
    assert one.headers() == [("by", b"ktrans"), ("provider", b"a ws"), ("port", b"443")]
    assert two.headers() == [("by", b"ktrans")]
    assert one.timestamp() == (confluent_kafka.TIMESTAMP_CREATE_TIME, 1_700_000_000_123)
    assert two.timestamp()[1] > 1_700_000_000_123
    again = cluster.sink(topic=f"f-{cluster.own}-{{provider}}", schema=batch.schema)
    again.commit(EPOCH, [revived(receipt)])


@pytest.mark.parametrize("encoding", ["arrow", "parquet"])
def test_a_record_holds_a_batch_and_large_batches_are_cut(cluster, encoding):
    import io

    import pyarrow.parquet as pq

    rows = pa.record_batch(
        {
            "account": pa.array([f"x{i * 7919}" for i in range(3000)]).dictionary_encode(),
            "n": pa.array(range(3000)),
        },
        schema=SCHEMA,
    )
    sink = cluster.sink(encoding=encoding, max_record_size=9000)
    writer = sink.writer(FIRST)
    writer.write(writer.encode(rows))
    receipt = writer.finish()
    sink.commit(EPOCH, [receipt])
    found = []
    messages = cluster.read()
    for message in messages:
        assert len(message.value()) < 9000
        if encoding == "arrow":
            table = pa.ipc.open_stream(message.value()).read_all()
        else:
            table = pq.read_table(io.BytesIO(message.value()))
        found += table["n"].to_pylist()
    assert sorted(found) == list(range(3000))
    assert len(messages) > 1
    assert receipt.rows == 3000


def noise(digits):
    """Text that no codec makes much smaller."""
    return "".join(f"{number * 2654435761 % 2**32:08x}" for number in range(digits // 8))


def test_rows_too_large_for_a_record_are_refused_alone(cluster):
    words = ["a", noise(8000), "b"]
    batch = pa.record_batch(
        {"account": pa.array(words).dictionary_encode(), "n": pa.array([1, 2, 3])}, schema=SCHEMA
    )
    for encoding in ("json", "arrow"):
        sink = cluster.sink(encoding=encoding, max_record_size=1500, name=encoding)
        writer = sink.writer(FIRST)
        writer.write(writer.encode(batch))
        receipt = writer.finish()
        (refused,) = writer.refused()
        assert refused.reason == "record_too_large"
        assert refused.rows["n"].to_pylist() == [2]
        assert receipt.rows == 2
        sink.commit(EPOCH, [receipt])
    values = [m.value() for m in cluster.read() if m.value().startswith(b"{")]
    assert sorted(json.loads(value)["n"] for value in values) == [1, 3]


def test_a_topic_that_takes_less_than_expected_says_which_option_to_change(cluster):
    topic = cluster.make(f"small-{cluster.own}", 1, **{"max.message.bytes": "2000"})
    sink = cluster.sink(topic=topic, max_record_size=100_000)
    with pytest.raises(ConfigError, match="2000") as checked:
        sink.check()
    assert checked.value.field == "max_record_size"
    writer = sink.writer(FIRST)
    batch = pa.record_batch(
        {"account": pa.array([noise(8000)]).dictionary_encode(), "n": pa.array([1])}, schema=SCHEMA
    )
    with pytest.raises(RunError) as caught:
        write(writer, [batch])
    assert "max_record_size" in caught.value.hint
    writer.abort()


def test_a_missing_topic_is_named(cluster):
    sink = cluster.sink(topic=f"nowhere-{cluster.own}")
    with pytest.raises(ConfigError, match="nowhere"):
        sink.check()
    writer = sink.writer(FIRST)
    with pytest.raises(ConfigError, match="nowhere"):
        writer.write(writer.encode(batches(FIRST)[0]))
    writer.abort()


def test_a_transaction_timeout_beyond_the_brokers_is_found_by_check(cluster):
    with pytest.raises(ConfigError, match="timeout") as caught:
        cluster.sink(transaction_timeout=5000).check()
    assert "transaction_timeout" in caught.value.hint


def test_check_finds_a_good_cluster_good_and_leaves_nothing(cluster):
    cluster.sink().check()
    assert cluster.rows() == []


def test_a_login_is_used_and_a_wrong_one_named(cluster):
    broker = cluster.broker
    good = {"sasl_mechanism": "SCRAM-SHA-512", "username": broker.user, "password": broker.password}
    sink = cluster.sink(bootstrap=broker.sasl_bootstrap, **good)
    sink.check()
    sink.commit(EPOCH, [run(sink, FIRST)])
    assert cluster.rows() == numbers(FIRST)
    wrong = cluster.sink(bootstrap=broker.sasl_bootstrap, **good | {"password": "wrong-word"})
    with pytest.raises(AccessError) as caught:
        wrong.check()
    assert "wrong-word" not in str(caught.value)
    writer = wrong.writer(FIRST)
    with pytest.raises(AccessError):
        writer.write(writer.encode(batches(FIRST)[0]))
    writer.abort()
