"""The shipped folder of pipelines: right under every profile, and run side by side."""

import importlib.util
import json
from pathlib import Path

_SPEC = importlib.util.spec_from_file_location("shared", Path(__file__).with_name("conftest.py"))
shared = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(shared)
ktrans = shared.ktrans


def test_the_folder_of_pipelines_runs_as_it_is(project):
    validated = ktrans(project, "validate", "--json", "examples/several")
    assert validated.returncode == 0, validated.stdout
    checked = [(p["name"], p["profile"]) for p in json.loads(validated.stdout)["pipelines"]]
    assert checked == [
        ("several-aws", None),
        ("several-aws-dev", "dev"),
        ("several-aws", "prod"),
        ("several-google", None),
        ("several-azure", None),
    ]
    result = ktrans(project, "run", "--json", "examples/several")
    assert result.returncode == 0, result.stderr
    receipts = {r["pipeline"]: r["ledger"]["decoded"]["rows"] for r in json.loads(result.stdout)}
    assert receipts == {"several-aws": 3027, "several-google": 200, "several-azure": 400}
    again = ktrans(project, "run", "--json", "examples/several")
    assert {r["outcome"] for r in json.loads(again.stdout)} == {"nothing_to_do"}


def test_a_profile_of_it_writes_elsewhere(project):
    result = ktrans(project, "run", "--profile", "dev", "examples/several/aws.yaml")
    assert result.returncode == 0, result.stderr
    path = min((project / "out/several/dev").glob("*.jsonl"))
    assert set(json.loads(path.read_text().splitlines()[0])) <= {
        "start_time",
        "src_addr",
        "dst_addr",
        "bytes",
        "action",
    }
