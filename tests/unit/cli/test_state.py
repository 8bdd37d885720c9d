"""`ktrans state`, as an operator uses it."""

import contextlib
import datetime as dt
import io
import json
import sqlite3

import pytest

HEAD = (
    "version account-id interface-id srcaddr dstaddr srcport dstport protocol packets bytes "
    "start end action log-status"
)


@pytest.fixture
def later(project, ktrans):
    """Run once, then an hour later again with two more files; the time between the two runs."""
    assert ktrans("run", "demo.yaml")[0] == 0
    between = move_back(project)
    line = "2 111122223333 eni-0aa 10.0.0.77 10.1.0.1 7 443 6 3 {} 1767225600 1767225660 REJECT OK"
    for number in (2, 3):
        text = "\n".join([HEAD, line.format(number)])
        (project / f"logs/{number}.log").write_text(text + "\n")
    assert ktrans("run", "demo.yaml")[0] == 0
    return between


def move_back(project):
    """Move the recorded epochs an hour back; the time half an hour ago."""
    hour = dt.timedelta(hours=1)
    [path] = project.rglob("*.db")
    with contextlib.closing(sqlite3.connect(path)) as db, db:
        for number, recorded in list(db.execute("SELECT number, recorded FROM epochs")):
            earlier = (dt.datetime.fromisoformat(recorded) - hour).isoformat()
            db.execute("UPDATE epochs SET recorded=? WHERE number=?", (earlier, number))
    return (dt.datetime.now(dt.UTC) - hour / 2).strftime("%Y-%m-%dT%H:%M:%SZ")


def lines(project):
    """Return the bytes of each row that the second sink has."""
    found = []
    for path in sorted((project / "out-lines").glob("*.jsonl")):
        found += [json.loads(row)["bytes"] for row in path.read_text().splitlines()]
    return sorted(found)


def test_show_tells_how_far_one_can_go_back_and_looks_splits_up(project, ktrans, ktrans_json):
    assert "has not run yet" in ktrans("state", "show", "demo.yaml")[1]
    ktrans("run", "demo.yaml")
    code, out, _ = ktrans("state", "show", "demo.yaml", "--prefix", str(project))
    assert code == 0
    assert "as far as the beginning" in out
    assert str(project / "logs/one.log") in out
    code, result = ktrans_json("state", "show", "demo.yaml", "--prefix", "/nowhere")
    assert (result["matching"], result["splits"], result["reach"]) == (0, [], "the beginning")


def test_rewind_reads_again_what_came_later(project, ktrans, ktrans_json, later):
    before = lines(project)
    code, result = ktrans_json("state", "rewind", "demo.yaml", "--to", later, "--dry-run")
    assert code == 0
    assert result["rewound"] is False
    assert (result["epochs"], result["splits"], result["rows"], result["epoch"]) == ([2], 2, 2, 1)
    assert ktrans_json("state", "show", "demo.yaml")[1]["remembered"] == 3
    code, out, err = ktrans("state", "rewind", "demo.yaml", "--to", later, "--yes")
    assert code == 0
    assert "rewind to the end of epoch 1" in out
    assert "whose 2 files will be removed" in out
    assert "outputs of rewound epochs were removed" in err
    assert "continues after epoch 1" in err
    assert ktrans("run", "demo.yaml")[0] == 0
    assert lines(project) == before
    statuses = [e["status"] for e in ktrans_json("state", "show", "demo.yaml")[1]["epochs"]]
    assert statuses == ["done", "rewound", "done"]


def test_rewind_names_the_files_that_would_be_there_twice(project, ktrans, ktrans_json, later):
    before = lines(project)
    way = ("state", "rewind", "demo.yaml", "--to", later, "--yes", "--keep")
    assert (
        "unless you remove the first ones (2 outputs: those with demo.lines."
        in (ktrans(*way[:-2], "--keep", "--dry-run")[1])
    )
    _, result = ktrans_json(*way)
    assert result["removed"] == 0
    for sink in result["sinks"]:
        if not sink["rows"]:
            continue
        for path in list(project.rglob(f"*{sink['files'][0]}*")):
            path.unlink()
    assert ktrans("run", "demo.yaml")[0] == 0
    assert lines(project) == before


def test_rewind_tells_apart_what_replayed_rejects(project, ktrans, ktrans_json, add_bad_line):
    """Their input is gone, so nothing may suggest to remove their output."""
    add_bad_line()
    ktrans("run", "demo.yaml")
    between = move_back(project)
    assert ktrans("rejects", "replay", "demo.yaml")[0] == 0
    way = ("state", "rewind", "demo.yaml", "--to", between, "--dry-run")
    assert "Keep what was published by epoch 2, which replayed rejects" in ktrans(*way)[1]
    code, result = ktrans_json(*way)
    assert (code, result["epochs"], result["replays"], result["splits"]) == (0, [2], [2], 0)
    assert [sink["files"] for sink in result["sinks"]] == [[], [], []]
    assert ktrans_json(*way[:-1], "--yes")[1]["removed"] == 0


