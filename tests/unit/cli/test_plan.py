"""`ktrans plan`: what a run would do is what the run then does."""

import json
from dataclasses import replace

import pytest
from click.testing import CliRunner
from ktrans_generate.source import GenerateSource

from ktrans.cli.root import cli

PIPELINE = """
name: p
source: {{type: generate, log: aws_vpc_v2, rows: 4000, rows_per_object: 1000{more}}}
sinks:
  - {{id: lake, type: file, path: out/}}
  - {{type: stdout, where: action = 'reject'}}
"""


@pytest.fixture
def config(tmp_path):
    path = tmp_path / "p.yaml"
    path.write_text(PIPELINE.format(more=""))
    return path


def ran(*args):
    result = CliRunner().invoke(cli, [str(arg) for arg in args], standalone_mode=False)
    assert result.exception is None, result.output
    return result.stdout


def as_json(config):
    return json.loads(ran("plan", "--json", config))


def test_the_estimate_is_what_the_run_reads(config):
    plan = as_json(config)
    assert (plan["splits"], plan["epochs"], plan["unfinished"]) == (4, 1, "")
    assert plan["rows"] == pytest.approx(4000, rel=0.05)
    assert [(s["id"], s["type"], s["delivery"]) for s in plan["sinks"]] == [
        ("lake", "file", "exactly_once"),
        ("stdout", "stdout", "at_least_once"),
    ]
    assert plan["warnings"] == ["sink stdout (stdout) may write rows twice after a crash"]


def test_rows_are_counted_where_the_sample_is_all_there_is(config, monkeypatch):
    """A queue does not know how large its records are; its guess must not multiply the rows."""
    config.write_text(config.read_text().replace("4000", "400").replace("1000", "100"))
    plan = GenerateSource.plan

    def guessed(*args):
        return replace(plan(*args), total_bytes=10_000_000)

    monkeypatch.setattr(GenerateSource, "plan", guessed)
    assert as_json(config)["rows"] == 400


def test_nothing_is_touched_by_it(config):
    before = sorted(config.parent.rglob("*"))
    as_json(config)
    assert sorted(config.parent.rglob("*")) == before


def test_after_a_run_nothing_waits(config):
    ran("run", config)
    assert as_json(config)["splits"] == 0
    assert "nothing new" in ran("plan", config)


def test_input_that_the_run_would_refuse_is_a_warning(config):
    config.write_text(PIPELINE.format(more=", bad_ratio: 0.5"))
    plan = as_json(config)
    assert plan["rejects_ratio"] > 0.25
    assert any("ktrans preview" in warning for warning in plan["warnings"])


def test_people_see_the_figures_and_where_rows_would_go(config):
    text = ran("plan", config)
    assert "4 splits" in text
    assert "rows" in text.splitlines()[1]
    assert "-> lake (file)" in text
    assert "where action = 'reject'" in text


def test_an_epoch_that_failed_is_not_called_killed(config):
    sink = "  - {type: http, url: 'http://127.0.0.1:9/', retry_timeout: 0, format: {type: jsonl}}\n"
    config.write_text(PIPELINE.format(more="") + sink + "engine: {attempts: 1}\n")
    CliRunner().invoke(cli, ["run", "--once", str(config)], standalone_mode=False)
    plan = as_json(config)
    assert plan["unfinished"] == "planned"
    assert "an epoch of an earlier run is unfinished" in " ".join(plan["warnings"])
    assert "killed" not in " ".join(plan["warnings"])
