"""Several processes that share a topic by a group: no record lost, none read twice."""

import json
import time
import uuid
from collections import Counter

import pytest
from confluent_kafka import KafkaError, KafkaException
from ktrans_kafka.source_clients import Clients
from ktrans_kafka.source_position import Position

from ktrans.api import Budget, RetryableError, RunError, Split
from ktrans.testing.contracts.sources import PlainMemory, read

pytestmark = pytest.mark.service("kafka")


def numbered(start, end):
    return [b"%d" % number for number in range(start, end)]


class Process:
    """One of the group's processes: a source, and the state store that outlives it."""

    def __init__(self, cluster, topic, **options):
        self.options = {
            "group": f"of {topic}",
            "librdkafka": {"session.timeout.ms": 6000},
            **options,
        }
        self.cluster, self.topic = cluster, topic
        self.position = Position(member=uuid.uuid4().hex).to_json()
        self.memory = PlainMemory()
        self.planned = None
        self.source = None
        self.got = []
        self.start()

    def start(self, **options):
        """Start, or start again as a new process with the same state store."""
        if self.source is not None:
            self.source.close()
        self.options |= options
        self.source = self.cluster.source(self.topic, **self.options)

    def plan(self, budget=None):
        """Plan an epoch and write it down."""
        plan = self.source.plan(self.position, self.memory, budget or Budget())
        self.planned = plan if plan and plan.splits else None
        if self.planned:
            self.splits = [
                Split.from_json(json.loads(json.dumps(s.to_json()))) for s in plan.splits
            ]
        return self.planned

    def open_first(self):
        """Begin to read; what is read of an epoch that does not get through is thrown away."""
        read(self.source, self.splits[0])

    def finish(self, failed=()):
        """Bring the planned epoch to its end, as the engine does after a start too."""
        for split in self.splits:
            if split.key not in failed:
                self.got += read(self.source, split).splitlines()
        self.memory.record(self.planned)
        for key in failed:
            self.memory.pop(key)
        self.position = json.loads(json.dumps(self.planned.position))
        self.planned = None

    def drain(self, budget=None):
        """Run rounds until one finds nothing: a round ends where the topic ended as it began."""
        idle = 0
        while idle < 2:
            if self.plan(budget):
                self.finish()
                idle = 0
            else:
                idle += 1
        return self


@pytest.fixture
def topic(topics):
    return topics.create(2)


@pytest.fixture
def process(topics, topic):
    made = []

    def start(**options):
        made.append(Process(topics, topic, **{"max_records_per_split": 7, **options}))
        return made[-1]

    yield start
    for one in made:
        one.source.close()


def fill(topics, topic, start, end):
    """Put numbers into both partitions, in turn."""
    for part in (0, 1):
        topics.put(topic, numbered(start, end)[part::2], part)


def once(*processes, count):
    got = Counter(line for one in processes for line in one.got)
    return got == Counter(numbered(0, count))


def test_two_processes_share_and_each_record_is_read_once(topics, topic, process):
    fill(topics, topic, 0, 100)
    one = process().drain()
    assert len(one.got) == 100
    two = process()
    assert two.plan() is None  # it has joined, and there is nothing new
    fill(topics, topic, 100, 160)
    two.drain()
    one.drain()
    assert once(one, two, count=160)
    assert len(two.got) == 30


def test_a_rebalance_amid_an_epoch(topics, topic, process):
    """What was claimed is read to its end, though its partition is another process' by now."""
    fill(topics, topic, 0, 100)
    one = process()
    one.plan()
    one.open_first()
    two = process()
    assert two.plan() is None
    fill(topics, topic, 100, 200)
    two.drain()
    one.finish()
    one.drain()
    assert once(one, two, count=200)
    assert len(one.got) > 100


def test_a_rebalance_between_plan_and_claim(topics, topic, process):
    """What was planned and is another process' now is left to it."""
    fill(topics, topic, 0, 100)
    one = process()
    one.plan()
    two = process().drain()
    assert two.got
    one.finish()
    one.drain()
    two.drain()
    assert once(one, two, count=100)


def test_a_process_that_died_after_its_claim_reads_what_it_has_claimed(topics, topic, process):
    fill(topics, topic, 0, 100)
    one = process()
    one.plan(Budget(splits=4))
    one.open_first()
    one.source.close()
    two = process().drain()
    assert len(two.got) == 100 - 28
    one.start()
    one.finish()
    two.drain()
    one.drain()
    assert once(one, two, count=100)


def test_a_process_that_died_before_its_claim_finds_it_read_by_others(topics, topic, process):
    fill(topics, topic, 0, 100)
    one = process()
    one.plan()
    one.source.close()
    two = process().drain()
    assert len(two.got) == 100
    one.start()
    one.finish()
    assert one.got == []
    one.drain()
    assert once(one, two, count=100)


def test_a_process_that_died_before_its_claim_plans_anew_if_nobody_was_there(
    topics, topic, process
):
    fill(topics, topic, 0, 100)
    one = process()
    one.plan()
    one.start()
    one.finish()
    one.drain()
    assert once(one, count=100)


