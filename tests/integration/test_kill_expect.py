"""Rules over rows in processes that die at random moments: counts and violations are complete, once."""

import json
import random
import signal
import subprocess
from collections import Counter

import pytest

KILLS = {"threads": 20, "processes": 4}
FILES = 80
LIMIT = 1000
EXPECT = f"""
expect:
  - {{name: nothing rejected, where: "action = 'reject'", none: true}}
  - {{name: few to https, where: dst_port = 443, at_most: {LIMIT}}}
  - {{name: not too many, where: bytes >= 0, at_most: 1000000}}
  - {{name: something accepted, where: "action = 'accept'", some: true}}
  - {{name: a heartbeat, where: dst_port = 65000, at_least: 1}}
violations: {{type: file, path: violations/}}
"""


def rows(site, sink):
    return [
        json.loads(line) for path in site.visible(sink) for line in path.read_text().splitlines()
    ]


def places(found):
    return Counter((row["source_uri"], row["source_pos"]) for row in found)


@pytest.mark.slow
@pytest.mark.parametrize("executor", KILLS)
def test_killed_runs_lose_no_violation_and_no_count(site, logs, executor):
    """All runs but the last are killed, so the last one judges the rows of all of them."""
    logs(0, FILES)
    site.extra = EXPECT
    site.write_config(epoch_splits=8, executor=executor)
    rng = random.Random(11)
    for _ in range(KILLS[executor]):
        if len(rows(site, "lines")) > FILES * 300 * 0.7:
            break
        process = site.start()
        try:
            process.communicate(timeout=rng.uniform(0.4, 1.4))
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            process.communicate()
    assert site.run() == 3, site.stderr
    everything = rows(site, "lines")
    assert len(everything) == FILES * 300
    rejected = [row for row in everything if row["action"] == "reject"]
    https = [row for row in everything if row["dst_port"] == 443]
    found = {rule["name"]: (rule["rows"], rule["broken"]) for rule in site.receipt["expect"]}
    assert found == {
        "nothing rejected": (len(rejected), 1),
        "few to https": (len(https), 1),
        "not too many": (len(everything), 0),
        "something accepted": (len(everything) - len(rejected), 0),
        "a heartbeat": (0, 1),
    }
    violations = rows(site, "violations")
    named = {row["violation"] for row in violations}
    assert named == {"nothing rejected", "few to https"}
    assert places(v for v in violations if v["violation"] == "nothing rejected") == places(rejected)
    over = places(v for v in violations if v["violation"] == "few to https")
    assert max(over.values()) == 1
    assert over <= places(https)
    assert len(https) - LIMIT <= over.total() < len(https)
    assert site.hidden() == []
    assert site.run() == 0
    assert site.receipt["outcome"] == "nothing_to_do"
