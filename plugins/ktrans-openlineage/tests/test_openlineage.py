"""Events of real runs, as a receiver gets them over the wire, and in a file."""

import json
import socket
import subprocess
import sys

import jsonschema
import pytest
from ktrans_openlineage import configured
from ktrans_openlineage.lineage import RUNNING_SECS, Lineage, parse_parent

RUN = "0190a5b0-0000-7000-8000-000000000001"

FACETS = {
    "type": "object",
    "additionalProperties": {
        "type": "object",
        "required": ["_producer", "_schemaURL"],
        "properties": {"_producer": {"format": "uri"}, "_schemaURL": {"format": "uri"}},
    },
}
DATASET = {
    "type": "object",
    "required": ["namespace", "name"],
    "properties": {
        "namespace": {"type": "string", "minLength": 1},
        "name": {"type": "string", "minLength": 1},
        "facets": FACETS,
        "inputFacets": FACETS,
        "outputFacets": FACETS,
    },
}
RUN_EVENT = {
    "type": "object",
    "required": ["eventType", "eventTime", "producer", "schemaURL", "run", "job"],
    "properties": {
        "eventType": {"enum": ["START", "RUNNING", "COMPLETE", "ABORT", "FAIL", "OTHER"]},
        "eventTime": {"type": "string", "format": "date-time"},
        "producer": {"type": "string", "format": "uri"},
        "schemaURL": {"type": "string", "pattern": "OpenLineage.json#/\\$defs/RunEvent$"},
        "run": {
            "type": "object",
            "required": ["runId"],
            "properties": {"runId": {"type": "string", "format": "uuid"}, "facets": FACETS},
        },
        "job": {
            "type": "object",
            "required": ["namespace", "name"],
            "properties": {"namespace": {"type": "string"}, "facets": FACETS},
        },
        "inputs": {"type": "array", "items": DATASET},
        "outputs": {"type": "array", "items": DATASET},
    },
}
"""What the specification asks of a run event (OpenLineage object model 2-0-2)."""


def check(event):
    checker = jsonschema.Draft202012Validator.FORMAT_CHECKER
    jsonschema.validate(event, RUN_EVENT, format_checker=checker)


@pytest.mark.parametrize(
    ("environ", "on"),
    [
        ({}, False),
        ({"OPENLINEAGE_URL": "http://m:5000"}, True),
        ({"OPENLINEAGE__TRANSPORT__TYPE": "console"}, True),
        ({"OPENLINEAGE_CONFIG": "/etc/openlineage.yml"}, True),
        ({"OPENLINEAGE_NAMESPACE": "n"}, False),
        ({"OPENLINEAGE_URL": "http://m:5000", "OPENLINEAGE_DISABLED": "true"}, False),
    ],
)
def test_the_standard_settings_switch_it_on_and_off(environ, on, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert configured({"HOME": str(tmp_path), **environ}) is on


def test_a_file_in_its_usual_place_switches_it_on(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "openlineage.yml").write_text("transport: {type: console}\n")
    assert configured({})


def test_without_settings_the_client_is_not_imported(project, clean):
    code = (
        "import sys\nfrom ktrans.cli.failures import guarded\nfrom ktrans.cli.root import cli\n"
        "assert guarded(cli, ['run', 'watched.yaml']) == 0\n"
        "print('ktrans_openlineage' in sys.modules, 'openlineage' in sys.modules)"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], cwd=project, env=clean, capture_output=True, text=True,
        check=True,
    )  # fmt: skip
    assert result.stdout.split() == ["True", "False"]


