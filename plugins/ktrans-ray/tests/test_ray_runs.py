"""Whole runs on a cluster: machines and drivers that die, secrets, workers that differ."""

import json
import time
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

pytestmark = [pytest.mark.slow, pytest.mark.service("s3"), pytest.mark.xdist_group("ray")]
DEADLINE_SECS = 300.0
PLACES = ("lake", "rejects")


@pytest.fixture(scope="module")
def expected(flows):
    """What threads make of the logs, by sink."""
    code, _, err = flows.run(flows.pipeline("threads", "threads"))
    assert code == 0, err
    return {place: flows.data(f"threads/{place}/") for place in PLACES}


def ray(cluster):
    return {"type": "ray", "address": cluster.address}


def rows(objects):
    """Return the rows of Parquet files in an order of their own."""
    table = pa.concat_tables(pq.read_table(pa.BufferReader(data)) for data in objects.values())
    plain = [
        field.with_type(getattr(field.type, "value_type", field.type)) for field in table.schema
    ]
    places = [("source_uri", "ascending"), ("source_pos", "ascending")]
    return table.cast(pa.schema(plain)).sort_by(places)


def wait_for(process, reached):
    """Wait until a run has come as far as this."""
    end = time.monotonic() + DEADLINE_SECS
    while not reached():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < end
        time.sleep(0.02)


def wait_for_uploads(flows, process, name, count):
    """Wait until so many files are being written, or wait for their commit."""
    wait_for(process, lambda: len(flows.uploads(name)) >= count)


def assert_same(flows, name, expected):
    """Assert that a run has published what threads have, byte by byte."""
    assert flows.uploads(name) == []
    made = {place: flows.data(f"{name}/{place}/") for place in PLACES}
    assert rows(made["lake"]).equals(rows(expected["lake"]))
    for place in PLACES:
        assert sorted(made[place].values()) == sorted(expected[place].values())


def test_a_machine_goes_away_while_it_writes(ray_cluster, flows, expected):
    for name in ("lost", "lost-again", "lost-at-last"):
        process = flows.start("run", flows.pipeline(name, ray(ray_cluster)), "--log-format=json")
        wait_for_uploads(flows, process, name, 1)
        wait_for(process, lambda: ray_cluster.freeze(0))
        ray_cluster.replace(0)
        out, err = process.communicate(timeout=DEADLINE_SECS)
        assert process.returncode == 0, err
        assert_same(flows, name, expected)
        assert out == ""  # Ray's own messages are not mixed with rows or receipts
        logged = [json.loads(line) for line in err.splitlines() if line.startswith("{")]
        if any(line.get("code") == "worker_lost" for line in logged):
            return  # else the task had sent its answer just before
    pytest.fail(err)


def test_a_killed_driver_leaves_an_epoch_that_the_next_run_finishes(ray_cluster, flows, expected):
    path = flows.pipeline("killed", ray(ray_cluster))
    process = flows.start("run", path)
    wait_for_uploads(flows, process, "killed", 3)
    process.kill()
    process.communicate()
    assert flows.data("killed/lake/") == {}
    code, _, err = flows.run(path)
    assert code == 0, err
    assert_same(flows, "killed", expected)


def test_sigterm_lets_the_epoch_end(ray_cluster, flows, expected):
    """Ray would put handlers of its own in place, which end the process at once."""
    process = flows.start("run", flows.pipeline("stopped", ray(ray_cluster)))
    wait_for_uploads(flows, process, "stopped", 1)
    process.terminate()
    _, err = process.communicate(timeout=DEADLINE_SECS)
    assert process.returncode == 0, err
    assert_same(flows, "stopped", expected)


def test_no_secret_is_in_the_files_of_the_cluster(ray_cluster, flows, secrets):
    """Each side has a value of its own, so a job that carried one would be noticed."""
    code, _, err = flows.run(flows.pipeline("secret", ray(ray_cluster)), "-vv")
    assert code == 0, err
    found = [path for path in Path(ray_cluster.session).rglob("*") if path.is_file()]
    logs = [path.read_bytes() for path in found if path.name.startswith("worker-")]
    assert any(b"lake" in log for log in logs), "workers log to the files of the cluster"
    assert [p for p in found if any(one.encode() in p.read_bytes() for one in secrets)] == []


def test_a_worker_that_differs_is_refused_with_what_differs(ray_cluster, flows):
    labels = [{"type": "derive", "columns": {"where": "'${env:KTRANS_TEST_LABEL}'"}}]
    code, _, err = flows.run(flows.pipeline("differs", ray(ray_cluster), enrichers=labels))
    assert code != 0
    assert "worker_differs" in err
    assert "options after references are filled in" in err
    assert flows.data("differs/") == {}
