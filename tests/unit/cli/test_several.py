"""The command line with several pipelines, shared pieces and profiles."""

from __future__ import annotations

import json

import pytest

ONE = """\
name: one
include: pieces/base.yaml
source: {type: file, paths: [logs/]}
decoder: {type: aws_vpc}
enrichers: [{include: pieces/enrichers.yaml}]
sinks: [{id: out, type: file, path: out/one/}]
profiles:
  dev: {sinks: [{id: look, type: blackhole}]}
  prod: {limits: {max_line_size: 4096}}
"""
TWO = ONE.replace("one", "two").partition("profiles:")[0]


@pytest.fixture
def several(project):
    """A folder with a file of two pipelines, and their shared pieces beside it."""
    (project / "pieces").mkdir()
    (project / "pieces/base.yaml").write_text(
        "rejects: {type: file, path: bad/, limit: {ratio: 1}}\n"
    )
    (project / "pieces/enrichers.yaml").write_text("- {type: filter, where: bytes > 0}\n")
    (project / "both.yaml").write_text(f"{ONE}---\n{TWO}")
    return project


def test_each_has_a_receipt_and_one_alone_is_no_list(several, ktrans_json):
    code, result = ktrans_json("run", "both.yaml")
    assert code == 0
    assert [(r["pipeline"], r["ledger"]["decoded"]["rows"]) for r in result] == [
        ("one", 9),
        ("two", 9),
    ]
    code, result = ktrans_json("run", "both.yaml", "--pipeline", "two")
    assert (code, result["pipeline"], result["outcome"]) == (0, "two", "nothing_to_do")


def test_a_folder_is_a_list_even_of_one(several, ktrans_json):
    (several / "folder").mkdir()
    (several / "folder/p.yaml").write_text(
        "source: {type: generate, rows: 5}\nsinks: [{type: blackhole}]\n"
    )
    code, [result] = ktrans_json("run", "folder")
    assert (code, result["pipeline"]) == (0, "p")


def test_files_of_a_run_are_for_all_of_them(several, ktrans):
    for _ in range(2):
        code, _, _ = ktrans("run", "both.yaml", "--receipt", "r.json", "--metrics-file", "m.prom")
        assert code == 0
    assert [r["pipeline"] for r in json.loads((several / "r.json").read_text())] == ["one", "two"]
    lines = (several / "m.prom").read_text().splitlines()
    for name in ("one", "two"):
        assert f'ktrans_rows_received_total{{pipeline="{name}"}} 9.0' in lines
        assert f'ktrans_runs_total{{outcome="nothing_to_do",pipeline="{name}"}} 1.0' in lines
    assert lines.count("# TYPE ktrans_rows_received_total counter") == 1


def test_the_summary_proposes_commands_for_the_one_it_is_about(several, ktrans):
    ktrans("run", "both.yaml")
    _, _, err = ktrans("run", "both.yaml", "--summary")
    assert "ktrans state show both.yaml --pipeline two" in " ".join(err.split())


def test_each_profile_is_validated_and_its_own_errors_reported_once(several, ktrans, ktrans_json):
    code, result = ktrans_json("validate", "both.yaml")
    assert code == 0
    assert [(p["name"], p["profile"]) for p in result["pipelines"]] == [
        ("one", None),
        ("one", "dev"),
        ("one", "prod"),
        ("two", None),
    ]
    text = (several / "both.yaml").read_text()
    (several / "both.yaml").write_text(text.replace("max_line_size: 4096", "max_line: 4096"))
    code, result = ktrans_json("validate", "both.yaml")
    wrong = [p for p in result["pipelines"] if not p["ok"]]
    assert (code, [p["profile"] for p in wrong], wrong[0]["errors"][0]["line"]) == (78, ["prod"], 9)
    assert ktrans("validate", "both.yaml", "--profile", "dev")[0] == 0
    (several / "both.yaml").write_text(text.replace("aws_vpc", "aws_vpcs", 1))
    code, result = ktrans_json("validate", "both.yaml")
    assert [len(p["errors"]) for p in result["pipelines"]] == [1, 0]


def test_an_error_in_an_included_file_says_where_it_was_included(several, ktrans, ktrans_json):
    (several / "pieces/enrichers.yaml").write_text("- {type: filter, where: bites > 0}\n")
    code, _, err = ktrans("validate", "both.yaml")
    assert code == 78
    assert "--> pieces/enrichers.yaml:1" in err
    assert "included from both.yaml:5" in err
    _, result = ktrans_json("validate", "both.yaml")
    assert result["pipelines"][0]["errors"][0]["included_from"].startswith("both.yaml:5")


@pytest.mark.parametrize(
    "verb",
    [
        ("plan",),
        ("graph",),
        ("preview",),
        ("config", "print"),
        ("state", "show"),
        ("rejects", "list"),
    ],
)
def test_verbs_about_one_ask_which(several, ktrans, verb):
    code, _, err = ktrans(*verb, "both.yaml")
    assert code == 2
    assert "--pipeline: one, two" in err
    code, _, err = ktrans(*verb, "both.yaml", "--pipeline", "one", "--profile", "dev")
    assert code == 0, err


def test_the_merged_pipeline_says_where_each_value_stands(several, ktrans):
    args = ("config", "print", "both.yaml", "--pipeline", "one", "--profile", "prod", "--origin")
    code, out, _ = ktrans(*args)
    assert code == 0
    lines = {line.split("  # ")[0].strip(): line.split("  # ")[-1] for line in out.splitlines()}
    assert lines["path: bad/"] == "pieces/base.yaml:1"
    assert lines["- type: filter"] == "pieces/enrichers.yaml:1"
    assert lines["max_line_size: 4 KiB"] == "both.yaml:9"
    assert lines["max_inflate_ratio: 200"] == "default"
    assert lines["path: out/one/"] == "both.yaml:6"


def test_tests_of_all_pipelines_of_a_file_are_run(several, ktrans_json, lines):
    case = f"tests: [{{name: t, input: '{lines.head}\n\n      {lines.good[0]}', count: 1}}]\n"
    (several / "both.yaml").write_text(f"{ONE}{case}---\n{TWO}{case}")
    code, result = ktrans_json("test", "both.yaml")
    assert (code, result["passed"], [p["name"] for p in result["pipelines"]]) == (
        0,
        2,
        ["one", "two"],
    )


def test_doctor_looks_at_all_of_them(several, ktrans_json):
    _, result = ktrans_json("doctor", "both.yaml")
    subjects = {finding["subject"] for finding in result["findings"]}
    assert {"both.yaml (one)", "both.yaml (two)"} <= subjects


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (("--from", "2026-01-01"), "--from is for one pipeline"),
        (("--watch",), "--watch needs a run that follows"),
        (("--pipeline", "three"), "no pipeline named three"),
    ],
)
def test_what_does_not_fit_several_is_a_usage_error(several, ktrans, args, said):
    code, _, err = ktrans("run", "both.yaml", *args)
    assert code == 2
    assert said in err
