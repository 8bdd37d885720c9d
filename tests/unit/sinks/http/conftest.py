"""Rows as enrichers give them, a server that answers as a test says, and a way to write a task."""

import pyarrow as pa
import pytest

from ktrans.api import Context
from ktrans.kit.http import sender
from ktrans.testing.http_stub import HttpStub
from ktrans.testing.tasks import write_task
from tests.contract.test_sinks import TinyRegistry

SECOND = 1_767_225_600


def rows(count, first=0, **columns):
    """Rows whose `bytes` tell them apart."""
    numbers = range(first, first + count)
    times = [(SECOND + n) * 1_000_000 for n in numbers]
    return pa.record_batch(
        {
            "source_uri": pa.array(["s3://logs/a"] * count).dictionary_encode(),
            "source_pos": pa.array(numbers, pa.int64()),
            "start_time": pa.array(times, pa.timestamp("us", "UTC")),
            "end_time": pa.array(times, pa.timestamp("us", "UTC")),
            "account_id": pa.array([f"a{n % 3}" for n in numbers]).dictionary_encode(),
            "src_addr": pa.array([f"10.0.0.{n % 250}" for n in numbers]).dictionary_encode(),
            "bytes": pa.array(numbers, pa.int64()),
            **columns,
        }
    )


@pytest.fixture
def flows():
    return rows


@pytest.fixture
def stub():
    with HttpStub() as stub:
        yield stub


@pytest.fixture(autouse=True)
def _short_waits(monkeypatch):
    monkeypatch.setattr(sender, "FIRST_WAIT_SECS", 0.01)


@pytest.fixture
def make(stub, tmp_path):
    """Build a sink that sends to the stub."""
    made = []

    def build(kind, schema=None, **options):
        registry = TinyRegistry()
        raw = {"type": kind, "url": stub.url, **options}
        context = Context("flows", kind, base_dir=tmp_path, registry=registry)
        sink = registry.build("sink", registry.config("sink", raw), context)
        sink.bind(schema or rows(1).schema)
        made.append(sink)
        return sink

    yield build
    for sink in made:
        sink.close()


@pytest.fixture
def deliver():
    return write_task
