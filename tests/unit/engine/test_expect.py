"""Rules over the rows of a run: counts, violations, the exit code, and when they are judged."""

import datetime as dt
import json
import threading

import pytest

from ktrans.api import ConfigError, ConfigErrors, ExitCode
from ktrans.config.load import load_pipeline
from ktrans.engine.assemble import assemble
from ktrans.engine.observer import Observer
from ktrans.engine.run import run
from ktrans.engine.run_context import RunOptions
from ktrans.observe.metrics import Metrics
from ktrans.observe.receipt_text import one_line, receipt_text
from ktrans.registry.catalogue import Catalogue
from ktrans.tools.config_tests import run_config_tests
from ktrans.tools.preview import preview
from tests.unit.engine.log_site import FILES, LINES, Site

REJECTED = FILES * LINES // 2
NONE = {"name": "nothing rejected", "where": "action = 'reject'", "none": True}
FEW = {"name": "few of eni-1", "where": "interface_id = 'eni-1'", "at_most": LINES - 1}
ENOUGH = {"name": "not too many of eni-2", "where": "interface_id = 'eni-2'", "at_most": LINES}
SOME = {"name": "a heartbeat", "where": "dst_port = 9999", "some": True}
HOLDS = {"name": "something", "where": "bytes > 0", "at_least": 2}


@pytest.fixture
def site(tmp_path):
    return Site(tmp_path)


def expect(site, *rules, **changes):
    violations = {"type": "file", "path": "violations/"}
    site.write({**site.original, "expect": [*rules], "violations": violations, **changes})
    return site


def violations(site, folder="violations"):
    return sorted(
        (row["violation"], row["interface_id"], row["src_addr"])
        for path in (site.folder / folder).rglob("p.*")
        for row in map(json.loads, path.read_text().splitlines())
    )


def found(receipt):
    return {name: (result.rows, result.broken) for name, result in receipt.expect.items()}


@pytest.mark.parametrize("executor", ["threads", "processes"])
def test_rows_that_break_rules_are_counted_and_written(site, executor):
    engine = {**site.original["engine"], "executor": executor}
    expect(site, NONE, FEW, ENOUGH, SOME, HOLDS, engine=engine)
    receipt = site.run()
    assert receipt.error is None
    assert receipt.exit_code == ExitCode.EXPECTATION == 3
    assert found(receipt) == {
        "nothing rejected": (REJECTED, 1),
        "few of eni-1": (LINES, 1),
        "not too many of eni-2": (LINES, 0),
        "a heartbeat": (0, 1),
        "something": (FILES * LINES, 0),
    }
    rejected = [
        ("nothing rejected", f"eni-{n}", f"10.0.0.{i + 1}")
        for n in range(FILES)
        for i in range(0, LINES, 2)
    ]
    few = [("few of eni-1", "eni-1", f"10.0.0.{i + 1}") for i in range(LINES)]
    assert violations(site) == sorted(rejected + few)
    hidden = [p for p in (site.folder / "violations").rglob("*") if p.name.startswith(".")]
    assert [p for folder in hidden if folder.is_dir() for p in folder.rglob("*.jsonl")] == []
    assert sum(site.rows("lines").values()) == FILES * LINES
    text = receipt_text(receipt, "p.yaml")
    assert "3 of 5 rules broken" in text
    assert "! rule broken: few of eni-1: at most 5 expected, 6 found" in text
    assert "! rule broken: a heartbeat: at least 1 expected, 0 found" in text
    assert "3 rules of 5 broken, exit code 3" in one_line(receipt)


def test_rules_that_hold_leave_the_exit_code_alone(site):
    receipt = expect(site, ENOUGH, HOLDS).run()
    assert (receipt.exit_code, receipt.broken) == (0, [])
    assert violations(site) == []
    assert "kept: 2 rules" in receipt_text(receipt, "p.yaml")