def test_a_claimed_epoch_that_was_dropped_is_planned_again(topics, topic, process):
    """The engine drops a planned epoch when the source's options change."""
    fill(topics, topic, 0, 40)
    one = process().drain()
    fill(topics, topic, 40, 100)
    one.plan()
    one.open_first()
    one.start(max_records_per_split=3)
    one.drain()
    assert once(one, count=100)


def test_a_claimed_split_that_could_not_be_read_is_tried_again(topics, topic, process):
    """Also by a later process, with further claims made meanwhile."""
    fill(topics, topic, 0, 100)
    one = process()
    one.plan()
    failed = [split.key for split in one.splits[3:5]]
    one.finish(failed)
    fill(topics, topic, 100, 120)
    one.drain(Budget(skip=frozenset(failed)))
    assert len(one.got) == 120 - 14
    one.start()
    two = process().drain()
    one.drain()
    assert two.got == []
    assert once(one, two, count=120)


def test_a_new_process_writes_its_name_down_before_it_claims(topics, topic, process):
    """Or the claim of a first epoch that was dropped could not be found again."""
    fill(topics, topic, 0, 100)
    one = process()
    one.position = None
    one.plan()
    one.open_first()
    assert topics.committed(f"of {topic}", topic, 2) == [-1001, -1001]
    one.finish()
    assert one.got == []
    one.plan()
    one.open_first()
    one.start(max_records_per_split=3)
    assert once(one.drain(), count=100)


def test_latest_is_as_of_the_first_look_of_the_group(topics, topic, process):
    fill(topics, topic, 0, 50)
    one = process(start="latest")
    assert one.plan() is None
    one.source.close()
    fill(topics, topic, 50, 60)
    two = process(start="latest").drain()
    assert sorted(two.got) == numbered(50, 60)


def test_a_topic_made_anew_is_read_from_its_start_although_the_group_starts_at_the_end(
    topics, topic, process
):
    one = process(start="latest", on_lost="skip")
    one.drain()
    fill(topics, topic, 0, 20)
    one.drain()
    assert once(one, count=20)
    one.source.close()
    topics.delete(topic)
    deadline = time.monotonic() + 60
    while any(at >= 0 for at in topics.committed(f"of {topic}", topic, 2)):
        assert time.monotonic() < deadline, "the brokers still know where the group stood"
    topics.again(topic, 2)
    fill(topics, topic, 20, 40)
    one.start()
    one.drain()
    assert once(one, count=40)


def test_records_deleted_after_they_were_claimed(topics, topic, process):
    fill(topics, topic, 0, 100)
    one = process(on_lost="skip", max_records_per_split=1000)
    one.plan()
    one.open_first()
    topics.delete_before(topic, 20, 0)
    topics.delete_before(topic, 50, 1)
    one.memory.record(one.planned)
    one.memory.clear()  # both splits were quarantined
    one.position = one.planned.position
    one.start()
    assert sorted(one.drain().got, key=int) == numbered(0, 100)[40::2]


def test_records_deleted_before_they_were_claimed(topics, topic, process):
    """The claim begins where the group stands, the ranges where there still are records."""
    fill(topics, topic, 0, 40)
    one = process(on_lost="skip").drain()
    fill(topics, topic, 40, 100)
    topics.delete_before(topic, 30, 0)
    one.drain()
    assert Counter(one.got) == Counter(numbered(0, 100)) - Counter(numbered(0, 60)[40::2])


def test_a_topic_that_appears_is_shared_too(topics, process):
    first = topics.create()
    one = process(topics=[f"^{first}"])
    topics.put(first, numbered(0, 5))
    one.drain()
    second = topics.create(1, f"{first}-too")
    topics.put(second, numbered(5, 9))
    assert once(one.drain(), count=9)


class Unanswered:
    """A producer whose first commit gets through, while the answer does not."""

    def __init__(self, producer):
        self._producer = producer

    def __getattr__(self, name):
        return getattr(self._producer, name)

    def commit_transaction(self, *arguments):
        self._producer.commit_transaction(*arguments)
        raise KafkaException(KafkaError(KafkaError._TIMED_OUT, "no answer"))


def test_a_claim_whose_answer_was_lost_is_found_to_be_made(topics, topic, process, monkeypatch):
    fill(topics, topic, 0, 100)
    one = process()
    claim_producer, made = Clients.claim_producer, []

    def first_unanswered(self, name):
        made.append(name)
        producer = claim_producer(self, name)
        return Unanswered(producer) if len(made) == 1 else producer

    monkeypatch.setattr(Clients, "claim_producer", first_unanswered)
    one.plan()
    with pytest.raises(RetryableError):
        one.open_first()
    two = process().drain()
    assert two.got == []
    one.finish()
    one.drain()
    assert once(one, two, count=100)


def test_two_processes_with_one_state_store_are_told(topics, topic, process):
    fill(topics, topic, 0, 100)
    one, two = process(), process()
    two.position = one.position
    one.plan(Budget(splits=2))
    one.open_first()
    two.plan(Budget(splits=2))
    two.open_first()
    one.finish()
    fill(topics, topic, 100, 200)

    def go_on():
        for _ in range(10):
            if one.plan():
                one.finish()

    with pytest.raises(RunError, match="same state store"):
        go_on()