def test_a_replay_is_rewound_with_the_epochs_whose_rejects_it_read(
    project, ktrans, ktrans_json, add_bad_line
):
    """Their logs are read again, so what it published would be there twice; also by a second replay."""
    add_bad_line()
    ktrans("run", "demo.yaml")
    before = ktrans_json("rejects", "list", "demo.yaml")[1]["rejects"]
    for _ in range(2):
        assert ktrans("rejects", "replay", "demo.yaml")[0] == 0
    way = ("state", "rewind", "demo.yaml", "--to", "2020-01-01", "--yes")
    code, result = ktrans_json(*way)
    assert (code, result["epochs"], result["replays"]) == (0, [1, 2, 3], [])
    assert (result["rows"], result["rejects"]) == (10, 1)
    assert ktrans("run", "demo.yaml")[0] == 0
    assert ktrans_json("rejects", "list", "demo.yaml")[1]["rejects"] == before


def test_rewind_removes_the_rejects_that_will_be_rejected_again(project, ktrans, ktrans_json):
    (project / "logs/bad.log").write_text("2 nonsense\n")
    ktrans("run", "demo.yaml")
    before = ktrans_json("rejects", "list", "demo.yaml")[1]["rejects"]
    assert before
    assert ktrans("state", "rewind", "demo.yaml", "--to", "2020-01-01", "--yes")[0] == 0
    assert ktrans_json("rejects", "list", "demo.yaml")[1]["rejects"] == []
    ktrans("run", "demo.yaml")
    assert ktrans_json("rejects", "list", "demo.yaml")[1]["rejects"] == before


def test_a_rewind_that_was_killed_before_it_removed_files_is_completed(
    project, ktrans, ktrans_json, later, monkeypatch
):
    before = lines(project)
    with monkeypatch.context() as killed:
        killed.setattr("ktrans.sinks.file.FileSink.withdraw", lambda *_: 1 / 0)
        assert ktrans("state", "rewind", "demo.yaml", "--to", later, "--yes")[0] == 70
    assert lines(project) == before
    assert ktrans_json("state", "rewind", "demo.yaml", "--to", later, "--yes")[1]["removed"] > 0
    assert ktrans("run", "demo.yaml")[0] == 0
    assert lines(project) == before


def test_what_one_rewind_kept_no_later_one_removes(project, ktrans, ktrans_json, later):
    before = lines(project)
    way = ("state", "rewind", "demo.yaml", "--to", later, "--yes")
    assert ktrans_json(*way, "--keep")[1]["rewound"] is True
    assert ktrans_json(*way)[1]["removed"] == 0
    assert lines(project) == before
    assert ktrans("run", "demo.yaml")[0] == 0
    assert ktrans_json(*way)[1]["removed"] == 2 * 2  # those of the third epoch
    assert lines(project) == before


def test_a_rewind_tells_what_it_cannot_remove(project, ktrans, ktrans_json):
    """The output of a sink that the file has no more, and files in a folder of before."""
    ktrans("run", "demo.yaml")
    text = (project / "demo.yaml").read_text()
    one, both = text.index("  - {id: lines"), text.index("rejects:")
    (project / "demo.yaml").write_text((text[:one] + text[both:]).replace('"out/', '"new/'))
    way = ("state", "rewind", "demo.yaml", "--to", "2020-01-01")
    _, plan = ktrans_json(*way, "--dry-run")
    gone = {sink["sink"]: sink for sink in plan["sinks"]}["lines"]
    assert (gone["type"], gone["rows"], gone["outputs"], gone["removes"]) == (None, 4, 1, False)
    code, out, err = ktrans(*way, "--yes")
    assert code == 0
    assert "4 rows, which stay: the pipeline file has no such sink now" in out
    assert "outputs not found: 1; gone already" in err
    (project / "demo.yaml").write_text(text)
    assert ktrans_json(*way, "--yes")[1]["removed"] == 2
    assert not list(project.rglob("*.parquet")) + list(project.rglob("*.jsonl"))


@pytest.mark.parametrize(
    "command",
    [
        ("state", "reset", "demo.yaml"),
        ("state", "forget", "demo.yaml", "--prefix", "/"),
        ("state", "rewind", "demo.yaml", "--to", "2020-01-01"),
    ],
)
def test_without_a_terminal_to_ask_on_a_confirmation_has_to_be_given(
    project, ktrans, monkeypatch, command
):
    ktrans("run", "demo.yaml")
    monkeypatch.setattr("sys.stdin", io.StringIO("y\n"))
    code, _, err = ktrans(*command)
    assert code == 2
    assert "give --yes" in err
    assert ktrans(*command, "--yes")[0] == 0


