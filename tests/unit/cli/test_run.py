"""`ktrans run` and the verbs around it, on real files."""

from __future__ import annotations

import json
import signal

import pyarrow.parquet as pq
import pytest


def rows_in(folder):
    return sum(pq.ParquetFile(path).metadata.num_rows for path in folder.rglob("*.parquet"))


def test_a_run_without_a_terminal_is_silent_when_all_is_well(project, ktrans):
    assert ktrans("run", "demo.yaml") == (0, "", "")
    assert rows_in(project / "out") == 8
    written = "".join(path.read_text() for path in (project / "out-lines").rglob("*.jsonl"))
    assert len(written.splitlines()) == 4
    assert ktrans("run", "demo.yaml") == (0, "", "")
    assert rows_in(project / "out") == 8


def test_the_receipt_adds_up_and_says_where_things_are(project, ktrans, add_bad_line):
    add_bad_line()
    code, out, err = ktrans("run", "demo.yaml", "--summary")
    assert (code, out) == (0, "")
    lines = [" ".join(line.split()) for line in err.splitlines()]
    assert lines[0].startswith("demo: done in ")
    size = sum(path.stat().st_size for path in (project / "logs").iterdir())
    assert f"in 2 files, {size / 1000:.3g} kB, 13 records" in lines
    assert "decoded 10 rows, 2 skipped (headers, blank lines), 1 rejected" in lines
    assert "filter 1 filtered, 9 kept (enrichers[0] filter)" in lines
    assert any(line.startswith("-> file 9 rows,") and "exactly once" in line for line in lines)
    assert any(line.startswith("-> lines 4 rows, 5 filtered by `where`") for line in lines)
    assert "sums agree: 13 records = 10 rows + 1 reject + 2 skipped" in lines
    assert "next ktrans rejects list demo.yaml" in lines
    assert "\x1b" not in err
    assert max(map(len, err.splitlines())) <= 80


def test_a_run_that_could_not_begin_leaves_a_receipt_too(project, ktrans):
    (project / "logs").rename(project / "gone")
    code, _, err = ktrans("run", "demo.yaml", "--receipt", "receipt.json")
    assert (code, "error[path_missing]" in err) == (78, True)
    result = json.loads((project / "receipt.json").read_text())
    assert (result["outcome"], result["exit_code"]) == ("failed", 78)
    assert result["error"]["code"] == "path_missing"


@pytest.mark.parametrize("option", ["--receipt", "--metrics-file"])
@pytest.mark.parametrize("path", ["nowhere/file", "logs"])
def test_a_file_that_cannot_be_written_is_found_before_the_run(project, ktrans, option, path):
    code, _, err = ktrans("run", "demo.yaml", option, path)
    assert (code, f"cannot write {path}" in err) == (2, True)
    assert not (project / ".ktrans").exists()
    assert not (project / "out").exists()


def test_rejects_are_reported_in_one_line_even_without_a_summary(project, ktrans, add_bad_line):
    add_bad_line()
    code, out, err = ktrans("run", "demo.yaml")
    assert (code, out) == (0, "")
    assert err.count("\n") == 1
    assert "1 reject, exit code 0" in err


def test_a_second_run_says_that_there_is_nothing_to_do(project, ktrans):
    ktrans("run", "demo.yaml")
    _, _, err = ktrans("run", "demo.yaml", "--summary")
    assert err.startswith("demo: nothing to do in ")


def test_the_receipt_as_json_on_stdout_and_in_a_file(project, ktrans_json):
    code, result = ktrans_json("run", "demo.yaml", "--receipt", "receipt.json")
    assert code == 0
    assert result == json.loads((project / "receipt.json").read_text())
    assert (result["outcome"], result["ledger"]["decoded"]["rows"]) == ("done", 9)
    assert [sink["rows"] for sink in result["sinks"]] == [8, 4]