@pytest.mark.slow
def test_a_run_starts_and_completes(receiver, ktrans, project):
    result = ktrans("run", "watched.yaml", OPENLINEAGE_URL=receiver.url)
    assert (result.returncode, result.stderr) == (0, "")
    assert receiver.paths == {"/api/v1/lineage"}
    start, complete = receiver.events
    for event in receiver.events:
        check(event)
        assert event["job"]["namespace"] == "ktrans"
        assert event["job"]["name"] == "watched"
        assert event["producer"].startswith("https://pypi.org/project/ktrans-openlineage/")
        assert event["job"]["facets"]["jobType"]["processingType"] == "BATCH"
        assert event["run"]["facets"]["processing_engine"]["name"] == "ktrans"
        assert "parent" not in event["run"]["facets"]
    assert (start["eventType"], complete["eventType"]) == ("START", "COMPLETE")
    assert start["run"]["runId"] == complete["run"]["runId"]
    assert start["eventTime"] < complete["eventTime"]
    (source,) = complete["inputs"]
    assert (source["namespace"], source["name"]) == ("file", str(project / "logs"))
    read = source["inputFacets"]["inputStatistics"]
    size = sum(path.stat().st_size for path in (project / "logs").iterdir())
    assert (read["rowCount"], read["fileCount"], read["size"]) == (80, 2, size)
    lake, rejects = complete["outputs"]
    assert (lake["namespace"], lake["name"]) == ("file", str(project / "out"))
    assert [field["name"] for field in lake["facets"]["schema"]["fields"]] == [
        "start_time",
        "bytes",
    ]
    assert lake["facets"]["schema"]["fields"][0]["description"]
    wrote = lake["outputFacets"]["outputStatistics"]
    files = list((project / "out").glob("*.parquet"))
    assert (wrote["rowCount"], wrote["fileCount"]) == (80, len(files))
    assert wrote["size"] == sum(path.stat().st_size for path in files)
    assert rejects["name"] == str(project / "rejects")


@pytest.mark.slow
def test_each_run_is_a_run_of_its_own(receiver, ktrans):
    for _ in range(2):
        ktrans("run", "watched.yaml", OPENLINEAGE_URL=receiver.url)
    assert len({event["run"]["runId"] for event in receiver.events}) == 2


@pytest.mark.slow
def test_a_failed_run_says_why(receiver, ktrans, project):
    (project / "out").write_text("in the way of the folder")
    result = ktrans("run", "watched.yaml", OPENLINEAGE_URL=receiver.url)
    assert result.returncode != 0
    start, fail = receiver.events
    check(fail)
    assert (start["eventType"], fail["eventType"]) == ("START", "FAIL")
    error = fail["run"]["facets"]["errorMessage"]
    assert error["programmingLanguage"] == "PYTHON"
    assert error["message"] in result.stderr


@pytest.mark.slow
def test_dry_runs_send_nothing(receiver, ktrans):
    assert ktrans("run", "--dry-run", "watched.yaml", OPENLINEAGE_URL=receiver.url).returncode == 0
    assert not receiver.events


@pytest.mark.slow
def test_the_job_that_started_the_run_is_its_parent(receiver, ktrans):
    ktrans(
        "run",
        "watched.yaml",
        OPENLINEAGE_URL=receiver.url,
        OPENLINEAGE_NAMESPACE="flows",
        OPENLINEAGE_PARENT_ID=f"http://airflow:8080/nightly.ktrans/{RUN}",
    )
    event = receiver.events[0]
    check(event)
    assert event["job"]["namespace"] == "flows"
    parent = event["run"]["facets"]["parent"]
    assert parent["run"]["runId"] == RUN
    assert parent["job"]["namespace"] == "http://airflow:8080"
    assert parent["job"]["name"] == "nightly.ktrans"


@pytest.mark.parametrize("text", ["", "a/b", f"//{RUN}", "a/b/no-uuid", RUN])
def test_an_invalid_parent_is_ignored(text):
    assert parse_parent(text) is None


@pytest.mark.slow
def test_events_go_to_a_file_with_the_file_transport(ktrans, project):
    result = ktrans(
        "run",
        "watched.yaml",
        OPENLINEAGE__TRANSPORT__TYPE="file",
        OPENLINEAGE__TRANSPORT__LOG_FILE_PATH=str(project / "lineage.jsonl"),
        OPENLINEAGE__TRANSPORT__APPEND="true",
    )
    assert (result.returncode, result.stderr) == (0, "")
    lines = (project / "lineage.jsonl").read_text().splitlines()
    events = [json.loads(line) for line in lines if line]
    for event in events:
        check(event)
    assert [event["eventType"] for event in events] == ["START", "COMPLETE"]


