"""The `kafka` source alone on a topic of a real broker: where it begins, what is lost, what grows."""

import gzip
import threading
import time
from datetime import UTC, datetime

import pytest

from ktrans.api import (
    Budget,
    ConfigError,
    Context,
    RetryableError,
    RunError,
    SplitChangedError,
    UnavailableError,
    UsageError,
)
from ktrans.testing.contracts.sources import PlainMemory, read

pytestmark = pytest.mark.service("kafka")


class Reader:
    """Runs epochs of a source as the engine does, with a position and a memory."""

    def __init__(self, topics, topic, **options):
        self.make = lambda: topics.source(topic, **options)
        self.source = self.make()
        self.position = None
        self.memory = PlainMemory()
        self.notes = []

    def again(self):
        """Go on as a new process."""
        self.source.close()
        self.source = self.make()
        return self

    def plan(self, budget=None):
        plan = self.source.plan(self.position, self.memory, budget or Budget())
        self.notes += plan.notes if plan else ()
        return plan

    def record(self, plan, failed=()):
        left = {key: value for key, value in plan.remember.items() if key not in failed}
        self.memory.update(left)
        self.position = plan.position
        self.source.commit(plan)

    def lines(self):
        """Read to the end; give the lines."""
        found = []
        while (plan := self.plan()) is not None and plan.splits:
            for split in plan.splits:
                found += read(self.source, split).splitlines()
            self.record(plan)
        return found

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.source.close()


def numbered(start, end):
    return [b"%d" % number for number in range(start, end)]


def test_open_and_aborted_transactions(topics):
    """Records of a transaction come once it is committed, in order; aborted ones never."""
    topic = topics.create()
    topics.put(topic, numbered(0, 5))
    topics.transaction(topic, [b"aborted"] * 50, end="abort")
    topics.transaction(topic, numbered(5, 10))
    topics.transaction(topic, [b"aborted"] * 3, end="abort")
    under_way = topics.transaction(topic, numbered(10, 15), end="leave")
    topics.put(topic, numbered(15, 20))
    with Reader(topics, topic, max_records_per_split=4) as reader:
        assert reader.lines() == numbered(0, 10)
        assert reader.lines() == []
        under_way.commit_transaction(60)
        assert reader.again().lines() == numbered(10, 20)


def test_a_run_ends_although_records_keep_coming(topics):
    topic = topics.create()
    topics.put(topic, numbered(0, 10))
    with Reader(topics, topic, max_records_per_split=5) as reader:
        found = []
        for _ in range(2):
            plan = reader.plan(Budget(splits=1))
            found += [line for s in plan.splits for line in read(reader.source, s).splitlines()]
            reader.record(plan)
            topics.put(topic, numbered(10, 20))
        assert reader.plan() is None
        assert found == numbered(0, 10)
        assert len(reader.lines()) == 20


@pytest.mark.parametrize("framing", ["lines", "object"])
def test_records_that_are_larger_than_a_fetch(topics, framing):
    topic = topics.create()
    values = [bytes([65 + i]) * 900_000 for i in range(12)]
    topics.put(topic, values)
    options = {"framing": framing, "librdkafka": {"fetch.message.max.bytes": 100_000}}
    with Reader(topics, topic, **options) as reader:
        plan = reader.plan()
        assert len(plan.splits) == (1 if framing == "lines" else 12)
        assert b"".join(read(reader.source, s) for s in plan.splits).split() == (
            values if framing == "lines" else [b"".join(values)]
        )


def test_objects_are_splits_of_their_own(topics):
    topic = topics.create()
    values = [gzip.compress(b"one\n"), None, b"two\nlines"]
    topics.put(topic, values)
    with Reader(topics, topic, framing="object") as reader:
        plan = reader.plan()
        assert [read(reader.source, s) for s in plan.splits] == [values[0], b"", values[2]]