def test_metrics_grow_from_run_to_run(project, ktrans, lines):
    for _ in range(2):
        assert ktrans("run", "demo.yaml", "--metrics-file", "ktrans.prom")[0] == 0
        (project / "logs/more.log").write_text("\n".join([lines.head, *lines.good[:3]]) + "\n")
    text = (project / "ktrans.prom").read_text()
    assert 'ktrans_rows_received_total{pipeline="demo"} 12.0' in text
    assert 'ktrans_rows_sent_total{pipeline="demo",sink="lines"} 5.0' in text
    assert 'ktrans_exit_code{pipeline="demo"} 0.0' in text


def test_with_fail_on_rejects_everything_reports_the_exit_code(project, ktrans, add_bad_line):
    add_bad_line()
    options = ("--fail-on-rejects", "--json", "-v", "--metrics-file", "ktrans.prom")
    code, out, err = ktrans("run", "demo.yaml", "--receipt", "receipt.json", *options)
    assert code == 65
    assert json.loads(out)["exit_code"] == 65
    assert json.loads((project / "receipt.json").read_text())["exit_code"] == 65
    assert "1 reject, exit code 65" in err
    assert 'ktrans_exit_code{pipeline="demo"} 65.0' in (project / "ktrans.prom").read_text()


def test_a_dry_run_off_a_terminal_says_what_would_be_written(project, ktrans, add_bad_line):
    add_bad_line()
    _, _, err = ktrans("run", "demo.yaml", "--dry-run")
    assert "13 would be written (dry run)" in err
    _, _, receipt = ktrans("run", "demo.yaml", "--dry-run", "--summary")
    assert "rejects list" not in receipt
    assert "-> rejects" not in receipt


def test_a_condition_that_keeps_none_of_many_rows_is_remarked(project, ktrans, lines):
    (project / "logs/many.log").write_text("\n".join([lines.head, *lines.good * 400]) + "\n")
    text = (
        (project / "demo.yaml").read_text().replace("action = 'reject' or bytes > 0", "bytes < 0")
    )
    (project / "demo.yaml").write_text(text)
    code, out, err = ktrans("run", "demo.yaml", "--summary", "--json")
    assert code == 0
    assert json.loads(out)["kept_nothing"] == ["enrichers[0] filter"]
    assert "enrichers[0] filter kept none of its rows" in " ".join(err.split())


def test_a_dry_run_writes_nothing(project, ktrans):
    code, _, err = ktrans("run", "demo.yaml", "--dry-run", "--summary")
    assert code == 0
    assert "nothing was written" in err
    assert sorted(path.name for path in project.iterdir()) == ["demo.yaml", "logs"]
    ktrans("run", "demo.yaml")
    assert rows_in(project / "out") == 8


def test_a_dry_run_counts_nothing_in_the_metrics(project, ktrans):
    metrics = project / "m.prom"
    code, _, err = ktrans("run", "demo.yaml", "--dry-run", "--metrics-file", str(metrics))
    assert code == 2
    assert "--metrics-file would count what is not there" in err
    assert not metrics.exists()


def test_more_rejects_than_allowed_is_65_with_a_remedy(project, ktrans, lines):
    text = (project / "demo.yaml").read_text().replace("ratio: 1.0", "ratio: 0.1, min_records: 1")
    (project / "demo.yaml").write_text(text)
    (project / "logs/one.log").write_text(
        "\n".join([lines.head, *lines.good, lines.bad, lines.bad, lines.bad]) + "\n"
    )
    code, _, err = ktrans("run", "demo.yaml")
    assert code == 65
    assert "error[reject_limit]" in err
    assert not (project / "out").exists() or rows_in(project / "out") == 0


def test_a_locked_pipeline_is_75_or_skipped(project, ktrans):
    from ktrans.state.sqlite import lock

    with lock(project / ".ktrans/state.db", "demo"):
        code, _, err = ktrans("run", "demo.yaml")
        assert code == 75
        assert "another run of pipeline 'demo' is under way" in err
        assert ktrans("run", "demo.yaml", "--if-locked", "skip") == (0, "", "")
        assert ktrans("state", "reset", "demo.yaml", "--yes")[0] in {0, 75}


