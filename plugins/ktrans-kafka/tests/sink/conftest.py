"""Sinks on a real broker, a mock of one, and readers that look at what others can see."""

from __future__ import annotations

import json
import logging
import time
import uuid

import confluent_kafka
import pytest
from confluent_kafka import IsolationLevel
from confluent_kafka.admin import AdminClient, NewTopic, OffsetSpec

from ktrans.api import Context
from ktrans.registry.catalogue import Catalogue
from ktrans.testing.contracts.sinks import SCHEMA

CATALOGUE = Catalogue()
SILENT = logging.getLogger("test.kafka.silent")  # brokers go away on purpose here
SILENT.propagate = False
SILENT.addHandler(logging.NullHandler())


def build(
    bootstrap, topic, *, name="sink", pipeline="flows", schema=SCHEMA, base_dir=None, **options
):
    """Build a sink as a new process would, bound to a schema."""
    raw = {"type": "kafka", "bootstrap_servers": [bootstrap], "topic": topic, **options}
    places = {} if base_dir is None else {"base_dir": base_dir}
    context = Context(pipeline, name, registry=CATALOGUE, **places)
    sink = CATALOGUE.build("sink", CATALOGUE.config("sink", raw), context)
    sink.bind(schema)
    return sink


def read(bootstrap, topic, *, isolation="read_committed"):
    """Return the messages of a topic that a consumer sees now, by partition and offset."""
    consumer = confluent_kafka.Consumer(
        {
            "bootstrap.servers": bootstrap,
            "group.id": f"reader-{uuid.uuid4()}",
            "isolation.level": isolation,
            "enable.partition.eof": True,
            "auto.offset.reset": "earliest",
            "logger": SILENT,
        }
    )
    try:
        partitions = consumer.list_topics(topic, 60).topics[topic].partitions
        consumer.assign([confluent_kafka.TopicPartition(topic, p, 0) for p in partitions])
        found, left = [], set(partitions)
        while left:
            message = consumer.poll(60)
            assert message is not None, "the broker gave nothing for a minute"
            if message.error() is None:
                found.append(message)
            else:
                assert message.error().code() == confluent_kafka.KafkaError._PARTITION_EOF
                left.discard(message.partition())
        return found
    finally:
        consumer.close()


PASSING = ("NOT_LEADER_FOR_PARTITION", "LEADER_NOT_AVAILABLE", "UNKNOWN_TOPIC_OR_PART")
"""What a broker says of a topic that has just been made."""


class Cluster:
    """A broker with a topic, and names, of one test's own."""

    def __init__(self, broker):
        self.broker = broker
        self.bootstrap = broker.bootstrap
        self.own = uuid.uuid4().hex[:10]
        self.admin = AdminClient({"bootstrap.servers": broker.bootstrap, "logger": SILENT})
        self.topic = self.make(f"t-{self.own}")
        self.sinks = {}

    def make(self, name, partitions=2, **config):
        wanted = NewTopic(name, partitions, 1, config=config)
        futures = self.admin.create_topics([wanted], request_timeout=60)
        futures[name].result(timeout=90)
        return name

    def sink(self, pipeline="flows", **options):
        """Build a sink; pipelines of one name in different tests are different ones."""
        options.setdefault("connect_timeout", 60)
        options.setdefault("bootstrap", self.bootstrap)
        options.setdefault("topic", self.topic)
        made = build(pipeline=f"{pipeline}-{self.own}", **options)
        self.sinks.setdefault((pipeline, options.get("name")), []).append(made)
        return made

    def read(self, topic=None, *, isolation="read_committed"):
        """Return the messages of a topic, once no transaction is open."""
        topic = topic or self.topic
        if isolation == "read_committed" and not self.is_open():
            self.settle(topic)
        return read(self.bootstrap, topic, isolation=isolation)

    def is_open(self):
        """Return whether the latest sink of any name has a transaction that waits for its commit."""
        latest = [sinks[-1] for sinks in self.sinks.values()]
        return any(
            producer.state != "idle"
            for sink in latest
            for producer in sink.producers._producers.values()
        )

    def settle(self, topic):
        """Wait until readers of committed records are let up to the end of the log.

        A commit is answered when it is decided; a moment later it is written into the partitions.
        """
        deadline = time.monotonic() + 90
        while True:
            try:
                committed, written = (
                    self.ends(topic, level)
                    for level in (IsolationLevel.READ_COMMITTED, IsolationLevel.READ_UNCOMMITTED)
                )
            except confluent_kafka.KafkaException as error:
                if error.args[0].name() not in PASSING:
                    raise
            else:
                if committed == written:
                    return
            assert time.monotonic() < deadline, "a transaction stays open"

    def ends(self, topic, level):
        partitions = self.admin.list_topics(topic, 60).topics[topic].partitions
        parts = [confluent_kafka.TopicPartition(topic, partition) for partition in partitions]
        wanted = {part: OffsetSpec.latest() for part in parts}
        found = self.admin.list_offsets(wanted, isolation_level=level, request_timeout=60)
        return [found[part].result(timeout=90).offset for part in parts]

    def rows(self, topic=None):
        """Return `n` of all rows that a read_committed consumer sees, sorted."""
        return sorted(json.loads(message.value())["n"] for message in self.read(topic))

    def close(self):
        for sinks in self.sinks.values():
            for sink in sinks:
                sink.close()


@pytest.fixture
def cluster(kafka_broker):
    made = Cluster(kafka_broker)
    yield made
    made.close()


@pytest.fixture
def build_sink():
    """Builds sinks and closes them in the end."""
    made = []

    def make(*arguments, **options):
        made.append(build(*arguments, **options))
        return made[-1]

    yield make
    for sink in made:
        sink.close()


@pytest.fixture
def read_topic():
    return read