def test_two_streams_of_one_payload_and_readers_that_look_ahead(topics):
    """A decoder looks at the start, opens again, and another split of the topic goes on behind."""
    topic = topics.create()
    topics.put(topic, numbered(0, 30_000))
    with Reader(topics, topic, max_records_per_split=25_000) as reader:
        first, second = reader.plan().splits
        with reader.source.open(first) as payload:
            with payload.open() as head:
                assert head.read(4) == b"0\n1\n"
            with payload.open() as stream, payload.open() as other:
                one = stream.read()
                assert other.read() == one
            assert payload.head(4) == b"0\n1\n"
            with payload.open() as later:
                assert later.read() == one
        assert (one + read(reader.source, second)).split() == numbered(0, 30_000)


# -- where to begin -----------------------------------------------------------------------------


def test_start_by_time(topics):
    topic = topics.create(2)
    for minute in range(10):
        for part in (0, 1):
            moment = int(datetime(2026, 5, 1, 12, minute, tzinfo=UTC).timestamp() * 1000)
            topics.put(topic, [b"%d" % minute], part, moment)
    with Reader(topics, topic, start="2026-05-01T12:06:30Z") as reader:
        assert sorted(reader.lines()) == [b"7", b"7", b"8", b"8", b"9", b"9"]
    with Reader(topics, topic) as reader:
        reader.position = reader.source.position_from("2026-05-01T12:09:00")
        assert reader.lines() == [b"9", b"9"]
        reader.position = reader.source.position_from(f"{topic}/0=8,{topic}/1=10")
        assert reader.lines() == [b"8", b"9"]


def test_latest_stays_what_it_was_at_the_first_look(topics):
    """Also when the first run found nothing: what comes between two runs is not passed over."""
    topic = topics.create()
    topics.put(topic, numbered(0, 5))
    with Reader(topics, topic, start="latest") as reader:
        assert reader.lines() == []
        topics.put(topic, numbered(5, 8))
        assert reader.again().lines() == numbered(5, 8)


def test_new_partitions_and_topics_are_picked_up_from_their_beginning(topics):
    mark = topics.create().removeprefix("t-")
    first = topics.create(1, f"{mark}-a")
    topics.put(first, [b"old"])
    with Reader(topics, f"^{mark}-.*", start="latest") as reader:
        assert reader.lines() == []
        topics.grow(first, 3)
        second = topics.create(1, f"{mark}-b")
        type(topics)(topics.bootstrap).put(first, [b"grown"], 2)
        topics.put(second, [b"new"])
        seen = []
        deadline = time.monotonic() + 60
        while len(seen) < 2 and time.monotonic() < deadline:  # metadata travels
            seen += reader.again().lines()
        assert sorted(seen) == [b"grown", b"new"]


# -- what is gone -------------------------------------------------------------------------------


def test_records_deleted_before_they_were_planned(topics):
    topic = topics.create()
    topics.put(topic, numbered(0, 10))
    with Reader(topics, topic, max_records_per_split=2) as reader:
        plan = reader.plan(Budget(splits=1))
        [read(reader.source, split) for split in plan.splits]
        reader.record(plan)
        topics.delete_before(topic, 6)
        with pytest.raises(RunError, match=r"offsets 2 to 5 of .* were deleted") as error:
            reader.again().plan()
        assert "on_lost" in error.value.hint
        position, memory = reader.position, reader.memory
    with Reader(topics, topic, on_lost="skip") as reader:
        reader.position, reader.memory = position, memory
        assert reader.lines() == numbered(6, 10)
        assert any("offsets 2 to 5" in note for note in reader.notes)


@pytest.mark.parametrize(("cut", "left"), [(7, [b"7", b"8", b"9"]), (10, [])])
def test_records_deleted_between_plan_and_open(topics, cut, left):
    """The split is quarantined; the next plan takes what is left of it, and says what is not."""
    topic = topics.create()
    topics.put(topic, numbered(0, 10))
    with Reader(topics, topic, on_lost="skip") as reader:
        plan = reader.plan()
        topics.delete_before(topic, cut)
        with pytest.raises(SplitChangedError):
            read(reader.source, plan.splits[0])
        reader.record(plan, failed={plan.splits[0].key})
        assert (
            reader.source.plan(
                reader.position, reader.memory, Budget(skip=frozenset({plan.splits[0].key}))
            )
            is None
        )
        assert reader.again().lines() == left
        assert any(f"offsets 0 to {cut - 1}" in note for note in reader.notes)
        assert reader.again().lines() == []