def test_json_and_a_sink_on_stdout_do_not_mix(project, ktrans):
    text = (
        "source: {type: file, paths: [logs/]}\ndecoder: {type: aws_vpc}\nsinks: [{type: stdout}]\n"
    )
    (project / "out.yaml").write_text(text)
    code, out, _ = ktrans("run", "out.yaml", "--json")
    assert code == 2
    assert "--receipt" in json.loads(out)["error"]["hint"]


def test_logs_are_json_lines_without_a_terminal(project, ktrans):
    _, _, err = ktrans("run", "demo.yaml", "-v")
    events = [json.loads(line) for line in err.splitlines() if line.startswith("{")]
    assert [event["event"] for event in events] == [
        "run_started",
        "epoch_planned",
        "epoch_committed",
        "run_finished",
    ]
    assert {event["pipeline"] for event in events} == {"demo"}
    assert len({event["run_id"] for event in events}) == 1


def test_validate_tells_stages_and_guarantees(project, ktrans, ktrans_json):
    code, out, err = ktrans("validate", "demo.yaml")
    assert (code, err) == (0, "")
    assert out.startswith("ok  demo.yaml (demo)\n")
    assert "sink      file: 46 columns; every row exactly once" in out
    assert (
        "sink      lines (file): 2 columns, where action = 'reject'; every row exactly once" in out
    )
    code, result = ktrans_json("validate", "demo.yaml", "nowhere.yaml")
    assert code == 78
    assert [entry["ok"] for entry in result["pipelines"]] == [True, False]
    assert result["pipelines"][0]["sinks"][1]["columns"] == ["start_time", "bytes"]
    assert result["pipelines"][1]["errors"][0]["code"] == "config_not_found"


def test_validate_finds_what_does_not_fit_together(project, ktrans):
    text = (project / "demo.yaml").read_text().replace("bytes > 0", "byts > 0")
    (project / "demo.yaml").write_text(text)
    code, _, err = ktrans("validate", "demo.yaml")
    assert code == 78
    assert "--> demo.yaml:5:" in err
    assert "byts" in err


def test_validate_connect_asks_the_outside(project, ktrans):
    text = (project / "demo.yaml").read_text().replace("[logs/]", "[not-there/]")
    (project / "demo.yaml").write_text(text)
    assert ktrans("validate", "demo.yaml")[0] == 0
    code, _, err = ktrans("validate", "demo.yaml", "--connect")
    assert code != 0
    assert "not-there" in err


def test_preview_shows_rows_with_types(project, ktrans, ktrans_json):
    code, out, _ = ktrans("preview", "demo.yaml", "--rows", "2")
    assert code == 0
    head, types, first, *_ = out.splitlines()
    assert head.split()[:3] == ["provider", "log_type", "log_version"]
    assert types.split()[:3] == ["text", "text", "int16"]
    assert "2026-01-01T00:00:01Z" in first
    assert "no values in these rows: " in out
    code, result = ktrans_json("preview", "demo.yaml", "--after", "lines", "--rows", "1")
    assert result["rows"] == [{"start_time": "2026-01-01T00:00:02Z", "bytes": 200}]
    assert result["schema"][1] == {"name": "bytes", "type": "int64"}
    assert not (project / ".ktrans").exists()


def test_preview_of_an_unknown_stage_is_a_usage_error(project, ktrans):
    code, _, err = ktrans("preview", "demo.yaml", "--after", "lnies")
    assert code == 2
    assert "lnies" in err


def test_state_is_shown_and_forgotten(project, ktrans, ktrans_json):
    assert "has not run yet" in ktrans("state", "show", "demo.yaml")[1]
    ktrans("run", "demo.yaml")
    code, out, _ = ktrans("state", "show", "demo.yaml")
    assert code == 0
    assert [line.split()[:2] for line in out.splitlines()][-1] == ["1", "done"]
    assert ktrans_json("state", "show", "demo.yaml")[1]["remembered"] == 1
    assert ktrans("state", "reset", "demo.yaml", "--yes")[0] == 0
    _, result = ktrans_json("run", "demo.yaml")
    assert result["splits"] == 1


