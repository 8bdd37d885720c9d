"""The benchmark harness measures what it says, and refuses figures of wrong output."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[3] / "benchmarks"


@pytest.fixture
def harness(monkeypatch, tmp_path):
    """Import the harness as it runs: its folder first on the path."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    import bench
    import datasets

    monkeypatch.setattr(datasets, "DATA", tmp_path)
    monkeypatch.setitem(datasets.DATASETS, "v2", datasets.Dataset("aws_vpc_v2", 900, 400))
    bad = datasets.Dataset("aws_vpc_v2", 900, bad=0.3)
    monkeypatch.setitem(datasets.DATASETS, "v2-bad-1pc", bad)
    yield bench
    for name in ("bench", "cases", "check", "datasets", "measure", "report"):
        sys.modules.pop(name, None)


def test_measuring_a_process(harness, tmp_path):
    code = "import time; x = bytearray(80 << 20); time.sleep(0.2); sum(range(3_000_000))"
    measured = harness.run([sys.executable, "-c", code], tmp_path)
    assert measured.exit_code == 0
    assert measured.wall_secs > 0.2
    assert 0 < measured.cpu_secs < measured.wall_secs
    assert measured.rss_mb > 80
    failed = harness.run([sys.executable, "-c", "raise SystemExit('no luck')"], tmp_path)
    assert failed.exit_code == 1
    assert "no luck" in failed.error


def test_input_is_counted_whole_and_without_its_malformed_lines(harness):
    harness.datasets.make("v2", quick=False)
    harness.datasets.make("v2-bad-1pc", quick=False)
    clean = harness.datasets.load("v2", quick=False)
    bad = harness.datasets.load("v2-bad-1pc", quick=False)
    assert clean.rows == clean.records == bad.records == 900
    assert 500 < bad.rows < 750
    assert clean.bytes > bad.bytes > 0


@pytest.mark.slow
@pytest.mark.parametrize("library", ["duckdb", "polars"])
def test_the_output_of_a_peer_is_checked(harness, tmp_path, library):
    pytest.importorskip(library)
    from cases import peer

    harness.datasets.make("v2", quick=False)
    data = harness.datasets.load("v2", quick=False)
    for form in ("parquet", "jsonl"):
        folder = tmp_path / form
        (folder / "out").mkdir(parents=True)
        subprocess.run(peer(library, "v2", form).command(data, folder), check=True)
        assert harness.mismatch(folder / "out", form, data) == ""
    (folder / "out" / "rows").write_text('{"packets": 1, "bytes": 2}\n')
    assert "'rows': 1" in harness.mismatch(folder / "out", "jsonl", data)


def test_the_report_of_a_run(harness, tmp_path):
    import report

    turns = [{"wall_secs": 2.0, "cpu_secs": 4.0, "rss_mb": 100.0}] * 3
    slow = [{"wall_secs": 8.0, "cpu_secs": 8.0, "rss_mb": 50.0}] * 3
    case = {
        "title": "Two ways",
        "note": "",
        "contenders": [
            {"name": "ktrans", "ours": True, "rows": 4000, "rounds": turns, "error": ""},
            {"name": "other", "ours": False, "rows": 4000, "rounds": slow, "error": ""},
            {"name": "broken", "ours": False, "rows": 4000, "rounds": [], "error": "no"},
        ],
    }
    results = {"machine": report.machine(), "quick": False, "cases": {"two": case}}
    path = tmp_path / "results.json"
    path.write_text(json.dumps(results))
    words = [sys.executable, str(BENCHMARKS / "report.py"), str(path)]
    text = subprocess.run(words, check=True, capture_output=True, text=True).stdout
    assert "| ktrans | 1,000 | 2,000 | 4.00 | 2.00 | 100 | 1.00 | 1.00 |" in text
    assert "| other | 500 | 500 | 8.00 | 8.00 | 50 | 2.00 | 0.50 |" in text
    assert "| broken | failed |" in text
    assert f"Python {results['machine']['python']}" in text