def test_json_metrics_and_log_have_the_rules(site):
    log = []

    class Watch(Observer):
        def expectation_broken(self, rule):
            log.append(rule)

    expect(site, NONE, SOME)
    catalogue = Catalogue()
    receipt = run(load_pipeline(site.path, catalogue), catalogue, RunOptions(), Watch())
    tree = receipt.to_json()
    assert tree["exit_code"] == 3
    assert tree["expect"][1] == {
        "name": "a heartbeat", "least": 1, "most": None, "rows": 0, "broken": 1,
    }  # fmt: skip
    assert [rule["name"] for rule in log] == ["nothing rejected", "a heartbeat"]
    assert (log[0]["most"], log[0]["rows"]) == (0, REJECTED)
    metrics = Metrics("p")
    metrics.add(json.loads(json.dumps(tree)), now=1.0)
    text = metrics.text()
    assert f'ktrans_expect_rows_total{{pipeline="p",rule="nothing rejected"}} {REJECTED}.0' in text
    assert 'ktrans_expect_broken_total{pipeline="p",rule="a heartbeat"} 1.0' in text


def test_a_limit_counts_over_all_epochs_of_a_run(site):
    """One file is one epoch: the rows of those before the limit is exceeded are not published."""
    rule = {"name": "few", "where": "bytes > 0", "at_most": 2 * LINES}
    engine = {**site.original["engine"], "epoch_splits": 1}
    receipt = expect(site, rule, engine=engine).run()
    assert receipt.epochs == FILES
    assert found(receipt) == {"few": (FILES * LINES, 1)}
    assert {interface for _, interface, _ in violations(site)} == {"eni-2", "eni-3"}


def test_a_run_that_is_stopped_leaves_its_counts_to_the_next(site):
    stop = threading.Event()

    class Stopping(Observer):
        def epoch_committed(self, number, summary):
            stop.set()

    engine = {**site.original["engine"], "epoch_splits": 1}
    rule = {"name": "few", "where": "bytes > 0", "at_most": FILES * LINES - 1}
    expect(site, rule, SOME, engine=engine)
    catalogue = Catalogue()
    pipeline = load_pipeline(site.path, catalogue)
    first = run(pipeline, catalogue, RunOptions(), Stopping(), stop)
    assert (first.outcome, first.exit_code, first.epochs) == ("stopped", 0, 1)
    assert found(first) == {"few": (LINES, 0), "a heartbeat": (0, 0)}
    assert found(site.run()) == {"few": (FILES * LINES, 1), "a heartbeat": (0, 1)}
    after = site.run()
    assert (after.outcome, after.exit_code) == ("nothing_to_do", 0)


def test_what_was_read_without_rules_is_not_judged(site):
    site.run()
    assert expect(site, SOME).run().exit_code == 0


def test_a_dry_run_judges_and_records_nothing(site):
    expect(site, NONE, SOME)
    assert site.run(dry_run=True).exit_code == 3
    assert violations(site) == []
    assert site.run().exit_code == 3


def test_while_it_follows_a_pipeline_is_judged_over_windows(site, movable_clock):
    """Rows that must not be there count at once; those that are missing when the window is over."""
    broken, stop = [], threading.Event()
    begin = movable_clock.now()

    class Watch(Observer):
        def expectation_broken(self, rule):
            broken.append((rule["name"], movable_clock.now() - begin))

        def caught_up(self):
            if movable_clock.now() - begin > dt.timedelta(hours=2):
                stop.set()

    engine = {**site.original["engine"], "expect_window": "1h", "poll_interval": "10m"}
    expect(site, NONE, HOLDS, engine=engine)
    catalogue = Catalogue()
    options = RunOptions(follow=True, clock=movable_clock)
    receipt = run(load_pipeline(site.path, catalogue), catalogue, options, Watch(), stop)
    assert broken == [
        ("nothing rejected", dt.timedelta(0)),
        ("something", dt.timedelta(hours=2)),
    ]
    assert (receipt.outcome, receipt.exit_code) == ("stopped", 3)


def test_rules_are_about_totals_behind_a_rollup(site):
    rollup = {
        "type": "rollup", "window": "1h", "group_by": ["interface_id"], "flush": "at_end",
        "aggregates": {"flows": "count"},
    }  # fmt: skip
    rule = {"name": "few flows", "where": f"flows >= {LINES}", "none": True}
    expect(site, rule, enrichers=[rollup], sinks=[{"type": "blackhole"}])
    receipt = site.run()
    assert (receipt.exit_code, found(receipt)) == (3, {"few flows": (FILES, 1)})
    rows = [
        json.loads(line)
        for path in (site.folder / "violations").glob("p.*")
        for line in path.read_text().splitlines()
    ]
    assert sorted(row["interface_id"] for row in rows) == [f"eni-{n}" for n in range(FILES)]
    assert {(row["flows"], row["violation"]) for row in rows} == {(LINES, "few flows")}