@pytest.mark.slow
@pytest.mark.parametrize("how", ["down", "refuses", "silent"])
def test_a_receiver_that_is_no_help_changes_nothing(receiver, ktrans, project, how):
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        if how == "silent":
            holder.listen()
        receiver.status = 500
        url = receiver.url if how == "refuses" else f"http://127.0.0.1:{holder.getsockname()[1]}"
        result = ktrans(
            "run", "--receipt", "receipt.json", "watched.yaml", OPENLINEAGE_URL=url, flush_secs=1
        )
    receipt = json.loads((project / "receipt.json").read_text())
    assert result.returncode == 0
    assert (receipt["outcome"], receipt["ledger"]["decoded"]["rows"]) == ("done", 80)
    (line,) = [json.loads(line) for line in result.stderr.splitlines()]
    assert (line["event"], line["level"]) == ("lineage_not_sent", "warning")


@pytest.mark.slow
def test_settings_that_make_no_sense_are_said_once(ktrans):
    result = ktrans("run", "watched.yaml", OPENLINEAGE__TRANSPORT__TYPE="pigeon")
    assert result.returncode == 0
    (line,) = [json.loads(line) for line in result.stderr.splitlines()]
    assert line["event"] == "lineage_not_sent"


@pytest.mark.slow
def test_no_secret_leaves_the_machine(receiver, ktrans, project):
    pipeline = (project / "watched.yaml").read_text()
    kafka = (
        "  - {id: k, type: kafka, bootstrap_servers: ['127.0.0.1:1'], topic: t, username: u,\n"
        "     sasl_mechanism: PLAIN, password: '${env:SECRET}', connect_timeout: 1,\n"
        "     delivery_timeout: 1}\n"
    )
    (project / "watched.yaml").write_text(
        pipeline.replace("rejects:", kafka + "rejects:") + "engine: {attempts: 1}\n"
    )
    result = ktrans("run", "watched.yaml", SECRET="open sesame", OPENLINEAGE_URL=receiver.url)
    assert result.returncode != 0
    assert [event["eventType"] for event in receiver.events] == ["START", "FAIL"]
    outputs = receiver.events[0]["outputs"]
    assert ("kafka://127.0.0.1:1", "t") in {(one["namespace"], one["name"]) for one in outputs}
    assert b"sesame" not in b"".join(receiver.bodies)


class FakeSender:
    def __init__(self):
        self.events = []

    def send(self, event):
        self.events.append(event)

    def flush(self):
        """Nothing waits."""


def test_running_is_sent_now_and_then_with_what_was_written_so_far():
    now, sender = [0.0], FakeSender()
    lineage = Lineage(sender, {}, lambda: now[0])
    run = {"run_id": "r", "pipeline": "p", "follow": True}
    epoch = {
        "ledger": {"records": 10, "skipped": 1},
        "input_bytes": 100,
        "splits": 1,
        "sinks": {"lake": {"rows": 9, "bytes": 50, "outputs": 1}},
    }
    lineage.run_started(run)
    for seconds in (1, RUNNING_SECS, RUNNING_SECS + 1, 2 * RUNNING_SECS):
        now[0] = seconds
        lineage.epoch_committed(run, epoch)
    lineage.run_finished(run, {"error": None, "outcome": "stopped"})
    assert [one.state for one in sender.events] == ["START", "RUNNING", "RUNNING", "COMPLETE"]
    assert [one.outputs.get("lake", {}).get("rows") for one in sender.events] == [None, 18, 36, 36]


@pytest.mark.parametrize(
    ("outcome", "follow", "state"),
    [
        ("done", False, "COMPLETE"),
        ("nothing_to_do", False, "COMPLETE"),
        ("stopped", False, "ABORT"),
        ("stopped", True, "COMPLETE"),
    ],
)
def test_how_a_run_ended(outcome, follow, state):
    sender = FakeSender()
    lineage = Lineage(sender, {})
    run = {"run_id": "r", "pipeline": "p", "follow": follow}
    lineage.run_started(run)
    lineage.run_finished(run, {"error": None, "outcome": outcome})
    assert sender.events[-1].state == state


def test_a_run_that_never_began_sends_nothing():
    sender = FakeSender()
    lineage = Lineage(sender, {})
    lineage.run_finished({"run_id": "r"}, {"error": None, "outcome": "skipped"})
    assert not sender.events
