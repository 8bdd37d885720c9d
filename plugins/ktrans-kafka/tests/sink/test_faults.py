"""Brokers that fail in all the ways that the mock cluster can."""

import pytest

from ktrans.api import (
    AccessError,
    ConfigError,
    EpochId,
    KtransError,
    RetryableError,
    TaskId,
    UnavailableError,
)
from ktrans.testing.contracts.sinks import EPOCH, FIRST, SECOND, batches, numbers, run

pytestmark = pytest.mark.service("kafka_mock")

PRODUCE = 0
NOT_LEADER, TOO_LARGE, DENIED, NO_TOPIC, NOT_ENOUGH, BROKEN = 6, 10, 29, 3, 19, -195


@pytest.fixture
def sink(kafka_mock, build_sink):
    kafka_mock.create_topic("flows", 2)

    def make(**options):
        options.setdefault("connect_timeout", 60)
        return build_sink(kafka_mock.bootstrap, "flows", **options)

    return make


def write(writer, rows):
    for batch in rows:
        writer.write(writer.encode(batch))
    return writer.finish()


def values(read_topic, kafka_mock):
    import json

    found = read_topic(kafka_mock.bootstrap, "flows")
    return sorted(json.loads(message.value())["n"] for message in found)


@pytest.mark.parametrize("error", [NOT_LEADER, NOT_ENOUGH, BROKEN])
@pytest.mark.parametrize("delivery", ["exactly_once", "at_least_once"])
def test_what_passes_is_tried_again_and_no_row_comes_twice(
    sink, kafka_mock, read_topic, error, delivery
):
    made = sink(delivery=delivery)
    kafka_mock.fail_requests(PRODUCE, [error, error])
    made.commit(EPOCH, [run(made, FIRST), run(made, SECOND)])
    assert values(read_topic, kafka_mock) == numbers(FIRST, SECOND)


@pytest.mark.parametrize(
    ("error", "kind", "hint"),
    [(DENIED, AccessError, "topic"), (TOO_LARGE, KtransError, "max_record_size")],
)
@pytest.mark.parametrize("delivery", ["exactly_once", "at_least_once"])
def test_what_does_not_pass_stops_and_says_what_to_do(
    sink, kafka_mock, error, kind, hint, delivery
):
    made = sink(delivery=delivery)
    kafka_mock.fail_requests(PRODUCE, [error] * 8)
    writer = made.writer(FIRST)
    with pytest.raises(kind) as caught:
        write(writer, batches(FIRST))
    assert hint in caught.value.hint
    assert not isinstance(caught.value, RetryableError)
    writer.abort()


def test_after_an_abort_the_same_sink_goes_on(sink, kafka_mock, read_topic):
    made = sink()
    kafka_mock.fail_requests(PRODUCE, [DENIED])
    writer = made.writer(FIRST)
    with pytest.raises(AccessError):
        write(writer, batches(FIRST))
    writer.abort()
    made.prepare(EPOCH)
    made.commit(EPOCH, [run(made, SECOND)])
    found = values(read_topic, kafka_mock)
    assert [n for n in found if n in set(numbers(SECOND))] == numbers(SECOND)


@pytest.mark.parametrize("delivery", ["exactly_once", "at_least_once"])
def test_brokers_that_go_away_for_good_end_the_attempt_and_may_be_tried_again(
    sink, kafka_mock, delivery
):
    made = sink(delivery=delivery, delivery_timeout=2, connect_timeout=5)
    run(made, FIRST)
    writer = made.writer(SECOND)
    writer.write(writer.encode(batches(SECOND)[0]))
    kafka_mock.broker_down()
    with pytest.raises(RetryableError):
        write(writer, batches(SECOND)[1:])
    writer.abort()


def test_brokers_that_come_back_get_everything(sink, kafka_mock, read_topic):
    made = sink(delivery="at_least_once")
    writer = made.writer(FIRST)
    writer.write(writer.encode(batches(FIRST)[0]))
    kafka_mock.broker_down()
    writer.write(writer.encode(batches(FIRST)[1]))
    kafka_mock.broker_up()
    writer.write(writer.encode(batches(FIRST)[2]))
    writer.finish()
    assert sorted(set(values(read_topic, kafka_mock))) == numbers(FIRST)


def test_brokers_without_idempotence_are_served_at_least_once(sink, read_topic, kafka_mock):
    made = sink(delivery="at_least_once", idempotence=False)
    made.commit(EPOCH, [run(made, FIRST)])
    assert values(read_topic, kafka_mock) == numbers(FIRST)


def test_nobody_at_the_address_is_told_with_the_address(build_sink):
    made = build_sink("127.0.0.1:1", "flows", connect_timeout=1)
    with pytest.raises(UnavailableError, match=r"127\.0\.0\.1:1") as caught:
        made.check()
    assert "bootstrap_servers" in caught.value.hint
    writer = made.writer(FIRST)
    with pytest.raises(RetryableError, match=r"127\.0\.0\.1:1"):
        writer.write(writer.encode(batches(FIRST)[0]))
    writer.abort()


def test_a_full_queue_pauses_and_loses_nothing(sink, kafka_mock):
    """Many times more than fits into the buffer, in a single batch."""
    import pyarrow as pa

    from ktrans.testing.contracts.sinks import SCHEMA

    rows = 30_000
    batch = pa.record_batch(
        {"account": pa.array(["x" * 300] * rows).dictionary_encode(), "n": pa.array(range(rows))},
        schema=SCHEMA,
    )
    made = sink(
        librdkafka={"queue.buffering.max.kbytes": 1024},
        compression="none",
        delivery="at_least_once",
    )
    writer = made.writer(FIRST)
    writer.write(writer.encode(batch))
    assert writer.finish().rows == rows


def test_more_topics_than_allowed_stop_the_run(kafka_mock, build_sink):
    made = build_sink(kafka_mock.bootstrap, "t-{account}", max_topics=2, connect_timeout=60)
    writer = made.writer(FIRST)
    with pytest.raises(ConfigError, match="more than 2 topics") as caught:
        writer.write(writer.encode(batches(FIRST)[0]))
    assert caught.value.field == "topic"
    writer.abort()


def test_settings_that_librdkafka_does_not_know_are_named(kafka_mock, build_sink):
    made = build_sink(kafka_mock.bootstrap, "flows", librdkafka={"no.such.thing": 1})
    writer = made.writer(TaskId(EpochId("flows", 1), 0))
    with pytest.raises(ConfigError, match=r"no\.such\.thing"):
        writer.write(writer.encode(batches(FIRST)[0]))
    writer.abort()
