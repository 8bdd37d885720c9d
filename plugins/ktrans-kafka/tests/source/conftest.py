"""Topics of a real broker, pipelines over them, and real processes that run those."""

import json
import os
import subprocess
import sys
import time
import uuid
from collections import Counter
from pathlib import Path

import pytest
from confluent_kafka import (
    Consumer,
    ConsumerGroupState,
    KafkaException,
    Producer,
    TopicPartition,
)
from confluent_kafka.admin import AdminClient, NewPartitions, NewTopic
from ktrans_kafka.source import KafkaSource
from ktrans_kafka.source_config import KafkaSourceConfig

from ktrans.api import Context

WAIT = 60


class Topics:
    """Creates topics of a test, and puts records into them."""

    def __init__(self, bootstrap):
        self.bootstrap = bootstrap
        self.admin = AdminClient({"bootstrap.servers": bootstrap})
        self._producer = Producer({"bootstrap.servers": bootstrap, "linger.ms": 5})

    def create(self, partitions=1, name=None):
        name = name or f"t-{uuid.uuid4().hex[:10]}"
        self.admin.create_topics([NewTopic(name, partitions, 1)])[name].result(WAIT)
        self._until(name, partitions)
        return name

    def _until(self, name, partitions):
        """Wait until the brokers' metadata has the partitions."""
        deadline = time.monotonic() + WAIT
        while len(self._producer.list_topics(name, WAIT).topics[name].partitions) < partitions:
            assert time.monotonic() < deadline
            time.sleep(0.02)

    def delete(self, name):
        self.admin.delete_topics([name])[name].result(WAIT)

    def again(self, name, partitions=1):
        """Create a topic that was deleted; the deletion takes its time."""
        deadline = time.monotonic() + WAIT
        while True:
            try:
                self.create(partitions, name)
                break
            except KafkaException:
                assert time.monotonic() < deadline
        self._producer = Producer({"bootstrap.servers": self.bootstrap, "linger.ms": 5})

    def grow(self, name, partitions):
        self.admin.create_partitions([NewPartitions(name, partitions)])[name].result(WAIT)
        self._until(name, partitions)

    def put(self, topic, values, partition=0, timestamp=0):
        for value in values:
            self._producer.produce(topic, value, partition=partition, timestamp=timestamp)
            self._producer.poll(0)
        assert self._producer.flush(WAIT) == 0

    def transaction(self, topic, values, partition=0, *, end="commit"):
        """Put records within a transaction; returns the producer if it is left open."""
        producer = Producer(
            {"bootstrap.servers": self.bootstrap, "transactional.id": uuid.uuid4().hex}
        )
        producer.init_transactions(WAIT)
        producer.begin_transaction()
        for value in values:
            producer.produce(topic, value, partition=partition)
        producer.flush(WAIT)
        if end == "commit":
            producer.commit_transaction(WAIT)
        elif end == "abort":
            producer.abort_transaction(WAIT)
        return producer

    def delete_before(self, topic, offset, partition=0):
        place = TopicPartition(topic, partition, offset)
        self.admin.delete_records([place])[place].result(WAIT)

    def committed(self, group, topic, partitions=1):
        consumer = Consumer({"bootstrap.servers": self.bootstrap, "group.id": group})
        try:
            places = consumer.committed([TopicPartition(topic, p) for p in range(partitions)], WAIT)
        finally:
            consumer.close()
        return [place.offset for place in places]

    def commit(self, group, topic, offsets):
        consumer = Consumer({"bootstrap.servers": self.bootstrap, "group.id": group})
        places = [TopicPartition(topic, part, offset) for part, offset in offsets.items()]
        consumer.commit(offsets=places, asynchronous=False)
        consumer.close()

    def members(self, group):
        """Return the number of members of a group; -1 unless it is stable."""
        found = self.admin.describe_consumer_groups([group])[group].result(WAIT)
        return len(found.members) if found.state == ConsumerGroupState.STABLE else -1

    def source(self, topic, **options):
        context = options.pop("context", None) or Context(pipeline="test")
        topics = [topic] if isinstance(topic, str) else topic
        raw = {"bootstrap_servers": [self.bootstrap], "topics": topics, **options}
        return KafkaSource(KafkaSourceConfig.model_validate(raw), context)


class Site:
    """A folder with a pipeline from a topic to JSON lines, and what it writes."""

    def __init__(self, folder: Path, topics: Topics, topic: str):
        self.folder = folder
        self.topics = topics
        self.topic = topic
        self.config = folder / "pipeline.yaml"
        folder.mkdir(parents=True)

    def write_config(self, engine=None, **source):
        raw = {"bootstrap_servers": [self.topics.bootstrap], "topics": [self.topic], **source}
        settings = {"workers": 2, "retry_wait": 0.01, "poll_interval": 0.1, **(engine or {})}
        self.config.write_text(
            f"""
name: site
source: {json.dumps({"type": "kafka", **raw})}
decoder: {{type: flow_json, fields: {{src_addr: src, bytes: n, packets: p}}}}
sinks:
  - {{id: lines, type: file, path: lines/, format: {{type: jsonl}}}}
rejects: {{type: file, path: rejects/}}
state: {{path: state/state.db}}
engine: {json.dumps(settings)}
"""
        )
        return self

    def start(self, *arguments):
        return subprocess.Popen(
            [sys.executable, "-m", "ktrans", "run", str(self.config), *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env={**os.environ, "NO_COLOR": "1"},
        )

    def run(self, *arguments):
        process = self.start("--receipt", str(self.folder / "receipt.json"), *arguments)
        self.output = process.communicate(timeout=300)[0].decode()
        return process.returncode

    @property
    def receipt(self):
        return json.loads((self.folder / "receipt.json").read_text())

    def rows(self):
        """Return the published rows' numbers (`bytes`), as a multiset."""
        found = Counter()
        for path in self._visible("lines"):
            found.update(json.loads(line)["bytes"] for line in path.read_text().splitlines())
        return found

    def rejects(self):
        return [
            json.loads(line)
            for path in self._visible("rejects")
            for line in path.read_text().splitlines()
        ]

    def _visible(self, sink):
        """Published files; hidden folders are left alone, a run may be working in them."""
        found = (self.folder / sink).glob("*")
        return sorted(path for path in found if path.name[0] != "." and path.is_file())


def record(number):
    """Return a record whose number can be found again."""
    return b'{"src": "10.0.%d.%d", "n": %d, "p": 1}' % (number // 250 % 250, number % 250, number)


@pytest.fixture(scope="module")
def module_topics(kafka_broker):
    return Topics(kafka_broker.bootstrap)


@pytest.fixture
def topics(kafka_broker):
    return Topics(kafka_broker.bootstrap)


@pytest.fixture
def records():
    return lambda start, end: [record(number) for number in range(start, end)]


@pytest.fixture
def make_site(tmp_path, topics):
    def make(topic, name="site", **options):
        return Site(tmp_path / name, topics, topic).write_config(**options)

    return make


@pytest.fixture
def kill():
    def kill_within(process, secs):
        """Kill a run unless it ends before; return whether it was killed."""
        try:
            process.communicate(timeout=secs)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
            return True
        return False

    return kill_within
