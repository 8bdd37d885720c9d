"""`ktrans init`: what it writes validates, whatever the places are."""

import contextlib
import json
import os
import pty
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner
from jsonschema import Draft7Validator
from ruamel.yaml import YAML

from ktrans.api import UsageError
from ktrans.cli.root import cli
from ktrans.registry.catalogue import first_party

EXAMPLES = Path(__file__).parents[3] / "examples"


def ran(*args):
    result = CliRunner().invoke(cli, list(map(str, args)), standalone_mode=False)
    if result.exception is not None:
        raise result.exception
    return result.stdout


def written(path):
    return YAML(typ="safe").load(path)


@pytest.mark.parametrize(
    ("origin", "source"),
    [
        ("s3://my-logs/AWSLogs/", {"type": "s3", "bucket": "my-logs", "prefix": "AWSLogs/"}),
        ("gs://my-logs/vpc/", {"type": "gcs", "bucket": "my-logs", "prefix": "vpc/"}),
        (
            "az://acct/insights-logs-flowlogflowevent",
            {"type": "azure_blob", "account": "acct", "container": "insights-logs-flowlogflowevent"},
        ),
        (
            "kafka://b1:9092,b2:9092/raw",
            {"type": "kafka", "bootstrap_servers": ["b1:9092", "b2:9092"], "topics": ["raw"],
             "start": "earliest"},
        ),
        ("-", {"type": "stdin"}),
    ],
)  # fmt: skip
def test_sources_by_their_address(tmp_path, origin, source):
    path = tmp_path / "p.yaml"
    assert "it is valid" in ran("init", path, "--from", origin, "--to", "lake")
    assert written(path)["source"] == source


@pytest.mark.parametrize(
    ("goal", "kind"),
    [
        ("s3://lake/flows", "s3"),
        ("gs://lake", "gcs"),
        ("az://acct/lake/flows", "azure_blob"),
        ("kafka://b:9092/flows", "kafka"),
        ("influxdb+https://influx.example:8086", "influxdb"),
        ("postgresql://ktrans@db/flows", "postgres"),
        ("lake/", "file"),
        ("-", "stdout"),
    ],
)
def test_sinks_by_their_address(tmp_path, goal, kind):
    path = tmp_path / "p.yaml"
    assert "it is valid" in ran("init", path, "--from", "logs/", "--to", goal)
    assert [sink["type"] for sink in written(path)["sinks"]] == [kind]


CATALOGUE = first_party()
TYPES = [(kind, spec.type) for kind in ("source", "sink") for spec in CATALOGUE.specs(kind)]


@pytest.mark.parametrize(("kind", "name"), TYPES, ids="-".join)
def test_every_source_and_sink_can_be_named_by_its_type(tmp_path, kind, name):
    path = tmp_path / "p.yaml"
    places = {"--from": "logs/", "--to": "lake/"}
    places["--from" if kind == "source" else "--to"] = f"{name}:"
    said = ran("init", path, *(word for pair in places.items() for word in pair))
    assert "it is valid" in said
    tree = written(path)
    assert name in {tree["source"]["type"], *(sink["type"] for sink in tree["sinks"])}
    text = path.read_text()
    assert text.count("${env:") == text.count(":-set-me}")
    assert f"{name}: does not exist" not in text


@pytest.mark.parametrize(
    ("place", "emit"),
    [("prometheus+http://h:9090/api/v1/write", "closed"), ("influxdb+http://h:8086", "running")],
)
def test_time_series_databases_get_totals(tmp_path, place, emit):
    path = tmp_path / "p.yaml"
    ran("init", path, "--from", "logs/", "--to", place)
    (rollup,) = written(path)["enrichers"]
    assert (rollup["type"], rollup["emit"]) == ("rollup", emit)
    with pytest.raises(UsageError, match="a pipeline each"):
        ran("init", "--force", path, "--from", "logs/", "--to", place, "--to", "lake/")


def test_what_cannot_be_is_asked_again(tmp_path):
    """On a real terminal, as a person sees it."""
    answers = [
        "ftp://host/logs",
        "s3://",
        "logs/",
        "https://host:9200",
        "elasticsearch+https://host:9200",
    ]
    lead, follow = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "ktrans", "init", "p.yaml"],
        cwd=tmp_path,
        stdin=follow,
        stdout=follow,
        stderr=follow,
        env={**os.environ, "NO_COLOR": "1"},
    )
    os.close(follow)
    os.write(lead, "".join(f"{answer}\n" for answer in answers).encode())
    shown = b""
    with contextlib.suppress(OSError):  # the end of the terminal
        while more := os.read(lead, 4096):
            shown += more
    os.close(lead)
    assert process.wait() == 0, shown
    assert shown.count(b"Where are the logs?") == 3
    assert shown.count(b"should the rows go?") == 2
    assert b"say which one" in shown
    assert written(tmp_path / "p.yaml")["sinks"] == [
        {"type": "elasticsearch", "url": "https://host:9200"}
    ]