def test_a_topic_that_was_made_anew(topics):
    topic = topics.create()
    topics.put(topic, numbered(0, 5))
    with Reader(topics, topic) as reader:
        assert reader.lines() == numbered(0, 5)
        position = reader.position
    topics.delete(topic)
    topics.again(topic)
    topics.put(topic, numbered(100, 110))
    with Reader(topics, topic) as reader:
        reader.position = position
        with pytest.raises(RunError, match="created again"):
            reader.plan()
    with Reader(topics, topic, on_lost="skip") as reader:
        reader.position = position
        assert reader.lines() == numbered(100, 110)


def test_a_split_that_failed_is_planned_again_and_only_that(topics):
    topic = topics.create()
    topics.put(topic, numbered(0, 10))
    with Reader(topics, topic, max_records_per_split=2) as reader:
        plan = reader.plan()
        failed = plan.splits[2]
        reader.record(plan, failed={failed.key})
        topics.put(topic, numbered(10, 12))
        assert sorted(reader.again().lines()) == [b"10", b"11", b"4", b"5"]
        assert reader.again().lines() == []


def test_offsets_of_a_partition_that_is_not_there_are_refused(topics):
    """Or a slip of the pen would read the whole topic again."""
    topic = topics.create()
    topics.put(topic, numbered(0, 3))
    with Reader(topics, topic) as reader:
        for place in (f"{topic}/9", f"{topic}s/0"):
            reader.position = reader.source.position_from(f"{topic}/0=1,{place}=2")
            with pytest.raises(UsageError, match=f"offsets of {place}: there is no such"):
                reader.plan()


# -- the rest -----------------------------------------------------------------------------------


def test_tombstones_are_told(topics):
    topic = topics.create()
    topics.put(topic, [b"1", None, b"2"])
    with Reader(topics, topic) as reader:
        assert reader.lines() == [b"1", b"2"]
        assert any("tombstones" in note for note in reader.notes)


def test_check_names_what_is_missing(topics):
    topic = topics.create()
    with topics.source(topic, group="checked") as source:
        source.check()
    with topics.source("no-such-topic") as source:
        with pytest.raises(ConfigError, match="no-such-topic") as error:
            source.check()
        assert error.value.field == "topics"
    nowhere = {"bootstrap_servers": ["127.0.0.1:1"], "connect_timeout": 3}
    with topics.source(topic, **nowhere) as source, pytest.raises(UnavailableError):
        source.check()


def test_an_answer_that_does_not_come_is_worth_another_try(topics):
    """A range whose end lies behind what the broker has: nothing comes, nobody waits for ever."""
    topic = topics.create()
    topics.put(topic, numbered(0, 3))
    with Reader(topics, topic, connect_timeout=2) as reader:
        split = reader.plan().splits[0]
        split.data["end"] = 4
        with pytest.raises(RetryableError):
            read(reader.source, split)
        assert read(reader.source, reader.plan().splits[0]).split() == numbered(0, 3)


def test_a_run_that_is_told_to_stop_does_not_wait_long(topics):
    stop = threading.Event()
    topic = topics.create()
    topics.put(topic, numbered(0, 3))
    context = Context(stopping=stop.is_set)
    with Reader(topics, topic, context=context, connect_timeout=300) as reader:
        split = reader.plan().splits[0]
        split.data["end"] = 4
        stop.set()
        with pytest.raises(RunError, match="stop"):
            read(reader.source, split)


def test_a_broker_that_goes_away_and_comes_back(topics, kafka_broker):
    topic = topics.create()
    topics.put(topic, numbered(0, 50_000))
    with Reader(topics, topic, max_records_per_split=20_000) as reader:
        plan = reader.plan()
        found = read(reader.source, plan.splits[0])
        kafka_broker.kill()
        kafka_broker.start()
        found += b"".join(read(reader.source, split) for split in plan.splits[1:])
        assert found.split() == numbered(0, 50_000)
        reader.record(plan)
        assert reader.lines() == []
