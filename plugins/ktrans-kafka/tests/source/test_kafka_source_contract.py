"""What every source promises to the engine, kept by `kafka` over a real broker."""

import uuid

import pytest
from ktrans_kafka.source_position import Position

from ktrans.api import Budget, Context
from ktrans.testing.contracts.sources import (
    PlainMemory,
    SourceCase,
    SourceContract,
    drain,
    read,
)

pytestmark = pytest.mark.service("kafka")


@pytest.fixture(scope="module")
def topic(module_topics):
    """Transactions, aborted records and tombstones among plain records, in two partitions."""
    topic = module_topics.create(2)
    lines = [b"line %d of the topic" % i for i in range(40)]
    for partition in (0, 1):
        module_topics.put(topic, lines[:15], partition)
        module_topics.transaction(topic, lines[15:20], partition)
        module_topics.transaction(topic, [b"aborted"] * 7, partition, end="abort")
        module_topics.put(topic, [None, *lines[20:29], None], partition)
    return topic


class Alone(SourceCase):
    """A pipeline that has the topic to itself."""

    def __init__(self, topics, topic, **options):
        self.topics, self.topic, self.options = topics, topic, options
        self.built = []

    def build(self):
        options = {"max_records_per_split": 20, **self.options}
        source = self.topics.source(self.topic, **options)
        self.built.append(source)
        return source

    def close(self):
        for source in self.built:
            source.close()
        self.built.clear()


class GroupShare(Alone):
    """A member of a group; each new process takes over from the one before.

    The first plan of each is that of a process whose name is in its state store already; an epoch
    of its own would put it there.
    """

    def build(self):
        self.close()
        source = super().build()
        plan, named = source.plan, Position(member=uuid.uuid4().hex).to_json()
        source.plan = lambda position, *rest: plan(position or named, *rest)
        return source

    def fresh(self):
        self.close()
        self.topics.commit(self.options["group"], self.topic, {0: 0, 1: 0})


class _InAnyOrder(SourceContract):
    covers = ("kafka",)

    def same(self, one, other):
        return _lines(one) == _lines(other)


class TestAlone(_InAnyOrder):
    @pytest.fixture
    def case(self, topics, topic):
        case = Alone(topics, topic)
        yield case
        case.close()


class TestInAGroup(_InAnyOrder):
    @pytest.fixture
    def case(self, topics, topic, request):
        case = GroupShare(topics, topic, group=f"group of {request.node.name}")
        yield case
        case.close()

    def test_after_the_commit_it_is_caught_up(self, case):
        """The group's offsets move when splits are opened, whatever the position says."""
        assert drain(case)
        assert not drain(case)


def test_a_look_at_a_shared_topic_leaves_no_trace(topics, topic):
    """A preview reads what the group has not read, and neither joins nor claims."""
    case = Alone(topics, topic, group="looked at", context=Context(ephemeral=True))
    source = case.build()
    plan = source.plan(None, PlainMemory(), Budget())
    assert {read(source, split)[:4] for split in plan.splits} == {b"line"}
    assert topics.members("looked at") < 1
    assert topics.committed("looked at", topic, 2) == [-1001, -1001]
    case.close()
    member = GroupShare(topics, topic, group="looked at")
    assert len(_lines(drain(member))) == 2 * 29
    member.close()


def _lines(pieces):
    return sorted(b"".join(pieces).splitlines())
