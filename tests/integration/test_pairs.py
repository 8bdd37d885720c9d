"""Pipelines between real ends are killed again and again: no row is lost, none comes twice."""

import importlib.util
import json
import os
import random
import subprocess
import sys
import time
import uuid
from collections import Counter
from pathlib import Path

import pytest

_SPEC = importlib.util.spec_from_file_location("ends", Path(__file__).with_name("ends.py"))
ends = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(ends)

KILLS = int(os.environ.get("KTRANS_KILLS", "20"))
FIRST, MORE = 8, 3
"""Parts that lie there at first, and that come whenever a run gets through."""


class Pipeline:
    """A pipeline file and its runs."""

    def __init__(self, folder, source, sink, **sections):
        self.path = folder / "p.yaml"
        tree = {
            "name": "pair",
            "source": source.source(),
            "decoder": source.decoder(),
            "sinks": [sink],
            "engine": {
                "workers": 2,
                "epoch_splits": 4,
                "task_size": 2000,
                "retry_wait": 0.05,
                "retry_max_wait": 1,
            },
            **sections,
        }
        self.path.write_text(json.dumps(tree))

    def start(self, *args):
        return subprocess.Popen(
            [sys.executable, "-m", "ktrans", "run", *args, str(self.path)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**os.environ, "NO_COLOR": "1"},
        )

    def run(self):
        process = self.start("--json")
        out, err = process.communicate(timeout=300)
        assert process.returncode == 0, out.decode()[-2000:] + err.decode()[-2000:]
        return json.loads(out)


def killed(pipeline, fill, seed):
    """Run the pipeline, kill it at random moments, and feed it; give the number of parts."""
    rng = random.Random(seed)
    for part in range(FIRST):
        fill(part)
    parts, kills = FIRST, 0
    began = time.monotonic()
    pipeline.run()
    whole = time.monotonic() - began  # what a run takes on this machine, at this time
    while kills < KILLS:
        for part in range(parts, parts + MORE):
            fill(part)
        parts += MORE
        process = pipeline.start()
        try:
            _, err = process.communicate(timeout=rng.uniform(0.25, 1.1) * whole)
            assert process.returncode == 0, err.decode()[-2000:]
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
            kills += 1
    pipeline.run()
    assert pipeline.run()["outcome"] == "nothing_to_do"
    return parts


@pytest.fixture
def end(request):
    """Make an end by its name, on its server."""
    makers = {
        "s3": ("s3_server", ends.S3),
        "gcs": ("gcs_server", ends.Gcs),
        "azure": ("azurite", ends.Azure),
        "kafka": ("kafka_broker", ends.Kafka),
    }

    def make(name):
        fixture, maker = makers[name]
        return maker(request.getfixturevalue(fixture))

    return make


PAIRS = [
    ("s3", "gcs"),
    ("gcs", "azure"),
    ("azure", "kafka"),
    ("kafka", "s3"),
    ("kafka", "kafka"),
]


@pytest.mark.slow
@pytest.mark.parametrize(("source", "sink"), PAIRS, ids=["-to-".join(pair) for pair in PAIRS])
def test_every_row_arrives_once_however_often_it_is_killed(end, tmp_path, source, sink):
    origin = end(source)
    goal = origin if source == sink else end(sink)
    pipeline = Pipeline(tmp_path, origin, goal.sink())
    parts = killed(pipeline, origin.fill, seed=len(source + sink))
    assert goal.rows() == Counter(range(parts * ends.ROWS))
    assert goal.leftovers() == []


@pytest.mark.slow
def test_totals_in_influxdb_are_right_however_often_it_is_killed(end, influx1_server, tmp_path):
    origin = end("s3")
    database = f"pairs_{uuid.uuid4().hex[:10]}"
    influx1_server.create(database)
    sink = {
        "type": "influxdb",
        "api": "v1",
        "url": influx1_server.url,
        "database": database,
        "user": influx1_server.user,
        "password": influx1_server.password,
        "measurement": "traffic",
    }
    rollup = {
        "type": "rollup",
        "window": "10m",
        "group_by": ["interface_id"],
        "aggregates": {"bytes": "sum", "flows": "count"},
        "emit": "running",
        "lateness": "3h",
    }
    pipeline = Pipeline(tmp_path, origin, sink, enrichers=[rollup])
    parts = killed(pipeline, origin.fill, seed=9)
    expected = {}
    for number in range(parts * ends.ROWS):
        at = (ends.START + number % 7200) // 600 * 600 * 10**9
        size, flows = expected.get((f"eni-{number % 7}", at), (0, 0))
        expected[f"eni-{number % 7}", at] = (size + number, flows + 1)
    query = 'select "bytes", "flows" from "traffic" group by "interface_id"'
    found = {
        (series["tags"]["interface_id"], at): (size, flows)
        for series in influx1_server.query(database, query)
        for at, size, flows in series["values"]
    }
    assert found == expected
