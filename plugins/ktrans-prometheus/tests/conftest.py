"""Totals to write, a time of its own for each test, and sinks."""

import itertools
import json

import pyarrow as pa
import pytest
from ktrans_prometheus.config import PrometheusSinkConfig
from ktrans_prometheus.sink import PrometheusSink

from ktrans.api import Context
from ktrans.kit.rows.points import SERIES
from ktrans.testing.tasks import TASK, write_task

DAY_MS = 86_400_000
_DAYS = itertools.count(20_454)
"""Prometheus takes no samples that are an hour older than its newest: each test has a later day."""
META = {"time": ["window_start"], "tags": ["account_id", "action"], "fields": ["bytes", "flows"]}


@pytest.fixture
def day():
    """The first millisecond of a day that no earlier test of this process has written to."""
    return next(_DAYS) * DAY_MS


@pytest.fixture
def totals(day):
    """Make totals as a rollup does: windows of a minute, and in each an account after the other."""

    def make(windows, accounts=3, *, first=0, **columns):
        rows = [(w, a) for w in range(first, first + windows) for a in range(accounts)]
        starts = [(day + w * 60_000) * 1000 for w, _ in rows]
        batch = pa.record_batch(
            {
                "window_start": pa.array(starts, pa.timestamp("us", "UTC")),
                "window_end": pa.array([t + 60_000_000 for t in starts], pa.timestamp("us", "UTC")),
                "account_id": pa.array([f"a{a}" for _, a in rows]).dictionary_encode(),
                "action": pa.array([None if a % 2 else "accept" for _, a in rows], pa.string()),
                "bytes": pa.array([w * 100 + a for w, a in rows], pa.int64()),
                "flows": pa.array([w if a else None for w, a in rows], pa.int64()),
                **columns,
            }
        )
        return batch.replace_schema_metadata({SERIES: json.dumps(META).encode()})

    return make


@pytest.fixture
def build(tmp_path):
    """Build a sink that is bound to a schema, in a folder that later ones share."""
    made = []

    def bound(schema, url, **options):
        context = Context(pipeline="flows", name="prometheus", base_dir=tmp_path)
        sink = PrometheusSink(PrometheusSinkConfig(url=url, **options), context)
        sink.bind(schema)
        made.append(sink)
        return sink

    yield bound
    for one in made:
        one.close()


@pytest.fixture
def deliver():
    """Write a task to its end, as the engine does."""

    def write(sink, *batches, task=TASK):
        sink.prepare(task.epoch)
        return write_task(sink, *batches, task=task)

    return write
