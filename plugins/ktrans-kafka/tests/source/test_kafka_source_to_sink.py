"""From one topic to another, with the process killed at random moments."""

import json
import random
import subprocess
import sys
from collections import Counter

import pytest
from confluent_kafka import Consumer, TopicPartition

pytestmark = [pytest.mark.service("kafka"), pytest.mark.slow]

PIPELINE = """
name: {name}
source: {source}
decoder: {{type: auto}}
sinks:
{sinks}
rejects: {{type: file, path: rejects-{name}/}}
state: {{path: "{name}.db"}}
"""
COUNT = 4000
WAIT = 60


def values(topics, topic, partitions):
    """Return all committed values of a topic."""
    consumer = Consumer(
        {
            "bootstrap.servers": topics.bootstrap,
            "group.id": "reader",
            "enable.auto.commit": False,
            "enable.partition.eof": True,
            "isolation.level": "read_committed",
        }
    )
    consumer.assign([TopicPartition(topic, part, 0) for part in range(partitions)])
    found, ended = [], set()
    while len(ended) < partitions:
        message = consumer.poll(WAIT)
        assert message is not None
        if message.error():
            assert message.error().name() == "_PARTITION_EOF"
            ended.add(message.partition())
        else:
            found.append(json.loads(message.value()))
    consumer.close()
    return found


def test_kills_from_topic_to_topic(topics, records, make_site, kill):
    origin, target = topics.create(3), topics.create(2)
    site = make_site(origin, max_records_per_split=200, engine={"epoch_splits": 8})
    sinks = {
        "id": "out",
        "type": "kafka",
        "bootstrap_servers": [topics.bootstrap],
        "topic": target,
    }
    text = site.config.read_text()
    before, _, rest = text.partition("sinks:")
    site.config.write_text(
        f"{before}sinks: [{json.dumps(sinks)}]\nrejects{rest.partition('rejects')[2]}"
    )
    rng = random.Random(5)
    made = kills = 0
    while kills < 10 or made < COUNT:
        if made < COUNT:
            part = rng.randrange(3)
            topics.transaction(origin, records(0, 30), part, end="abort")
            topics.put(origin, records(made, made + 500), part)
            made += 500
        kills += kill(site.start(), rng.uniform(0.5, 1.3))
    assert site.run() == 0, site.output
    rows = values(topics, target, 2)
    assert Counter(row["bytes"] for row in rows) == Counter(range(made))


@pytest.mark.parametrize(("encoding", "framing"), [("json", "lines"), ("parquet", "object")])
def test_what_the_sink_writes_is_what_the_source_reads(topics, tmp_path, encoding, framing):
    """Rows that went through a topic are those that were written beside it."""
    topic = topics.create(2)
    kafka = {"type": "kafka", "bootstrap_servers": [topics.bootstrap]}
    first = {"type": "generate", "log": "aws_vpc_v2", "rows": 300}
    through = {**kafka, "id": "topic", "topic": topic, "encoding": encoding}
    beside = {"id": "file", "type": "file", "format": {"type": "jsonl"}}
    _run(tmp_path, "write", first, [through, {**beside, "path": "beside/"}])
    again = {**kafka, "topics": [topic], "framing": framing}
    _run(tmp_path, "read", again, [{**beside, "path": "through/"}])
    assert _lines(tmp_path / "through") == _lines(tmp_path / "beside")
    assert _lines(tmp_path / "through").total() == 300


def _run(folder, name, source, sinks):
    config = folder / f"{name}.yaml"
    listed = "".join(f"  - {json.dumps(sink)}\n" for sink in sinks)
    config.write_text(PIPELINE.format(name=name, source=json.dumps(source), sinks=listed))
    command = [sys.executable, "-m", "ktrans", "run", str(config)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr


def _lines(folder):
    return Counter(
        line for path in folder.rglob("*.jsonl") for line in path.read_text().splitlines()
    )
