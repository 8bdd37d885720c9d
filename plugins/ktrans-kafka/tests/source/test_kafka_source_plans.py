"""Plans of the `kafka` source when topics are created again, cut short or appear late, without a broker.

Brokers do these things seldom and at times of their own, so the cluster's answers are given here.
"""

import pytest
from ktrans_kafka.client import connection
from ktrans_kafka.source import KafkaSource
from ktrans_kafka.source_cluster import Topic
from ktrans_kafka.source_config import KafkaSourceConfig

from ktrans.api import Budget, Context, RunError
from ktrans.testing.contracts.sources import PlainMemory


class Answers:
    """What a cluster says: topics of one partition, with their ids and ends."""

    def __init__(self, **topics):
        self.ids = topics
        self.last = dict.fromkeys(topics, 100)

    def topics(self, wanted):
        return {name: Topic(name, one, (0,)) for name, one in self.ids.items()}

    def starts(self, parts):
        return dict.fromkeys(parts, 0)

    def ends(self, parts):
        return {part: self.last[part[0]] for part in parts}


class Group:
    """A group with one member, whose offsets the broker forgets with the topic."""

    new_member = "m"
    last_claim = 0

    def __init__(self):
        self.at = {("t", 0): 0}

    def next_offsets(self, topics, recreated):
        return dict(self.at)

    def recover(self, here, topics):
        return []

    def claim(self, here, ranges, next_offsets):
        here.claim += 1
        return {"claim": f"m:{here.claim}"}

    def is_mine(self, split):
        return True


class Plans:
    """Plans one after the other, as the engine asks for them."""

    def __init__(self, cluster, group=None, **options):
        raw = {"bootstrap_servers": ["kafka:9092"], "topics": ["^t"], **options}
        raw |= {} if group is None else {"group": "g"}
        self.source = KafkaSource(KafkaSourceConfig.model_validate(raw))
        self.source._cluster = self.source._offsets._cluster = cluster
        self.source._shared = group
        self.position = None
        self.memory = PlainMemory()
        self.notes = ()

    def __call__(self, *, fails=False):
        """Return the keys of the planned splits; quarantine those that fail."""
        plan = self.source.plan(self.position, self.memory, Budget())
        self.notes = plan.notes if plan else ()
        if plan is None or not plan.splits:
            return []
        keys = [split.key for split in plan.splits]
        kept = {k: v for k, v in plan.remember.items() if not (fails and k in keys)}
        self.memory.update(kept)
        self.position = plan.position
        return keys


def test_a_range_of_a_topic_made_anew_is_tried_again_after_a_failure():
    """Its key is that of a range of the old topic, which was read."""
    cluster = Answers(t="A", to="X")
    plans = Plans(cluster, on_lost="skip")
    assert plans() == ["t/0@0-100", "to/0@0-100"]
    assert plans() == []
    cluster.ids["t"] = "B"
    assert plans(fails=True) == ["t/0@0-100"]
    assert any("created again" in note for note in plans.notes)
    assert plans() == ["t/0@0-100"]
    assert plans() == []


def test_a_topic_made_anew_amid_a_round_is_read_to_its_own_end():
    cluster = Answers(t="A")
    plans = Plans(cluster, on_lost="skip")
    assert plans() == ["t/0@0-100"]
    cluster.ids["t"], cluster.last["t"] = "B", 20
    assert plans() == ["t/0@0-20"]


def test_a_topic_that_was_gone_for_a_while_is_known_by_its_id():
    cluster = Answers(t="A", to="X")
    plans = Plans(cluster)
    plans(), plans()
    del cluster.ids["t"]
    cluster.last["to"] = 110
    assert plans() == ["to/0@100-110"]
    cluster.ids["t"] = "B"
    with pytest.raises(RunError, match="t was deleted and created again"):
        plans()


@pytest.mark.parametrize("on_lost", ["error", "skip"])
def test_a_group_notices_a_topic_that_was_made_anew(on_lost):
    cluster, group = Answers(t="A"), Group()
    plans = Plans(cluster, group, on_lost=on_lost)
    assert plans() == ["t/0@0-0"]  # its name
    assert plans(fails=True) == ["t/0@0-100"]
    cluster.ids["t"], cluster.last["t"] = "B", 30
    if on_lost == "error":
        with pytest.raises(RunError, match="created again"):
            plans()
    else:
        assert plans() == ["t/0@0-30"]  # and no range of the old one again


def test_a_partition_that_lost_its_last_records_goes_on_at_its_end():
    cluster = Answers(t="A")
    plans = Plans(cluster, on_lost="skip")
    plans(), plans()
    cluster.last["t"] = 90
    assert plans() == ["t/0@90-90"]  # no records: writes down where it stands
    assert any("ends at offset 90" in note for note in plans.notes)
    assert plans() == []
    cluster.last["t"] = 105
    assert plans() == ["t/0@90-105"]


def test_a_shorter_topic_without_an_id_is_taken_for_a_new_one():
    cluster = Answers(t="")
    plans = Plans(cluster, on_lost="skip")
    plans(), plans()
    cluster.last["t"] = 90
    assert plans() == ["t/0@0-90"]


def test_latest_is_as_of_the_first_look_also_if_nothing_was_there():
    cluster = Answers()
    plans = Plans(cluster, start="latest")
    assert plans() == []
    cluster.ids["t"], cluster.last["t"] = "A", 100
    assert plans() == ["t/0@0-100"]


def test_lost_connections_are_no_log_lines_unless_wanted():
    def level(**options):
        raw = {"bootstrap_servers": ["kafka:9092"], "topics": ["t"], **options}
        return connection(KafkaSourceConfig.model_validate(raw), Context())["log_level"]

    assert level() == 2
    assert level(librdkafka={"log_level": 6}) == 6
