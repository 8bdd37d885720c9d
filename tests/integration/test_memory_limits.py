"""A process that runs out of memory ends, says so, and quarantines nothing; the next run resumes."""

import gzip
import json
import resource
import subprocess
import sys

import pyarrow.parquet as pq
import pytest

from tests.integration.ends import FIELDS, row

FILES, ROWS = 6, 40_000
SECS = 150


@pytest.fixture
def site(tmp_path):
    (tmp_path / "in").mkdir()
    for number in range(FILES):
        lines = [FIELDS, *(row(n) for n in range(number * ROWS, (number + 1) * ROWS))]
        data = gzip.compress("\n".join([*lines, ""]).encode(), 1)
        (tmp_path / "in" / f"{number}.log.gz").write_bytes(data)
    config = {
        "name": "p",
        "source": {"type": "file", "paths": ["in/*.gz"]},
        "decoder": {"type": "aws_vpc"},
        "sinks": [{"type": "file", "path": "out/", "format": {"type": "parquet"}}],
        "engine": {"workers": 3},
    }
    (tmp_path / "p.yaml").write_text(json.dumps(config))
    return tmp_path


def run(site, *arguments, megabytes=None):
    def limit():
        resource.setrlimit(resource.RLIMIT_AS, (megabytes << 20,) * 2)

    command = [sys.executable, "-m", "ktrans", *arguments, "p.yaml"]
    return subprocess.run(
        command,
        cwd=site,
        capture_output=True,
        text=True,
        timeout=SECS,
        preexec_fn=limit if megabytes else None,
        check=False,
    )


@pytest.mark.slow
def test_a_lack_of_memory_ends_the_run_with_75_and_quarantines_nothing(site):
    codes = set()
    for megabytes in (300, 450, 600, 800, 1000):
        done = run(site, "run", megabytes=megabytes)
        assert done.returncode in {0, 75}, (megabytes, done.stderr)
        if done.returncode:
            assert "out_of_memory" in done.stderr
            assert "engine.workers" in done.stderr
        codes.add(done.returncode)
    assert 75 in codes
    assert run(site, "run").returncode == 0
    shown = run(site, "state", "show", "--json")
    assert json.loads(shown.stdout)["quarantined"] == []
    tables = [pq.read_table(path) for path in (site / "out").glob("*.parquet")]
    assert sorted(n for each in tables for n in each["bytes"].to_pylist()) == list(
        range(FILES * ROWS)
    )