def test_the_decoder_is_chosen_by_a_look_at_the_logs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    shutil.copytree(EXAMPLES / "aws-logs" / "AWSLogs" / "444455556666", tmp_path / "logs")
    path = tmp_path / "flows.yaml"
    ran("init", path, "--from", "logs/", "--to", "lake/", "--to", "-")
    tree = written(path)
    assert (tree["name"], tree["decoder"]) == ("flows", {"type": "aws_vpc"})
    assert len(tree["sinks"]) == 2
    assert "in a sample: " in path.read_text()
    assert ran("run", path, "--limit", "1")


def test_paths_are_those_of_the_current_folder(tmp_path, monkeypatch):
    """As a shell completes them, wherever the pipeline file is."""
    monkeypatch.chdir(tmp_path)
    shutil.copytree(EXAMPLES / "aws-logs" / "AWSLogs" / "444455556666", tmp_path / "logs")
    said = ran("init", "conf dir/flows.yaml", "--from", "logs/", "--to", "lake/")
    assert "next: ktrans preview 'conf dir/flows.yaml'" in said
    tree = written(tmp_path / "conf dir" / "flows.yaml")
    assert (tree["source"]["paths"], tree["decoder"]) == (["../logs/"], {"type": "aws_vpc"})
    assert tree["sinks"][0]["path"].startswith("../lake/")
    ran("init", "conf dir/other.yaml", "--from", "/logs", "--to", "~/lake")
    tree = written(tmp_path / "conf dir" / "other.yaml")
    assert tree["source"]["paths"] == ["/logs"]
    assert tree["sinks"][0]["path"].startswith("~/lake/")


@pytest.mark.parametrize("name", ["2026", "true", "no", "flüsse", "1e3"])
def test_any_name_of_a_file_makes_a_name(tmp_path, name):
    path = tmp_path / f"{name}.yaml"
    assert "it is valid" in ran("init", path, "--from", "logs/", "--to", "lake/")
    assert isinstance(written(path)["name"], str)


@pytest.mark.parametrize("place", ["", "s3://", "az://a/flows", "kafka://me:secret@host/t", "a{b"])
def test_a_place_that_cannot_be_leaves_no_file(tmp_path, place):
    path = tmp_path / "p.yaml"
    with pytest.raises(UsageError) as caught:
        ran("init", path, "--from", "logs/", "--to", place)
    assert "use a path" in caught.value.hint or "has a password" in caught.value.message
    assert not path.exists()


def test_a_file_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match=r"cannot write .*file/p\.yaml: ") as caught:
        ran("init", tmp_path / "file" / "p.yaml", "--from", "logs/", "--to", "lake/")
    assert caught.value.code == "cannot_write"


def test_mixed_logs_are_left_to_auto(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    shutil.copytree(EXAMPLES / "cloud-logs", tmp_path / "logs")
    path = tmp_path / "p.yaml"
    ran("init", path, "--from", "logs/", "--to", "lake/")
    assert written(path)["decoder"] == {"type": "auto"}


def test_the_editor_gets_a_schema_that_the_file_meets(tmp_path):
    path = tmp_path / "p.yaml"
    ran("init", path, "--from", "logs/", "--to", "lake/")
    assert path.read_text().startswith("# yaml-language-server: $schema=ktrans.schema.json")
    schema = json.loads((tmp_path / "ktrans.schema.json").read_text())
    Draft7Validator(schema).validate(written(path))


def test_nothing_is_overwritten_or_guessed(tmp_path):
    path = tmp_path / "p.yaml"
    path.write_text("mine")
    with pytest.raises(UsageError, match="exists already"):
        ran("init", path, "--from", "a", "--to", "b")
    assert path.read_text() == "mine"
    with pytest.raises(UsageError, match="--from is missing"):
        ran("init", tmp_path / "q.yaml")
    with pytest.raises(UsageError, match="ftp"):
        ran("init", tmp_path / "q.yaml", "--from", "ftp://host/logs", "--to", "b")
    with pytest.raises(UsageError, match="is no address: Invalid IPv6 URL"):
        ran("init", tmp_path / "q.yaml", "--from", "a", "--to", "s3://[b")
    with pytest.raises(UsageError, match="has a password"):
        ran("init", tmp_path / "q.yaml", "--from", "a", "--to", "postgresql://me:secret@host/x")
    assert not (tmp_path / "q.yaml").exists()
    with pytest.raises(UsageError) as caught:
        ran("init", tmp_path / "q.yaml", "--from", "a", "--to", "https://host/x")
    assert "elasticsearch" in caught.value.hint
    assert "postgres" not in caught.value.hint  # its URL is another