def test_rows_go_to_files_beside_the_rejects_by_default(site):
    site.write({**site.original, "expect": [NONE]})
    site.run()
    assert len(violations(site, ".ktrans/violations/p")) == REJECTED


def test_only_some_columns_are_written_and_built(site):
    sink = {"type": "blackhole", "columns": ["interface_id", "src_addr"]}
    expect(site, NONE, violations=sink, sinks=[{"type": "blackhole", "columns": ["bytes"]}])
    catalogue = Catalogue()
    assembly = assemble(load_pipeline(site.path, catalogue), catalogue)
    [bound] = assembly.violations
    assert bound.schema.names == ["interface_id", "src_addr", "violation"]
    assert "dst_addr" not in assembly.decoder_schema.names
    assert "action" in assembly.decoder_schema.names


def test_a_list_of_a_rule_is_in_a_file(site):
    (site.folder / "nets.txt").write_text("10.0.0.1\n10.0.0.4/31\n")
    rule = {"name": "not from there", "where": "in_cidr(src_addr, file('nets.txt'))", "none": True}
    receipt = expect(site, rule).run()
    assert found(receipt) == {"not from there": (3 * FILES, 1)}


def test_tests_of_a_pipeline_and_previews_know_the_rules(site):
    line = (site.folder / "logs/1.log").read_text()
    cases = [
        {"name": "good", "input": line, "expect": {"nothing rejected": 3, "a heartbeat": 0}},
        {"name": "bad", "input": line, "expect": {"nothing rejected": 0, "other": 1}},
    ]
    expect(site, NONE, FEW, SOME, tests=cases)
    catalogue = Catalogue()
    pipeline = load_pipeline(site.path, catalogue)
    good, bad = run_config_tests(pipeline, catalogue)
    assert good.passed
    assert [(one.column, one.expected, one.actual) for one in bad.differences] == [
        ("expect: nothing rejected", "0", "3"),
        ("expect: other", "1", "no such rule"),
    ]
    rows, _ = preview(pipeline, catalogue, 100, "violations")
    assert set(rows["violation"].to_pylist()) == {"nothing rejected"}
    assert rows.num_rows == REJECTED


@pytest.mark.parametrize(
    ("changes", "code", "text"),
    [
        ({"expect": [{**NONE, "some": True}]}, "bad_value", "a rule has one of"),
        ({"expect": [{"name": "a", "where": "true"}]}, "bad_value", "a rule has one of"),
        ({"expect": [NONE, {**SOME, "name": NONE["name"]}]}, "duplicate_id", "is used twice"),
        ({"expect": [{**NONE, "where": "action = 'REJECT'"}]}, "expression", "is never 'REJECT'"),
        ({"expect": [{**NONE, "where": "bytes"}]}, "expression", "a bool is needed"),
        ({"violations": {"type": "blackhole"}}, "wrong_value", "there are none"),
        (
            {"expect": [NONE, FEW], "sinks": [{"type": "blackhole", "id": "violations-2"}]},
            "duplicate_id",
            "'violations-2' is used twice",
        ),
        (
            {"expect": [NONE], "violations": {"type": "blackhole", "columns": ["nope"]}},
            "unknown_column",
            "nope",
        ),
        (
            {
                "expect": [NONE],
                "enrichers": [{"type": "derive", "columns": {"violation": "'x'"}}],
            },
            "column_exists",
            "violation",
        ),
    ],
)
def test_mistakes_are_found_before_a_run(site, changes, code, text):
    site.write({**site.original, **changes})
    catalogue = Catalogue()
    with pytest.raises((ConfigError, ConfigErrors)) as caught:
        assemble(load_pipeline(site.path, catalogue), catalogue)
    error = getattr(caught.value, "errors", [caught.value])[0]
    assert (error.code, text in error.message) == (code, True), error
    assert error.where is not None
    assert error.where.line
