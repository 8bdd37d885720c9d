"""Metrics files for node_exporter's textfile collector."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from ktrans.api import StateError
from ktrans.engine.ledger import StageLedger, Tally
from ktrans.engine.receipt import RunReceipt, SinkOutput
from ktrans.observe.metrics import MetricsFile

OPERATING = Path(__file__).parents[3] / "docs/operating.md"


def receipt(**changes):
    receipt = RunReceipt("demo", "x")
    receipt.splits = 2
    receipt.ledger.records = 12
    receipt.ledger.decoded = Tally(10)
    receipt.ledger.rejected = {"bad_number": 2}
    receipt.ledger.stages = [StageLedger("e", "enricher", Tally(10), Tally(7), Tally(3))]
    receipt.sinks = [SinkOutput("lake", "file", "exactly_once", 7, 70)]
    return {**receipt.to_json(), **changes}


def add_to(path, receipt, now):
    file = MetricsFile(path)
    file.add(receipt, now=now)
    file.write()


def samples(path):
    families = text_string_to_metric_families(path.read_text())
    return {
        (sample.name, *sorted(v for k, v in sample.labels.items() if k != "pipeline")): sample.value
        for family in families
        for sample in family.samples
    }


def test_a_run_is_counted(tmp_path):
    path = tmp_path / "ktrans.prom"
    add_to(path, receipt(), now=1000.0)
    found = samples(path)
    assert found["ktrans_rows_received_total",] == 10
    assert found["ktrans_rows_sent_total", "lake"] == 7
    assert found["ktrans_rejects_total", "bad_number"] == 2
    assert found["ktrans_rows_filtered_total",] == 3
    assert found["ktrans_exit_code",] == 0
    assert found["ktrans_last_success_timestamp_seconds",] == 1000
    assert stat.S_IMODE(path.stat().st_mode) == 0o644


def test_every_metric_is_in_the_documentation(tmp_path):
    path = tmp_path / "ktrans.prom"
    add_to(path, receipt(), now=1000.0)
    heads = [line for line in path.read_text().splitlines() if line.startswith("# TYPE ")]
    assert len(heads) > 10
    page = OPERATING.read_text("utf-8")
    assert [name for name in (head.split()[2] for head in heads) if f"`{name}`" not in page] == []


def test_counters_go_on_and_the_last_success_stays(tmp_path):
    path = tmp_path / "ktrans.prom"
    add_to(path, receipt(), now=1000.0)
    failed = receipt(exit_code=75, outcome="failed", error={"code": "locked"})
    add_to(path, failed, now=2000.0)
    found = samples(path)
    assert found["ktrans_rows_received_total",] == 20
    assert found["ktrans_runs_total", "done"] == 1
    assert found["ktrans_runs_total", "failed"] == 1
    assert found["ktrans_errors_total", "locked"] == 1
    assert found["ktrans_last_success_timestamp_seconds",] == 1000
    assert found["ktrans_last_run_timestamp_seconds",] == 2000
    assert found["ktrans_exit_code",] == 75


def test_a_run_that_was_skipped_is_no_success_so_that_one_that_hangs_is_noticed(tmp_path):
    path = tmp_path / "ktrans.prom"
    add_to(path, receipt(), now=1000.0)
    add_to(path, receipt(outcome="skipped"), now=2000.0)
    found = samples(path)
    assert found["ktrans_runs_total", "skipped"] == 1
    assert found["ktrans_exit_code",] == 0
    assert found["ktrans_last_success_timestamp_seconds",] == 1000


@pytest.mark.parametrize("text", ["not metrics {", 'ktrans_rows_received_total{pipeline="b"} 5\n'])
def test_a_file_that_is_not_ours_is_begun_anew(tmp_path, text):
    path = tmp_path / "ktrans.prom"
    path.write_text(text)
    add_to(path, receipt(), now=1.0)
    assert samples(path)["ktrans_rows_received_total",] == 10


def test_nothing_half_written_is_left_behind(tmp_path):
    add_to(tmp_path / "a.prom", receipt(), now=1.0)
    assert [path.name for path in tmp_path.iterdir()] == ["a.prom"]
    with pytest.raises(StateError, match="cannot write"):
        add_to(tmp_path / "missing" / "a.prom", receipt(), now=1.0)
