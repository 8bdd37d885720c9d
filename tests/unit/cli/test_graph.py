"""`ktrans graph`: the picture shows what the pipeline does."""

import json
import xml.etree.ElementTree as ET

import pytest
from click.testing import CliRunner

from ktrans.api import UsageError
from ktrans.cli.root import cli

PIPELINE = """
name: edges-and-nodes
source: {type: generate, log: aws_vpc_v2, rows: 10}
enrichers:
  - {type: filter, where: "bytes > 0"}
  - {type: services}
sinks:
  - {id: lake, type: file, path: out/}
  - id: refused
    type: file
    path: refused/
    where: action = 'reject'
    columns: [src_addr, bytes]
"""


@pytest.fixture
def config(tmp_path):
    path = tmp_path / "p.yaml"
    path.write_text(PIPELINE)
    return str(path)


def as_json(*args):
    result = CliRunner().invoke(cli, ["graph", *args], standalone_mode=False)
    assert result.exception is None, result.output
    return result.stdout


def test_every_component_and_all_that_flows_between_them(config):
    graph = json.loads(as_json("--json", config))
    assert [(n["kind"], n["type"]) for n in graph["nodes"]] == [
        ("source", "generate"),
        ("decoder", "auto"),
        ("enricher", "filter"),
        ("enricher", "services"),
        ("sink", "file"),
        ("sink", "file"),
        ("rejects", "file"),
    ]
    by_end = {edge["to"]: edge for edge in graph["edges"]}
    assert by_end["n5"]["where"] == "action = 'reject'"
    assert by_end["n5"]["columns"] == [
        {"name": "src_addr", "type": "text"},
        {"name": "bytes", "type": "int64"},
    ]
    assert (by_end["n6"]["from"], by_end["n6"]["label"]) == ("n1", "rejects")
    assert len(graph["edges"]) == len(graph["nodes"]) - 1


def test_mermaid_names_components_columns_and_conditions(config):
    text = as_json(config)
    assert text.startswith("flowchart LR\n")
    assert "n3 -->|\"2 columns<br/>where action = 'reject'\"| n5" in text
    assert "src_addr text<br/>bytes int64" in as_json("--columns", config)


def test_the_picture_is_svg_by_the_name_of_the_file(config, tmp_path):
    as_json(config, "-o", str(tmp_path / "p.svg"))
    root = ET.parse(tmp_path / "p.svg").getroot()
    space = "{http://www.w3.org/2000/svg}"
    assert root.tag == f"{space}svg"
    titles = [title.text for title in root.iter(f"{space}title")]
    assert "Pipeline edges-and-nodes" in titles
    assert any("src_addr text" in title for title in titles)
    texts = [text.text for text in root.iter(f"{space}text")]
    assert {"generate", "auto", "filter", "services", "lake", "refused", "rejects"} <= set(texts)


@pytest.mark.parametrize(("name", "start"), [("p.SVG", "<"), ("p.mmd", "flowchart")])
def test_the_ending_of_the_file_says_the_notation(config, tmp_path, name, start):
    as_json(config, "-o", str(tmp_path / name))
    assert (tmp_path / name).read_text().startswith(start)


@pytest.mark.parametrize("name", ["p.png", "p.pdf", "p"])
def test_an_ending_that_is_not_known_is_refused(config, tmp_path, name):
    args = ["graph", config, "-o", str(tmp_path / name)]
    result = CliRunner().invoke(cli, args, standalone_mode=False)
    assert isinstance(result.exception, UsageError)
    assert ".svg" in result.exception.hint
    assert not (tmp_path / name).exists()
    as_json(*args[1:], "--format", "svg")


def test_a_file_that_cannot_be_written_is_named(config, tmp_path):
    args = ["graph", config, "-o", str(tmp_path / "nowhere" / "p.svg")]
    result = CliRunner().invoke(cli, args, standalone_mode=False)
    assert isinstance(result.exception, UsageError)
    assert result.exception.code == "cannot_write"