def test_rejects_are_listed_shown_and_replayed(project, ktrans, ktrans_json, add_bad_line, lines):
    assert ktrans("rejects", "list", "demo.yaml")[2] == "no rejects\n"
    add_bad_line()
    ktrans("run", "demo.yaml")
    code, result = ktrans_json("rejects", "list", "demo.yaml")
    (group,) = result["rejects"]
    assert (code, group["count"]) == (0, 1)
    assert group["example"].endswith("two.log:3")
    _, out, _ = ktrans("rejects", "show", "demo.yaml", "--reason", group["reason"])
    assert lines.bad in out
    assert ktrans("rejects", "show", "demo.yaml", "--reason", "other")[1] == ""
    code, result = ktrans_json("rejects", "replay", "demo.yaml")
    assert (code, result["ledger"]["rejected"]) == (0, {group["reason"]: 1})
    assert ktrans_json("rejects", "list", "demo.yaml")[1]["rejects"][0]["count"] == 1


def test_config_print_is_yaml_or_json(project, ktrans, ktrans_json):
    code, out, _ = ktrans("config", "print", "demo.yaml")
    assert code == 0
    assert "compression: zstd" in out
    assert ktrans_json("config", "print", "demo.yaml")[1]["sinks"][1]["id"] == "lines"


def test_components_and_plugins_are_listed(ktrans, ktrans_json):
    code, out, _ = ktrans("components", "sink")
    assert code == 0
    assert "Files in partitioned folders" in out
    code, result = ktrans_json("components", "sink", "file")
    assert next(o for o in result["options"] if o["name"] == "path")["required"]
    assert ktrans("components", "sink", "flie")[0] == 78
    code, result = ktrans_json("plugins")
    assert result["plugins"][0]["distribution"] == "ktrans"


def test_schemas_are_json(ktrans):
    assert json.loads(ktrans("schema")[1])["else"]["required"] == ["source", "sinks"]
    assert json.loads(ktrans("schema", "flow")[1])["columns"][0]["name"] == "provider"


def test_the_second_signal_abandons_and_is_130():
    from ktrans.cli.signals import Signals
    from ktrans.engine.receipt import RunReceipt

    before = signal.getsignal(signal.SIGINT)
    stopping = Signals()
    with stopping.handle_stop():
        signal.raise_signal(signal.SIGINT)
        assert stopping.stop.is_set()
        assert not stopping.abandon.is_set()
        signal.raise_signal(signal.SIGTERM)
        assert stopping.abandon.is_set()
    receipt = RunReceipt("demo", "x")
    receipt.finish(fail_on_rejects=False, abandoned=stopping.abandon.is_set())
    assert receipt.to_json()["exit_code"] == 130
    assert signal.getsignal(signal.SIGINT) is before


def test_debug_shows_the_whole_log_wherever_it_stands(project, ktrans):
    for arguments in (["--debug", "run", "demo.yaml"], ["run", "demo.yaml", "--debug"]):
        _, _, err = ktrans(*arguments)
        assert "run_started" in err


def config(folder, name="p", source="logs/", out="out/", rejects="rejects/", extra=""):
    path = folder / f"{name}.yaml"
    path.write_text(
        f"name: {name}\n"
        f"source: {{type: file, paths: [{source}]{extra}}}\n"
        "decoder: {type: aws_vpc}\n"
        f"sinks: [{{type: file, path: {out}, format: {{type: jsonl}}}}]\n"
        f"rejects: {{type: file, path: {rejects}, limit: {{ratio: 1.0}}}}\n"
    )
    return path.name


def test_a_replay_takes_only_the_files_of_its_own_rejects(
    project, ktrans, ktrans_json, add_bad_line
):
    """Its sink's files lie in the same folder, and so do the rejects of another pipeline."""
    add_bad_line()
    both = [config(project, name, out="both/", rejects="both/") for name in ("p", "my-p")]
    for path in both:
        ktrans("run", path)
    before = {path.name for path in (project / "both").glob("*")}
    for path in both:
        assert [item["count"] for item in ktrans_json("rejects", "list", path)[1]["rejects"]] == [1]
    assert ktrans("rejects", "replay", both[0])[0] == 0
    left = {path.name for path in (project / "both").glob("*")}
    assert {name for name in before - left if not name.startswith("p.rejects.")} == set()
    assert len(list((project / "both").glob("my-p.rejects.*"))) == 1


