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
    for path in BENCHMARKS.glob("*.py"):
        sys.modules.pop(path.stem, None)


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
    from contender import peer

    harness.datasets.make("v2", quick=False)
    data = harness.datasets.load("v2", quick=False)
    for form in ("parquet", "jsonl"):
        folder = tmp_path / form
        (folder / "out").mkdir(parents=True)
        subprocess.run(peer(library, "v2", form).command(data, folder), check=True)
        assert harness.mismatch(folder / "out", form, data) == ""
    (folder / "out" / "rows").write_text('{"packets": 1, "bytes": 2}\n')
    assert "'rows': 1" in harness.mismatch(folder / "out", "jsonl", data)


def test_the_pipelines_of_all_cases_are_valid(harness, tmp_path):
    from ktrans.config.load import load_pipeline
    from ktrans.registry.catalogue import first_party

    catalogue = first_party()
    for case in harness.CASES.values():
        data = harness.datasets.Prepared(tmp_path, str(tmp_path / "*.gz"), 0, 0, 0, 0)
        for contender in case.contenders if not case.servers else ():
            command = contender.command(data, tmp_path)
            if contender.ours and command[-1].endswith(".yaml"):
                assert load_pipeline(Path(command[-1]), catalogue).sinks


def results_of(**cases):
    return {
        "machine": {"processor": "a processor", "cores": 2, "memory_gb": 8, "system": "Linux",
                    "python": "3.11.1", "versions": {"ktrans": "0.1.0"}, "load": 0.1},
        "taken": "2026-05-04T08:00+00:00",
        "quick": False,
        "cases": cases,
    }  # fmt: skip


def case_of(title, *contenders):
    return {"title": title, "note": "", "unit": "rows", "contenders": list(contenders)}


def contender_of(name, *cpu_secs, rows=4000, error=""):
    rounds = [{"wall_secs": secs / 2, "cpu_secs": secs, "rss_mb": 100.0} for secs in cpu_secs]
    return {"name": name, "ours": name == "ktrans", "rows": rows, "rounds": rounds, "error": error}


def test_the_report_of_a_run(harness, tmp_path):
    ours, other = contender_of("ktrans", 4, 5, 3), contender_of("other", 8, 10, 6)
    broken = contender_of("broken", error="no luck")
    path = tmp_path / "results.json"
    path.write_text(json.dumps(results_of(two=case_of("Two ways", ours, other, broken))))
    words = [sys.executable, str(BENCHMARKS / "report.py"), str(path)]
    text = subprocess.run(words, check=True, capture_output=True, text=True).stdout
    lines = {line.split()[0]: line.split() for line in text.splitlines() if line}
    assert lines["ktrans"][1:5] == ["3.00", "4.00", "5.00", "CPU"]
    assert lines["other"][-5:] == ["2.00", "x", "CPU", "500", "rows/CPU", "s"][-5:]
    assert lines["broken"][1:] == ["no", "luck"]
    assert "Python 3.11.1" in text


def test_ratios_compare_the_two_of_a_round(harness):
    """A round on a busy machine is slow for both, and changes no ratio."""
    import page

    ours, peer = contender_of("ktrans", 4, 40, 4), contender_of("duckdb", 2, 20, 2)
    results = results_of(**{"rollup-100": case_of("A rollup", ours, peer)})
    text = page.block(results, "rollups")
    assert "| A rollup | 1,000 (100 to 1,000) | 2,000 (200 to 2,000) | 2.00 |" in text
    assert "performance/rollups.svg" in text


def test_a_case_without_a_table_of_its_own_gets_one(harness):
    import page

    first, second = contender_of("before", 4, 4), contender_of("after", 2, 2)
    results = results_of(partitions=case_of("Partitions", first, second))
    text = page.block(results, "partitions")
    assert "| after | 2,000 |" in text
    assert text.count(" 0.50 |") == 2
    assert page.block(results, "memory") == page.NOT_YET
    assert page.block({}, "partitions") == page.NOT_YET


@pytest.mark.slow
def test_some_cases_that_are_measured_later_take_the_place_of_those_kept(harness):
    import page
    import report

    def results(taken, *cases, cores=2):
        machine = {"processor": "P", "cores": cores, "memory_gb": 8, "system": "S", "python": "3"}
        return {
            "machine": {**machine, "versions": {}, "load": float(cores)},
            "taken": taken,
            "quick": False,
            "cases": {name: {"title": name.upper(), "taken": taken} for name in cases},
        }

    old = results("2026-01-01T10:00", "a", "b")
    both = page.merged(old, results("2026-01-02T11:00", "b"))
    assert [case["taken"][:10] for case in both["cases"].values()] == ["2026-01-01", "2026-01-02"]
    assert "at 2026-01-02 11:00 UTC with load 2.0: B." in report.about(both)
    for whole in (results("x", "a", "b"), results("x", "b", cores=3)):
        assert page.merged(old, whole) == whole
    assert page.merged({}, old) == old


def test_a_simulation_lists_and_records_every_object_once_and_fills_its_page(harness, tmp_path):
    import page
    import scale_tables

    out = tmp_path / "scale.json"
    script = str(BENCHMARKS / "bench_scale.py")
    subprocess.run([sys.executable, script, "--quick", "--out", str(out)], check=True)
    scale = json.loads(out.read_text())
    cases = scale["cases"]
    assert cases["plan"]["objects"] == cases["plan"]["steps"][-1]["objects"] == 20_000
    state = cases["state-sqlite"]
    assert sum(step["objects"] for step in state["steps"]) == state["objects"]
    # What is remembered is that of one day, however many there were.
    assert state["steps"][-1]["remembered"] < 1.1 * state["steps"][-1]["objects"]
    auto, template = cases["listing"]["nothing_new"]
    assert template["requests"]["level"] < auto["requests"]["level"] / 10
    results = results_of(**{"v2-parquet": case_of("AWS", contender_of("ktrans", 2, rows=10**6))})
    for name in page.blocks(page.DOCS / "scaling.md"):
        text = scale_tables.block(scale, results, name)
        assert text != scale_tables.NOT_YET, name
        assert scale_tables.block({}, {}, name) == scale_tables.NOT_YET
    assert "| rows | 0.50 M a CPU second | 103 M a second | 207 cores" in text


def test_the_pages_hold_the_figures_that_are_kept(harness):
    """`make bench-report` was called after the last measurement."""
    import page

    for path, text in page.pages().items():
        assert path.read_text(encoding="utf-8") == text