def test_rewind_asks_first(project, ktrans, ktrans_json, later, monkeypatch):
    code, out, err = ktrans("state", "rewind", "demo.yaml", "--to", "0s")
    assert (code, err) == (0, "")
    assert "nothing was recorded after" in out
    terminal = io.StringIO("n\n")
    monkeypatch.setattr(terminal, "isatty", lambda: True)
    monkeypatch.setattr("sys.stdin", terminal)
    code, _, err = ktrans("state", "rewind", "demo.yaml", "--to", later)
    assert code == 130
    assert "Rewind?" in err
    assert ktrans_json("state", "show", "demo.yaml")[1]["remembered"] == 3


def test_rewind_refuses_what_it_cannot_do(project, ktrans, ktrans_json, later):
    code, result = ktrans_json("state", "rewind", "demo.yaml", "--to", "soon")
    assert (code, result["error"]["code"]) == (2, "usage")
    text = (project / "demo.yaml").read_text()
    stdin = text.replace("{type: file, paths: [logs/]}", "{type: stdin}")
    (project / "demo.yaml").write_text(stdin)
    code, result = ktrans_json("state", "rewind", "demo.yaml", "--to", later, "--yes")
    assert (code, result["error"]["code"]) == (2, "cannot_rewind")
    generate = text.replace("{type: file, paths: [logs/]}", "{type: generate, rows: 10}")
    (project / "demo.yaml").write_text(generate)
    code, result = ktrans_json("state", "rewind", "demo.yaml", "--to", later, "--yes")
    assert (code, result["error"]["code"]) == (78, "cannot_rewind")
    assert "read from file then" in result["error"]["message"]


def test_forget_lets_one_file_be_read_again(project, ktrans, ktrans_json, later):
    before = lines(project)
    key = str(project / "logs/2.log")
    code, result = ktrans_json("state", "forget", "demo.yaml", key, "--dry-run")
    assert (code, result["forgotten"]) == (0, False)
    assert [split["key"] for split in result["splits"]] == [key]
    code, out, err = ktrans("state", "forget", "demo.yaml", key, "--yes")
    assert code == 0
    assert key in out
    assert "the next run reads 1 splits again" in err
    assert ktrans("run", "demo.yaml")[0] == 0
    assert lines(project) == sorted([*before, 2])


def test_forget_by_prefix_and_of_what_was_quarantined(project, ktrans, ktrans_json, later):
    prefix = str(project / "logs")
    _, result = ktrans_json("state", "forget", "demo.yaml", "--prefix", prefix, "--yes")
    assert len(result["splits"]) == 3
    code, result = ktrans_json("state", "forget", "demo.yaml", "--quarantined", "--yes")
    assert (code, result["splits"], result["forgotten"]) == (0, [], False)


def test_forget_says_what_it_does_not_know(project, ktrans_json, later):
    code, result = ktrans_json("state", "forget", "demo.yaml", "logs/2.log", "--yes")
    assert (code, result["error"]["code"]) == (2, "split_unknown")
    assert "--prefix" in result["error"]["hint"]
    code, result = ktrans_json("state", "forget", "demo.yaml", "--yes")
    assert (code, result["error"]["code"]) == (2, "usage")


def test_an_export_moves_a_pipeline_to_another_store(project, ktrans, ktrans_json, later):
    code, _, err = ktrans("state", "export", "demo.yaml", "--output", "state.jsonl")
    assert code == 0
    assert "records in state.jsonl" in err
    before = ktrans_json("state", "show", "demo.yaml")[1]
    text = (project / "demo.yaml").read_text()
    (project / "demo.yaml").write_text(text + "state: {type: sqlite, path: moved/state.db}\n")
    assert ktrans_json("state", "import", "demo.yaml", "state.jsonl")[0] == 0
    after = ktrans_json("state", "show", "demo.yaml")[1]
    assert {**after, "state": ""} == {**before, "state": ""}
    rows = lines(project)
    code, result = ktrans_json("run", "demo.yaml")
    assert (code, result["outcome"], lines(project)) == (0, "nothing_to_do", rows)
    code, result = ktrans_json("state", "import", "demo.yaml", "state.jsonl")
    assert (code, result["error"]["code"]) == (78, "state_exists")
    assert ktrans("state", "import", "demo.yaml", "state.jsonl", "--replace")[0] == 0


def test_an_export_to_stdout_is_one_record_a_line(project, ktrans, ktrans_json, later):
    code, out, _ = ktrans("state", "export", "demo.yaml")
    assert code == 0
    records = [json.loads(line) for line in out.splitlines()]
    assert records[0]["record"] == "begin"
    assert records[-1] == {"record": "end", "records": len(records) - 1}


def test_there_is_nothing_to_export_before_the_first_run(project, ktrans_json, ktrans):
    code, _, err = ktrans("state", "export", "demo.yaml", "--output", "state.jsonl")
    assert code == 78
    assert "has no state of pipeline 'demo'" in err
    assert not (project / "state.jsonl").exists()


def test_an_export_that_cannot_be_written_says_so(project, ktrans, later):
    code, _, err = ktrans("state", "export", "demo.yaml", "--output", "nowhere/state.jsonl")
    assert code == 2
    assert "cannot write nowhere/state.jsonl" in err