@pytest.mark.parametrize("out", ["out/", "logs/", "logs/out/"])
def test_a_pipeline_does_not_read_what_it_has_written(project, ktrans_json, add_bad_line, out):
    add_bad_line()
    source = "." if out == "out/" else "logs/"
    path = config(project, source=source, out=out, rejects=out, extra=", exclude: ['*.yaml']")
    _, first = ktrans_json("run", path)
    assert first["splits"] == 2
    assert ktrans_json("run", path)[1]["splits"] == 0


def test_inputs_within_the_output_folder_are_read(project, ktrans_json):
    path = config(project, source="logs/", out="./data/../logs/", rejects="rejects/")
    assert ktrans_json("run", path)[1]["splits"] == 1


def test_notes_are_shown_without_a_terminal_unless_it_is_quiet(project, ktrans):
    (project / "logs/torn.log").write_text("no line end")
    path = config(project, extra=", tail_wait: 900")
    ktrans("run", path)
    assert ktrans("run", path) == (
        0,
        "",
        (
            "warning: left for a later run: a last line without a line end was not read "
            f"(tail_wait): {project}/logs/torn.log\n"
        ),
    )
    assert "! left for a later run" in ktrans("run", "--summary", path)[2]
    assert ktrans("run", "-q", path) == (0, "", "")


def test_a_fresh_json_file_is_read_by_the_first_run(project, ktrans_json):
    record = '{"type": "x", "srcaddr": "10.0.0.1", "dstaddr": "10.0.0.2"}'
    (project / "logs/fresh.json").write_text(f"{record}\n{record}")
    receipt = ktrans_json("run", config(project))[1]
    assert receipt["splits"] == 2
    assert receipt["left"] == []


def test_state_reset_clears_what_standard_input_left(project, ktrans):
    path = project / "in.yaml"
    path.write_text(
        "name: in\nsource: {type: stdin}\ndecoder: {type: aws_vpc}\nsinks: [{type: blackhole}]\n"
        "rejects: {type: file, path: rejects/}\n"
    )
    ktrans("run", "demo.yaml")
    spool = project / ".ktrans/spool/in"
    spool.mkdir(parents=True)
    (spool / "00000001-00000001-0-1.seg").write_text("left\n")
    (spool / "00000001.head").write_text("left\n")
    assert ktrans("state", "reset", "in.yaml", "--yes")[0] == 0
    assert list(spool.iterdir()) == []


def test_state_reset_of_a_pipeline_that_does_not_fit_together_only_warns(project, ktrans):
    ktrans("run", "demo.yaml")
    text = (project / "demo.yaml").read_text()
    (project / "demo.yaml").write_text(text.replace("[start_time, bytes]", "[start_time, bites]"))
    code, _, err = ktrans("state", "reset", "demo.yaml", "--yes")
    assert code == 0
    assert "were not deleted" in err


def test_a_hangup_while_pipelines_are_loaded_is_handled_once_they_are_loaded():
    from ktrans.cli.signals import Signals

    ended = []
    before = signal.signal(signal.SIGHUP, lambda number, _frame: ended.append(number))
    try:
        stays, ends = Signals(terminal=False), Signals(terminal=False)
        with stays.handle_reload():
            signal.raise_signal(signal.SIGHUP)
        assert stays.reload.is_set()
        assert ended == []
        with ends.handle_reload() as not_meant:
            signal.raise_signal(signal.SIGHUP)
            assert ended == []
            not_meant()
            assert ended == [signal.SIGHUP]
            signal.raise_signal(signal.SIGHUP)
        assert ended == [signal.SIGHUP] * 2
    finally:
        signal.signal(signal.SIGHUP, before)
