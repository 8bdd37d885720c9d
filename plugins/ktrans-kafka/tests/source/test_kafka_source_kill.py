"""Real processes that die at random moments: every record becomes a row once."""

import random
import time
from collections import Counter

import pytest

pytestmark = [pytest.mark.service("kafka"), pytest.mark.slow]

COUNT = 6000


def test_kills_of_a_pipeline_that_is_alone(topics, records, make_site, kill):
    """Plain records and transactions, committed and aborted, come while runs die."""
    topic = topics.create(3)
    site = make_site(
        topic, max_records_per_split=150, engine={"epoch_splits": 8, "task_size": 50_000}
    )
    rng = random.Random(7)
    made = kills = 0
    while kills < 12 or made < COUNT:
        if made < COUNT:
            part = rng.randrange(3)
            if rng.random() < 0.5:
                topics.put(topic, records(made, made + 500), part)
            else:
                topics.transaction(topic, records(0, 40), part, end="abort")
                topics.transaction(topic, records(made, made + 500), part)
            made += 500
        kills += kill(site.start(), rng.uniform(0.4, 1.1))
    assert site.run() == 0, site.output
    assert site.run() == 0, site.output
    assert site.receipt["outcome"] == "nothing_to_do"
    assert site.rows() == Counter(range(made))
    assert site.rejects() == []


def test_kills_of_processes_that_share_a_group(topics, records, make_site, kill):
    """Two of them follow the topic; one or the other dies, and comes back with its own state."""
    topic = topics.create(3)
    sites = [
        make_site(
            topic,
            name,
            group=f"of {topic}",
            librdkafka={"session.timeout.ms": 2000},
            max_records_per_split=100,
            engine={"epoch_splits": 6, "task_size": 50_000},
        )
        for name in ("one", "two")
    ]
    rng = random.Random(11)
    running = [site.start("--follow") for site in sites]
    made = kills = 0
    try:
        while kills < 10:
            for part in range(3):
                topics.put(topic, records(made, made + 200), part)
                made += 200
            which = rng.randrange(2)
            died = kill(running[which], rng.uniform(0.3, 2.0))
            assert died
            kills += 1
            running[which] = sites[which].start("--follow")
        _wait_for(sites, made, running)
    finally:
        for process in running:
            process.terminate()
        ends = [process.communicate(timeout=120)[0].decode() for process in running]
    assert [process.returncode for process in running] == [0, 0], ends
    rows = [site.rows() for site in sites]
    assert rows[0] + rows[1] == Counter(range(made))
    assert topics.committed(f"of {topic}", topic, 3) == [made // 3] * 3


def _wait_for(sites, made, running):
    """Wait until all rows are there; what is wrong with them is the test's to say."""
    deadline = time.monotonic() + 180
    while sum(site.rows().total() for site in sites) < made and time.monotonic() < deadline:
        assert all(process.poll() is None for process in running)
        time.sleep(0.2)
